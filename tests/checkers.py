"""What must hold of any run, told from its report and its journal. Each checker returns what it found wrong, in words."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from actors.checkers import Bounds, conflicting_finality, messages_from_nowhere, mistrust

Record = dict[str, Any]


def read_journal(path: Path) -> list[Record]:
    """A run's journal, in order."""
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def of_kind(journal: Iterable[Record], *kinds: str) -> list[Record]:
    return [record for record in journal if record["k"] in kinds]


def violations(report: Mapping[str, Any], journal: Sequence[Record]) -> list[str]:
    """All checkers that hold whatever the network does to frames; for runs in which nobody was told to misbehave."""
    return [
        *what_went_wrong(report),
        *conflicting_finality(journal),
        *messages_from_nowhere(journal),
        *mistrust(journal, Bounds()),
        *votes_out_of_order(journal),
        *blame(journal),
    ]


def what_went_wrong(report: Mapping[str, Any]) -> list[str]:
    """No error, one chain, all money accounted for, and no report decided that was not submitted."""
    wrong = list(report["errors"])
    wrong += [f"{name} is false" for name in ("replicas_agree", "supply_conserved") if not report[name]]
    reports = report["reports"]
    decided = reports["confirmed"] + reports["rejected"] + reports["expired"]
    if decided > reports["submitted"]:
        wrong.append(f"{decided} reports decided of {reports['submitted']} submitted")
    if reports["closed"] > reports["confirmed"]:
        wrong.append(f"{reports['closed']} reports closed of {reports['confirmed']} confirmed")
    if report["votes"]["revealed"] > report["votes"]["cast"]:
        wrong.append("more votes were revealed than cast")
    return wrong


def votes_out_of_order(journal: Iterable[Record]) -> list[str]:
    """A worker votes at most once on a report, only when asked, and reveals only what it voted."""
    stages: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in of_kind(journal, "ballot", "voted", "revealed", "missed"):
        stages[record["a"], record["report"]].append(record["k"])
    allowed = (["ballot", "voted", "revealed"], ["ballot", "voted", "missed"], ["ballot", "missed"])
    return [
        f"{worker} went through {steps} with {report}"
        for (worker, report), steps in stages.items()
        if not any(steps == path[: len(steps)] for path in allowed)
    ]


def blame(journal: Iterable[Record]) -> list[str]:
    """Where nobody misbehaves, nobody is penalised for it."""
    found = Counter((r["k"], r["reason"]) for r in of_kind(journal, "rejected", "penalised", "disconnected"))
    return [f"{kind}: {reason} ({count} times)" for (kind, reason), count in sorted(found.items())]
