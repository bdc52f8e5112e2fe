"""A scenario: TOML to one frozen, checked configuration. Unknown keys and wrong values are refused by name.

Every key states its unit in its name or its note. The defaults are the default swarm: a small seeded city.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from actors.campaign_config import CampaignConfig, OracleConfig, OrganizerConfig, campaign_problems
from actors.fault_config import MEMORY_FAULTS, Fault, kind_of
from actors.ledger_config import LedgerConfig, problems
from actors.section import NotNegative, Positive, Section
from chain.genesis import LedgerKind
from chain.ledgers.ordered.channel import ANYONE, MAX_ORDERERS
from net.memory_conditions import INFINITY, LANE_BYTES, LinkConditions, Spread
from net.peer import split_address

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Metres = Annotated[float, Meta(ge=0.0, le=5e7)]
"""Up to once around the globe. Bounds keep infinity out, which TOML can write."""
PositiveRate = Annotated[float, Meta(gt=0, le=1e9)]
Latitude = Annotated[float, Meta(ge=-90.0, le=90.0)]
Longitude = Annotated[float, Meta(ge=-180.0, le=180.0)]

System = Literal["spatial", "campaign"]
REPORT_TYPES = ("inundation", "fire", "pothole", "accident", "streetlight", "waste", "crowd", "other")

ROLES = ("requester", "worker", "miner", "orderer", "endorser", "mec", "facility", "organizer", "oracle")
"""Of actors; the tables of ``[population]``."""
PLACELESS = ("miner", "orderer", "endorser", "organizer", "oracle")
"""Roles whose actors are nowhere in particular."""
CAMPAIGNERS = ("organizer", "oracle")
"""Roles that have nothing to do but in campaigns."""
ABSENT: Mapping[LedgerKind, tuple[str, ...]] = {"pow": ("orderer", "endorser"), "ordered": ("miner",)}
"""Roles that have nothing to do on a kind of ledger."""


class ScenarioError(Exception):
    """The user's fault: the message names the key, the value and what is allowed."""


class PlaceConfig(Section, frozen=True):
    """Bounding box, in degrees. Everything that is reported lies inside."""

    name: str = "Sampleton"
    lat_min: Latitude = 44.40
    lat_max: Latitude = 44.60
    lon_min: Longitude = 11.20
    lon_max: Longitude = 11.50


class RequesterConfig(Section, frozen=True):
    """People who report what they see, or what they make up."""

    count: NotNegative = 10
    false_share: Share = 0.2
    """Share of generated reports of things that are not there."""
    pseudonyms: bool = False
    """A fresh key for each report."""


class WorkerConfig(Section, frozen=True):
    """People who look and vote."""

    count: NotNegative = 40
    accuracy: Share = 0.92
    """Probability that a vote is true."""
    speed_m_s: Metres = 1.4
    roam_m: Metres = 1_500.0
    """How far from home they walk."""
    presence_interval_ms: Positive = 10_000
    """How often they tell their MEC node where they are."""
    look_ms: tuple[NotNegative, Positive] = (300, 2_000)
    """Shortest and longest time it takes to go and look."""
    pseudonyms: bool = False
    """A fresh key for each vote, which the MEC node that draws it can link with the worker, and nobody else."""


class MinerConfig(Section, frozen=True):
    """Nodes that mine."""

    count: NotNegative = 6
    hash_rate: Positive = 60
    """SHA-256 header hashes a second, each, really computed."""
    step_ms: Positive = 250
    """How often a miner grinds its share of hashes."""


class OrdererConfig(Section, frozen=True):
    """Nodes that put endorsed transactions in order; on an ordered ledger."""

    count: Annotated[int, Meta(ge=0, le=MAX_ORDERERS)] = 3
    """Raft goes on while most of them are up."""


class EndorserConfig(Section, frozen=True):
    """Peers of organisations that do nothing but endorse; on an ordered ledger. MEC nodes and facilities endorse too."""

    count: NotNegative = 3


class MecConfig(Section, frozen=True):
    """Edge nodes: attest presence, draw voters, serve light actors."""

    count: NotNegative = 3
    presence_ttl_ms: Positive = 30_000
    """How long a worker counts as present after it last said so."""


class FacilityConfig(Section, frozen=True):
    """Who reviews confirmed reports."""

    count: NotNegative = 1
    review_ms: tuple[NotNegative, Positive] = (4_000, 15_000)
    """Shortest and longest time from taking a report to closing it."""


class PopulationConfig(Section, frozen=True):
    """Who takes part: miners with proof of work alone, orderers and endorsers on an ordered ledger alone."""

    requester: RequesterConfig = RequesterConfig()
    worker: WorkerConfig = WorkerConfig()
    miner: MinerConfig = MinerConfig()
    orderer: OrdererConfig = OrdererConfig()
    endorser: EndorserConfig = EndorserConfig()
    mec: MecConfig = MecConfig()
    facility: FacilityConfig = FacilityConfig()
    organizer: OrganizerConfig = OrganizerConfig()
    oracle: OracleConfig = OracleConfig()


class RewardConfig(Section, frozen=True):
    """Which reading of the reward formulas, and its parameters (spec spatial, "Rewards")."""

    reading: Literal["bounded", "paper"] = "bounded"
    gamma_requester: Share = 0.5
    gamma_worker: Share = 0.25
    base_requester: NotNegative = 500_000
    """Micro-credits; `bounded` only."""
    base_worker: NotNegative = 250_000
    distance_unit_m: Positive = 1_000
    history_cap: Positive = 20


class SpatialConfig(Section, frozen=True):
    """The rules of reports, votes and rewards; part of genesis."""

    types: tuple[str, ...] = REPORT_TYPES
    duplicate_radius_m: NotNegative = 100
    duplicate_window_ms: NotNegative = 300_000
    report_radius_m: Positive = 3_000
    """Workers nearer than this can be drawn."""
    group_size: Annotated[int, Meta(ge=3, le=16)] = 5
    min_workers: Annotated[int, Meta(ge=3)] = 3
    draw_delay: Positive = 1
    """Blocks after the one that recorded a report whose id seeds the draw."""
    assign_window_ms: Positive = 60_000
    vote_window_ms: Positive = 6_000
    reveal_window_ms: Positive = 10_000
    tally_window_ms: Positive = 30_000
    max_report_age_ms: Positive = 600_000
    rewards: RewardConfig = RewardConfig()


class ReportsConfig(Section, frozen=True):
    """Where reports come from: generated, or a CSV of real ones (``--reports``)."""

    per_minute: PositiveRate = 40.0
    """Generated: incidents a minute in the whole place."""
    hot_spots: Positive = 6
    """Generated: around how many centres people live and things happen."""
    hot_spot_radius_m: Metres = 1_800.0
    speed: PositiveRate = 20_000.0
    """Replayed: how many seconds of the file pass in a second of the run."""
    max_per_minute: PositiveRate = 90.0
    """Replayed: bursts are stretched to this rate."""
    categories: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    """Replayed: from a category's name in the file to a report type; what is not listed becomes ``other``."""


class NetworkConfig(Section, frozen=True):
    """The links between actors."""

    kind: Literal["memory", "libp2p"] = "memory"
    latency_ms: Annotated[float, Meta(ge=0, le=1e6)] = 25.0
    """Memory links only: one way."""
    jitter_ms: Annotated[float, Meta(ge=0, le=1e6)] = 5.0
    """Memory links only: how much that varies, as `spread` says."""
    spread: Spread = "uniform"
    """Memory links only: ``uniform`` plus or minus the jitter; ``normal`` and ``lognormal`` with that standard deviation;
    ``exponential`` for a tail of that mean after the latency."""
    latency_per_km_ms: Annotated[float, Meta(ge=0, le=1e3)] = 0.0
    """Memory links only: added for each kilometre between the places of two actors (0.005 in glass fibre); miners have
    no place, and are everywhere."""
    bytes_per_s: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    """Memory links only: what each direction of a link carries; 0: any amount."""
    queue_bytes: Annotated[int, Meta(ge=1, le=LANE_BYTES)] = LANE_BYTES
    """Memory links only: bytes that may wait or be under way in a direction before its sender is held up."""
    loss: Share = 0.0
    """Memory links only: share of frames lost."""
    duplication: Share = 0.0
    """Memory links only: share of frames that arrive twice. A fault of the transport, which is to show."""
    reordering: Share = 0.0
    """Memory links only: share of frames that may overtake earlier ones. A fault of the transport, which is to show."""
    handling_ms: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    """Memory links only: time that each frame and request takes its receiver, who handles one after the other."""
    silence_s: Annotated[float, Meta(gt=0, le=1e6)] = 15.0
    """After how long without hearing of it a peer behind a cut link is given up."""
    degree: Positive = 6
    """Links that a ledger node opens to other ledger nodes."""
    direct: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=64)] = ()
    """Explicit peering: ledger nodes that stay linked, outside meshes and scores, and pass everything on to each other. By
    name (``mec-01``), or those of other processes by address (``/ip4/…/tcp/…/p2p/…``); these must list us as well."""
    heartbeat_ms: Positive = 1_000
    """How often gossip repairs its meshes and tells what it has."""
    scoring: bool = True
    """Whether peers are scored (GossipSub v1.1): those who misbehave lose their place in the mesh, then all attention."""
    quantum_ms: Annotated[float, Meta(ge=0.0, le=100.0)] = 1.0
    """Memory links only: arrivals are rounded up to a multiple of this, so that what comes together costs its reader
    one wake-up; in real time, to at least 10 ms."""

    def conditions(self) -> LinkConditions:
        """What memory links are like, but for distance. Raises ValueError."""
        return LinkConditions(
            latency_s=self.latency_ms / 1000,
            jitter_s=self.jitter_ms / 1000,
            loss=self.loss,
            spread=self.spread,
            bytes_per_s=self.bytes_per_s or INFINITY,
            queue_bytes=self.queue_bytes,
            duplication=self.duplication,
            reordering=self.reordering,
        )


class Scenario(Section, frozen=True):
    """Everything that a run follows from, but the code."""

    name: str = "city"
    seed: NotNegative = 1
    duration_s: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    """None: until interrupted (swarm), ten minutes (simulate)."""
    place: PlaceConfig | None = None
    """None: derived from the report file, or Sampleton."""
    population: PopulationConfig = PopulationConfig()
    ledger: LedgerConfig = LedgerConfig()
    systems: Annotated[tuple[System, ...], Meta(min_length=1, max_length=8)] = ("spatial",)
    """What requesters and workers do: ``spatial`` (reports and votes), ``campaign`` (tasks and paths), or both."""
    spatial: SpatialConfig = SpatialConfig()
    campaign: CampaignConfig = CampaignConfig()
    reports: ReportsConfig = ReportsConfig()
    network: NetworkConfig = NetworkConfig()
    faults: Annotated[tuple[Fault, ...], Meta(max_length=1_000)] = ()
    """What goes wrong, and when: see `actors.fault_config`."""

    @property
    def actors(self) -> int:
        """How many actors the population has."""
        return sum(self.count(role) for role in ROLES)

    def count(self, role: str) -> int:
        """How many actors of a role take part on the ledger that the scenario has."""
        if role in ABSENT[self.ledger.kind] or (role in CAMPAIGNERS and "campaign" not in self.systems):
            return 0
        count: int = getattr(self.population, role).count
        return min(1, count) if role == "orderer" and self.ledger.ordered.consensus == "solo" else count


def load(path: Path | None, overrides: Sequence[str] = ()) -> Scenario:
    """Read a scenario file (None: the defaults) and apply ``key=value`` overrides, values in TOML.

    Raises ScenarioError for a missing file, bad TOML, an unknown key or a value out of range.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text())
        except OSError as error:
            msg = f"cannot read scenario {path}: {error.strerror}"
            raise ScenarioError(msg) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            msg = f"{path} is not TOML: {error}"
            raise ScenarioError(msg) from None
    for override in overrides:
        _override(tree, override)
    return convert(tree)


def convert(tree: Mapping[str, Any]) -> Scenario:
    """Check a parsed scenario. Raises ScenarioError."""
    try:
        scenario = msgspec.convert(tree, Scenario)
    except msgspec.ValidationError as error:
        raise ScenarioError(_explain(error, tree)) from None
    _check(scenario)
    return scenario


def _explain(error: msgspec.ValidationError, tree: Mapping[str, Any]) -> str:
    """What is wrong, where, and with which value."""
    what, _, path = str(error).partition(" - at ")
    keys = path.strip("`").removeprefix("$").removeprefix(".")
    value: Any = tree
    for key in keys.replace("[", ".[").split(".") if keys else ():
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key[1:-1].isdigit():
            value = value[int(key[1:-1])]
        else:
            value = None
    given = f" (it is {value!r})" if value is not None and not isinstance(value, dict) else ""
    return f"scenario: {what[0].lower()}{what[1:]}, at {keys or 'the top level'}{given}"


def _override(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        msg = f"--set {override}: write key=value, e.g. --set population.worker.count=100"
        raise ScenarioError(msg)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, leaf = key.strip().split(".")
    for table in tables:
        inner: object = tree.setdefault(table, {})
        if not isinstance(inner, dict):
            msg = f"--set {override}: {table} is a value, not a table"
            raise ScenarioError(msg)
        tree = inner
    tree[leaf] = value


def _check(scenario: Scenario) -> None:
    """What spans several keys."""
    place, spatial, population = scenario.place, scenario.spatial, scenario.population
    wrong = [*problems(scenario.ledger)]
    if place is not None and not (place.lat_min < place.lat_max and place.lon_min < place.lon_max):
        wrong.append(f"place: the box {place.lat_min}..{place.lat_max}, {place.lon_min}..{place.lon_max} is empty")
    if "other" not in spatial.types:
        wrong.append("spatial.types: must contain other, which unknown categories become")
    if len(set(spatial.types)) != len(spatial.types):
        wrong.append("spatial.types: a type is listed twice")
    if spatial.min_workers > spatial.group_size:
        wrong.append(f"spatial.min_workers: {spatial.min_workers} exceeds group_size {spatial.group_size}")
    wrong += [
        f"reports.categories: {category} maps to {type_}, which is not in spatial.types"
        for category, type_ in scenario.reports.categories.items()
        if type_ not in spatial.types
    ]
    wrong += [
        f"{key}: the shortest, {low}, exceeds the longest, {high}"
        for key, (low, high) in (
            ("population.worker.look_ms", population.worker.look_ms),
            ("population.facility.review_ms", population.facility.review_ms),
        )
        if low > high
    ]
    if len(set(scenario.systems)) != len(scenario.systems):
        wrong.append("systems: one is listed twice")
    if "campaign" in scenario.systems:
        counts = (population.organizer.count, population.oracle.count, population.requester.count)
        wrong += campaign_problems(scenario.campaign, *counts)
    if scenario.ledger.kind == "ordered":
        if not population.orderer.count:
            wrong.append("population.orderer.count: 0, an ordered ledger needs one")
        if scenario.ledger.ordered.writers != ANYONE:
            wrong += [
                f"population.{role}.pseudonyms: a fresh key has no certificate, which ledger.ordered.writers asks for"
                for role in ("requester", "worker")
                if getattr(population, role).pseudonyms
            ]
    network = scenario.network
    try:
        network.conditions()
    except ValueError as error:
        wrong.append(f"network: {error}")
    for number, entry in enumerate(network.direct):
        if entry.startswith("/"):
            try:
                split_address(entry)
            except ValueError as error:
                wrong.append(f"network.direct[{number}]: {error}")
    if network.kind != "memory":
        wrong += [
            f"faults[{number}].kind: a {kind_of(fault)} needs network.kind memory"
            for number, fault in enumerate(scenario.faults)
            if isinstance(fault, MEMORY_FAULTS)
        ]
    if wrong:
        msg = "scenario: " + "; ".join(wrong)
        raise ScenarioError(msg)
