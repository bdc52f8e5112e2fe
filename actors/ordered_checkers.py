"""What must hold of the chain of an ordered ledger, besides what holds of any. Each checker returns what it found wrong."""

from collections import Counter

from actors.campaign_checkers import check_campaigns
from actors.ledger_checkers import Chain, broken_links, money_from_nowhere, paid_twice, without_votes
from chain.codec import block_id, transaction_id
from chain.errors import InvalidBlockError
from chain.genesis import Network
from chain.ledgers.ordered.blocks import check_body, check_child, is_sealed, seals_of
from chain.ledgers.ordered.channel import config_of
from chain.ledgers.ordered.validate import commit
from chain.state import WorldState
from chain.transition import APPLIED
from chain.values import TxId


def check_ordered_chain(network: Network, chain: Chain, final_state: WorldState) -> list[str]:
    """All checkers of such a chain; takes as long as the chain took to commit."""
    return [
        *broken_links(network, chain),
        *valid_twice(chain),
        *committed_alone(network, chain, final_state),
        *paid_twice(chain),
        *without_votes(chain),
        *check_campaigns(chain),
        *money_from_nowhere(network, chain, final_state),
    ]


def valid_twice(chain: Chain) -> list[str]:
    """A transaction may be in several blocks, but it is valid in one of them at most."""
    times: Counter[TxId] = Counter(
        transaction_id(transaction)
        for block, receipts in chain
        for transaction, receipt in zip(block.transactions, receipts, strict=True)
        if receipt.ok
    )
    return [f"transaction {tx.hex()[:16]} is valid {count} times" for tx, count in times.items() if count > 1]


def committed_alone(network: Network, chain: Chain, final_state: WorldState) -> list[str]:
    """Each block is sealed as the channel of its time asks, and committed anew from genesis it does what its receipts say.

    Without what replicas of the process share.
    """
    shared, APPLIED.enabled = APPLIED.enabled, False
    wrong = []
    state, parent, parent_id = network.state, network.block.header, network.id
    try:
        for block, receipts in chain:
            config, what = config_of(state), f"block {block.header.height}"
            try:
                check_child(parent, parent_id, block.header)
                check_body(block, network.ordered)
                if not is_sealed(block, seals_of(block, config), config):
                    wrong.append(f"{what} is not sealed as {config.policies.blocks} asks")
            except InvalidBlockError as error:
                wrong.append(f"{what}: {error}")
            applied = commit(network, state, block)
            if applied.receipts != tuple(receipts):
                wrong.append(f"{what} gives other receipts")
            state, parent, parent_id = applied.state, block.header, block_id(block.header)
    finally:
        APPLIED.enabled = shared
    if dict(state.scan(b"")) != dict(final_state.scan(b"")):
        wrong.append("the final state is not what the blocks give")
    return wrong
