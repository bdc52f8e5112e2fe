"""What came of a run: checked at its end, told as one JSON object."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from actors.founding import PAYING_ROLES
from actors.node import FullNode
from actors.ordered_views import ordered_core
from actors.population import role_of
from actors.swarm import Swarm
from actors.tally import Tally
from chain.codec import block_id
from chain.contracts.accounts import balance_of, held
from chain.genesis import kind_of
from chain.state import WorldState
from chain.values import Account

DECIDED = ("confirmed", "rejected", "expired")


def replicas_agree(nodes: Sequence[FullNode], tally: Tally) -> bool:
    """Whether all replicas have the same final chain as far as the slowest is, and the state that goes with it."""
    if tally.disagree:
        return False
    lowest = min((node.core.final.height for node in nodes), default=0)
    ids = {block_id(header) for node in nodes if (header := node.core.header(lowest)) is not None}
    return len(ids) <= 1 and _sound(nodes)


def _sound(nodes: Sequence[FullNode]) -> bool:
    """Whether each state is the one that headers say; where they say none, that of the others at the same height.

    One state is digested anew from its entries: roots were only ever summed up change by change.
    """
    if not nodes:
        return True
    roots: dict[int, bytes] = {}
    for node in nodes:
        core, ordered = node.core, ordered_core(node.core)
        if ordered is not None and ordered.diverged:
            return False
        expected = roots.setdefault(core.final.height, core.final_state.root) if ordered else core.final.state_root
        if core.final_state.root != expected:
            return False
    first = nodes[0].core.final_state
    return WorldState.of(first.scan(b"")).root == first.root


def report(swarm: Swarm, *, rows_refused: int, wall_s: float, cpu_s: float) -> dict[str, Any]:
    """The run's report. `rows_refused`: rows of a file of reports; `wall_s`, `cpu_s`: seconds the process took."""
    world, tally, nodes = swarm.world, swarm.tally, swarm.full_nodes
    gossip = world.meter.figures()
    best = max(nodes, key=lambda node: node.core.final.height, default=None)
    events = tally.events
    return {
        "scenario": world.scenario.name,
        "seed": world.scenario.seed,
        "world": swarm.kind,
        "network": world.genesis.network,
        "actors": len(swarm.members),
        "virtual_s": round((world.clock.now_ms() - world.started_ms) / 1000, 3),
        "wall_s": round(wall_s, 3),
        "cpu_s": round(cpu_s, 3),
        "reports": {
            "submitted": events["spatial.submitted"],
            **{status: events[f"spatial.{status}"] for status in DECIDED},
            "closed": events["spatial.closed"],
            "duplicates_refused": swarm.refusals["duplicate_report"],
            "rows_refused": rows_refused,
        },
        "votes": {"cast": events["spatial.voted"], "revealed": events["spatial.revealed"]},
        "chain": {
            "ledger": kind_of(world.genesis),
            "height": best.core.head.height if best else 0,
            "final_height": best.core.final.height if best else 0,
            "counted_from": tally.base,
            "head": best.core.head_id.hex() if best else "",
            "state_digest": best.core.final_state.root.hex() if best else "",
            "transactions": dict(sorted(tally.transactions.items())),
            **_ordered(nodes),
        },
        "activity": dict(swarm.activity),
        "replicas": len(nodes),
        "replicas_agree": replicas_agree(nodes, tally),
        "supply_conserved": tally.supply_conserved(nodes),
        "rewards": {role: tally.rewards[role] for role in ("requester", "worker", "miner")},
        **_campaigns(swarm, best),
        "gossip": asdict(gossip),
        "journal_records": world.journal.records,
        "journal_sha256": world.journal.sha256,
        "errors": list(world.errors),
    }


def _ordered(nodes: Sequence[FullNode]) -> dict[str, Any]:
    """What there is to tell of an ordered ledger besides; nothing of another.

    `codes`: transactions by validation code, as the first ledger node committed them since the run began; `unfinished`:
    those that still waited for a block at its end.
    """
    cores = [core for node in nodes if (core := ordered_core(node.core)) is not None]
    if not cores:
        return {}
    return {
        "codes": dict(sorted(cores[0].statistics().codes.items())),
        "unfinished": max(core.statistics().pending for core in cores),
    }


def _campaigns(swarm: Swarm, best: FullNode | None) -> dict[str, Any]:
    """What came of campaigns, where there are some: each cycle, and what those who lock money in them have, by name."""
    world = swarm.world
    if "campaign" not in world.scenario.systems or best is None:
        return {}
    state = best.core.final_state
    return {
        "campaigns": {
            "cycles": swarm.tally.campaigns.report(),
            "balances": {
                name: balance_of(state, Account(key))
                for key, name in sorted(world.names.items(), key=lambda item: item[1])
                if role_of(name) in PAYING_ROLES
            },
            "locked": held(state),
        }
    }
