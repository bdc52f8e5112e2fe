"""The endorser's part: look at a proposal, simulate it on the committed state, sign what it would do.

Nothing is written. What the contract read goes along, with versions, so that committing peers can tell whether it would
still do the same.
"""

from dataclasses import dataclass
from hashlib import sha256

from nacl.signing import SigningKey

from chain.codec import encode, transaction_id
from chain.contract import BlockIdAt, Context, RangeRead, Registry
from chain.errors import Refused
from chain.gas import Meter, intrinsic_gas
from chain.keys import check_transaction
from chain.ledgers.ordered.access import check_writer
from chain.ledgers.ordered.channel import OrderedRules, config_of
from chain.ledgers.ordered.msp import Certificate, Signed
from chain.ledgers.ordered.values import (
    ENDORSEMENT,
    MAX_EVENTS,
    MAX_KEY_BYTES,
    MAX_RANGES,
    MAX_READS,
    MAX_WRITES,
    Proposal,
    RangeItem,
    ReadItem,
    Response,
    WriteItem,
    made_ms,
    proposal_digest,
    response_digest,
)
from chain.state import Version, WorldState
from chain.values import MAX_DETAIL, MAX_EVIDENCE_BYTES, BlockId

ROOM_FOR_ENDORSEMENTS = 24 * 1024
"""What of the evidence is left for those who sign it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A member's key and certificate: what a node signs endorsements, seals and attestations with."""

    certificate: Certificate
    key: SigningKey

    def sign(self, domain: bytes, digest: bytes) -> Signed:
        return Signed(self.certificate, self.key.sign(domain + digest).signature)


def check_proposal(rules: OrderedRules, chain: BlockId, state: WorldState, proposal: Proposal, now_ms: int) -> None:
    """What does not depend on the contract: signature, network, membership, time, and whether it was committed already.

    Raises Refused: ``wrong_chain``, ``bad_signature``, ``proposal_expired``, ``clock_skew``, ``duplicate_txid``, or
    what `check_writer` says.
    """
    transaction = proposal.transaction
    check_transaction(transaction, chain)
    check_writer(config_of(state), proposal.creator, transaction.sender, now_ms)
    made = made_ms(transaction)
    if not now_ms - rules.proposal_ttl_ms <= made <= now_ms + rules.max_skew_ms:
        raise Refused("proposal_expired", f"made at {made}, here it is {now_ms}")
    if abs(proposal.time_ms - now_ms) > rules.max_skew_ms:
        raise Refused("clock_skew", f"time_ms is {proposal.time_ms}, here it is {now_ms} ± {rules.max_skew_ms}")
    tx = transaction_id(transaction)
    if seen_key(transaction.nonce, tx) in state:
        raise Refused("duplicate_txid", tx.hex())


def simulate(
    registry: Registry, state: WorldState, proposal: Proposal, *, gas_limit: int, final_ids: BlockIdAt
) -> Response:
    """What the proposal would do after `state`.

    Raises Refused for what its contract refuses, when it does too much (``response_too_large``, ``out_of_gas``), or when
    the contract breaks (``contract_failed``): nobody replays a simulation, so nothing depends on its being the same bug.
    Where proof of work charges a call that ran out of gas with its limit, here nothing is ordered, and no block has less
    room for others: the refusal names the limit, and what it cost was the endorser's time, up to that limit.

    The gas is that of the state that the endorser has. It stays right as long as the response is valid, but for what is
    written unread: nobody checks what was there.
    """
    transaction = proposal.transaction
    meter = Meter(gas_limit)
    context = Context(
        state,
        transaction.contract,
        sender=transaction.sender,
        tx=transaction_id(transaction),
        time_ms=proposal.time_ms,
        block_id_at=final_ids,
        gas=meter,
    )
    meter.charge(intrinsic_gas(transaction.args))
    try:
        result = registry.run(context, transaction.contract, transaction.method, transaction.args)
    except Refused:
        raise
    except Exception as error:
        raise Refused("contract_failed", f"{type(error).__name__}: {error}"[:MAX_DETAIL]) from error
    reads = tuple(ReadItem(key, _plain(version)) for key, version in sorted(context.reads.items()))
    writes = tuple(WriteItem(key, value) for key, value in sorted(context.writes.items()))
    for name, count, limit in (
        ("reads", len(reads), MAX_READS),
        ("ranges", len(context.ranges), MAX_RANGES),
        ("writes", len(writes), MAX_WRITES),
        ("events", len(context.events), MAX_EVENTS),
        ("bytes in a key", _longest_key(context), MAX_KEY_BYTES),
    ):
        if count > limit:
            raise Refused("response_too_large", f"{count} {name}, allowed are {limit}")
    response = Response(
        proposal=proposal_digest(proposal),
        reads=reads,
        ranges=tuple(_item(trace) for trace in context.ranges),
        writes=writes,
        events=tuple(context.events),
        result=result,
        gas=meter.spent,
    )
    size = len(encode(response))
    if size > MAX_EVIDENCE_BYTES - ROOM_FOR_ENDORSEMENTS:
        limit = MAX_EVIDENCE_BYTES - ROOM_FOR_ENDORSEMENTS
        raise Refused("response_too_large", f"{size} bytes, allowed are {limit}")
    return response


def endorse(signer: Signer, response: Response) -> Signed:
    """An endorser's signature under what it found."""
    return signer.sign(ENDORSEMENT, response_digest(response))


def range_digest(found: list[tuple[bytes, Version]]) -> bytes:
    """What a range read says of the keys and versions that it found."""
    return sha256(encode([(key, version.height, version.index) for key, version in found])).digest()


def seen_key(nonce: int, tx: bytes) -> bytes:
    """Where the state remembers that a transaction was ordered, until no other of its age can be: sorted by time made."""
    return b"seen/" + nonce.to_bytes(8, "big") + tx


def _longest_key(context: Context) -> int:
    longest = max(map(len, [*context.reads, *context.writes]), default=0)
    for trace in context.ranges:
        longest = max(longest, len(trace.prefix), len(trace.start), *(len(key) for key, _ in trace.found[-1:]))
    return longest


def _plain(version: Version | None) -> tuple[int, int] | None:
    return None if version is None else (version.height, version.index)


def _item(trace: RangeRead) -> RangeItem:
    last = b"" if trace.exhausted or not trace.found else trace.found[-1][0]
    return RangeItem(trace.prefix, trace.start, last, trace.exhausted, len(trace.found), range_digest(trace.found))
