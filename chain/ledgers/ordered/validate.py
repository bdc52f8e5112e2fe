"""Committing: what a block's transactions come to. The same on every peer, from the state before it and the block alone.

In order, each transaction gets a code. Checked are its evidence, both signatures and the right to write, that it is no
duplicate and not too old, its endorsement policies, and that what it read is still so: versions of keys (MVCC) and
whole ranges (phantoms). Valid ones change the state; the others stay in the block and change nothing but that their ids
are used up. A transaction sees those before it in the block, as in Fabric: whoever read what one of them wrote is in conflict.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chain.codec import encode, transaction_id
from chain.contract import key_policy_key
from chain.errors import MalformedError, Refused
from chain.gas import REFUND_QUOTIENT
from chain.genesis import Network
from chain.keys import has_valid_signature
from chain.ledgers.ordered.access import check_writer, owner_of, signers, subject_of, unsatisfied, untimely
from chain.ledgers.ordered.assemble import is_signed
from chain.ledgers.ordered.channel import CHANNEL_KEY, ChannelConfig, OrderedRules, config_of
from chain.ledgers.ordered.endorse import range_digest, seen_key
from chain.ledgers.ordered.policy import Policy, PolicyError
from chain.ledgers.ordered.update import check_update
from chain.ledgers.ordered.values import (
    ENDORSEMENT,
    NONCE_RANDOM_BITS,
    Envelope,
    RangeItem,
    Response,
    ValidationCode,
    WriteItem,
    decode_evidence,
    proposal_digest,
    proposal_of,
    response_digest,
)
from chain.state import Version, WorldState
from chain.storage_gas import LEAST_STEP
from chain.transition import APPLIED, Applied
from chain.values import MAX_DETAIL, MAX_INT, Block, Receipt, Transaction, TxId

_NIL = encode(None)
_SEEN = b"seen/"
_RESERVED = (b"accounts/nonce/", key_policy_key(CHANNEL_KEY))
"""Parts of the state that no contract writes, beside what belongs to none. A policy of the configuration's own would let
endorsers lock the admins out."""


class Invalid(Exception):
    """A transaction that changes nothing: the code, and which value it was."""

    def __init__(self, code: ValidationCode, detail: str) -> None:
        super().__init__(f"{code.name}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Scene:
    """What all transactions of a block are judged by."""

    rules: OrderedRules
    config: ChannelConfig
    network: Network
    at_ms: int
    """The block's time: certificates and proposals expire by it, the same for all peers."""


def commit(network: Network, parent_state: WorldState, block: Block) -> Applied:
    """The state after a block whose header and seal are good, and what became of its transactions.

    Never raises for what a block may hold. Remembered among the replicas of a process (`chain.transition.APPLIED`).
    """
    header = block.header
    known = APPLIED.get(header, parent_state.root, network.registry)
    if known is not None:
        return known
    scene = _Scene(network.ordered, config_of(parent_state), network, header.time_ms)
    state = _forget(parent_state, scene, Version(header.height, len(block.transactions)))
    receipts: list[Receipt] = []
    for index, (transaction, evidence) in enumerate(zip(block.transactions, block.evidence, strict=True)):
        tx = transaction_id(transaction)
        writes: dict[bytes, bytes | None] = {}
        try:
            envelope = examine(scene, transaction, evidence)
            # Its sender wants it, so its id is used up, whatever comes of it: one that is in conflict now must not take
            # effect when it is ordered again later, for its sender has been told that it did not (Fabric does so too).
            writes[seen_key(transaction.nonce, tx)] = b""
            check_current(scene, state, tx, envelope)
        except Invalid as invalid:
            receipt = Receipt(tx, False, invalid.code.value, f"{invalid.detail}"[:MAX_DETAIL], _NIL, 0, ())
            if invalid.code is ValidationCode.DUPLICATE_TXID:
                writes = {}
        else:
            response = envelope.evidence.response
            writes |= {write.key: write.value for write in response.writes}
            receipt = Receipt(tx, True, "", "", response.result, response.gas, response.events)
        if writes:
            state = state.apply(writes, Version(header.height, index))
        receipts.append(receipt)
    applied = Applied(state, tuple(receipts))
    APPLIED.keep(header, parent_state.root, network.registry, applied)
    return applied


def examine(scene: _Scene, transaction: Transaction, evidence: bytes) -> Envelope:
    """What can be said of a transaction without the state. Raises Invalid."""
    code = ValidationCode
    try:
        envelope = Envelope(transaction, decode_evidence(evidence))
    except MalformedError as error:
        raise Invalid(code.BAD_PAYLOAD, str(error)) from None
    if transaction.chain != scene.network.id or not has_valid_signature(transaction):
        raise Invalid(code.BAD_CREATOR_SIGNATURE, "the transaction is not signed by its sender for this network")
    if not is_signed(envelope):
        raise Invalid(code.BAD_CREATOR_SIGNATURE, "the envelope is not signed by its sender")
    try:
        check_writer(scene.config, envelope.evidence.creator, transaction.sender, scene.at_ms)
    except Refused as refused:
        raise Invalid(code.BAD_CREATOR_SIGNATURE, str(refused)) from None
    if envelope.evidence.response.proposal != proposal_digest(proposal_of(envelope)):
        raise Invalid(code.BAD_PROPOSAL_TXID, "the endorsed response is to another proposal")
    response = envelope.evidence.response
    _check_gas(scene.rules, response)
    if (late := untimely(scene.rules, envelope, scene.at_ms)) is not None:
        raise Invalid(code.PROPOSAL_EXPIRED, f"{late}, the block is of {scene.at_ms}")
    return envelope


def _check_gas(rules: OrderedRules, response: Response) -> None:
    """Whether endorsers that keep to the rules can have stated that, as far as it shows. Raises Invalid."""
    if response.gas > rules.max_transaction_gas:
        raise Invalid(
            ValidationCode.BAD_PAYLOAD, f"{response.gas} gas is stated, allowed are {rules.max_transaction_gas}"
        )
    # Scans are paid for; those who lie must not make every peer pass over the whole state again and again.
    used = response.gas * REFUND_QUOTIENT // (REFUND_QUOTIENT - 1)
    if (found := sum(item.count for item in response.ranges)) > (steps := used // LEAST_STEP):
        raise Invalid(
            ValidationCode.BAD_PAYLOAD, f"{found} entries are said to be found, {steps} were paid for at most"
        )


def check_current(scene: _Scene, state: WorldState, tx: TxId, envelope: Envelope) -> None:
    """What depends on the state that the transaction meets. Raises Invalid."""
    code = ValidationCode
    transaction, response = envelope.transaction, envelope.evidence.response
    if seen_key(transaction.nonce, tx) in state:
        raise Invalid(code.DUPLICATE_TXID, tx.hex())
    keys = [write.key for write in response.writes]
    if keys != sorted(set(keys)):
        raise Invalid(code.INVALID_WRITESET, "keys are not sorted, or one is written twice")
    for write in response.writes:
        _check_write(scene, write)
    try:
        endorsers = signers(
            scene.config, envelope.evidence.endorsements, ENDORSEMENT, response_digest(response), scene.at_ms
        )
    except Refused as refused:
        raise Invalid(code.ENDORSEMENT_POLICY_FAILURE, str(refused)) from None
    if (policy := unsatisfied(scene.config, state, transaction.contract, response, endorsers)) is not None:
        who = ", ".join(f"{one.organisation}.{one.role}" for one in endorsers) or "nobody"
        raise Invalid(code.ENDORSEMENT_POLICY_FAILURE, f"{who} signed, {policy} is asked for")
    for read in response.reads:
        now = state.version(read.key)
        if read.version != (None if now is None else tuple(now)):
            raise Invalid(code.MVCC_READ_CONFLICT, f"{read.key!r} was {read.version}, is {now and tuple(now)}")
    for item in response.ranges:
        if not _found_again(state, item):
            raise Invalid(code.PHANTOM_READ_CONFLICT, f"the range {item.prefix!r} from {item.start!r}")
    if CHANNEL_KEY in keys:
        _check_configuration(scene, config_of(state), envelope)


def _check_write(scene: _Scene, write: WriteItem) -> None:
    """Whether a contract may write that. Raises Invalid."""
    key = write.key
    subject = subject_of(key)
    if b"/" not in subject or not scene.network.registry.has(owner_of(subject)):
        raise Invalid(ValidationCode.INVALID_WRITESET, f"{key!r} belongs to no contract")
    if key.startswith(_RESERVED):
        raise Invalid(ValidationCode.INVALID_WRITESET, f"{key!r} is the ledger's own")
    if subject != key and write.value is not None:
        try:
            Policy.parse(write.value.decode())
        except (PolicyError, UnicodeDecodeError) as error:
            raise Invalid(ValidationCode.INVALID_WRITESET, f"the policy of {key!r}: {error}") from None


def _check_configuration(scene: _Scene, old: ChannelConfig, envelope: Envelope) -> None:
    """A change of the channel is what the admins of `old`, now in force, signed, whatever endorsers say. Raises Invalid."""
    transaction = envelope.transaction
    written = {write.key: write.value for write in envelope.evidence.response.writes}
    try:
        method = scene.network.registry.method(transaction.contract, transaction.method, is_query=False)
        if (transaction.contract, transaction.method) != ("channel", "update"):
            raise Refused("not_an_update", f"{transaction.contract}.{transaction.method} writes it")
        config, signatures = method.decode_args(transaction.args)
        check_update(old, config, signatures, scene.network.id, scene.at_ms)
        if written != {CHANNEL_KEY: encode(config)}:
            raise Refused("not_an_update", "something else is written than what admins signed")
        if scene.rules.consensus == "solo" and len(config.orderers) != 1:
            raise Refused("invalid_channel", f"{len(config.orderers)} orderers, solo has one")
    except Refused as refused:
        raise Invalid(ValidationCode.INVALID_CONFIG_TRANSACTION, str(refused)) from None


def _found_again(state: WorldState, item: RangeItem) -> bool:
    found: list[tuple[bytes, Version]] = []
    if not item.exhausted and not item.count:
        return True  # it was begun and looked at nothing
    for key, entry in state.scan(item.prefix, start=item.start):
        if not item.exhausted and key > item.last:
            break
        if len(found) == item.count:
            return False
        found.append((key, entry.version))
    return len(found) == item.count and range_digest(found) == item.digest


def _forget(state: WorldState, scene: _Scene, version: Version) -> WorldState:
    """Without the ids of transactions that are so old that no copy of them can be valid any more."""
    oldest = max(0, scene.at_ms - scene.rules.proposal_ttl_ms)
    gone: dict[bytes, bytes | None] = dict.fromkeys(_older(state, oldest))
    return state.apply(gone, version)


def _older(state: WorldState, made: int) -> Iterator[bytes]:
    limit = seen_key(min(made << NONCE_RANDOM_BITS, MAX_INT), b"")
    for key, _ in state.scan(_SEEN):
        if key >= limit:
            return
        yield key
