"""What an envelope must be for a peer to keep, relay or order it, before anybody looks at what it would do.

Whatever passes here and is invalid all the same takes room in a block. So outsiders must not be able to make such: what is
ordered carries the signature of an endorser, who refuses what cannot be.
"""

from functools import lru_cache

from chain.codec import transaction_id
from chain.errors import Refused
from chain.keys import check_transaction, remembers_signatures
from chain.ledgers.ordered.access import check_writer, signers, unsatisfied, untimely
from chain.ledgers.ordered.assemble import is_signed
from chain.ledgers.ordered.channel import OrderedRules, config_of
from chain.ledgers.ordered.cut import largest_message
from chain.ledgers.ordered.endorse import seen_key
from chain.ledgers.ordered.values import (
    ENDORSEMENT,
    Envelope,
    encoded_evidence,
    proposal_digest,
    proposal_of,
    response_digest,
)
from chain.state import WorldState
from chain.values import MAX_EVIDENCE_BYTES, BlockId


def check_envelope(rules: OrderedRules, chain: BlockId, state: WorldState, envelope: Envelope, now_ms: int) -> None:
    """What a relay or an orderer can see wrong with an envelope. Raises Refused.

    Provably wrong: ``wrong_chain``, ``bad_signature`` (of transaction, envelope or an endorsement), ``other_proposal``,
    ``signed_twice``, ``too_much_gas`` (endorsers that keep to the rules state no more than a call may cost). The channel may have moved on: ``envelope_too_large``, ``proposal_expired``, ``duplicate_txid``,
    ``not_endorsed``, and what `check_writer` and `msp.Identities.principal` say.
    """
    transaction, evidence = envelope.transaction, envelope.evidence
    config = config_of(state)
    (_check_sound if remembers_signatures() else _check_sound.__wrapped__)(envelope, chain)
    if (gas := evidence.response.gas) > rules.max_transaction_gas:
        raise Refused("too_much_gas", f"{gas} are stated, allowed are {rules.max_transaction_gas}")
    check_size(envelope, largest_message(config.batch))
    check_writer(config, evidence.creator, transaction.sender, now_ms)
    if (late := untimely(rules, envelope, now_ms)) is not None:
        raise Refused("proposal_expired", f"{late}, here it is {now_ms}")
    tx = transaction_id(transaction)
    if seen_key(transaction.nonce, tx) in state:
        raise Refused("duplicate_txid", tx.hex())
    if not signers(config, evidence.endorsements, ENDORSEMENT, response_digest(evidence.response), now_ms):
        raise Refused("not_endorsed", "nobody endorsed it")


@lru_cache(maxsize=4_096)
def _check_sound(envelope: Envelope, chain: BlockId) -> None:
    """What depends on its bytes alone: remembered when it is good, for each replica of a process asks. Raises Refused."""
    check_transaction(envelope.transaction, chain)
    if not is_signed(envelope):
        raise Refused("bad_signature", "the envelope is not signed by its sender")
    if envelope.evidence.response.proposal != proposal_digest(proposal_of(envelope)):
        raise Refused("other_proposal", "the endorsed response is to another proposal")


def check_size(envelope: Envelope, limit: int) -> None:
    """Whether a block has room for it: evidence of MAX_EVIDENCE_BYTES and `limit` bytes in all. Raises Refused."""
    evidence, size = encoded_evidence(envelope)
    if len(evidence) > MAX_EVIDENCE_BYTES or size > limit:
        raise Refused(
            "envelope_too_large",
            f"{size} bytes, {len(evidence)} of evidence; allowed are {limit}, {MAX_EVIDENCE_BYTES}",
        )


def check_endorsed(state: WorldState, envelope: Envelope, now_ms: int) -> None:
    """Whether it has all endorsements that it needs in this state. Raises Refused (``endorsement_policy_failure``)."""
    config, response = config_of(state), envelope.evidence.response
    endorsers = signers(config, envelope.evidence.endorsements, ENDORSEMENT, response_digest(response), now_ms)
    if (policy := unsatisfied(config, state, envelope.transaction.contract, response, endorsers)) is not None:
        raise Refused("endorsement_policy_failure", f"{len(endorsers)} endorsements do not satisfy {policy}")
