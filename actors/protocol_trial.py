"""A trial of reports and votes (`actors.trial`).

Fifteen workers, three miners, one MEC node and a few requesters within a walk of each other, with blocks of two seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from types import ModuleType
from typing import Any

from msgspec.structs import replace

from actors import trial
from actors.population import build_city
from actors.scenario import Scenario, convert
from actors.sensing.city import Incident
from actors.sensing.mobility import around
from actors.trial import MakeNode, Stage, Turn, play_out
from actors.virtual_time import run_virtual
from chain.contracts import spatial
from chain.contracts.spatial_records import EXPIRED, PENDING
from chain.genesis import Genesis
from chain.values import TxId

WORKERS = 15
GROUP = 5
RADIUS_M = 3_000
DUPLICATE_RADIUS_M = 100
VOTE_WINDOW_MS = 10_000
HONEST = "requester-01"
ACCOMPLICE = "requester-02"
"""Whoever needs a requester of its own."""
FIRST_REPORT_MS = 5_000
DECIDED_AFTER_MS = 60_000
"""A report is decided, and that final, this long after it was submitted; nearly always."""


@dataclass(frozen=True, slots=True)
class Plot:
    """What is different from an honest run."""

    reports: Mapping[str, Sequence[Incident]]
    """What each requester submits, by its name."""
    turned: Mapping[str, Turn] = field(default_factory=dict)
    """Who is made an adversary, by the name of whose place it takes."""
    nodes: Mapping[str, MakeNode] = field(default_factory=dict)
    """Ledger nodes of adversaries that differ themselves."""
    rules: Mapping[str, Any] = field(default_factory=dict)
    """Rules of the spatial contract that are changed."""
    pow_rules: Mapping[str, int] = field(default_factory=dict)
    """Rules of the ledger that are."""
    contract: ModuleType = spatial
    """What runs as the spatial contract."""
    skew_ms: Mapping[str, int] = field(default_factory=dict)
    """How much later than it is some take it to be."""
    pseudonyms: bool = False
    """Whether workers use a fresh key for each task."""
    after_ms: int = DECIDED_AFTER_MS
    """The run ends so long after the last report."""


@dataclass(slots=True)
class Ending(trial.Ending):
    """What became of the reports."""

    def submitted(self, *requesters: str) -> dict[TxId, tuple[str, int, int]]:
        """The recorded reports of some requesters, or of all: id to type and place."""
        accounts_of = {self.account(name) for name in requesters}
        place_of = {each["report"]: (each["type"], each["lat_e7"], each["lon_e7"]) for each in self.events("submitted")}
        return {
            each.receipt.transaction: place_of[each.receipt.transaction]
            for each in self.calls("submit")
            if not requesters or each.transaction.sender in accounts_of
        }

    def statuses(self) -> dict[TxId, str]:
        """How each recorded report ended: confirmed, rejected, expired or pending."""
        ends: dict[TxId, str] = dict.fromkeys(self.submitted(), PENDING)
        for status in ("confirmed", "rejected", EXPIRED):
            ends.update((each["report"], status) for each in self.events(status))
        return ends


def scenario_of(seed: int, *, pseudonyms: bool = False) -> Scenario:
    """The population and its rules."""
    return convert(
        {
            "name": "trial",
            "seed": seed,
            "population": {
                "requester": {"count": 2},
                "worker": {
                    "count": WORKERS,
                    "accuracy": 1.0,
                    "roam_m": 300,
                    "look_ms": [200, 1500],
                    "presence_interval_ms": 20_000,
                    "pseudonyms": pseudonyms,
                },
                "miner": {"count": 3, "hash_rate": 20, "step_ms": 500},
                "mec": {"count": 1, "presence_ttl_ms": 60_000},
                "facility": {"count": 0},
            },
            "ledger": {"finality_depth": 2, "block_interval_ms": 2_000, "max_future_ms": 2_000},
            "spatial": {
                "group_size": GROUP,
                "report_radius_m": RADIUS_M,
                "vote_window_ms": VOTE_WINDOW_MS,
                "reveal_window_ms": 10_000,
                "duplicate_radius_m": DUPLICATE_RADIUS_M,
            },
            "reports": {"hot_spots": 1, "hot_spot_radius_m": 500.0},
            "network": {"heartbeat_ms": 5_000, "quantum_ms": 10.0, "degree": 3},
        }
    )


def workers(count: int, first: int = 1) -> list[str]:
    """Names of so many workers."""
    return [f"worker-{number:02}" for number in range(first, first + count)]


def incidents(seed: int, whose: str, count: int, *, real: bool, every_ms: int = 6_000) -> list[Incident]:
    """What a requester reports: `count` incidents where people live, all real or all made up, no two of them alike."""
    scenario = scenario_of(seed)
    city = build_city(scenario, None)
    rng = Random(f"{seed}/{whose}/trial")
    types = scenario.spatial.types
    made: list[Incident] = []
    while len(made) < count:
        where = city.inside(around(city.home(rng), 200.0, rng))
        type_ = types[len(made) % len(types)]
        if all(each.type != type_ or each.where.distance_m(where) > 3 * DUPLICATE_RADIUS_M for each in made):
            made.append(Incident(FIRST_REPORT_MS + every_ms * len(made), type_, where, real))
    return made


def play(plot: Plot, seed: int) -> Ending:
    """Run a plot to its end. The same arguments give the same ending."""
    return run_virtual(_play, plot, seed, seed=seed)


async def _play(plot: Plot, seed: int) -> Ending:
    def rules(genesis: Genesis) -> Genesis:
        return replace(
            genesis,
            spatial=replace(genesis.spatial, **plot.rules),
            ledger=replace(genesis.ledger, **plot.pow_rules),
        )

    stage = Stage(
        scenario=scenario_of(seed, pseudonyms=plot.pseudonyms),
        name="spatial",
        contract=plot.contract,
        turned=plot.turned,
        nodes=plot.nodes,
        skew_ms=plot.skew_ms,
        rules=rules,
        reports=plot.reports,
    )
    last_ms = max((incident.time_ms for each in plot.reports.values() for incident in each), default=0)
    return await play_out(stage, (last_ms + plot.after_ms) / 1000, Ending)
