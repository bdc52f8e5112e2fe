"""Whatever is wrong with a report, a vote, a block or a frame: it is refused by its fault's name, and nothing changes.

One town, whose miner waits for us, with a report that waits for votes. Each row of a table goes through the gateway of
a light actor, or through gossip; heads, states, mempools and balances of all replicas are compared before and after.
"""

import re
from dataclasses import dataclass

import pytest
import trio
from msgspec.structs import replace

from actors.fault_config import Hold
from actors.gateway_messages import MAX_REQUEST_BYTES, Query, Refusal, Submit, decode_answer, encode_message
from actors.identity import Identity
from actors.messages import GATEWAY, SYNC, Notice, blocks_topic, cell_topic, tx_topic
from chain.codec import decode_block, encode, transaction_id
from chain.contract import encode_args
from chain.contracts.accounts import balance_of
from chain.contracts.spatial_draw import commit_ballot
from chain.contracts.spatial_records import SALT_BYTES, Ticket
from chain.errors import InvalidBlockError, Refused
from chain.keys import sign_transaction
from chain.ledgers.pow.rules import check_alone
from chain.merkle import merkle_root
from chain.values import MAX_ARGS_BYTES, Block, TxId
from net.gossip import wire
from net.gossip.wire import Rpc
from net.transport import FrameTooLargeError, RequestFailedError
from tests.actors.simulated import named, play, small, until

SALT = bytes(SALT_BYTES)
SETTLE_S = 2.0


def quiet_town():
    return small(
        # One peer commits all these offences: with scores, nobody would listen to it after the first.
        network__scoring=False,
        population__miner={"count": 1, "hash_rate": 64, "step_ms": 10**9},
        reports__per_minute=1e-6,
        spatial__vote_window_ms=600_000,
        spatial__assign_window_ms=600_000,
    )


@dataclass
class Refusals:
    """What became of a row: what the sender was told, what the journal says meanwhile, and what changed."""

    told: str
    journal: list[tuple[str, str, dict]]
    before: object
    after: object


class Town:
    def __init__(self, swarm):
        self.swarm = swarm
        self.actors = swarm.actors
        self.network = swarm.world.network
        self.requester, self.mec = self.actors["requester-01"], self.actors["mec-01"]
        self.miner, self.facility = self.actors["miner-01"], self.actors["facility-01"]
        self.where = self.requester.where()
        self.journal = []
        swarm.world.journal.listen(lambda t, actor, kind, fields: self.journal.append((actor, kind, fields)))

    async def block(self):
        """Have the miner mine one block of what waits, and everybody hear of it."""
        await trio.sleep(1)  # what was submitted reaches the miner
        core = self.miner.node.core
        height = core.head.height
        while core.head.height == height:
            self.miner.node.mine(1)
        await trio.sleep(1)
        assert {node.core.head_id for node in self.swarm.full_nodes} == {core.head_id}

    async def prepare(self):
        """A report with a hidden group, one of whom has voted."""
        for actor in self.actors.values():
            if actor.role == "worker":
                actor.attended = True
        await until(lambda: len(self.mec._presence) == 8)
        self.report = await self.requester.submit("fire", self.where)
        for _ in range(20):
            await self.block()
            self.drawn = [a for a in self.actors.values() if a.role == "worker" and self.report in a.tasks]
            if len(self.drawn) == 3:
                break
        self.voter, self.next_voter, _ = self.drawn
        self.outsider = next(a for a in self.actors.values() if a.role == "worker" and a not in self.drawn)
        await self.call(self.voter, "vote", *self.ballot(self.voter))
        await self.block()

    def ballot(self, worker, *, ticket_of=None):
        return (
            self.report,
            commit_ballot(self.report, worker.identity.account, True, SALT),
            (ticket_of or worker).tasks[self.report].ballot.ticket,
        )

    async def call(self, actor, method, *args, contract="spatial", stage="accepted"):
        return await actor.ledger.call(contract, method, *args, stage=stage)

    async def ask(self, body, protocol=GATEWAY):
        """Raw bytes to the gateway; the refusal as text."""
        answer = await self.requester.node.overlay.request(self.mec.identity.peer_id, protocol, body, timeout=5)
        refusal = decode_answer(answer)
        assert isinstance(refusal, Refusal), refusal
        raise Refused(refusal.reason, refusal.detail)

    async def submit_raw(self, transaction):
        await self.ask(encode_message(Submit(transaction if isinstance(transaction, bytes) else encode(transaction))))

    def transaction(self, actor=None, *, nonce=None, chain=None, method="submit", args=None, contract="spatial"):
        actor = actor or self.requester
        now = self.swarm.world.clock.now_ms()
        return sign_transaction(
            actor.identity.key,
            chain or self.network.id,
            self.mec.node.next_nonce(actor.identity.account) if nonce is None else nonce,
            contract,
            method,
            encode_args("waste", *self.where.e7, now) if args is None else args,
        )

    def state(self):
        """All that a refusal must not touch."""
        accounts = [member.identity.account for member in self.swarm.members]
        return {
            node.name: (
                node.core.head_id,
                node.core.state.root,
                node.core.final.height,
                tuple(transaction_id(t) for t in node.core.pending(100)),
                tuple(balance_of(node.core.state, account) for account in accounts),
            )
            for node in self.swarm.full_nodes
        }

    async def attempt(self, row):
        del self.journal[:]
        before = self.state()
        told = ""
        try:
            await row(self)
        except (Refused, RequestFailedError, FrameTooLargeError) as refused:
            told = str(refused)
        await trio.sleep(SETTLE_S)
        return Refusals(told, list(self.journal), before, self.state())


# Through the gateway of a light actor. ------------------------------------------------------------------------------


def submits(type_="waste", lat_e7=None, lon_e7=None, age_ms=0):
    async def row(town):
        lat, lon = town.where.e7
        now = town.swarm.world.clock.now_ms()
        await town.call(
            town.requester,
            "submit",
            type_,
            lat if lat_e7 is None else lat_e7,
            lon if lon_e7 is None else lon_e7,
            now - age_ms,
        )

    return row


def sends(make):
    async def row(town):
        await town.submit_raw(make(town))

    return row


def empty_ticket(town):
    return Ticket(SALT, replace(town.ballot(town.voter)[2].path, siblings=()))


def votes(who, *, ticket_of=None):
    async def row(town):
        actor = getattr(town, who)
        args = town.ballot(actor, ticket_of=getattr(town, ticket_of) if ticket_of else None)
        await town.call(actor, "vote", *args)

    return row


def calls(who, method, make_args, contract="spatial"):
    async def row(town):
        await town.call(getattr(town, who), method, *make_args(town), contract=contract)

    return row


def asks(make_body, protocol=GATEWAY):
    async def row(town):
        await town.ask(make_body(town), protocol)

    return row


def forged(town):
    good = town.transaction()
    return replace(good, signature=good.signature[:-1] + bytes([good.signature[-1] ^ 1]))


THROUGH_THE_GATEWAY = {
    "wrong type": (submits("ufo"), r"^unknown_type: 'ufo', known are .*fire"),
    "latitude out of range": (submits(lat_e7=900_000_001), r"^out_of_range: lat_e7 is 900000001, allowed are -9"),
    "longitude out of range": (submits(lon_e7=-(2**62)), r"^out_of_range: lon_e7 is -4611686018427387904"),
    "outside the town": (submits(lat_e7=0), r"^out_of_place: \(0, \d+\), allowed are lat_e7"),
    "too old": (submits(age_ms=3_600_000), r"^time_out_of_window: time_ms is \d+, allowed are"),
    "from the future": (submits(age_ms=-3_600_000), r"^time_out_of_window"),
    "reported already": (submits("fire"), r"^duplicate_report: [0-9a-f]{64}"),
    "text for a number": (calls("requester", "submit", lambda t: ("fire", "north", 0, 0)), r"^malformed_arguments"),
    "an argument too few": (calls("requester", "submit", lambda t: ("fire", 0, 0)), r"^malformed_arguments"),
    "unknown method": (calls("requester", "steal", lambda t: ()), r"^unknown_method: spatial\.steal"),
    "unknown contract": (calls("requester", "x", lambda t: (), "bank"), r"^unknown_contract: bank"),
    "forged signature": (sends(forged), r"^bad_signature: not signed by"),
    "another's name": (
        sends(lambda t: replace(t.transaction(), sender=t.voter.identity.account)),
        r"^(bad_signature: not signed by|nonce)",
    ),
    "altered on its way": (
        sends(lambda t: replace(t.transaction(), args=encode_args("fire", 0, 0, 0))),
        r"^bad_signature",
    ),
    "another network": (sends(lambda t: t.transaction(chain=bytes(32))), r"^wrong_chain"),
    "nonce used": (sends(lambda t: t.transaction(nonce=0)), r"^nonce_too_low: 0"),
    "nonce ahead": (sends(lambda t: t.transaction(nonce=5)), r"^nonce_gap: 5"),
    "nonce far ahead": (sends(lambda t: t.transaction(nonce=10**15)), r"^nonce_gap"),
    "transaction too long": (sends(lambda t: bytes(MAX_ARGS_BYTES + 600)), r"16984 bytes where at most 16896 are allowed"),
    "transaction cut short": (sends(lambda t: encode(t.transaction())[:-1]), r"truncated"),
    "transaction and more": (sends(lambda t: encode(t.transaction()) + b"\0"), r"trailing"),
    "request too long": (asks(lambda t: bytes(MAX_REQUEST_BYTES + 1)), r"a request of 83457 bytes, allowed are 83456"),
    "request far too long": (asks(lambda t: bytes(5 << 20)), r"5242880 bytes"),
    "request of garbage": (asks(lambda t: b"\xc1garbage"), r"not a gateway request"),
    "empty request": (asks(lambda t: b""), r"not a gateway request"),
    "sync garbage": (asks(lambda t: b"garbage", SYNC), r"."),
    "query of a call": (asks(lambda t: encode_message(Query("spatial", "submit", b"", final=False))), r"^unknown_method"),
    "second vote": (votes("voter"), r"^vote_twice"),
    "vote without a ticket": (
        calls("outsider", "vote", lambda t: (*t.ballot(t.outsider, ticket_of=t.voter)[:2], empty_ticket(t))),
        r"^(vote_not_assigned|malformed_arguments)",
    ),
    "vote with another's ticket": (votes("outsider", ticket_of="voter"), r"^vote_not_assigned"),
    "vote of the requester": (votes("requester", ticket_of="voter"), r"^vote_by_requester"),
    "vote on nothing": (
        calls("voter", "vote", lambda t: (TxId(bytes(32)), *t.ballot(t.voter)[1:])),
        r"^unknown_report",
    ),
    "reveal too early": (calls("voter", "reveal", lambda t: (t.report, True, SALT)), r"^reveal_too_early: not before"),
    "reveal of nothing": (calls("outsider", "reveal", lambda t: (t.report, True, SALT)), r"^reveal_without_vote"),
    "assign as a worker": (calls("voter", "assign", lambda t: (t.report, bytes(32), bytes(32))), r"^not_mec"),
    "take as a requester": (calls("requester", "take", lambda t: (t.report,)), r"^not_facility"),
    "expire in time": (calls("outsider", "expire", lambda t: (t.report,)), r"^not_expired: not before"),
}  # fmt: skip


# Through gossip: the facility turns bad. ----------------------------------------------------------------------------


def gossips(topic, make, who="facility"):
    async def row(town):
        await getattr(town, who).node.overlay.publish(topic(town), make(town))

    return row


def frames(make):
    async def row(town):
        assert town.facility.node.overlay._transport.send_nowait(town.mec.identity.peer_id, make(town))

    return row


def txs(town):
    return tx_topic(town.network.genesis.network)


def blocks(town):
    return blocks_topic(town.network.genesis.network)


def cell(town):
    """The topic of a cell that a worker listens to."""
    return cell_topic(town.network.genesis.network, town.voter.where())


def ground(header):
    """With a nonce that has its work."""
    for nonce in range(2**20):
        try:
            check_alone(tried := replace(header, nonce=nonce))
        except InvalidBlockError:
            continue
        return tried
    raise AssertionError("no nonce found")


def without_work(town):
    head = town.miner.node.core.block(town.miner.node.core.head_id)
    for nonce in range(2**20):
        try:
            check_alone(tried := replace(head.header, nonce=nonce))
        except InvalidBlockError:
            return encode(replace(head, header=tried))
    raise AssertionError("every nonce has its work")


def child(town, transactions=(), **changes):
    """A block on the head that has its work, and whatever is wrong besides."""
    core = town.miner.node.core
    head = core.head
    header = replace(
        head,
        height=head.height + 1,
        parent=core.head_id,
        time_ms=town.swarm.world.clock.now_ms(),
        transactions_root=merkle_root([encode(t) for t in transactions]),
        receipts_root=merkle_root([]),
        difficulty=core._tree.head.child_difficulty(core._replica.rules),
    )
    return encode(Block(ground(replace(header, **changes)), tuple(transactions), (), b""))


def sealed(town):
    return encode(replace(decode_block(child(town)), seal=b"us"))


def long_ago(town):
    return child(town, time_ms=town.network.genesis.time_ms)


def signed_frame(town, *, data=b"x", topic=None, spoil=False):
    topic = topic or txs(town)
    peer, seqno = town.facility.identity.peer_id, 2**63
    signature = town.facility.identity.sign(wire.signed_bytes(peer, seqno, topic, data))
    if spoil:
        signature = bytes(64)
    return wire.encode(Rpc(publish=(wire.seal(peer, seqno, topic, data, signature),)))


def notice(town, where):
    return encode(Notice(bytes(32), "pending", "fire", *where, 1))


THROUGH_GOSSIP = {
    "transaction of garbage": (gossips(txs, lambda t: b"garbage"), "malformed transaction", "rejected message"),
    "transaction too long": (gossips(txs, lambda t: bytes(17_000)), "malformed transaction: 17000 bytes", "rejected message"),
    "transaction forged": (gossips(txs, lambda t: encode(forged(t))), "bad_signature", "rejected message"),
    "transaction of another network": (
        gossips(txs, lambda t: encode(t.transaction(chain=bytes(32)))), "wrong_chain", "rejected message",
    ),
    "block of garbage": (gossips(blocks, lambda t: b"\x93garbage"), "malformed block", "rejected message"),
    "block without work": (gossips(blocks, without_work), "bad_work", "rejected message"),
    "block of another difficulty": (gossips(blocks, lambda t: child(t, difficulty=1)), "bad_difficulty", "rejected message"),
    "block of long ago": (gossips(blocks, long_ago), "bad_time", "rejected message"),
    "block with a seal": (gossips(blocks, sealed), "bad_block", "rejected message"),
    "block with a false state": (
        gossips(blocks, lambda t: child(t, state_root=bytes(32))), None, "state_root does not fit the state",
    ),
    "block with a forged transaction": (
        gossips(blocks, lambda t: child(t, (forged(t),))), None, "transaction 0: bad_signature",
    ),
    "block that pays another": (
        gossips(blocks, lambda t: child(t, producer=t.facility.identity.account)), None, "state_root does not fit the state",
    ),
    "notice of garbage": (gossips(cell, lambda t: b"garbage", "mec"), None, "rejected message"),
    "notice of another cell": (gossips(cell, lambda t: notice(t, (0, 0)), "mec"), None, "rejected message"),
    "notice of nowhere": (gossips(cell, lambda t: notice(t, (2**40, 0)), "mec"), None, "rejected message"),
    "envelope with a forged signature": (frames(lambda t: signed_frame(t, spoil=True)), None, "bad signature"),
    "envelope of garbage": (frames(lambda t: b"\xff" * 40), None, "malformed frame"),
    "envelope too long": (frames(lambda t: signed_frame(t, data=bytes(900_000))), None, "message too long"),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes():
    """Each row's outcome; all of them in one town, one after the other."""
    found = {}

    async def script(swarm):
        town = Town(swarm)
        await town.prepare()
        rows = {name: row for name, (row, _) in THROUGH_THE_GATEWAY.items()}
        rows |= {f"gossip: {name}": row for name, (row, _, _) in THROUGH_GOSSIP.items()}
        for name, row in rows.items():
            found[name] = await town.attempt(row)
        # After all that, the town goes on.
        await town.call(town.next_voter, "vote", *town.ballot(town.next_voter))
        await town.block()
        progress = await town.requester.ledger.query("spatial", "progress", town.report)
        found["votes in the end"] = progress.votes
        found["errors"] = list(swarm.world.errors)

    play(quiet_town(), script)
    return found


@pytest.mark.parametrize("name", THROUGH_THE_GATEWAY)
def test_gateway__reject(outcomes, name):
    outcome = outcomes[name]
    assert re.search(THROUGH_THE_GATEWAY[name][1], outcome.told), outcome.told
    assert outcome.after == outcome.before
    assert not [kind for _, kind, _ in outcome.journal if kind == "published"]


@pytest.mark.parametrize("name", THROUGH_GOSSIP)
def test_gossip__reject(outcomes, name):
    outcome = outcomes[f"gossip: {name}"]
    assert outcome.after == outcome.before
    _, verdict, penalty = THROUGH_GOSSIP[name]
    if verdict is not None:
        said = {fields["reason"] for _, kind, fields in outcome.journal if kind == "rejected"}
        assert said and all(verdict in reason for reason in said), said
    blamed = {(fields["peer"], fields["reason"]) for _, kind, fields in outcome.journal if kind == "penalised"}
    culprit = "mec-01" if name.startswith("notice") else "facility-01"
    assert {peer for peer, _ in blamed} == {tail_of_peer_id(culprit)}
    assert all(re.search(penalty, reason) for _, reason in blamed), blamed


def tail_of_peer_id(name):
    return str(Identity.derive(quiet_town().seed, name).peer_id)[-8:]


def test_the_town_goes_on(outcomes):
    assert outcomes["votes in the end"] == 2
    assert outcomes["errors"] == []


def test_who_passed_on_a_false_block_is_not_blamed_for_it():
    """It has its work, so nodes pass it on before they have executed it: only its publisher knew."""
    town = named(
        quiet_town(),
        network=replace(quiet_town().network, scoring=True),
        faults=(Hold(at_s=10, groups=(("facility-01",), ("miner-01",)), for_s=100),),
    )
    heard = {}

    async def script(swarm):
        made = Town(swarm)
        await trio.sleep(20)
        publisher, relay = made.facility.identity.peer_id, made.mec.identity.peer_id
        topic = blocks(made)
        made.miner.node.overlay.router.counters.accepted = 0
        await made.facility.node.overlay.publish(topic, child(made, state_root=bytes(32)))
        await trio.sleep(SETTLE_S)
        heard["copies"] = made.miner.node.overlay.router.counters.accepted
        heard["blamed"] = [
            (actor, fields["peer"]) for actor, kind, fields in made.journal if kind == "penalised"
        ]  # before the held copy arrives
        for node in (made.miner.node, made.mec.node):
            scores = node.overlay.scores()
            assert scores[publisher] < -500
            assert all(score >= 0 for peer, score in scores.items() if peer != publisher)
        assert relay in made.miner.node.overlay.router.mesh(topic)

    play(town, script)
    tail = tail_of_peer_id("facility-01")
    assert heard == {"copies": 1, "blamed": [("mec-01", tail), ("miner-01", tail)]}
