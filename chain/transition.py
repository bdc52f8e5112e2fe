"""From state to state: one transaction, one block, and assembling a block to mine.

A transaction with a bad signature, of another chain, or with the wrong nonce makes its block invalid. One that its
contract refuses is in the block with a receipt that says why, and has used its nonce up.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from chain.codec import encode, header_prefix, transaction_id
from chain.contract import BlockIdAt, Context, Registry, bounded_detail, nonce_key
from chain.contracts.accounts import nonce_of
from chain.errors import InvalidBlockError, Refused
from chain.gas import Meter, intrinsic_gas
from chain.genesis import Network
from chain.keys import check_transaction
from chain.ledgers.pow.rules import check_bare
from chain.merkle import receipts_root, transactions_root
from chain.state import Version, WorldState
from chain.values import Account, Block, BlockId, Header, Receipt, Transaction, TxId

HEADER_VERSION = 1
_NIL = encode(None)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a block did."""

    state: WorldState
    receipts: tuple[Receipt, ...]


def execute(
    registry: Registry,
    state: WorldState,
    transaction: Transaction,
    *,
    height: int,
    index: int,
    time_ms: int,
    gas_limit: int,
    final_ids: BlockIdAt,
) -> tuple[WorldState, Receipt]:
    """Run one transaction whose signature and nonce are right; both are the caller's to check.

    A refused one costs what it had used, without refunds: what they were for is undone. Out of gas, that is all its limit.
    """
    version = Version(height, index)
    next_nonce = {nonce_key(transaction.sender): encode(transaction.nonce + 1)}
    tx = transaction_id(transaction)
    meter = Meter(gas_limit)
    context = Context(
        state,
        transaction.contract,
        sender=transaction.sender,
        tx=tx,
        time_ms=time_ms,
        block_id_at=final_ids,
        gas=meter,
    )
    try:
        meter.charge(intrinsic_gas(transaction.args))
        result = registry.run(context, transaction.contract, transaction.method, transaction.args)
    except Refused as refusal:
        receipt = Receipt(tx, False, refusal.reason, bounded_detail(refusal), _NIL, meter.used, ())
        return state.apply(next_nonce, version), receipt
    receipt = Receipt(tx, True, "", "", result, meter.spent, tuple(context.events))
    return state.apply(context.writes | next_nonce, version), receipt


def reward(network: Network, state: WorldState, producer: Account, version: Version) -> WorldState:
    """The state after the block reward was minted for the producer."""
    context = Context(state, "accounts", sender=producer, tx=TxId(bytes(32)), time_ms=0, block_id_at=lambda _: None)
    context.pay(producer, network.genesis.ledger.block_reward)
    return state.apply(context.writes, version)


class AppliedBlocks:
    """What blocks did, for the replicas of one process: the first one that applies a block works for all.

    The key is the header without its nonce: it commits to the parent, and so to all that came before, to the
    transactions with their signatures, and to the resulting state; and the contracts, to which no header commits. Only
    results that fit the header are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.enabled = True
        self._capacity = capacity
        self._results: OrderedDict[tuple[bytes, bytes, Registry], Applied] = OrderedDict()

    def get(self, header: Header, parent_root: bytes, contracts: Registry) -> Applied | None:
        return self._results.get(self._key(header, parent_root, contracts)) if self.enabled else None

    def keep(self, header: Header, parent_root: bytes, contracts: Registry, applied: Applied) -> None:
        if not self.enabled:
            return
        self._results[self._key(header, parent_root, contracts)] = applied
        if len(self._results) > self._capacity:
            self._results.popitem(last=False)

    def clear(self) -> None:
        self._results.clear()

    @staticmethod
    def _key(header: Header, parent_root: bytes, contracts: Registry) -> tuple[bytes, bytes, Registry]:
        return sha256(header_prefix(header)).digest(), parent_root, contracts


APPLIED = AppliedBlocks(capacity=256)
"""This process's memory. `APPLIED.enabled = False` makes every replica do its own work, with equal results."""


class Beginnings:
    """What the first transactions of blocks to be did, for the miners of one process.

    Miners whose blocks begin alike, on one parent and at one time, execute what they have in common once. The key
    stands for all of that: the parent and its state, the time, and the transactions so far, in order; with the contracts.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._after: OrderedDict[tuple[bytes, Registry], tuple[WorldState, Receipt]] = OrderedDict()

    @staticmethod
    def start(parent: BlockId, parent_root: bytes, time_ms: int) -> bytes:
        """The key of a block without transactions."""
        return sha256(parent + parent_root + time_ms.to_bytes(8, "big")).digest()

    @staticmethod
    def next(key: bytes, transaction: Transaction) -> bytes:
        """The key with one more transaction, signature included."""
        return sha256(key + encode(transaction)).digest()

    def get(self, key: bytes, contracts: Registry) -> tuple[WorldState, Receipt] | None:
        """The state after the transactions of `key`, and the last one's receipt."""
        return self._after.get((key, contracts)) if APPLIED.enabled else None

    def keep(self, key: bytes, contracts: Registry, after: tuple[WorldState, Receipt]) -> None:
        self._after[key, contracts] = after
        if len(self._after) > self._capacity:
            self._after.popitem(last=False)

    def __len__(self) -> int:
        return len(self._after)

    def clear(self) -> None:
        self._after.clear()


BEGINNINGS = Beginnings(capacity=1_024)
"""This process's memory; `APPLIED.enabled` turns it off too."""


def apply_block(network: Network, parent_state: WorldState, block: Block, *, final_ids: BlockIdAt) -> Applied:
    """Run a block on its parent's state and check it against its header.

    Checks what the body must hold: size, transactions, roots. Parent, time, difficulty, quota and proof of work are
    the ledger's. Raises InvalidBlockError.
    """
    header = block.header
    rules = network.pow
    check_bare(block)
    if len(block.transactions) > rules.max_block_transactions:
        raise InvalidBlockError(f"{len(block.transactions)} transactions, allowed are {rules.max_block_transactions}")
    if transactions_root(block.transactions) != header.transactions_root:
        raise InvalidBlockError("transactions_root does not fit the transactions")
    if (known := APPLIED.get(header, parent_state.root, network.registry)) is not None:
        return known
    if len(encode(block)) > rules.max_block_bytes:
        raise InvalidBlockError(f"more than {rules.max_block_bytes} bytes")

    state = parent_state
    receipts = []
    gas_used = 0
    for index, transaction in enumerate(block.transactions):
        try:
            check_transaction(transaction, network.id)
        except Refused as refusal:
            raise InvalidBlockError(f"transaction {index}: {refusal}") from None
        expected = nonce_of(state, transaction.sender)
        if transaction.nonce != expected:
            raise InvalidBlockError(f"transaction {index}: nonce {transaction.nonce}, expected {expected}")
        state, receipt = execute(
            network.registry,
            state,
            transaction,
            height=header.height,
            index=index,
            time_ms=header.time_ms,
            gas_limit=rules.max_transaction_gas,
            final_ids=final_ids,
        )
        gas_used += receipt.gas
        if gas_used > rules.max_block_gas:
            raise InvalidBlockError(f"transaction {index}: more than {rules.max_block_gas} gas in the block")
        receipts.append(receipt)
    state = reward(network, state, header.producer, Version(header.height, len(block.transactions)))

    if receipts_root(receipts) != header.receipts_root:
        raise InvalidBlockError("receipts_root does not fit the receipts")
    if state.root != header.state_root:
        raise InvalidBlockError("state_root does not fit the state")
    applied = Applied(state, tuple(receipts))
    APPLIED.keep(header, parent_state.root, network.registry, applied)
    return applied


def assemble(
    network: Network,
    parent: Header,
    parent_id: BlockId,
    parent_state: WorldState,
    transactions: Iterable[Transaction],
    *,
    time_ms: int,
    producer: Account,
    difficulty: int,
    final_ids: BlockIdAt,
) -> tuple[Block, Applied]:
    """A block on top of `parent` with nonce 0, to be mined, of as many `transactions` as fit and have the next nonce.

    Their signatures were checked by the mempool. Any nonce that is found later leaves what it did unchanged.
    """
    rules = network.pow
    height = parent.height + 1
    state = parent_state
    taken: list[Transaction] = []
    receipts: list[Receipt] = []
    room = rules.max_block_bytes - 512  # header and array heads
    gas = rules.max_block_gas
    key = Beginnings.start(parent_id, parent_state.root, time_ms)
    for transaction in transactions:
        if len(taken) == rules.max_block_transactions:
            break
        size = len(encode(transaction))
        if size > room or transaction.nonce != nonce_of(state, transaction.sender):
            continue
        room -= size
        longer = Beginnings.next(key, transaction)
        after = BEGINNINGS.get(longer, network.registry)
        if after is None:
            after = execute(
                network.registry,
                state,
                transaction,
                height=height,
                index=len(taken),
                time_ms=time_ms,
                gas_limit=rules.max_transaction_gas,
                final_ids=final_ids,
            )
            BEGINNINGS.keep(longer, network.registry, after)
        gas -= after[1].gas
        if gas < 0:
            break  # it is first in the next block: looking for a smaller one would execute in vain, and be unfair
        key = longer
        state, receipt = after
        taken.append(transaction)
        receipts.append(receipt)
    _ = state.root  # summed up to here once for all who have this state; the reward differs
    state = reward(network, state, producer, Version(height, len(taken)))
    header = Header(
        version=HEADER_VERSION,
        height=height,
        parent=parent_id,
        time_ms=time_ms,
        transactions_root=transactions_root(taken),
        receipts_root=receipts_root(receipts),
        state_root=state.root,
        producer=producer,
        difficulty=difficulty,
        nonce=0,
    )
    applied = Applied(state, tuple(receipts))
    APPLIED.keep(header, parent_state.root, network.registry, applied)
    return Block(header, tuple(taken), (), b""), applied
