"""How much of what is recorded is true: the whole protocol in virtual time, against Condorcet's prediction.

Each cell is a small town (one MEC node, one miner, light requesters and workers) with workers of one accuracy and one
share of false reports. Everything but the city is the real code: gossip, ledger, draw, commit–reveal, tally. The city
knows what is true (`City.is_real`); the ledger's final events tell what became of each report.

Recall is the share of true reports that were confirmed, among those that were decided or expired; precision the share of
true ones among the confirmed. Reports under way when a trial ends count for neither. Votes are independent, and so are
reports but for the workers they share, who are all alike: Wilson's interval is right for the counts.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from actors.clock import Stopwatch
from actors.ledger import FoundBlock
from actors.node import FullNode
from actors.run import RunPlan, run_plan
from actors.scenario import Scenario, convert
from actors.swarm import Swarm
from actors.world import World
from chain.contract import event_fields
from experiments import estimates
from experiments.condorcet import prediction

GROUP_SIZE = 5
PER_MINUTE = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured; a trial takes a second of CPU for some 20 of its virtual seconds."""

    accuracies: Sequence[float] = (0.6, 0.7, 0.8, 0.9, 0.95)
    false_shares: Sequence[float] = (0.1, 0.2, 0.3, 0.4)
    seconds: float = 150.0
    """Virtual, of each trial."""
    seed: int = 1
    seeds: int = 1


QUICK = Plan(accuracies=(0.6, 0.8, 0.95), false_shares=(0.1, 0.4), seconds=60.0)


def scenario(accuracy: float, false_share: float, seed: int) -> Scenario:
    """The town: all workers can be drawn for all reports, and have time enough to vote and reveal."""
    return convert(
        {
            "name": "spatial-accuracy",
            "seed": seed,
            "population": {
                "requester": {"count": 2, "false_share": false_share},
                "worker": {
                    "count": 20,
                    "accuracy": accuracy,
                    "roam_m": 500.0,
                    "look_ms": [100, 500],
                    "presence_interval_ms": 20_000,
                },
                "miner": {"count": 1},
                "mec": {"count": 1, "presence_ttl_ms": 60_000},
                "facility": {"count": 0},
            },
            "ledger": {"finality_depth": 2},
            "spatial": {
                "duplicate_radius_m": 0,
                "group_size": GROUP_SIZE,
                "report_radius_m": 50_000,
                "vote_window_ms": 8_000,
                "reveal_window_ms": 12_000,
            },
            "reports": {"per_minute": PER_MINUTE, "hot_spots": 1},
        }
    )


class Outcomes:
    """What became of each report, from final blocks. A `Witness` of the ledger nodes; the first to finalise is believed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._height = 0
        self._real: dict[bytes, bool] = {}
        """Reports under way: whether they are true."""
        self.counts: Counter[tuple[str, bool]] = Counter()
        """By (``submitted``, ``confirmed``, ``rejected`` or ``expired``; whether it is true)."""
        self.groups: Counter[tuple[int, int]] = Counter()
        """Tallied groups by how many were assigned, and how many of them voted."""
        self._reveals: Counter[bytes] = Counter()
        self.truthful = 0
        """Of all votes that were revealed, in tallies or not yet."""
        self.votes = 0

    def begin(self, node: FullNode) -> None:
        """See `actors.node.Witness`."""

    def jumped(self, node: FullNode) -> None:
        """See `actors.node.Witness`."""

    def committed(self, node: FullNode, found: FoundBlock) -> None:  # noqa: ARG002 - as the protocol has it
        """See `actors.node.Witness`."""
        if not found.final or found.block.header.height <= self._height:
            return
        self._height = found.block.header.height
        for receipt in found.receipts:
            for event in receipt.events:
                if event.contract == "spatial":
                    self.heard(event.name, event_fields(event))

    def heard(self, name: str, fields: dict[str, Any]) -> None:
        """One final event of the contract."""
        report = fields.get("report", b"")
        if name == "submitted":
            self._real[report] = self._world.city.is_real(fields["type"], fields["lat_e7"], fields["lon_e7"])
            self.counts[name, self._real[report]] += 1
        elif name == "revealed":
            self._reveals[report] += 1
            self.votes += 1
            self.truthful += fields["confirm"] == self._real[report]
        elif name in ("confirmed", "rejected"):
            self.counts[name, self._real.pop(report)] += 1
            self.groups[fields["assigned"], self._reveals.pop(report, 0)] += 1
        elif name == "expired":
            self.counts[name, self._real.pop(report)] += 1
            self._reveals.pop(report, None)


@dataclass(slots=True)
class Cell:
    """One accuracy with one false share: the counts of its trials, added up."""

    accuracy: float
    false_share: float
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)
    groups: Counter[tuple[int, int]] = field(default_factory=Counter)
    votes: int = 0
    truthful: int = 0
    violations: list[str] = field(default_factory=list)
    """What must not happen in a run, and did."""

    def add(self, outcomes: Outcomes, report: dict[str, Any]) -> None:
        """One trial more; `report` is its run's."""
        self.counts.update(outcomes.counts)
        self.groups.update(outcomes.groups)
        self.votes += outcomes.votes
        self.truthful += outcomes.truthful
        self.violations += report["errors"]
        self.violations += [f"not {each}" for each in ("replicas_agree", "supply_conserved") if not report[each]]

    def row(self) -> dict[str, Any]:
        """The cell's figures; predictions are None when nothing was tallied."""
        fates = ("confirmed", "rejected", "expired")
        hits, misses = self.counts["confirmed", True], self.counts["confirmed", False]
        seats, voted = (sum(group[place] * number for group, number in self.groups.items()) for place in (0, 1))
        row: dict[str, Any] = {"accuracy": self.accuracy, "false_share": self.false_share}
        for truth, name in ((True, "true"), (False, "false")):
            row[name] = {fate: self.counts[fate, truth] for fate in ("submitted", *fates)}
            row[name]["under_way"] = row[name]["submitted"] - sum(row[name][fate] for fate in fates)
        row["recall"] = estimates.share(hits, sum(self.counts[fate, True] for fate in fates))
        row["precision"] = estimates.share(hits, hits + misses)
        row["turnout"] = voted / seats if seats else None
        row["groups"] = [
            {"assigned": assigned, "voted": voted, "reports": number}
            for (assigned, voted), number in sorted(self.groups.items())
        ]
        row["vote_accuracy"] = estimates.share(self.truthful, self.votes)
        row["condorcet"] = prediction(self.accuracy, self.false_share, {(GROUP_SIZE, GROUP_SIZE): 1})
        row["condorcet_as_voted"] = prediction(self.accuracy, self.false_share, self.groups) if seats else None
        row["violations"] = self.violations
        return row


@dataclass
class Runs:
    """The cells so far; `interrupted` when somebody did not want to wait for the rest."""

    plan: Plan
    cells: list[Cell] = field(default_factory=list)
    interrupted: bool = False


def run(plan: Plan, tell: Callable[[str], object] | None = None) -> Runs:
    """Measure all cells; Ctrl-C ends early with the trials that are done."""
    runs = Runs(plan)
    grid = [(accuracy, share) for accuracy in plan.accuracies for share in plan.false_shares]
    total, done, watch = len(grid) * plan.seeds, 0, Stopwatch()
    try:
        for accuracy, share in grid:
            cell = Cell(accuracy, share)
            for seed in range(plan.seed, plan.seed + plan.seeds):
                found = trial(accuracy, share, plan.seconds, seed)
                if found is None:
                    runs.interrupted = True
                    break
                cell.add(*found)
                if not runs.cells or runs.cells[-1] is not cell:
                    runs.cells.append(cell)
                done += 1
                if tell:
                    left_s = watch.wall_s / done * (total - done)
                    tell(f"accuracy {accuracy:g}, {share:.0%} false: trial {done} of {total}, {left_s:.0f} s left")
            if runs.interrupted:
                break
    except* KeyboardInterrupt:  # alone, or in the groups of the nurseries that it went through
        runs.interrupted = True
    return runs


def trial(accuracy: float, false_share: float, seconds: float, seed: int) -> tuple[Outcomes, dict[str, Any]] | None:
    """One town for so many virtual seconds; None when a signal ended it before (as it ends any run, in order)."""
    watching: list[Outcomes] = []

    def begun(swarm: Swarm) -> None:
        watching.append(Outcomes(swarm.world))
        swarm.watch(watching[0])

    # Cells of one seed must not share their chances: an unlucky one would be so in every cell.
    chance = Random(f"{seed}/{accuracy}/{false_share}").getrandbits(32)
    plan = RunPlan(scenario(accuracy, false_share, chance), "simulate", seconds=seconds, on_start=begun)
    report = run_plan(plan)
    return (watching[0], report) if watching and report["virtual_s"] >= seconds else None


def report(runs: Runs) -> dict[str, Any]:
    """All figures, as JSON. `predicted`: how many intervals hold the prediction as voted, which 95 % should."""
    rows = [cell.row() for cell in runs.cells]
    held = [
        low <= row["condorcet_as_voted"][name] <= high
        for row in rows
        for name in ("recall", "precision")
        if row["condorcet_as_voted"] and row[name]["ci95"]
        for low, high in (row[name]["ci95"],)
    ]
    return {
        "experiment": "spatial-accuracy",
        "group_size": GROUP_SIZE,
        "virtual_s": runs.plan.seconds,
        "first_seed": runs.plan.seed,
        "seeds": runs.plan.seeds,
        "interrupted": runs.interrupted,
        "predicted": {"held": sum(held), "of": len(held)},
        "rows": rows,
    }


def table(report: dict[str, Any]) -> str:
    """For a terminal."""
    lines = [
        f"groups of {report['group_size']}, {report['virtual_s']:g} virtual s a trial, {report['seeds']} seed(s); ± 95 %",
        "accuracy  false  decided  expired  turnout         recall  Condorcet  as voted      precision  Condorcet  as voted    gain",
    ]
    lines += [_line(row) for row in report["rows"]]
    lines += [
        "recall: true reports that were recorded. precision: true reports among those recorded; gain: points above what was",
        "submitted. Condorcet: a majority of a full group that all votes; as voted: with the groups and missing votes there were.",
    ]
    lines.append("{held} of {of} intervals hold the prediction as voted.".format(**report["predicted"]))
    violations = [text for row in report["rows"] for text in row["violations"]]
    return "\n".join(lines + [f"VIOLATION: {text}" for text in violations])


def _line(row: dict[str, Any]) -> str:
    decided = sum(row[truth][fate] for truth in ("true", "false") for fate in ("confirmed", "rejected"))
    expired = row["true"]["expired"] + row["false"]["expired"]
    voted = row["condorcet_as_voted"] or {}
    text = f"{row['accuracy']:8.2f} {row['false_share']:6.0%} {decided:8} {expired:8} {_percent(row['turnout']):>8}"
    for name in ("recall", "precision"):
        text += f" {_estimate(row[name]):>14} {row['condorcet'][name]:10.1%} {_percent(voted.get(name)):>9}"
    precision = row["precision"]["mean"]
    return text + ("" if precision is None else f" {100 * (precision - 1 + row['false_share']):+7.1f}")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _estimate(value: dict[str, Any]) -> str:
    half = estimates.half_width(value)
    return "–" if half is None else f"{value['mean']:.1%} ± {half:.1%}"
