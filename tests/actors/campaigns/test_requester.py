"""A requester takes data in only from who committed to them, and only those that it wants; whatever else it is sent."""

import re

import trio
from msgspec.structs import replace

from actors.campaigns.readings import gather
from actors.messages import SENSED, Sensed
from chain.codec import encode
from chain.contracts.campaign_commitments import digest_sealed
from chain.contracts.campaign_records import COLLECTION, MAX_SEALED_BYTES
from net.transport import RequestFailedError
from tests.actors.campaigns.square import organizer, square, standing
from tests.actors.simulated import play, until

COMMITTED_S = 81
"""When selected workers have committed to their data and have sent nothing."""


class Scene:
    """What a selected worker has for a requester, and others who would like to say something as well."""

    def __init__(self, swarm, found, tasks, bids, rows):
        world = swarm.world
        self.swarm, self.found, self.tasks = swarm, found, tasks
        self.row = next(row for row in rows if row.chosen.wins and len(bids[row.worker].path) > len(row.chosen.wins))
        self.worker = swarm.actors[world.name_of(self.row.worker)]
        selected = {row.worker for row in rows}
        self.outsider = next(
            swarm.actors[m.name]
            for m in swarm.members
            if m.role == "worker" and m.identity.account in bids and m.identity.account not in selected
        )
        self.other = next(
            swarm.actors[world.name_of(row.worker)] for row in rows if row.worker != self.row.worker and row.chosen.wins
        )
        self.bids = bids
        self.task = self.row.chosen.wins[0]
        self.requester = swarm.actors[world.name_of(tasks[self.task].requester)]
        self.message = self.of(self.worker, self.task)
        path = [stop.task for stop in bids[self.row.worker].path]
        self.unwanted = self.of(self.worker, next(number for number in path if number not in self.row.chosen.wins))

    def of(self, worker, number):
        """What a worker would send for a task on its path: the same that it committed to."""
        bid = self.bids[worker.identity.account]
        rng = self.swarm.world.rng(worker.name, "campaign/readings/0")
        gathered = gather(worker.identity, self.found, bid, self.tasks, rng)
        place = [stop.task for stop in bid.path].index(number)
        return Sensed(self.found.campaign.id, 0, number, gathered.digests, gathered.salt, gathered.sealed[place])

    async def send(self, sender, body, to=None):
        """Why it is refused; nothing when it is taken."""
        peer = (to or self.requester).identity.peer_id
        await sender.node.reach(peer)
        try:
            await sender.node.overlay.request(peer, SENSED, body, timeout=5)
        except RequestFailedError as error:
            return str(error) if error.definite else ""
        return ""


def staged(act):
    """Run a square to where data are committed to, and play a scene there."""

    async def script(swarm):
        await trio.sleep(COMMITTED_S)
        found, ledger = await standing(swarm), organizer(swarm).ledger
        assert found.campaign.phase == COLLECTION
        tasks, bids, rows = [
            await ledger.query("campaign", each, found.campaign.id, 0) for each in ("tasks", "bids", "progress")
        ]
        assert all(row.chosen.commitment for row in rows)
        await act(Scene(swarm, found, {t.number: t for t in tasks}, {b.worker: b for b in bids}, rows))
        assert swarm.world.errors == []

    play(square(), script)


def test_what_was_committed_to_is_taken_once():
    async def act(scene):
        kept = scene.requester.campaigner.readings
        assert await scene.send(scene.worker, encode(scene.message)) == ""
        assert await scene.send(scene.worker, encode(scene.message)) == ""
        ((key, reading),) = kept.items()
        assert key == (scene.found.campaign.id, 0, scene.worker.identity.account, scene.task)
        task = scene.tasks[scene.task]
        assert (reading.lat_e7, reading.lon_e7) == (task.lat_e7, task.lon_e7)

    staged(act)


def test_everything_else__reject():
    async def act(scene):
        message, digests = scene.message, scene.message.digests
        forged = bytes([scene.message.sealed[0] ^ 1]) + scene.message.sealed[1:]
        other_requester = next(
            scene.swarm.actors[name] for name in ("requester-01", "requester-02") if name != scene.requester.name
        )
        hostile = [
            (scene.worker, b"", "."),
            (scene.worker, b"\xc1" * 50, "."),
            (scene.worker, encode(message)[:-1], "."),
            (scene.worker, encode(message) + b"\0", "."),
            (scene.worker, bytes(200_000), "."),
            (scene.worker, encode(replace(message, sealed=bytes(MAX_SEALED_BYTES + 1))), "."),
            (scene.worker, encode(replace(message, digests=())), "not among those"),
            (scene.worker, encode(replace(message, sealed=forged)), "not among those"),
            (
                scene.worker,
                encode(replace(message, sealed=forged, digests=(*digests[:-1], digest_sealed(forged)))),
                "opened",
            ),
            (scene.worker, encode(replace(message, digests=digests[::-1])), "not what you committed to"),
            (scene.worker, encode(replace(message, salt=bytes(16))), "not what you committed to"),
            (scene.worker, encode(replace(message, cycle=7)), "that cycle is over"),
            (scene.worker, encode(replace(message, campaign=bytes(32))), "unknown_campaign"),
            (scene.worker, encode(replace(message, task=(message.task + 1) % 6)), "another worker or task"),
            (scene.worker, encode(scene.unwanted), "nobody wants|opened"),
            (scene.other, encode(message), "another worker or task"),
            (scene.outsider, encode(message), "another worker or task"),
            (scene.outsider, encode(scene.of(scene.outsider, scene.message.task)), "not what you committed to"),
        ]
        for place, (sender, body, why) in enumerate(hostile):
            reason = await scene.send(sender, body)
            assert reason, f"{place} was taken"
            assert re.search(why, reason), (place, reason)
        assert "opened" in await scene.send(scene.worker, encode(message), other_requester)
        assert scene.requester.campaigner.readings == other_requester.campaigner.readings == {}

    staged(act)


def test_without_a_ledger_to_ask_nothing_is_taken__reject():
    async def act(scene):
        gateways = {m.identity.peer_id for m in scene.swarm.members if m.role == "mec"}
        for name in ("mec-01", "mec-02"):
            scene.swarm.stop(name)
        await until(lambda: gateways.isdisjoint(scene.requester.node.overlay.peers()))
        assert "the ledger cannot be asked" in await scene.send(scene.worker, encode(scene.message))
        assert scene.requester.campaigner.readings == {}

    staged(act)
