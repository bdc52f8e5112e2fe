"""What must stay secret never travels or stays in the open: keys, workers' places, votes that are not revealed.

Every frame, request and answer of a run is looked through, byte by byte, with its journal and all of its blocks.
"""

from base64 import b64encode

import pytest

import actors.worker
from actors.messages import PRESENCE
from chain.codec import encode
from chain.contracts.spatial_draw import commit_ballot
from net.memory import MemoryTransport
from tests.actors.simulated import simulate, small
from tests.checkers import what_went_wrong


class Tap:
    """Hears all that is said: (virtual ms, bytes), and knows where workers really were."""

    def __init__(self, monkeypatch):
        self.said = []
        self.claims = 0
        self.places = set()
        self.clock = None
        tap = self
        send, send_nowait, request = MemoryTransport.send, MemoryTransport.send_nowait, MemoryTransport.request
        seal_claim = actors.worker.seal_claim

        async def tapped_send(self, peer, frame):
            tap.hear(frame)
            await send(self, peer, frame)

        def tapped_send_nowait(self, peer, frame):
            tap.hear(frame)
            return send_nowait(self, peer, frame)

        async def tapped_request(self, peer, protocol, body, *, timeout):
            tap.hear(body)
            tap.claims += protocol == PRESENCE
            answer = await request(self, peer, protocol, body, timeout=timeout)
            tap.hear(answer)
            return answer

        def tapped_claim(worker, mec, where, now_ms, *, voter):
            tap.places.add(where.e7)
            return seal_claim(worker, mec, where, now_ms, voter=voter)

        monkeypatch.setattr(MemoryTransport, "send", tapped_send)
        monkeypatch.setattr(MemoryTransport, "send_nowait", tapped_send_nowait)
        monkeypatch.setattr(MemoryTransport, "request", tapped_request)
        monkeypatch.setattr(actors.worker, "seal_claim", tapped_claim)

    def hear(self, data):
        self.said.append((self.clock.now_ms() if self.clock else 0, bytes(data)))


@pytest.fixture(scope="module")
def tapped(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        tap = Tap(monkeypatch)

        def watch(swarm):
            tap.clock = swarm.world.clock
            silent = swarm.actors["worker-01"]
            send = silent._send

            async def never_reveal(report, task, method, until_ms, *args):
                return method != "reveal" and await send(report, task, method, until_ms, *args)

            silent._send = never_reveal

        run = simulate(small(), tmp_path_factory.mktemp("tapped"), watch=watch)
    return tap, run


@pytest.fixture(scope="module")
def everything(tapped):
    """All bytes of the run in one: what was said, written, and agreed on."""
    tap, run = tapped
    node = run.swarm.full_nodes[0].core
    blocks = [encode((node.block(h), node.receipts(h))) for h in range(node.final.height + 1)]
    state = [key + b"\0" + encode(value) for key, value in node.final_state.scan(b"")]
    return b"\0\0".join([run.raw, *blocks, *state, *(data for _, data in tap.said)])


def test_the_tap_hears(tapped, everything):
    """Else the searches below would find nothing for want of anything to find."""
    tap, run = tapped
    assert what_went_wrong(run.report) == []
    assert tap.claims > 30 and len(tap.places) > 30
    assert len(everything) > 500_000
    report = next(iter(run.swarm.actors["worker-02"].tasks.values())).ballot
    assert encode((report.lat_e7, report.lon_e7))[1:] in everything  # reports' places are public
    assert run.swarm.members[0].identity.account in everything


def test_no_secret_is_told(tapped, everything):
    _, run = tapped
    for member in run.swarm.members:
        secret = member.identity.secret
        for form in (secret, secret.hex().encode(), b64encode(secret)[:-2], bytes(member.identity.key)):
            assert form not in everything, member.name
    assert run.swarm.actors["mec-01"]._secret not in everything


def test_no_workers_place_is_told(tapped, everything):
    tap, run = tapped
    homes = {m.place.e7 for m in run.swarm.members if m.role == "worker"}
    for lat, lon in tap.places | homes:
        assert encode((lat, lon))[1:] not in everything
        assert str(lat).encode() not in run.raw and f"{lat / 1e7:.6f}".encode() not in run.raw
        # In an encoding of its own, and in plain big-endian within a hair.
        for coordinate in (lat, lon):
            assert encode(coordinate) not in everything


def test_no_vote_is_told_before_its_time(tapped):
    """The salt opens a vote: nobody says it before the vote window is over, nor ever when the vote stays closed."""
    tap, run = tapped
    told = {}
    opened = never = 0
    for actor in run.swarm.actors.values():
        if actor.role != "worker":
            continue
        for report, task in actor.tasks.items():
            if task.choice is None:
                continue
            salt = actor._salt(report)
            times = [at for at, data in tap.said if salt in data]
            commitment = commit_ballot(report, actor.identity.account, task.choice, salt)
            if times:
                assert min(times) > task.ballot.vote_until_ms
                opened += 1
            elif any(commitment in data for _, data in tap.said):
                never += 1
            told[actor.name, report] = times
    assert opened > 10 and never > 0
    assert not any(times for (name, _), times in told.items() if name == "worker-01")


def test_the_journal_tells_a_vote_only_when_it_is_revealed(tapped):
    _, run = tapped
    for record in run.journal:
        if record["k"] in ("ballot", "voted", "missed"):
            assert "confirm" not in record
    revealed = [record for record in run.journal if record["k"] == "revealed"]
    assert revealed and all(record["a"] != "worker-01" for record in revealed)
