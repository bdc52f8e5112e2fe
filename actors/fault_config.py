"""What may be scheduled to go wrong in a run: the ``[[faults]]`` tables of a scenario, and how they name actors.

Each table has `at_s` (seconds since the run began), `kind`, whom it strikes and its parameters. With `for_s` a fault
ends by itself, so many seconds later; else it lasts until a `heal`, `release` or `restart`, or until the run ends.

A *selector* names actors: ``"miner-01"`` one of them, ``"miner"`` all of a role, ``"*"`` everybody, ``"30%"`` that share
of each role, drawn by the run's seed, ``"miner:30%"`` that share of one role, and ``"rest"``, in groups, whoever no
group before has named. Shares in groups are of those whom no group before has named.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Annotated

import msgspec
from msgspec import Meta

AtSeconds = Annotated[float, Meta(ge=0, le=1e9)]
ForSeconds = Annotated[float, Meta(gt=0, le=1e9)]
Selector = Annotated[str, Meta(min_length=1, max_length=100)]
Selectors = Annotated[tuple[Selector, ...], Meta(min_length=1, max_length=10_000)]
Groups = Annotated[tuple[Selectors, ...], Meta(min_length=2, max_length=100)]

_SHARE = re.compile(r"(?:(?P<role>[a-z]+):)?(?P<percent>\d{1,3}(?:\.\d+)?)%")


class _Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of all faults."""

    at_s: AtSeconds


class Partition(_Fault, frozen=True, tag="partition"):
    """What actors of different groups send each other vanishes, in both directions; who is in no group is not affected.

    A partition that lasts longer than the ledger's finality leaves two networks, with two final chains, for good.
    """

    groups: Groups
    one_way: bool = False
    """Only what the first of two groups sends to the second vanishes."""
    for_s: ForSeconds | None = None


class Clog(_Fault, frozen=True, tag="clog"):
    """Hardly anything passes: on all links from and to `actors`, or on those between `groups`."""

    actors: Selectors | None = None
    groups: Groups | None = None
    bytes_per_s: Annotated[float, Meta(gt=0, le=1e12)] = 100.0
    """In each direction of each link."""
    one_way: bool = False
    """Only what `actors` send is slowed, or what the first of two groups sends to the second."""
    for_s: ForSeconds | None = None


class Hold(_Fault, frozen=True, tag="hold"):
    """What is sent is kept, and arrives after the `release`: on all links from and to `actors`, or between `groups`."""

    actors: Selectors | None = None
    groups: Groups | None = None
    one_way: bool = False
    """Only what `actors` send is kept, or what the first of two groups sends to the second."""
    for_s: ForSeconds | None = None


class Release(_Fault, frozen=True, tag="release"):
    """Ends every `hold`."""


class Heal(_Fault, frozen=True, tag="heal"):
    """Ends every `partition` and `clog`."""


class Crash(_Fault, frozen=True, tag="crash"):
    """Actors stop on the spot; what they had in memory is gone."""

    actors: Selectors
    lose_disk: bool = False
    """Whether a ledger node's store is gone as well, so that it starts from genesis and syncs from others."""
    tear_disk: bool = False
    """Whether a ledger node's last write is torn, as by a power cut, even if it was told that the write was done: that is
    more than `ledger.durability` "power" has to bear. Needs stores on disk (`--data`)."""
    for_s: ForSeconds | None = None
    """After which time they start again; None: at a `restart`, or never."""


class Restart(_Fault, frozen=True, tag="restart"):
    """Actors that are down start; those that run stop and start again at once."""

    actors: Selectors


class Skew(_Fault, frozen=True, tag="skew"):
    """Sets the clocks of actors ahead (or, when negative, back) of the run's; timers go on as they were."""

    actors: Selectors
    skew_ms: Annotated[int, Meta(ge=-86_400_000, le=86_400_000)]
    for_s: ForSeconds | None = None


class Churn(_Fault, frozen=True, tag="churn"):
    """Each of `actors` leaves at random times (a Poisson process) and comes back after a while, by the run's seed."""

    actors: Selectors
    leaves_per_minute: Annotated[float, Meta(gt=0, le=600)]
    """Of each actor, while it is there."""
    away_s: Annotated[float, Meta(gt=0, le=1e6)] = 10.0
    """Mean of the exponential time it is away."""
    lose_disk: bool = False
    for_s: ForSeconds | None = None
    """For how long actors go on leaving; who is away then still comes back."""


Fault = Partition | Clog | Hold | Release | Heal | Crash | Restart | Skew | Churn
LINK_FAULTS = (Partition, Clog, Hold)
MEMORY_FAULTS = (Clog, Hold)
"""What strikes memory links alone. A partition cuts those over libp2p as well, see `net.gate`."""


def kind_of(fault: Fault) -> str:
    """Return a fault's `kind`, as in the scenario."""
    return str(fault.__struct_config__.tag)


def problems(fault: Fault, roles: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What is wrong with a fault besides its types, each beginning with the key. `roles`: the names of each role."""
    if isinstance(fault, LINK_FAULTS) and fault.one_way and len(fault.groups or (1, 2)) != 2:
        yield f"one_way: needs exactly two groups, not {len(fault.groups or ())}"
    if isinstance(fault, Clog | Hold) and (fault.actors is None) == (fault.groups is None):
        yield "actors: give either actors or groups"
    if isinstance(fault, Crash) and fault.tear_disk and fault.lose_disk:
        yield "tear_disk: the disk is lost already"
    actors, groups = getattr(fault, "actors", None), getattr(fault, "groups", None)
    for key, selectors in (("actors", actors or ()), *(("groups", group) for group in groups or ())):
        for selector in selectors:
            if selector == "rest" and key == "actors":
                yield "actors: rest has a meaning only in groups"
            elif why := _objection(selector, roles):
                yield f"{key}: {why}"


def _objection(selector: str, roles: Mapping[str, Sequence[str]]) -> str | None:
    if selector in ("*", "rest") or selector in roles or any(selector in names for names in roles.values()):
        return None
    share = _SHARE.fullmatch(selector)
    if share is None:
        return f"{selector!r} is no actor, role ({', '.join(roles)}), share (30%, miner:30%), * or rest"
    if share["role"] is not None and share["role"] not in roles:
        return f"{selector!r}: there is no role {share['role']}; there are {', '.join(roles)}"
    if float(share["percent"]) > 100:
        return f"{selector!r} is more than all"
    return None


def choose(selectors: Sequence[str], roles: Mapping[str, Sequence[str]], rng: Random) -> list[str]:
    """Return the names of those selected, each once, in the order of `roles`."""
    chosen: set[str] = set()
    for selector in selectors:
        share = _SHARE.fullmatch(selector)
        if share is not None:
            among = {role: names for role, names in roles.items() if share["role"] in (None, role)}
            chosen.update(_draw(float(share["percent"]) / 100, among, rng))
        else:
            chosen.update(
                name for role, names in roles.items() for name in names if selector in ("*", "rest", role, name)
            )
    return [name for names in roles.values() for name in names if name in chosen]


def choose_groups(groups: Sequence[Sequence[str]], roles: Mapping[str, Sequence[str]], rng: Random) -> list[list[str]]:
    """Return the names in each group; the first that names an actor has it."""
    found: list[list[str]] = []
    left = {role: list(names) for role, names in roles.items()}
    for selectors in groups:
        found.append(choose(selectors, left, rng))
        left = {role: [name for name in names if name not in found[-1]] for role, names in left.items()}
    return found


def _draw(share: float, roles: Mapping[str, Sequence[str]], rng: Random) -> Iterator[str]:
    """Draw that share of each role; where it is no whole number, what one role lacks the next makes up for."""
    owed = 0.5
    for names in roles.values():
        for name in rng.sample(names, len(names)):
            owed += share
            # Against 3 * (1 / 3) being a little less than 1.
            if owed >= 1 - 1e-9:
                owed -= 1
                yield name
