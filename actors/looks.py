"""A regular look at everybody's place in the overlay, written into the journal: what no event of its own would tell."""

from typing import Any

import trio

from actors.swarm import Swarm
from net.overlay import Overlay

LOOK_S = 10.0
"""How often: ten heartbeats. At 500 actors a look takes 25 ms, and the journal grows by 50 records a second."""


async def look_on(swarm: Swarm) -> None:
    """Record a ``look`` of each running actor of the swarm every LOOK_S seconds, until cancelled.

    `meshes` is by topic: its mesh members, and the linked peers that subscribed to it. `below` is by name the score of
    each linked peer that is below 0, rounded to 0.001; it is left out where nobody is scored.
    """
    while True:
        await trio.sleep(LOOK_S)
        for name, actor in swarm.actors.items():
            if swarm.states[name] == "running":
                _look(swarm, name, actor.node.overlay)


def _look(swarm: Swarm, name: str, overlay: Overlay) -> None:
    router, world = overlay.router, swarm.world
    fields: dict[str, Any] = {
        "meshes": {topic: [len(router.mesh(topic)), len(router.subscribers(topic))] for topic in router.topics}
    }
    if world.scenario.network.scoring:
        below = {peer: score for peer, score in overlay.scores().items() if score < 0}
        fields["below"] = {world.name_of(peer.public_key): round(score, 3) for peer, score in below.items()}
    world.journal.record(name, "look", **fields)
