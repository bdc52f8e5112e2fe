"""One replica, or two that tell each other their blocks: transactions in, effects out."""

import msgspec
import pytest

from chain.codec import decode_own, header_prefix, transaction_id
from chain.contract import encode_args
from chain.contracts.accounts import balance_of, supply
from chain.errors import Refused
from chain.ledger import Broadcast, Committed, Dropped, Finalised, HeaderStatus, Reorged, Save
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.ledgers.pow.mempool import MempoolLimits
from chain.store import MemoryStore
from chain.transition import APPLIED, apply_block
from tests.chain.pow.founding import GENESIS_MS, account, found, transfer


def mine_blocks(ledger, count, now_ms, step_ms=10_000):
    """Mine until the head is `count` blocks higher, a block every `step_ms`; return the effects and the time."""
    effects = []
    for _ in range(count):
        height = ledger.head.height
        now_ms += step_ms
        while ledger.head.height == height:
            effects += ledger.mine(1, now_ms)
    return effects, now_ms


def of(kind, effects):
    return [effect for effect in effects if isinstance(effect, kind)]


def test_one_node_mines_transactions_until_they_are_final():
    network = found()
    ledger = PowLedger(network, producer=account(1))
    payment = transfer(network, 2, 0, to=3, amount=5)
    submitted = ledger.submit(payment, GENESIS_MS)
    assert [effect.topic for effect in of(Broadcast, submitted)] == ["tx"]

    effects, _ = mine_blocks(ledger, 10, GENESIS_MS)
    committed, finalised = of(Committed, effects), of(Finalised, effects)
    assert [effect.block.header.height for effect in committed] == list(range(1, 11))
    assert [effect.block.header.height for effect in finalised] == [1, 2, 3, 4]
    assert [save.head for save in of(Save, effects)][-1] == ledger.head_id
    assert committed[0].block.transactions == (payment,)
    assert committed[0].receipts[0].ok
    assert balance_of(ledger.state, account(3)) == 1_000_000_005
    assert supply(ledger.state) == 10 * 1_000_000_000 + 10 * network.genesis.ledger.block_reward
    assert ledger.statistics().pending == 0


@pytest.mark.parametrize(
    "nonce,amount,reason",
    [(1, 1, "nonce_gap"), (0, 0, "zero_amount"), (0, 10**10, "insufficient_balance"), (64, 1, "nonce_gap")],
)
def test_submit__refuses(nonce, amount, reason):
    network = found()
    ledger = PowLedger(network)
    before = ledger.statistics()
    with pytest.raises(Refused) as refusal:
        ledger.submit(transfer(network, 2, nonce, amount=amount), GENESIS_MS)
    assert refusal.value.reason == reason
    assert ledger.statistics() == before


def refused(call, *args):
    with pytest.raises(Refused) as refusal:
        call(*args)
    return refusal.value.reason


@pytest.mark.parametrize("entrance", ["submit", "receive_transaction"])
def test_entrance__refuses_by_name(entrance):
    network = found()
    ledger = PowLedger(network, config=PowConfig(mempool=MempoolLimits(transactions=3, per_sender=2)))
    enter = getattr(ledger, entrance)
    good = transfer(network, 1, 0)
    assert refused(enter, msgspec.structs.replace(good, signature=bytes(64)), GENESIS_MS) == "bad_signature"
    assert refused(enter, msgspec.structs.replace(good, args=transfer(network, 1, 0, amount=2).args), GENESIS_MS) == (
        "bad_signature"
    )
    assert refused(enter, transfer(found(name="other"), 1, 0), GENESIS_MS) == "wrong_chain"
    enter(good, GENESIS_MS)
    assert refused(enter, good, GENESIS_MS) == "already_pending"
    assert refused(enter, transfer(network, 1, 0, amount=2), GENESIS_MS) == "nonce_taken"
    assert refused(enter, transfer(network, 1, 2), GENESIS_MS) == "nonce_gap"
    last = transfer(network, 1, 1)
    enter(last, GENESIS_MS)
    enter(transfer(network, 2, 0), GENESIS_MS)
    assert of(Dropped, enter(transfer(network, 3, 0), GENESIS_MS)) == [Dropped(last, "evicted")]
    assert refused(enter, transfer(network, 4, 0), GENESIS_MS) == "mempool_full"
    assert [transaction.nonce for transaction in ledger.pending()] == [0, 0, 0]


def test_sender_replaces_what_waits():
    """The one that replaces is rehearsed in its place, and whoever waits for the other is told."""
    network = found()
    ledger = PowLedger(network, producer=account(1))
    stuck, after = transfer(network, 2, 0, amount=600_000_000), transfer(network, 2, 1, amount=300_000_000)
    ledger.submit(stuck, GENESIS_MS)
    ledger.submit(after, GENESIS_MS)
    instead = transfer(network, 2, 0, amount=5)
    assert refused(ledger.submit, instead, GENESIS_MS + 9_999) == "nonce_taken"
    later = GENESIS_MS + 10_000
    assert refused(ledger.submit, transfer(network, 2, 0, amount=10**12), later) == "insufficient_balance"
    effects = ledger.submit(instead, later)
    assert of(Dropped, effects) == [Dropped(stuck, "replaced")]
    assert [effect.topic for effect in of(Broadcast, effects)] == ["tx"]
    assert ledger.rehearse(transfer(network, 2, 2, amount=600_000_000), later).ok  # what it took is free again
    mine_blocks(ledger, 1, later)
    assert ledger.block(1).transactions == (instead, after)


def test_used_nonce_is_refused():
    network = found()
    ledger = PowLedger(network, producer=account(1))
    ledger.submit(transfer(network, 2, 0), GENESIS_MS)
    mine_blocks(ledger, 1, GENESIS_MS)
    assert refused(ledger.submit, transfer(network, 2, 0, amount=3), GENESIS_MS) == "nonce_too_low"
    assert refused(ledger.receive_transaction, transfer(network, 2, 0, amount=3), GENESIS_MS) == "nonce_too_low"
    assert ledger.next_nonce(account(2)) == 1


def test_rehearsal_counts_what_waits():
    """Each payment alone can be afforded, both cannot: the second is refused at the door."""
    network = found()
    ledger = PowLedger(network)
    ledger.submit(transfer(network, 2, 0, amount=600_000_000), GENESIS_MS)
    second = transfer(network, 2, 1, amount=600_000_000)
    assert ledger.rehearse(second, GENESIS_MS).reason == "insufficient_balance"
    assert refused(ledger.submit, second, GENESIS_MS) == "insufficient_balance"
    assert ledger.rehearse(transfer(network, 2, 1, amount=400_000_000), GENESIS_MS).ok
    assert refused(ledger.rehearse, transfer(network, 2, 2), GENESIS_MS) == "nonce_gap"
    assert ledger.next_nonce(account(2)) == 1


def test_gossip_out_of_order_is_mined_in_order():
    network = found()
    ledger = PowLedger(network, producer=account(1))
    for nonce in (2, 0, 3, 1):
        ledger.receive_transaction(transfer(network, 2, nonce), GENESIS_MS)
    mine_blocks(ledger, 1, GENESIS_MS)
    assert [transaction.nonce for transaction in ledger.block(1).transactions] == [0, 1, 2, 3]


def test_refused_in_a_block_has_a_receipt():
    """Gossip is not rehearsed: the block tells whoever asks, and the nonce is used up."""
    network = found()
    ledger = PowLedger(network, producer=account(1))
    broke = transfer(network, 2, 0, amount=10**12)
    ledger.receive_transaction(broke, GENESIS_MS)
    mine_blocks(ledger, 1, GENESIS_MS)
    block, receipt, index = ledger.receipt(transaction_id(broke))
    assert (block.header.height, index, receipt.ok, receipt.reason) == (1, 0, False, "insufficient_balance")
    assert ledger.next_nonce(account(2)) == 1


def test_waiting_too_long_is_dropped():
    network = found()
    ledger = PowLedger(network, config=PowConfig(mempool=MempoolLimits(ttl_ms=5_000)))
    payment = transfer(network, 2, 0)
    ledger.submit(payment, GENESIS_MS)
    assert ledger.next_deadline_ms() == GENESIS_MS + 5_000
    assert ledger.tick(GENESIS_MS + 4_999) == []
    assert ledger.tick(GENESIS_MS + 5_000) == [Dropped(payment, "expired")]
    assert ledger.next_deadline_ms() is None
    ledger.submit(payment, GENESIS_MS + 5_000)


def test_reorganisation_in_full():
    """What the lost branch held waits again, but for what the new branch has made void."""
    network = found(initial_difficulty=2)
    ours, theirs = PowLedger(network, producer=account(11)), PowLedger(network, producer=account(12))
    both, only_ours = transfer(network, 1, 0), transfer(network, 2, 0)
    mine, yours = transfer(network, 3, 0, amount=7), transfer(network, 3, 0, amount=8)
    for payment in (both, only_ours, mine):
        ours.submit(payment, GENESIS_MS)
    for payment in (both, yours):
        theirs.submit(payment, GENESIS_MS)
    mine_blocks(ours, 1, GENESIS_MS)
    effects, now = mine_blocks(theirs, 3, GENESIS_MS)
    lost = ours.block(1)

    blocks = [theirs.block(height) for height in (1, 2, 3)]
    effects = [effect for block in blocks for effect in ours.receive_block(b"x", block, now)]
    kinds = [type(effect) for effect in effects if not isinstance(effect, Save)]
    assert kinds[0] is Reorged and kinds.count(Reorged) == 1
    assert of(Reorged, effects)[0].blocks == (lost,)
    assert [effect.block for effect in of(Committed, effects)] == blocks
    assert of(Dropped, effects) == [Dropped(mine, "nonce_too_low")]
    assert ours.pending() == (only_ours,)
    assert ours.receipt(transaction_id(mine)) is None
    assert ours.statistics().deepest_reorganisation == 1
    mine_blocks(ours, 1, now)
    assert ours.receipt(transaction_id(only_ours))[0].header.height == 4


def test_first_seen_wins_among_equals():
    network = found(initial_difficulty=2)
    ours, theirs = PowLedger(network, producer=account(11)), PowLedger(network, producer=account(12))
    mine_blocks(ours, 1, GENESIS_MS)
    _, now = mine_blocks(theirs, 1, GENESIS_MS)
    head = ours.head_id
    effects = ours.receive_block(b"x", theirs.block(1), now)
    assert [type(effect) for effect in effects] == [Save]  # kept: its branch may become heavier
    assert ours.head_id == head


def test_nonce_walk_goes_on_when_the_template_changes():
    network = found(initial_difficulty=2**40)
    ledger = PowLedger(network, producer=account(1))
    for step in range(10):
        ledger.mine(50, GENESIS_MS + 400 * step)
        ledger.submit(transfer(network, 2, step), GENESIS_MS + 400 * step)
    assert ledger.statistics().attempts == 500
    assert ledger._miner._nonce == 500


def test_template_takes_first_transactions_within_a_second_and_more_each_quarter_of_a_block():
    network = found(initial_difficulty=2**40)  # blocks of 10 s
    ledger = PowLedger(network, producer=account(1))
    sizes = {}
    for step in range(60):
        ledger.mine(1, GENESIS_MS + 100 * step)
        ledger.submit(transfer(network, 2, step), GENESIS_MS + 100 * step)
        sizes[len(ledger._miner._template.block.transactions)] = 100 * step
    assert sizes == {0: 900, 10: 2_400, 25: 4_900, 50: 5_900}  # size to when it was last ground at, ms


def test_empty_template_gets_a_new_time_and_does_what_it_says(monkeypatch):
    monkeypatch.setattr(APPLIED, "enabled", False)
    network = found(initial_difficulty=2**40)
    ledger = PowLedger(network, producer=account(1))
    for second in (1, 5):
        ledger.mine(1, GENESIS_MS + 1_000 * second)
        template = ledger._miner._template
        assert template.block.header.time_ms == GENESIS_MS + 1_000 * second
        assert template.prefix == header_prefix(template.block.header)
        applied = apply_block(network, template.parent.state, template.block, final_ids=lambda _: None)
        assert applied.state.root == template.applied.state.root != template.parent.state.root


def test_mine__needs_a_producer():
    with pytest.raises(ValueError, match="producer"):
        PowLedger(found()).mine(1, GENESIS_MS)


def test_queries_read_head_or_final_block():
    network = found(initial_difficulty=2)
    ledger = PowLedger(network, producer=account(1))
    ledger.submit(transfer(network, 2, 0, to=3, amount=5), GENESIS_MS)
    mine_blocks(ledger, 2, GENESIS_MS)

    def balance(*, final):
        return decode_own(int, ledger.query("accounts", "balance", encode_args(account(3)), final=final))

    assert (balance(final=False), balance(final=True)) == (1_000_000_005, 1_000_000_000)
    assert refused(ledger.query, "accounts", "nothing", b"\x90") == "unknown_method"


def test_old_bodies_are_let_go_and_found_in_the_archive():
    network = found(initial_difficulty=2)
    store = MemoryStore()
    ledgers = [
        PowLedger(network, producer=account(1), config=PowConfig(kept_blocks=3), archive=archive)
        for archive in (store, None)
    ]
    payment = transfer(network, 2, 0)
    for ledger in ledgers:
        ledger.submit(payment, GENESIS_MS)
        effects, _ = mine_blocks(ledger, 20, GENESIS_MS)
        for save in of(Save, effects) if ledger is ledgers[0] else ():
            store.save(save)
    archived, forgetful = ledgers
    assert archived.block(1) is not None and archived.receipt(transaction_id(payment))[1].ok
    assert archived.proof(transaction_id(payment)) is not None
    assert forgetful.block(1) is None and forgetful.receipt(transaction_id(payment)) is None
    assert forgetful.header(1).height == 1
    assert [forgetful.block(height) is not None for height in (11, 12, 20)] == [False, True, True]


@pytest.mark.parametrize("depth", [1, 5, 6, 7])
def test_reorganisation_reaches_down_to_the_final_block_and_no_further(depth):
    """With `finality_depth` 6, six blocks can be undone by a heavier branch, seven by none."""
    network = found(initial_difficulty=2)
    ours, theirs = PowLedger(network, producer=account(11)), PowLedger(network, producer=account(12))
    _, now = mine_blocks(ours, 10 - depth, GENESIS_MS)
    for height in range(1, 11 - depth):
        theirs.receive_block(b"x", ours.block(height), now)
    mine_blocks(ours, depth, now)
    _, now = mine_blocks(theirs, depth + 5, now)
    assert (ours.head.height, ours.final.height) == (10, 4)
    assert theirs.statistics().work > ours.statistics().work
    final = ours.header(4)
    effects = []
    for height in range(11 - depth, theirs.head.height + 1):
        effects += ours.receive_block(b"x", theirs.block(height), now)
    if depth <= 6:
        assert ours.head == theirs.head
        assert ours.statistics().deepest_reorganisation >= depth
    else:
        assert ours.head.height == 10 and not of(Reorged, effects)
    assert ours.header(4) == final


def test_branches_that_lost_are_forgotten():
    """The tree holds what is above the final block and leads on from it, nothing else."""
    network = found(initial_difficulty=2)
    ours, theirs = PowLedger(network, producer=account(11)), PowLedger(network, producer=account(12))
    mine_blocks(ours, 4, GENESIS_MS)
    _, now = mine_blocks(theirs, 3, GENESIS_MS)
    for height in range(1, 4):
        ours.receive_block(b"x", theirs.block(height), now)
    assert ours.statistics().live_blocks == 7
    _, now = mine_blocks(ours, 3, now)
    assert (ours.final.height, ours.statistics().live_blocks) == (1, 6)
    child = theirs.block(3).header
    assert ours.check_header(child, now) is HeaderStatus.UNKNOWN_PARENT


def test_rehearsal_follows_the_head():
    """Money that came in a block can be spent at once."""
    network = found()
    ledger = PowLedger(network, producer=account(1))
    ledger.submit(transfer(network, 2, 0), GENESIS_MS)
    ledger.receive_transaction(transfer(network, 3, 0, to=2, amount=500_000_000), GENESIS_MS)
    much = transfer(network, 2, 1, amount=1_400_000_000)
    assert refused(ledger.submit, much, GENESIS_MS) == "insufficient_balance"
    _, now = mine_blocks(ledger, 1, GENESIS_MS)
    ledger.submit(much, now)


def test_old_states_are_let_go():
    """Kept are those that a branch may grow from, and two for peers that catch up."""
    network = found(initial_difficulty=2)
    ledger = PowLedger(network, producer=account(1), config=PowConfig(snapshot_interval=4))
    mine_blocks(ledger, 20, GENESIS_MS)
    kept = [height for height in range(21) if ledger._replica.tree.at(height).state is not None]
    assert kept == [8, 12, *range(14, 21)]
