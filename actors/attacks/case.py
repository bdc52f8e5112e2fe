"""What an attack on a ledger, on votes or on campaigns is made of: whom it threatens, what counts as won, what should prevent it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chain.genesis import LedgerKind

Family = Literal["chain", "votes", "ordered", "campaign"]


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
    cycles: int
    """Of a campaign, in each of which whoever attacks it does so."""


TINY = Size(reports=3, payments=4, blocks=200, cycles=1)
"""For tests: too small for intervals that say much."""
QUICK = Size(reports=8, payments=12, blocks=500, cycles=3)
FULL = Size(reports=30, payments=40, blocks=2_000, cycles=10)

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
    """Section of the spec of what is attacked, or the literature."""
    run: Trial
    """On the ledger that the family is about: proof of work, but for ``ordered``."""
    ordered: Trial | None = None
    """The same on an ordered ledger, where the attack is on what runs on both."""
    limit: float = 0.0
    """The attack stands when a larger share of its attempts is won than this."""
    stands: str = ""
    """Why the defence does not stop it, where that is so."""
    harmless: str = ""
    """Why it fails without the defence too, where that is so."""
    predicted: tuple[float | None, float | None] = (None, None)
    """The share that theory gives without the defence and with it, where there is a theory."""

    @property
    def trials(self) -> Mapping[LedgerKind, Trial]:
        """By ledger; the first is the one that it runs on when none is asked for."""
        if self.family == "ordered":
            return {"ordered": self.run}
        return {"pow": self.run} if self.ordered is None else {"pow": self.run, "ordered": self.ordered}


def by_name(cases: Sequence[Case]) -> dict[str, Case]:
    """Index cases. Raises ValueError when two have one name."""
    names = {case.name: case for case in cases}
    if len(names) != len(cases):
        raise ValueError("two attacks have one name")
    return names
