"""Says when a partition has outlasted the ledger's finality: without it, two networks would run on as if nothing were."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from actors.world import World

KEPT_HEIGHTS = 10_000
"""Final heights, since the first partition began, on which actors are compared: 2.8 hours of one-second blocks."""


class SplitWatch:
    """Hears the journal of a run. The first time that actors of different groups of a partition finalised different
    blocks, it notes an error: no later heal mends that, for what is final is not given up.

    Actors of other processes are not heard; their final blocks are compared at the end, by `actors.process_report`.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._cuts: dict[int, tuple[int, Mapping[str, int]]] = {}
        """When each partition began (ms), and who was in which group."""
        self._finals: OrderedDict[int, tuple[str, str]] = OrderedDict()
        """The first to finalise a height, and its block."""
        world.journal.listen(self._listen)

    def begin(self, number: int, groups: Sequence[Sequence[str]]) -> None:
        """The partition of that number begins between these actors."""
        group = {name: place for place, names in enumerate(groups) for name in names}
        self._cuts[number] = self._world.clock.now_ms() - self._world.started_ms, group

    def _listen(self, t: int, actor: str, kind: str, fields: Mapping[str, Any]) -> None:
        if kind == "final" and self._cuts:
            first, id_ = self._finals.setdefault(fields["height"], (actor, fields["id"]))
            if id_ != fields["id"]:
                self._tell(t, fields["height"], first, actor)
            if len(self._finals) > KEPT_HEIGHTS:
                self._finals.popitem(last=False)

    def _tell(self, t: int, height: int, one: str, other: str) -> None:
        depth = self._world.genesis.ledger.finality_depth
        for number, (since, group) in list(self._cuts.items()):
            if group.get(one, -1) != group.get(other, -1):
                del self._cuts[number]
                self._world.fail(
                    "faults",
                    f"the groups of faults[{number}], a partition, finalised different blocks at height {height}, "
                    f"{(t - since) / 1000:g} s after it began: it outlasted finality, {depth} blocks deep, and they stay "
                    "two networks",
                )
