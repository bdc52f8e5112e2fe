"""Spatial crowdsensing: reports confirmed by the people who are there (spec/spatial.md). Under construction."""

from chain.codec import encode
from chain.contracts.spatial_rules import SpatialRules


def initial_entries(rules: SpatialRules, time_ms: int) -> list[tuple[bytes, bytes]]:
    """Genesis writes."""
    return [(b"rules", encode(rules)), (b"founded", encode(time_ms))]
