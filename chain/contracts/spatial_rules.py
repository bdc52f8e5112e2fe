"""The spatial system's parameters, fixed at genesis."""

from functools import lru_cache
from typing import Annotated

import msgspec

from chain.errors import GenesisError
from chain.values import AccountField, Name, Natural, Value

LAT_LIMIT_E7 = 900_000_000
LON_LIMIT_E7 = 1_800_000_000
MAX_TYPES = 64
MAX_GROUP = 16
MAX_OPERATORS = 4096
ROLES = ("facility", "mec")
READINGS = ("bounded", "paper")

LatE7 = Annotated[int, msgspec.Meta(ge=-LAT_LIMIT_E7, le=LAT_LIMIT_E7)]
LonE7 = Annotated[int, msgspec.Meta(ge=-LON_LIMIT_E7, le=LON_LIMIT_E7)]


class Box(Value, frozen=True):
    """A place: coordinates in E7, limits included. Boxes across the antimeridian are not supported."""

    lat_min_e7: LatE7
    lat_max_e7: LatE7
    lon_min_e7: LonE7
    lon_max_e7: LonE7

    def contains(self, lat_e7: int, lon_e7: int) -> bool:
        return self.lat_min_e7 <= lat_e7 <= self.lat_max_e7 and self.lon_min_e7 <= lon_e7 <= self.lon_max_e7


class Founder(Value, frozen=True):
    """An operator that is enrolled at genesis."""

    role: str
    """One of ROLES."""
    account: AccountField
    lat_e7: LatE7
    lon_e7: LonE7


class SpatialRules(Value, frozen=True):
    """See spec/spatial.md. `check_spatial_rules` says which field is wrong."""

    types: tuple[Name, ...]
    """Sorted, each once, at most MAX_TYPES."""
    box: Box
    duplicate_radius_m: Natural
    """0 switches the check off."""
    duplicate_window_ms: Natural
    report_radius_m: Natural
    group_size: Natural
    """3 to MAX_GROUP."""
    min_workers: Natural
    """Fewest candidates that a group is drawn from; 1 or more."""
    draw_delay: Natural
    """In blocks, 1 or more: the draw is seeded by the block this much after the one that recorded the report."""
    assign_window_ms: Natural
    vote_window_ms: Natural
    reveal_window_ms: Natural
    tally_window_ms: Natural
    max_report_age_ms: Natural
    max_report_ahead_ms: Natural
    """How far a report's time may be ahead of the block's: block times lag behind their clocks."""
    reward: str
    """One of READINGS."""
    gamma_r_ppm: Natural
    """Millionths; 0 < gamma_w_ppm < gamma_r_ppm < 1,000,000."""
    gamma_w_ppm: Natural
    base_requester: Natural
    """Micro-credits; the bounded reading's alone."""
    base_worker: Natural
    distance_unit_m: Natural
    history_cap: Natural
    """Reports per account and role that the bounded reading remembers and multiplies by, 1 or more."""
    open_enrolment: bool
    operators: tuple[Founder, ...]


@lru_cache(maxsize=64)
def check_spatial_rules(rules: SpatialRules) -> None:
    """Raises GenesisError naming the field."""
    box = rules.box
    checks = (
        ("types", list(rules.types) == sorted(set(rules.types)) and 0 < len(rules.types) <= MAX_TYPES),
        ("box", box.lat_min_e7 <= box.lat_max_e7 and box.lon_min_e7 <= box.lon_max_e7),
        ("duplicate_radius_m", rules.duplicate_radius_m <= 100_000),
        ("report_radius_m", 0 < rules.report_radius_m <= 20_100_000),
        ("group_size", 3 <= rules.group_size <= MAX_GROUP),
        ("min_workers", rules.min_workers >= 1),
        ("draw_delay", rules.draw_delay >= 1),
        ("assign_window_ms", rules.assign_window_ms > 0),
        ("vote_window_ms", rules.vote_window_ms > 0),
        ("reveal_window_ms", rules.reveal_window_ms > 0),
        ("tally_window_ms", rules.tally_window_ms > 0),
        ("reward", rules.reward in READINGS),
        ("gamma_r_ppm", rules.gamma_r_ppm < 1_000_000),
        ("gamma_w_ppm", 0 < rules.gamma_w_ppm < rules.gamma_r_ppm),
        ("distance_unit_m", rules.distance_unit_m > 0),
        ("history_cap", rules.history_cap >= 1),
        ("operators", len(rules.operators) <= MAX_OPERATORS and all(o.role in ROLES for o in rules.operators)),
    )
    for name, good in checks:
        if not good:
            raise GenesisError(f"spatial.{name} is {getattr(rules, name)!r}")
