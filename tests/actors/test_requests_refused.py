"""MEC nodes and workers answer each other, and refuse by name what does not come from the other's side."""

import pytest
import trio
from msgspec.structs import replace

from actors.identity import Identity
from actors.mec import MAX_CLAIM_SKEW_MS
from actors.messages import BALLOT, GENESIS, HELLO, PRESENCE, Attestation, Ballot, is_attested, read, seal_claim
from actors.worker import MAX_BALLOTS
from chain.codec import decode, encode
from chain.contracts.spatial_records import SALT_BYTES, Ticket
from chain.genesis import Genesis
from chain.merkle import MerklePath
from net.transport import RequestFailedError
from tests.actors.simulated import play, small, until

TICKET = Ticket(bytes(SALT_BYTES), MerklePath(0, 3, (bytes(32), bytes(32))))


def staged(script, **changes):
    async def act(swarm):
        worker, mec = swarm.actors["worker-01"], swarm.actors["mec-01"]
        await until(lambda: worker.node.mec == mec.identity.peer_id and len(mec._presence) == 8)
        await script(swarm, worker, mec)
        await trio.sleep(1)
        assert swarm.world.errors == []

    play(small(reports__per_minute=1e-6, **changes), act)


async def ask(actor, peer, protocol, body):
    return await actor.node.overlay.request(peer.identity.peer_id, protocol, body, timeout=5)


def test_a_claim_is_answered_by_an_attestation():
    async def script(swarm, worker, mec):
        now = swarm.world.clock.now_ms()
        claim = seal_claim(worker.identity, mec.identity.peer_id, worker.where(), now)
        word = read(Attestation, await ask(worker, mec, PRESENCE, claim))
        assert is_attested(word) and word.worker == worker.identity.account
        assert now < word.until_ms <= now + 31_000

    staged(script)


def test_claim__reject():
    async def script(swarm, worker, mec):
        other = swarm.actors["worker-02"]
        now, where = swarm.world.clock.now_ms, worker.where()
        peer = mec.identity.peer_id

        async def refused(claim, reason):
            before = dict(mec._presence._seen)
            with pytest.raises(RequestFailedError, match=reason) as failure:
                await ask(worker, mec, PRESENCE, claim)
            assert failure.value.definite
            assert dict(mec._presence._seen) == before

        await refused(b"", "cannot open the presence claim")
        await refused(seal_claim(other.identity, peer, where, now()), "a presence claim of somebody else")
        await refused(seal_claim(worker.identity, other.identity.peer_id, where, now()), "cannot open")
        for late in (MAX_CLAIM_SKEW_MS + 1_000, -MAX_CLAIM_SKEW_MS - 1_000):
            await refused(seal_claim(worker.identity, peer, where, now() + late), r"the claim is of \d+, now is \d+")
        first = seal_claim(worker.identity, peer, where, now())
        await trio.sleep(0.1)
        await ask(worker, mec, PRESENCE, seal_claim(worker.identity, peer, where, now()))
        await refused(first, "an older claim than one that came before")

    # Their own claims must not come in between.
    staged(script, population__worker__presence_interval_ms=25_000)


VOTER = Identity.derive(small().seed, "worker-01").account


def ballot(now, **changes):
    return replace(Ballot(bytes(32), "fire", 1, 2, now, now + 5_000, now + 9_000, VOTER, TICKET), **changes)


def test_ballot__reject_who_is_no_mec_node():
    async def script(swarm, worker, mec):
        other = swarm.actors["worker-02"]
        await other.node.overlay.connect(worker.identity.peer_id, worker.node.overlay.addresses)
        with pytest.raises(RequestFailedError, match="not an enrolled MEC node"):
            await ask(other, worker, BALLOT, encode(ballot(swarm.world.clock.now_ms())))
        assert worker.tasks == {}

    staged(script)


@pytest.mark.parametrize("raw", [b"", b"\xc1", encode(ballot(5)) + b"\0", encode(ballot(5, report=bytes(31)))])
def test_ballot__reject_malformed(raw):
    async def script(swarm, worker, mec):
        with pytest.raises(RequestFailedError):
            await ask(mec, worker, BALLOT, raw)
        assert worker.tasks == {}

    staged(script)


def test_the_same_ballot_again_changes_nothing():
    async def script(swarm, worker, mec):
        raw = encode(ballot(swarm.world.clock.now_ms()))
        assert await ask(mec, worker, BALLOT, raw) == b""
        (task,) = worker.tasks.values()
        assert await ask(mec, worker, BALLOT, raw) == b""
        assert list(worker.tasks.values()) == [task]

    staged(script)


@pytest.mark.parametrize(
    "changes",
    [
        {"vote_until_ms": 0},
        {"vote_until_ms": -(2**63), "reveal_until_ms": -(2**63)},
        {"vote_until_ms": 2**63 - 1, "reveal_until_ms": 2**63 - 1},
        {"lat_e7": 2**63 - 1, "lon_e7": -(2**63)},
        {"type": "\U0001f525" * 500},
        {"time_ms": 2**64 - 1},
    ],
    ids=str,
)
def test_a_strange_ballot_brings_no_worker_down(changes):
    """An enrolled node may send nonsense: the worker may vote in vain, but it does not crash (see `staged`)."""

    async def script(swarm, worker, mec):
        await ask(mec, worker, BALLOT, encode(ballot(swarm.world.clock.now_ms(), **changes)))
        await trio.sleep(15)
        assert swarm.actors["worker-01"] is worker
        assert swarm.states["worker-01"] == "running"

    staged(script)


def test_ballots_are_bounded():
    async def script(swarm, worker, mec):
        worker.attended = True
        now = swarm.world.clock.now_ms()
        for n in range(MAX_BALLOTS):
            await ask(
                mec, worker, BALLOT, encode(ballot(now, report=n.to_bytes(32, "big"), vote_until_ms=now + 60_000))
            )
        with pytest.raises(RequestFailedError, match="256 ballots are open"):
            await ask(mec, worker, BALLOT, encode(ballot(now, report=b"x" * 32)))
        await until(lambda: all(task.stage == "missed" for task in worker.tasks.values()), patience_s=120)
        await ask(mec, worker, BALLOT, encode(ballot(now, report=b"x" * 32)))
        assert len(worker.tasks) == MAX_BALLOTS and b"x" * 32 in worker.tasks

    staged(script)


def test_light_actors_do_not_say_hello_and_ledger_nodes_tell_their_genesis():
    async def script(swarm, worker, mec):
        with pytest.raises(RequestFailedError, match="protocol not served"):
            await ask(mec, worker, HELLO, b"")
        with pytest.raises(RequestFailedError, match="truncated"):
            await ask(worker, mec, HELLO, b"")
        raw = await ask(worker, mec, GENESIS, b"anything")
        assert decode(Genesis, raw, limit=1 << 20) == swarm.world.genesis

    staged(script)


def test_a_strangers_claim_is_no_workers():
    """Whoever links up may say where it is; it is not drawn for what it does not say."""

    async def script(swarm, worker, mec):
        requester = swarm.actors["requester-01"]
        claim = seal_claim(requester.identity, mec.identity.peer_id, worker.where(), swarm.world.clock.now_ms())
        word = read(Attestation, await ask(requester, mec, PRESENCE, claim))
        assert word.worker == requester.identity.account
        # It may be drawn from now on, but never for its own report.
        near = mec._presence.near(worker.where(), 1_000, swarm.world.clock.now_ms(), without=requester.identity.account)
        assert requester.identity.account not in near
        assert Identity.derive(3, "worker-01").account in near

    staged(script)
