"""What an attack on a ledger or on the votes is made of: whom it threatens, what counts as won, what should prevent it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Family = Literal["chain", "votes", "ordered"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one trial measured: how many of the attempts made in it reached the attack's goal, and figures beside."""

    wins: int
    tries: int
    """Attempts; of one trial they share a population and a chain, so they are not quite independent."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """By name; shares from 0 to 1 unless the name has a unit."""

    @property
    def share(self) -> float:
        """Share of attempts won; 0 when there was none."""
        return self.wins / self.tries if self.tries else 0.0


@dataclass(frozen=True, slots=True)
class Size:
    """How big a trial is."""

    reports: int
    """Attempts at the votes."""
    payments: int
    """Attempts at somebody's money."""
    blocks: int
    """Over which a miner's share, or the pace of the chain, is measured."""


TINY = Size(reports=3, payments=4, blocks=200)
"""For tests: too small for intervals that say much."""
QUICK = Size(reports=8, payments=12, blocks=500)
FULL = Size(reports=30, payments=40, blocks=2_000)

Trial = Callable[[bool, int, Size], Measured]
"""``(defended, seed, size)``: one trial, which follows from its arguments alone."""


@dataclass(frozen=True, slots=True)
class Case:
    """One attack of the table."""

    name: str
    family: Family
    goal: str
    """When an attempt is won, in words, with its threshold."""
    budget: str
    """What the attacker has."""
    defence: str
    """What is on; what stands in its place when it is off."""
    source: str
    """Section of spec/spatial.md, or the literature."""
    run: Trial
    limit: float = 0.0
    """The attack stands when a larger share of its attempts is won than this."""
    stands: str = ""
    """Why the defence does not stop it, where that is so."""
    harmless: str = ""
    """Why it fails without the defence too, where that is so."""
    predicted: tuple[float | None, float | None] = (None, None)
    """The share that theory gives without the defence and with it, where there is a theory."""


def by_name(cases: Sequence[Case]) -> dict[str, Case]:
    """Index cases. Raises ValueError when two have one name."""
    names = {case.name: case for case in cases}
    if len(names) != len(cases):
        raise ValueError("two attacks have one name")
    return names
