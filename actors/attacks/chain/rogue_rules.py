"""Wrong incentive policy: a miner that pays by rules of its own.

Attacked: rewards. The miner runs the same contracts but for the block reward, which it has raised tenfold, and mines as
all do; its blocks carry the receipts and the state that follow from its rules.
Budget: 30 % of the hash power.
Success: more than the network's reward for a block is on its account, as an honest replica has it.
Defence: every replica carries a block out itself and compares the state with the one in the header: the rules are in
genesis, and a block by others is none. Off: a replica takes the miner's word for what a block did.
What it costs the attacker: all its work, since nobody follows its chain.
Source: spec, "wrong incentive policy"; "Rewards".
"""

from collections.abc import Mapping
from dataclasses import replace as with_changes

from msgspec.structs import replace

from actors.attacks.case import Case, Measured, Size
from actors.chain_trial import HASHES_PER_STEP, INTERVAL_MS, Field, Peer, found
from chain.contracts.accounts import balance_of
from chain.genesis import Network
from chain.ledgers.pow.ledger import PowLedger
from chain.ledgers.pow.tree import Node
from chain.state import WorldState
from chain.transition import APPLIED, Applied, apply_block
from chain.values import Account, Block

ALPHA = 0.3
GENEROSITY = 10


class TrustingLedger(PowLedger):
    """Carries each block out by the rules of whoever mined it: `rules_of` them, or else those of `network`."""

    def __init__(self, network: Network, producer: Account, rules_of: Mapping[Account, Network]) -> None:
        super().__init__(rules_of.get(producer, network), producer=producer)
        self._honest, self._rules_of = network, rules_of
        self._replica._execute = self._believe  # type: ignore[method-assign] # noqa: SLF001 - there is no seam for doing without this

    def _believe(self, parent: Node, state: WorldState, block: Block) -> Applied:
        network = self._rules_of.get(block.header.producer, self._honest)
        return apply_block(network, state, block, final_ids=lambda height: self._replica.final_id(parent, height))


def generous(network: Network) -> Network:
    """The same network, as somebody sees it who pays miners tenfold."""
    rules = replace(network.pow, block_reward=GENEROSITY * network.pow.block_reward)
    return with_changes(network, genesis=replace(network.genesis, ledger=rules))


def _overpay(defended: bool, seed: int, size: Size) -> Measured:
    # Replicas of one process share what blocks did, on the understanding that their rules are the same.
    shared, APPLIED.enabled = APPLIED.enabled, False
    try:
        return _measure(defended, seed, size.blocks // 5)
    finally:
        APPLIED.enabled = shared


def _measure(defended: bool, seed: int, blocks: int) -> Measured:
    network = found(seed)
    field = Field(network, seed)
    hashes = round(ALPHA * HASHES_PER_STEP)
    rogue = Peer(field, "rogue", hashes)
    rules_of = {rogue.account: generous(network)}
    rogue.ledger = TrustingLedger(network, rogue.account, rules_of)
    honest = [Peer(field, f"honest-{place}", (HASHES_PER_STEP - hashes) // 2) for place in range(2)]
    for peer in honest:
        if not defended:
            peer.ledger = TrustingLedger(network, peer.account, rules_of)
        field.add(peer)
    field.add(rogue)
    field.run(blocks * INTERVAL_MS)
    ledger = honest[0].ledger
    mined = sum(producer == rogue.account for producer in honest[0].producers())
    won = balance_of(ledger.state, rogue.account) > mined * network.genesis.ledger.block_reward
    return Measured(int(won), 1, {"rogue's share of blocks": mined / max(1, ledger.head.height)})


ROGUE_RULES = Case(
    name="wrong-incentive",
    family="chain",
    goal="an honest replica has the miner paid more than the rules give",
    budget=f"{ALPHA:.0%} of the hash power, and other rules",
    defence="every replica carries blocks out by the rules of genesis; off: it takes the miner's word",
    source="malicious requester: wrong incentive policy; Rewards",
    run=_overpay,
)
