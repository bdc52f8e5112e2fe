"""One report of what several processes made of one population.

What is on the ledger is counted once: from the process that counted most final blocks. What people and the network did
is added up. A delivery has a known delay, and a missing one is known to be missing, where sender and receiver are in the
same process; `published`, `delivered` and `duplicates` are of all.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any

from actors.gossip_meter import histogram, percentile_ms
from actors.process_messages import Outcome
from actors.standing import Standing


def one_report(
    outcomes: Mapping[int, Outcome],
    lost: Mapping[int, Standing],
    *,
    actors: int,
    processes: int,
    rows_refused: int,
    virtual_s: float,
    wall_s: float,
    cpu_s: float,
    journal_sha256: str | None,
    errors: Sequence[str],
) -> dict[str, Any]:
    """Make the report of a run from the outcomes, by process; see `actors.outcome.report` for its keys.

    `lost` says how far those were that ended without one; `cpu_s` is the parent's own; `errors` what it noticed. Without
    a merged journal (`journal_sha256` None) the journal's hash is the SHA-256 of the processes' hashes in their order.
    Raises ValueError without any outcome.
    """
    if not outcomes:
        raise ValueError("no process told what came of its share")
    parts = [outcomes[index] for index in sorted(outcomes)]
    reports = [part.report for part in parts]
    best = max(parts, key=lambda part: part.counted).report
    activity: Counter[str] = Counter(dict.fromkeys(best["activity"], 0))
    for done in [*(r["activity"] for r in reports), *(lost[index].activity for index in sorted(lost))]:
        activity.update(done)
    differing = disagreements(outcomes)
    every_error = [
        *(f"process {index + 1}: {error}" for index in sorted(outcomes) for error in outcomes[index].report["errors"]),
        *errors,
        *differing,
    ]
    return {
        **best,
        "actors": actors,
        "processes": processes,
        "virtual_s": round(virtual_s, 3),
        "wall_s": round(wall_s, 3),
        "cpu_s": round(cpu_s + sum(r["cpu_s"] for r in reports), 3),
        "reports": {
            **best["reports"],
            "duplicates_refused": sum(r["reports"]["duplicates_refused"] for r in reports),
            "rows_refused": rows_refused,
        },
        "activity": dict(activity),
        "replicas": sum(r["replicas"] for r in reports),
        "replicas_agree": all(r["replicas_agree"] for r in reports) and not differing,
        "supply_conserved": all(r["supply_conserved"] for r in reports),
        "gossip": _gossip(parts),
        "journal_records": sum(r["journal_records"] for r in reports),
        "journal_sha256": journal_sha256 or sha256("".join(r["journal_sha256"] for r in reports).encode()).hexdigest(),
        "errors": every_error,
        "shares": [
            {
                "process": index + 1,
                "actors": outcomes[index].report["actors"],
                "replicas": outcomes[index].report["replicas"],
                "final_height": outcomes[index].report["chain"]["final_height"],
                "cpu_s": outcomes[index].report["cpu_s"],
                "journal_sha256": outcomes[index].report["journal_sha256"],
            }
            for index in sorted(outcomes)
        ],
    }


def disagreements(outcomes: Mapping[int, Outcome]) -> list[str]:
    """Where two processes have different final blocks, or none in common to compare: one line a pair of neighbours.

    Comparing neighbours is enough: a block's id stands for all before it.
    """
    found = []
    for a, b in pairwise(sorted(index for index in outcomes if outcomes[index].final_ids)):
        ours, theirs = outcomes[a].final_ids, outcomes[b].final_ids
        common = sorted(ours.keys() & theirs.keys())
        other = next((height for height in common if ours[height] != theirs[height]), None)
        if other is not None:
            found.append(f"processes {a + 1} and {b + 1} have different final blocks at height {other}")
        elif not common:
            found.append(f"processes {a + 1} and {b + 1} have no final block in common")
    return found


def _gossip(parts: Sequence[Outcome]) -> dict[str, Any]:
    figures = [part.report["gossip"] for part in parts]
    bins = histogram(bin_ for part in parts for bin_ in part.latencies)
    return {
        **{key: sum(f[key] for f in figures) for key in ("published", "delivered", "duplicates", "undelivered")},
        "p50_ms": percentile_ms(bins, 0.50),
        "p99_ms": percentile_ms(bins, 0.99),
        "max_ms": max(f["max_ms"] for f in figures),
    }
