"""What must hold of any final chain, told from its blocks and receipts alone. Each checker returns what it found wrong.

They know the rules from the specification, not from the contract: they count events, and ask the state only for its sum.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.campaign_checkers import check_campaigns
from chain.codec import block_id, transaction_id
from chain.contract import event_fields
from chain.contracts.accounts import supply
from chain.genesis import Network
from chain.ledger import LedgerCore
from chain.state import WorldState
from chain.transition import APPLIED, apply_block
from chain.values import Account, Block, BlockId, Receipt, TxId

Chain = Sequence[tuple[Block, Sequence[Receipt]]]
"""Final blocks with their receipts, from height 1 on."""


def final_chain(ledger: LedgerCore) -> list[tuple[Block, tuple[Receipt, ...]]]:
    """All of a replica's final blocks. Raises LookupError when it does not have one: it jumped, or let it go."""
    found = []
    for height in range(1, ledger.final.height + 1):
        block, receipts = ledger.block(height), ledger.receipts(height)
        if block is None or receipts is None:
            raise LookupError(f"no block at height {height}")
        found.append((block, receipts))
    return found


def check_chain(network: Network, chain: Chain, final_state: WorldState) -> list[str]:
    """All checkers of this module but `executed_alone`, which takes as long as the chain took, and those of campaigns."""
    return [
        *broken_links(network, chain),
        *used_twice(chain),
        *paid_twice(chain),
        *without_votes(chain),
        *check_campaigns(chain),
        *money_from_nowhere(network, chain, final_state),
    ]


def broken_links(network: Network, chain: Chain) -> list[str]:
    """Each block is the child of the one before, and its receipts are of its transactions."""
    wrong = []
    parent = network.id
    for height, (block, receipts) in enumerate(chain, start=1):
        if block.header.height != height or block.header.parent != parent:
            wrong.append(f"block {height} does not follow the one before")
        if [receipt.transaction for receipt in receipts] != [transaction_id(t) for t in block.transactions]:
            wrong.append(f"the receipts of block {height} are not of its transactions")
        parent = block_id(block.header)
    return wrong


def used_twice(chain: Chain) -> list[str]:
    """Each transaction is in one block, and each sender's nonces are 0, 1, 2, … in the order of the chain."""
    wrong = []
    seen: set[TxId] = set()
    following: Counter[Account] = Counter()
    for block, _ in chain:
        for transaction in block.transactions:
            tx_id = transaction_id(transaction)
            if tx_id in seen:
                wrong.append(f"transaction {_short(tx_id)} is in two blocks")
            seen.add(tx_id)
            if transaction.nonce != following[transaction.sender]:
                wrong.append(
                    f"nonce {transaction.nonce} of {_short(transaction.sender)} at height {block.header.height} "
                    f"comes when {following[transaction.sender]} is next"
                )
            following[transaction.sender] = transaction.nonce + 1
    return wrong


def paid_twice(chain: Chain) -> list[str]:
    """A report is decided once; its reward is minted in the transaction that confirms it, to the micro-credit."""
    wrong = []
    decided: dict[bytes, str] = {}
    for receipt, events in _said(chain):
        due: Counter[bytes] = Counter()
        minted: Counter[bytes] = Counter()
        for name, said in events:
            if name in ("spatial.confirmed", "spatial.rejected", "spatial.expired"):
                before = decided.setdefault(said["report"], name)
                if before is not name:
                    wrong.append(f"report {_short(said['report'])} is {name} after it was {before}")
                elif sum(other["report"] == said["report"] for _, other in events if "report" in other) > 1:
                    wrong.append(f"report {_short(said['report'])} is decided twice in one transaction")
            if name == "spatial.confirmed":
                due[said["requester"]] += said["requester_reward"]
                for worker, reward in zip(said["workers"], said["worker_rewards"], strict=True):
                    due[worker] += reward
            elif name == "accounts.minted":
                minted[said["account"]] += said["amount"]
        if +due != minted:
            wrong.append(f"transaction {_short(receipt.transaction)} minted {dict(minted)}, due was {dict(+due)}")
    confirmed = Counter(said["report"] for _, events in _said(chain) for n, said in events if n == "spatial.confirmed")
    return wrong + [
        f"report {_short(report)} was paid {times} times" for report, times in confirmed.items() if times > 1
    ]


@dataclass(slots=True)
class _Case:
    requester: bytes = b""
    assigned: int = 0
    voted: set[bytes] = field(default_factory=set)
    revealed: dict[bytes, bool] = field(default_factory=dict)


def without_votes(chain: Chain) -> list[str]:
    """Whoever confirmed a report had voted, once, before it revealed, once; more than half of the group did; never the
    requester. And what was rejected had no such majority.
    """
    wrong: list[str] = []
    cases: dict[bytes, _Case] = defaultdict(_Case)
    for receipt, events in _said(chain):
        for name, said in events:
            if not name.startswith("spatial.") or "report" not in said:
                continue
            report = said["report"]
            case = cases[report]
            what = f"report {_short(report)}"
            match name:
                case "spatial.submitted":
                    if report != receipt.transaction:
                        wrong.append(f"{what} is not the transaction that submitted it")
                    case.requester = case.requester or _sender(chain, receipt.transaction)
                case "spatial.assigned":
                    case.assigned += 1
                case "spatial.voted":
                    if said["worker"] in case.voted:
                        wrong.append(f"{what}: {_short(said['worker'])} voted twice")
                    case.voted.add(said["worker"])
                case "spatial.revealed":
                    if said["worker"] not in case.voted or said["worker"] in case.revealed:
                        wrong.append(f"{what}: {_short(said['worker'])} revealed what it had not voted, or twice")
                    case.revealed[said["worker"]] = said["confirm"]
                case "spatial.confirmed" | "spatial.rejected":
                    wrong += [f"{what} {problem}" for problem in _unfounded(name, said, case)]
    return wrong


def _unfounded(name: str, said: dict[str, Any], case: _Case) -> Iterator[str]:
    confirmers = {worker for worker, confirm in case.revealed.items() if confirm}
    if not case.requester or case.assigned != 1:
        yield f"was submitted by {_short(case.requester)} and assigned {case.assigned} times"
    if (2 * len(confirmers) > said["assigned"]) is not (name == "spatial.confirmed"):
        yield f"is {name} by {len(confirmers)} of {said['assigned']}"
    if name == "spatial.confirmed":
        if len(said["workers"]) != len(set(said["workers"])) or set(said["workers"]) != confirmers:
            yield "names other workers than those who revealed that they confirm"
        if said["requester"] != case.requester or case.requester in confirmers:
            yield "has another requester, or one that confirmed it"


def money_from_nowhere(network: Network, chain: Chain, final_state: WorldState) -> list[str]:
    """All balances and what contracts hold are those of genesis, what was minted, and a reward a block."""
    minted = sum(said["amount"] for _, events in _said(chain) for name, said in events if name == "accounts.minted")
    expected = supply(network.state) + minted + len(chain) * network.genesis.ledger.block_reward
    found = supply(final_state)
    return [] if found == expected else [f"there are {found} micro-credits, accounted for are {expected}"]


def executed_alone(network: Network, chain: Chain, final_state: WorldState) -> list[str]:
    """Carried out anew from genesis, without what replicas of the process share, the chain does what its blocks say."""
    shared, APPLIED.enabled = APPLIED.enabled, False
    state = network.state
    depth = network.genesis.ledger.finality_depth
    ids = [network.id, *(block_id(block.header) for block, _ in chain)]
    try:
        for block, receipts in chain:

            def final_ids(height: int, executing: int = block.header.height) -> BlockId | None:
                return ids[height] if 0 <= height <= executing - depth else None

            applied = apply_block(network, state, block, final_ids=final_ids)  # raises when a root differs
            if applied.receipts != tuple(receipts):
                return [f"block {block.header.height} gives other receipts"]
            state = applied.state
    finally:
        APPLIED.enabled = shared
    same = dict(state.scan(b"")) == dict(final_state.scan(b""))
    return [] if same else ["the final state is not what the blocks give"]


def _said(chain: Chain) -> Iterator[tuple[Receipt, list[tuple[str, dict[str, Any]]]]]:
    """Each receipt with its events by name."""
    for _, receipts in chain:
        for receipt in receipts:
            yield receipt, [(f"{event.contract}.{event.name}", event_fields(event)) for event in receipt.events]


def _sender(chain: Chain, tx_id: bytes) -> bytes:
    return next(t.sender for block, _ in chain for t in block.transactions if transaction_id(t) == tx_id)


def _short(id_: bytes) -> str:
    return id_.hex()[:16]
