"""What came of a run: checked at its end, told as one JSON object."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from actors.node import FullNode
from actors.swarm import Swarm
from actors.tally import Tally
from chain.codec import block_id
from chain.ledgers.pow.ledger import PowLedger
from chain.state import WorldState

DECIDED = ("confirmed", "rejected", "expired")


def replicas_agree(nodes: Sequence[FullNode], tally: Tally) -> bool:
    """Whether all replicas have the same final chain as far as the slowest is, and the state that belongs to it.

    On proof of work that is what a header says; on an ordered ledger, where headers know no states, what others have
    that are as far.
    """
    if tally.disagree:
        return False
    lowest = min((node.core.final.height for node in nodes), default=0)
    ids = {block_id(header) for node in nodes if (header := node.core.header(lowest)) is not None}
    roots: dict[int, set[bytes]] = {}
    for node in nodes:
        roots.setdefault(node.core.final.height, set()).add(node.core.final_state.root)
        if isinstance(node.core, PowLedger):
            roots[node.core.final.height].add(node.core.final.state_root)
    # One state is digested anew from its entries: all roots were only ever summed up change by change.
    state = nodes[0].core.final_state if nodes else WorldState.empty()
    anew = WorldState.of(state.scan(b"")).root == state.root
    return len(ids) <= 1 and anew and all(len(each) == 1 for each in roots.values())


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
            "ledger": world.scenario.ledger.kind,
            "height": best.core.head.height if best else 0,
            "final_height": best.core.final.height if best else 0,
            "counted_from": tally.base,
            "head": best.core.head_id.hex() if best else "",
            "state_digest": best.core.final_state.root.hex() if best else "",
            "transactions": dict(sorted(tally.transactions.items())),
        },
        "activity": dict(swarm.activity),
        "replicas": len(nodes),
        "replicas_agree": replicas_agree(nodes, tally),
        "supply_conserved": tally.supply_conserved(nodes),
        "rewards": {role: tally.rewards[role] for role in ("requester", "worker", "miner")},
        "gossip": asdict(gossip),
        "journal_records": world.journal.records,
        "journal_sha256": world.journal.sha256,
        "errors": list(world.errors),
    }
