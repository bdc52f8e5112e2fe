"""What happens on the ledger, counted from final blocks as they appear."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from actors.campaigns.tally import CampaignTally
from actors.ledger import FoundBlock
from actors.node import FullNode
from actors.world import World
from chain.codec import block_id
from chain.contract import event_fields
from chain.contracts.accounts import supply
from chain.values import BlockId

KEPT_FINAL_IDS = 100_000
"""Final block ids that replicas are compared on: more than a day of one-second blocks."""


class Tally:
    """Counts each final height once, whichever replica is first to have it, and compares the others with it.

    A `Witness` of every ledger node of the process.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids: OrderedDict[int, BlockId] = OrderedDict()
        self._begun = False
        self._base_supply = 0
        self.base = 0
        """Final height from which on everything was counted: 0 in a run that begins with genesis."""
        self.height = 0
        self.events: Counter[str] = Counter()
        """Final events by ``contract.name``."""
        self.minted = 0
        """Micro-credits by final ``accounts.minted`` events."""
        self.rewards: Counter[str] = Counter()
        self.campaigns = CampaignTally()
        self.transactions: Counter[str] = Counter()
        """Final transactions: ``ok``, or the reason of the refusal."""
        self._apart: set[str] = set()
        """Replicas that had another final block than the first one to have that height."""

    def begin(self, node: FullNode) -> None:
        """Count from where this replica is, if it is the first, or if it jumped ahead of all that was counted."""
        final = node.core.final
        if self._begun and final.height <= self.height:
            return
        self._begun = True
        self.base = self.height = final.height
        self._base_supply = supply(node.core.final_state)
        self.minted = 0
        self.rewards.clear()

    def jumped(self, node: FullNode) -> None:
        """See `actors.node.Witness`."""
        self.begin(node)

    def committed(self, node: FullNode, found: FoundBlock) -> None:
        """See `actors.node.Witness`."""
        if not found.final:
            return
        header = found.block.header
        id_ = block_id(header)
        known = self._ids.get(header.height)
        if known is not None and known != id_:
            if node.name not in self._apart:  # its later blocks differ as well: once tells it all
                self._world.fail(node.name, f"final block {header.height} is not that of the other replicas")
            self._apart.add(node.name)
        if known is not None or header.height <= self.height:
            return
        if header.height != self.height + 1:
            self._world.fail(node.name, f"final blocks {self.height + 1} to {header.height - 1} were never seen")
        self._ids[header.height] = id_
        if len(self._ids) > KEPT_FINAL_IDS:
            self._ids.popitem(last=False)
        self.height = header.height
        self.rewards["miner"] += self._world.genesis.ledger.block_reward
        for receipt in found.receipts:
            self.transactions["ok" if receipt.ok else receipt.reason] += 1
            for event in receipt.events:
                self._count(event.contract, event.name, event_fields(event))

    @property
    def disagree(self) -> bool:
        """Whether two replicas had different final blocks at some height."""
        return bool(self._apart)

    @property
    def final_ids(self) -> Mapping[int, BlockId]:
        """Height to id of the final blocks that were counted, as far back as they are kept."""
        return self._ids

    def supply_conserved(self, nodes: "Sequence[FullNode]") -> bool:
        """Whether all money is accounted for: what was there before, what contracts minted, and blocks' rewards."""
        expected = self._base_supply + self.minted + self.rewards["miner"]
        return all(supply(n.core.final_state) == expected for n in nodes if n.core.final.height == self.height)

    def _count(self, contract: str, name: str, fields: Mapping[str, Any]) -> None:
        self.events[f"{contract}.{name}"] += 1
        if (contract, name) == ("accounts", "minted"):
            self.minted += fields["amount"]
        elif contract == "campaign":
            self.campaigns.count(name, fields)
        elif (contract, name) == ("spatial", "confirmed"):
            self.rewards["requester"] += fields["requester_reward"]
            self.rewards["worker"] += sum(fields["worker_rewards"])
