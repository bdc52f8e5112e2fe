"""What came of the campaigns of a run, counted from their final events."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from chain.values import TxId

COUNTED = {
    "published": "tasks",
    "bid": "bids",
    "returned": "returned",
    "overturned": "overturned",
    "replaced": "replaced",
    "committed": "committed",
    "submitted": "submitted",
    "disputed": "disputed",
    "answered": "answered",
    "rewarded": "rewards",
}
"""Event to how its number is called in a report."""
SUMMED = ("rewarded", "unspent", "forfeited", "penalised")
"""Events whose amounts are added up, in micro-credits."""
TOLD = ("tasks", "bids", "selected", "submitted", "rewards")
"""What a line of progress tells."""
STARTED = "_started"


class CampaignTally:
    """Counts by campaign and cycle."""

    def __init__(self) -> None:
        self._cycles: dict[tuple[TxId, int], Counter[str]] = {}
        self._phases: dict[tuple[TxId, int], str] = {}
        self._void: set[tuple[TxId, int]] = set()

    def count(self, name: str, fields: Mapping[str, Any]) -> None:
        """A final event of the contract."""
        if "cycle" not in fields:
            return  # who registers or withdraws does so for all cycles
        key = (TxId(fields["campaign"]), fields["cycle"])
        cycle = self._cycles.setdefault(key, Counter())
        if "void" in fields:
            self._phases[key] = name.removesuffix(STARTED)
            if fields["void"]:
                self._void.add(key)
        if name in COUNTED:
            cycle[COUNTED[name]] += 1
        elif name == "selected":
            cycle["selected"] = len(fields["workers"])
        elif name == "settled":
            cycle["settled"] = 1
        if name in SUMMED:
            cycle[f"{name}_micro"] += fields["amount"]

    def line(self) -> str:
        """Where the latest cycle is, in a few words; empty before the first."""
        if not self._cycles:
            return ""
        key = list(self._cycles)[-1]
        counted = self._cycles[key]
        told = ", ".join(f"{counted[name]} {name}" for name in TOLD if counted[name])
        return f"cycle {key[1] + 1} {self._phases.get(key, '')}" + (f" ({told})" if told else "")

    def report(self) -> list[dict[str, Any]]:
        """One object a cycle, in the order in which they began; ``phase`` is the last that was seen."""
        names = [*COUNTED.values(), "selected", *(f"{name}_micro" for name in SUMMED)]
        return [
            {
                "campaign": campaign.hex(),
                "cycle": cycle,
                "phase": self._phases.get((campaign, cycle), ""),
                "void": (campaign, cycle) in self._void,
                "settled": bool(counted["settled"]),
                **{name: counted[name] for name in names},
            }
            for (campaign, cycle), counted in self._cycles.items()
        ]
