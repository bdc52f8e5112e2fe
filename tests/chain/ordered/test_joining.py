"""Joining by a state: whoever lacks too much, or what nobody has any more, ends where the others are."""

from random import Random

import pytest

from chain.codec import block_id, transaction_id
from chain.ledger import Committed, Dropped, Save
from chain.ledgers.ordered.update import revoke, with_organisation, without_organisation
from tests.chain.ordered.joining import CONFIG, check_joined, jumps, long_chain, meeting, replica
from tests.chain.ordered.lab import TTL_MS, Consortium, account, peer_signer
from tests.chain.ordered.wire import Honest, chain_of


@pytest.fixture
def history():
    return long_chain()


# --- among honest peers ---------------------------------------------------------------------------------------------


def test_who_lacks_too_much_takes_a_state_over(history):
    lab, blocks = history
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")])
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96] and not wire.penalised
    joiner = wire.nodes[0].ledger
    assert joiner.block(96) is None and joiner.block(97) == blocks[96]
    assert joiner.receipt(transaction_id(blocks[0].transactions[0])) is None
    assert [e.block.header.height for e in wire.effects[0] if isinstance(e, Committed)] == list(range(97, 108))
    proposal = lab.propose(lab.transaction("increment", b"a"))
    assert joiner.endorse(proposal, lab.now).response == lab.one.endorse(proposal, lab.now).response
    (save,) = [effect for effect in wire.effects[0] if isinstance(effect, Save) and effect.headers]
    assert (
        len(save.headers) == save.final_height == 96
        and save.snapshot.root == replica(lab, "org1", blocks[:96]).state.root
    )
    assert max(wire.asked[0, name] for name in ("GetHeaders", "GetState")) <= 2


def test_who_lacks_little_takes_the_blocks(history):
    lab, blocks = history
    joiner = replica(lab, "org1", blocks[: len(blocks) - 30])
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], joiner=joiner)
    for node in list(wire.nodes.values())[1:]:
        node.ledger = replica(lab, "org2", blocks)  # with all bodies
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == []


def test_who_lacks_little_that_nobody_has_takes_a_state_over(history):
    lab, blocks = history
    joiner = replica(lab, "org1", blocks[: len(blocks) - 20])
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], joiner=joiner)
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96]


def test_one_who_keeps_all_blocks_suffices_to_lose_none(history):
    """Of two who have let them go and one who has not, the last is asked."""
    lab, blocks = history
    joiner = replica(lab, "org1", blocks[: len(blocks) - 20])
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3"), (Honest, "org3")], joiner=joiner)
    wire.nodes[3].ledger = replica(lab, "org3", blocks)
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == []


@pytest.mark.parametrize("seed", range(4))
def test_over_a_wire_that_loses_and_delays(history, seed):
    lab, _ = history
    servers = [(Honest, name) for name in ("org2", "org3", "org2", "org3")]
    wire = meeting(history, servers, seed=seed, lost=0.25, late_ms=900)
    wire.run(lab.now + 90_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96] and not wire.penalised
    before = sum(count for (_, name), count in wire.asked.items() if name != "GetStatus")
    wire.run(wire.now + 30_000)
    assert sum(count for (_, name), count in wire.asked.items() if name != "GetStatus") == before


def test_server_that_goes_away_is_replaced_by_another(history):
    lab, _ = history
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], late_ms=100)
    while wire.asked[0, "GetSnapshot"] < 3:
        wire.run(wire.now + 5)
    wire.nodes[1] = wire.nodes[2]  # what is asked of it now is lost with the link
    wire.carry(0, wire.nodes[0].ledger.peer_down(b"\1", wire.now))
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96] and not wire.penalised
    assert wire.asked[0, "GetSnapshot"] <= 5  # goes on with what it had


def test_chain_that_grows_meanwhile(history):
    """Servers keep the last two states: one that is fetched while a later one comes is still there."""
    lab, blocks = history
    wire = meeting((lab, blocks[:90]), [(Honest, "org2"), (Honest, "org3")], late_ms=200)
    for number, name in ((1, "org2"), (2, "org3")):
        wire.nodes[number].ledger = replica(lab, name, blocks[:90])
    for place, block in enumerate(blocks[90:]):
        wire.at(wire.now + 100 + 50 * place, wire.gossip, block, 1.0)
    wire.run(lab.now + 20_000)
    check_joined(wire, lab)
    assert jumps(wire) == [80]


# --- who is a member ------------------------------------------------------------------------------------------------


def test_members_are_who_the_joiner_knows_of():
    """Who slept through the change of most organisations cannot tell who speaks for the channel, and blames nobody."""
    lab = Consortium()
    lab.run("put", b"a", 1)
    late, slept = lab.ledger(peer_signer("org1"), config=CONFIG), lab.ledger(peer_signer("org1"), config=CONFIG)
    config = with_organisation(lab.one.channel, "org4", account("root of org4"))
    assert lab.reconfigure(config) == "VALID"
    lab.peers["org4"] = replica(lab, "org4", [lab.one.block(height) for height in (1, 2)])
    for height in (1, 2):
        late.receive_block(b"\xff", lab.one.block(height), lab.now)
    proposal = lab.propose(lab.update(without_organisation(config, "org3"), admins=("org1", "org2", "org3")))
    assert lab.commit(lab.sign(proposal, lab.ask(proposal, by=("org1", "org2", "org4")))) == ["VALID"]
    _, blocks = chain_of(90, lab)
    servers = [(Honest, "org1"), (Honest, "org4")]
    for joiner in (late, slept):
        height = joiner.head.height
        wire = meeting((lab, blocks), servers, joiner=joiner)
        wire.run(lab.now + 10_000)
        assert joiner.head.height == height and not wire.penalised
    # With org2, enough of those speak whom each of them knows.
    for joiner in (late, slept):
        wire = meeting((lab, blocks), [*servers, (Honest, "org2")], joiner=joiner)
        wire.run(lab.now + 10_000)
        check_joined(wire, lab)
        assert joiner.channel == lab.one.channel


def test_who_was_revoked_meanwhile_still_counts_for_who_slept():
    lab = Consortium()
    assert lab.reconfigure(revoke(lab.one.channel, peer_signer("org2").certificate)) == "VALID"
    for _ in range(60):
        lab.now += 10
        lab.commit()
    blocks = [lab.one.block(height) for height in range(1, 62)]
    wire = meeting((lab, blocks), [(Honest, "org1"), (Honest, "org2")])
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)


# --- transactions that wait -----------------------------------------------------------------------------------------


def test_what_became_of_transactions_in_skipped_blocks_is_unknown():
    lab = Consortium()
    joiner = lab.ledger(peer_signer("org1"), config=CONFIG)
    old, used = lab.call("put", b"old", 1), None
    joiner.receive_transaction(old, lab.now)
    lab.commit(old)
    lab.now += TTL_MS
    used, waits = lab.call("put", b"b", 1), lab.call("put", b"c", 1)
    for envelope in (used, waits):
        joiner.receive_transaction(envelope, lab.now)
    lab.commit(used)
    _, blocks = chain_of(60, lab)
    wire = meeting((lab, blocks), [(Honest, "org2"), (Honest, "org3")], joiner=joiner, late_ms=5)
    wire.run(lab.now + 400)
    check_joined(wire, lab)
    dropped = [(effect.transaction, effect.reason) for effect in wire.effects[0] if isinstance(effect, Dropped)]
    assert dropped == [
        (old.transaction, "proposal_expired"),  # says the clock, before anything was heard of the others
        (old.transaction, "outcome_unknown"),
        (used.transaction, "outcome_unknown"),
    ]
    assert joiner.pending() == (waits.transaction,)
    lab.peers["joiner"] = joiner
    lab.now = max(lab.now, lab.one.head.time_ms)
    assert lab.commit(waits) == ["VALID"] and joiner.pending() == () and joiner.state.root == lab.root


# --- the same as who executed it all ----------------------------------------------------------------------------------

CALLS = [
    ("increment", b"a"),
    ("put", b"b", 7),
    ("delete", b"b"),
    ("copy", b"a", b"c"),
    ("total_to", b"many", b"t"),
    ("guard", b"g", "'org3.peer'"),
    ("guard", b"g", None),
]


@pytest.mark.parametrize("seed", range(12))
def test_who_jumped_is_as_who_executed_all(seed):
    """Calls of all kinds, in conflict and repeated; then both commit what comes after, also what an old id forbids."""
    rng = Random(seed)
    lab = Consortium()
    for _ in range(48):
        envelopes = [lab.call(*rng.choice(CALLS)) for _ in range(rng.randrange(3))]
        lab.commit(*envelopes, *rng.sample(envelopes, rng.randrange(len(envelopes) + 1)))
        lab.now += rng.choice([10, 10, TTL_MS // 4])
    blocks = [lab.one.block(height) for height in range(1, 49)]
    height = rng.randrange(34, 48)
    wire = meeting((lab, blocks[:height]), [(Honest, "org2"), (Honest, "org3")])
    wire.run(lab.now + 5_000)
    joiner = wire.nodes[0].ledger
    assert jumps(wire) == [32] and joiner.head.height == height
    for block in blocks[height:]:
        joiner.receive_block(b"\xff", block, lab.now)
    check_joined(wire, lab)
    assert [joiner.receipts(number) for number in range(33, 49)] == [lab.one.receipts(n) for n in range(33, 49)]
    assert list(joiner.state.scan(b"")) == list(lab.one.state.scan(b""))
    assert all(joiner.is_final(block_id(lab.one.header(number))) for number in range(49))
