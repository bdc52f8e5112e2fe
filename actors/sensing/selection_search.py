"""A smaller selection than the greedy one: without paths that became superfluous, and with one path in the place of two."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from actors.sensing.selection import greedy

MOST_LOOKS = 20_000
"""At pairs of selected paths, so that work stays bounded: all pairs of up to 200 paths, some of more."""


def improved(paths: Sequence[Sequence[int]], wanted: Sequence[int]) -> list[int]:
    """At most as many paths as the greedy takes, and the same samples."""
    return _Selection(paths, wanted, greedy(paths, wanted)).shrunk()


class _Selection:
    def __init__(self, paths: Sequence[Sequence[int]], wanted: Sequence[int], selected: Sequence[int]) -> None:
        self._paths = paths
        self._having: list[set[int]] = [set() for _ in wanted]
        for path, tasks in enumerate(paths):
            for task in tasks:
                self._having[task].add(path)
        self._selected = set(selected)
        # Samples that are given beyond those needed, by task; below zero is missing.
        needed = [min(number, len(having)) for number, having in zip(wanted, self._having, strict=True)]
        self._spare = [
            len(having & self._selected) - number for having, number in zip(self._having, needed, strict=True)
        ]

    def shrunk(self) -> list[int]:
        looks = iter(range(MOST_LOOKS))
        self._drop_superfluous()
        while self._replace_two(looks):
            self._drop_superfluous()
        return sorted(self._selected)

    def _take(self, path: int) -> None:
        self._selected.add(path)
        for task in self._paths[path]:
            self._spare[task] += 1

    def _leave(self, path: int) -> None:
        self._selected.remove(path)
        for task in self._paths[path]:
            self._spare[task] -= 1

    def _drop_superfluous(self) -> None:
        """Those with few tasks first."""
        for path in sorted(self._selected, key=lambda path: (len(self._paths[path]), path)):
            if all(self._spare[task] > 0 for task in self._paths[path]):
                self._leave(path)

    def _replace_two(self, looks: Iterator[int]) -> bool:
        """Whether a path was found that gives what two give and others do not."""
        for pair, _ in zip(combinations(sorted(self._selected), 2), looks, strict=False):
            for path in pair:
                self._leave(path)
            missing = [task for path in pair for task in self._paths[path] if self._spare[task] < 0]
            if all(self._spare[task] == -1 for task in missing):
                others = set.intersection(*(self._having[task] for task in missing)) - self._selected
                if others:
                    self._take(min(others))
                    return True
            for path in pair:
                self._take(path)
        return False
