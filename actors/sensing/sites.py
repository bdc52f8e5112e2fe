"""Where to put edge nodes and facilities: near the people (k-means with farthest-first seeds; Gonzalez 1985)."""

from collections.abc import Sequence

from actors.sensing.mobility import Point

ROUNDS = 8


def choose_sites(people: Sequence[Point], count: int) -> list[Point]:
    """Place `count` sites that are near `people` (at least one). Deterministic; the first seed is the first person."""
    sites = [people[0]]
    while len(sites) < count:
        sites.append(max(people, key=lambda p: min(p.distance_m(site) for site in sites)))
    for _ in range(ROUNDS):
        groups: list[list[Point]] = [[] for _ in sites]
        for person in people:
            groups[min(range(len(sites)), key=lambda i: person.distance_m(sites[i]))].append(person)
        sites = [_centre(group) if group else site for group, site in zip(groups, sites, strict=True)]
    return sites


def _centre(points: Sequence[Point]) -> Point:
    return Point(sum(p.lat for p in points) / len(points), sum(p.lon for p in points) / len(points))
