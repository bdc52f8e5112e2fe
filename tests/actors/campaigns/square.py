"""A small square in which a cycle of a campaign takes a minute and a half, and what is looked at when it is over."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from actors.campaigns.board import Board
from actors.organizer import Organizer
from actors.scenario import Scenario, convert
from actors.swarm import Swarm
from chain.codec import block_id
from chain.contracts.campaign_commitments import draw_oracles
from chain.contracts.campaign_queries import Drawn
from chain.contracts.campaign_records import Standing
from tests.checkers import Record, of_kind

PHASES_S = {
    "registration": 8.0,
    "publishing": 10.0,
    "bidding": 10.0,
    "selection": 22.0,
    "collection": 31.0,
    "submission": 24.0,
    "review": 14.0,
    "grace": 4.0,
}
CYCLE_S = 102.0
"""About what a cycle takes, with the payments at its end."""
FUNDS = 40_000_000


def square(**changes: Any) -> Scenario:
    """Two requesters who want two samples of each of four tasks, six workers, three oracles, an organizer, on either ledger;
    `changes` by dotted key with ``__``.
    """
    tree: dict[str, Any] = {
        "name": "square",
        "seed": 1,
        "systems": ["campaign"],
        "place": {"name": "Square", "lat_min": 44.49, "lat_max": 44.490899, "lon_min": 11.34, "lon_max": 11.341261},
        "population": {
            "requester": {"count": 2},
            "worker": {"count": 6},
            "organizer": {"count": 1},
            "oracle": {"count": 3},
            "miner": {"count": 2},
            "orderer": {"count": 1},
            "endorser": {"count": 0},
            "mec": {"count": 2},
            "facility": {"count": 0},
        },
        "campaign": {
            "cycles": 1,
            "funds": FUNDS,
            "phases": dict(PHASES_S),
            "tasks": {"count": 6, "samples": 2, "interval_s": 6.0},
            "oracles": {"seconds": 8.0, "challenge_s": 2.0},
        },
        "ledger": {"finality_depth": 2, "block_interval_ms": 500},
        "network": {"degree": 4},
    }
    for path, value in changes.items():
        table = tree
        *tables, leaf = path.split("__")
        for name in tables:
            table = table.setdefault(name, {})
        table[leaf] = value
    return convert(tree)


def brisk(**changes: Any) -> Scenario:
    """The same at twice the speed, for tests in real time: a cycle takes a minute."""
    phases = {name: seconds / 2 for name, seconds in PHASES_S.items()} | {"registration": 6.0, "grace": 2.0}
    pace = {
        "campaign__phases": phases,
        "campaign__tasks": {"count": 6, "samples": 2, "interval_s": 3.0, "best_s": [4.0, 6.0]},
        "campaign__walk": {"speed_m_s": 20.0},
        "campaign__max_speed_m_s": 24.0,
        "campaign__oracles": {"seconds": 8.0, "challenge_s": 1.0},
        # A machine that is busy makes forks that are deeper than in virtual time.
        "ledger__block_interval_ms": 250,
        "ledger__finality_depth": 8,
        "ledger__ordered": {"batch": {"timeout_ms": 100, "idle_ms": 250}},
    }
    return square(**(pace | changes))


def crash(*actors: str, at_s: float, for_s: float | None = None, **more: Any) -> dict[str, Any]:
    """A table of ``[[faults]]``."""
    return {"kind": "crash", "at_s": at_s, "actors": list(actors), **({"for_s": for_s} if for_s else {}), **more}


def campaigns(report: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, int], int]:
    """Cycles, balances by name, and what is locked."""
    told = report["campaigns"]
    return told["cycles"], told["balances"], told["locked"]


def did(journal: Iterable[Record]) -> Counter[tuple[str, str]]:
    """(actor, method) of the calls that came to be in a block."""
    return Counter((record["a"], record["did"]) for record in of_kind(journal, "campaign"))


def refused(journal: Iterable[Record]) -> Counter[tuple[str, str]]:
    """(method, reason) of the calls that were refused and should not have been."""
    return Counter((record["method"], record["reason"]) for record in of_kind(journal, "campaign_refused"))


def organizer(swarm: Swarm) -> Organizer:
    """The one there is."""
    actor = swarm.actors["organizer-01"]
    assert isinstance(actor, Organizer)
    return actor


async def standing(swarm: Swarm) -> Standing | None:
    """The one campaign there is, as the first ledger node has it."""
    node = organizer(swarm)
    found = await Board(node.world, "onlooker", node.ledger, rest_s=1.0).campaigns()
    return found[0] if found else None


def drawn_now(swarm: Swarm, found: Standing, made: Drawn) -> list[str] | None:
    """Names of the drawn oracles, as soon as the organizer's node has the block that seeds the draw; not final yet."""
    node = organizer(swarm).node
    header = node.core.header(made.recorded_height + found.terms.draw_delay)
    if header is None:
        return None
    campaign = found.campaign
    accounts = [swarm.actors[f"oracle-0{place}"].identity.account for place in (1, 2, 3)]
    drawn = draw_oracles(
        block_id(header), campaign.id, campaign.cycle, accounts, made.draw.passed_over, found.terms.drawn
    )
    return [swarm.world.name_of(account) for account in drawn]


def as_toml(scenario: Scenario) -> str:
    """For the program; its tables have what JSON has."""
    tree = msgspec.to_builtins(scenario)
    return "\n".join(_tables(tree, ""))


def _tables(tree: dict[str, Any], name: str) -> Iterable[str]:
    if name:
        yield f"[{name}]"
    inner = {key: value for key, value in tree.items() if isinstance(value, dict)}
    for key, value in tree.items():
        if key not in inner and value is not None:
            yield f"{key} = {json.dumps(value)}"
    for key, value in inner.items():
        yield from _tables(value, f"{name}.{key}" if name else key)
