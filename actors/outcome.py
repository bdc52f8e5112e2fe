"""What came of a run: counted from final blocks as they appear, checked at the end, told as one JSON object."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from actors.ledger import FoundBlock
from actors.node import FullNode
from actors.world import World
from chain.codec import block_id
from chain.contract import event_fields
from chain.contracts.accounts import supply
from chain.state import WorldState
from chain.values import BlockId

DECIDED = ("confirmed", "rejected", "expired")
KEPT_FINAL_IDS = 100_000
"""Final block ids that replicas are compared on: more than a day of one-second blocks."""


class Tally:
    """Counts each final height once, whichever replica is first to have it, and compares the others with it.

    A `Witness` of every ledger node of the process.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids: OrderedDict[int, BlockId] = OrderedDict()
        self.height = 0
        self.events: Counter[str] = Counter()
        """Final events by ``contract.name``."""
        self.minted = 0
        """Micro-credits by final ``accounts.minted`` events."""
        self.rewards: Counter[str] = Counter()
        self.transactions: Counter[str] = Counter()
        """Final transactions: ``ok``, or the reason of the refusal."""
        self.disagreements: list[str] = []

    def committed(self, node: FullNode, found: FoundBlock) -> None:
        """See `actors.node.Witness`."""
        if not found.final:
            return
        header = found.block.header
        id_ = block_id(header)
        known = self._ids.get(header.height)
        if known is not None and known != id_:
            self.disagreements.append(f"{node.name} has another final block at height {header.height}")
            self._world.fail(node.name, f"final block {header.height} is not that of the other replicas")
        if known is not None or header.height <= self.height:
            return
        if header.height != self.height + 1:
            self._world.fail(node.name, f"final blocks {self.height + 1} to {header.height - 1} were never seen")
        self._ids[header.height] = id_
        if len(self._ids) > KEPT_FINAL_IDS:
            self._ids.popitem(last=False)
        self.height = header.height
        self.rewards["miner"] += self._world.genesis.pow.block_reward
        for receipt in found.receipts:
            self.transactions["ok" if receipt.ok else receipt.reason] += 1
            for event in receipt.events:
                self._count(event.contract, event.name, event_fields(event))

    def _count(self, contract: str, name: str, fields: Mapping[str, Any]) -> None:
        self.events[f"{contract}.{name}"] += 1
        if (contract, name) == ("accounts", "minted"):
            self.minted += fields["amount"]
        elif (contract, name) == ("spatial", "confirmed"):
            self.rewards["requester"] += fields["requester_reward"]
            self.rewards["worker"] += sum(fields["worker_rewards"])


def replicas_agree(nodes: Sequence[FullNode], tally: Tally) -> bool:
    """Whether all replicas have the same final chain as far as the slowest is, and the state their headers say."""
    if tally.disagreements:
        return False
    lowest = min((node.core.final.height for node in nodes), default=0)
    ids = {block_id(header) for node in nodes if (header := node.core.header(lowest)) is not None}
    # One state is digested anew from its entries: the roots in headers were only ever summed up change by change.
    sound = all(node.core.final_state.root == node.core.final.state_root for node in nodes)
    anew = WorldState.of(nodes[0].core.final_state.scan(b"")).root == nodes[0].core.final.state_root if nodes else True
    return len(ids) <= 1 and sound and anew


def supply_conserved(nodes: Sequence[FullNode], tally: Tally, world: World) -> bool:
    """Whether all money is accounted for: what genesis gave, what contracts minted, and the blocks' rewards."""
    founded = sum(balance.amount for balance in world.genesis.balances)
    expected = founded + tally.minted + tally.rewards["miner"]
    return all(supply(n.core.final_state) == expected for n in nodes if n.core.final.height == tally.height)


def report(
    world: World,
    kind: str,
    actors: int,
    nodes: Sequence[FullNode],
    tally: Tally,
    *,
    duplicates_refused: int,
    rows_refused: int,
    virtual_s: float,
    wall_s: float,
    cpu_s: float,
) -> dict[str, Any]:
    """The run's report (DESIGN: "A run's report is one JSON object")."""
    gossip = world.meter.figures()
    best = max(nodes, key=lambda node: node.core.final.height, default=None)
    events = tally.events
    return {
        "scenario": world.scenario.name,
        "seed": world.scenario.seed,
        "world": kind,
        "network": world.genesis.network,
        "actors": actors,
        "virtual_s": round(virtual_s, 3),
        "wall_s": round(wall_s, 3),
        "cpu_s": round(cpu_s, 3),
        "reports": {
            "submitted": events["spatial.submitted"],
            **{status: events[f"spatial.{status}"] for status in DECIDED},
            "closed": events["spatial.closed"],
            "duplicates_refused": duplicates_refused,
            "rows_refused": rows_refused,
        },
        "votes": {"cast": events["spatial.voted"], "revealed": events["spatial.revealed"]},
        "chain": {
            "ledger": world.scenario.ledger.kind,
            "height": best.core.head.height if best else 0,
            "final_height": tally.height,
            "head": best.core.head_id.hex() if best else "",
            "state_digest": best.core.final_state.root.hex() if best else "",
            "transactions": dict(sorted(tally.transactions.items())),
        },
        "replicas": len(nodes),
        "replicas_agree": replicas_agree(nodes, tally),
        "supply_conserved": supply_conserved(nodes, tally, world),
        "rewards": {role: tally.rewards[role] for role in ("requester", "worker", "miner")},
        "gossip": {
            "published": gossip.published,
            "delivered": gossip.delivered,
            "duplicates": gossip.duplicates,
            "undelivered": gossip.undelivered,
            "p50_ms": gossip.p50_ms,
            "p99_ms": gossip.p99_ms,
            "max_ms": gossip.max_ms,
        },
        "journal_records": world.journal.records,
        "journal_sha256": world.journal.sha256,
        "errors": list(world.errors),
    }
