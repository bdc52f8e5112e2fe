"""Blocks of an ordered ledger: how orderers make them, and what peers demand of one before they commit it."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from chain.codec import block_id, encode
from chain.errors import InvalidBlockError, MalformedError, Refused
from chain.ledgers.ordered.access import signers
from chain.ledgers.ordered.channel import ChannelConfig, OrderedRules
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.msp import Signed
from chain.ledgers.ordered.policy import Policy
from chain.ledgers.ordered.values import SEAL, Batch, decode_evidence, decode_seal
from chain.merkle import transactions_root
from chain.values import MAX_BLOCK_BYTES, Account, Block, BlockId, Header, Transaction

HEADER_VERSION = 1
NO_ROOT = bytes(32)
"""Orderers do not execute: receipts and state are what peers attest."""


def build_block(parent: Header, parent_id: BlockId, batch: Batch, index: int) -> Block:
    """The block that a batch becomes, the same at every orderer, without a seal.

    `index` is the batch's place in the orderers' log; a restarted orderer sees in its head how far it had come.
    """
    header = Header(
        version=HEADER_VERSION,
        height=parent.height + 1,
        parent=parent_id,
        time_ms=max(batch.time_ms, parent.time_ms + 1),
        transactions_root=_root(batch.transactions, batch.evidence),
        receipts_root=NO_ROOT,
        state_root=NO_ROOT,
        producer=Account(batch.producer),
        difficulty=1,
        nonce=index,
    )
    return Block(header, batch.transactions, batch.evidence, b"")


@lru_cache(maxsize=16)
def _root(transactions: tuple[Transaction, ...], evidence: tuple[bytes, ...]) -> bytes:
    """Remembered, for all replicas of a process ask for it, and an orderer does so twice."""
    return transactions_root(transactions, evidence)


def sealed(block: Block, seals: Iterable[Signed]) -> Block:
    """The block with these signatures as its seal, one an account."""
    by_account = {signed.certificate.account: signed for signed in seals}
    seal = encode(tuple(by_account[account] for account in sorted(by_account)))
    return Block(block.header, block.transactions, block.evidence, seal)


def seal(block: Block, signer: Signer) -> Block:
    """The block with an orderer's signature."""
    return sealed(block, [signer.sign(SEAL, block_id(block.header))])


def check_body(block: Block, rules: OrderedRules) -> None:
    """Whether a block is what its header says, and of a shape that an orderer makes. Raises InvalidBlockError.

    How much is in it by the channel's batches is the orderers' business, as in Fabric: a batch that was cut before the
    limits were lowered must not stop the channel. Whatever they are, no block is larger than MAX_BLOCK_BYTES, nor costs
    more than genesis allows.
    """
    header = block.header
    shape = (
        (header.version == HEADER_VERSION, f"version is {header.version}"),
        (header.height > 0, "height is 0"),
        (header.difficulty == 1, f"difficulty is {header.difficulty}, on an ordered ledger it is 1"),
        (header.receipts_root == NO_ROOT and header.state_root == NO_ROOT, "orderers know no receipts and no state"),
        (len(block.evidence) == len(block.transactions), f"{len(block.evidence)} pieces of evidence"),
    )
    for good, why in shape:
        if not good:
            raise InvalidBlockError(why)
    if _root(block.transactions, block.evidence) != header.transactions_root:
        raise InvalidBlockError("transactions_root does not fit the transactions")
    if (size := len(encode(block))) > MAX_BLOCK_BYTES:
        raise InvalidBlockError(f"{size} bytes, allowed are {MAX_BLOCK_BYTES}")
    check_gas(block, rules)


def check_gas(block: Block, rules: OrderedRules) -> None:
    """Whether what its calls cost, as their endorsers state it, is no more than a block may. Raises InvalidBlockError.

    Evidence that is none costs nothing, and does nothing.
    """
    gas = sum(stated_gas(evidence) for evidence in block.evidence)
    if gas > rules.max_block_gas:
        raise InvalidBlockError(f"{gas} gas, allowed are {rules.max_block_gas}")


@lru_cache(maxsize=1_024)
def stated_gas(evidence: bytes) -> int:
    """What a transaction cost its endorsers; 0 where they cannot be understood.

    Remembered by the process: all of its replicas ask it of every block, and reading evidence takes as long as applying it.
    """
    try:
        return decode_evidence(evidence).response.gas
    except MalformedError:
        return 0


def check_child(parent: Header, parent_id: BlockId, header: Header) -> None:
    """Whether a header follows its parent. Raises InvalidBlockError."""
    if header.height != parent.height + 1 or header.parent != parent_id:
        raise InvalidBlockError(f"block {header.height} does not follow block {parent.height}")
    if header.time_ms <= parent.time_ms:
        raise InvalidBlockError(f"time {header.time_ms} is not after the parent's, {parent.time_ms}")
    if header.nonce <= parent.nonce:
        raise InvalidBlockError(f"log index {header.nonce} is not after the parent's, {parent.nonce}")


def seals_of(block: Block, config: ChannelConfig) -> Sequence[Signed]:
    """The signatures under a block, all of orderers of the channel. Raises InvalidBlockError when one is not."""
    try:
        seals = decode_seal(block.seal)
        signers(config, seals, SEAL, block_id(block.header), block.header.time_ms)
    except (MalformedError, Refused) as error:
        raise InvalidBlockError(f"seal: {error}") from None
    for one in (*(signed.certificate.account for signed in seals), block.header.producer):
        if one not in config.orderers:
            raise InvalidBlockError(f"{one.hex()[:16]} is no orderer of the channel")
    return seals


def is_sealed(block: Block, seals: Sequence[Signed], config: ChannelConfig) -> bool:
    """Whether the signatures, which `seals_of` returned, are enough for the channel's `blocks` policy."""
    principals = signers(config, seals, SEAL, block_id(block.header), block.header.time_ms)
    return Policy.parse(config.policies.blocks).satisfied(principals)
