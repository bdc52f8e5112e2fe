"""What a topic's messages must satisfy before an actor passes them on: one commented rule a check, cheap ones first.

IGNORE is for what nobody can be blamed for; REJECT for what is provably wrong, and costs the peer that sent it.
Each judge is pure: it looks at the message and at what it is given, and changes nothing. The second half of a
verdict is the reason, empty for ACCEPT.
"""

from collections.abc import Container
from typing import Protocol

from actors.messages import Notice, read
from chain.codec import decode_block, decode_transaction
from chain.errors import InvalidBlockError, MalformedError, Refused
from chain.keys import check_transaction
from chain.ledger import HeaderStatus
from chain.ledgers.ordered.values import Envelope, decode_envelope
from chain.values import Block, BlockId
from net.gossip.events import Message, Verdict

Judgement = tuple[Verdict, str]
ACCEPTED: Judgement = (Verdict.ACCEPT, "")
KNOWN: Judgement = (Verdict.IGNORE, "known")
"""Of a block that came another way: whoever catches up may have asked for it before it arrives."""


class Blocks(Protocol):
    """The part of a ledger core that judges blocks."""

    def check_block(self, block: Block, now_ms: int) -> HeaderStatus:
        """See `chain.ledger.LedgerCore.check_block`. Raises InvalidBlockError."""


class Envelopes(Protocol):
    """The part of an ordered ledger's core that judges envelopes."""

    def check_envelope(self, envelope: Envelope, now_ms: int) -> None:
        """See `chain.ledgers.ordered.ledger.OrderedLedger.check_envelope`. Raises Refused."""


PROVABLE_OF_ENVELOPES = frozenset({"wrong_chain", "bad_signature", "other_proposal", "signed_twice", "too_much_gas"})
"""What is wrong with an envelope whoever looks at it, and whenever."""


def judge_envelope(message: Message, ledger: Envelopes, now_ms: int) -> Judgement:
    """An endorsed transaction on its way to orderers."""
    # [REJECT] It is the canonical encoding of an envelope, within its bound.
    try:
        envelope = decode_envelope(message.data)
    except MalformedError as error:
        return Verdict.REJECT, f"malformed envelope: {error}"
    try:
        ledger.check_envelope(envelope, now_ms)
    except Refused as refused:
        # [REJECT] It is for this network, its sender signed it, and the response in it is to this very proposal, and one
        # that a call can have.
        if refused.reason in PROVABLE_OF_ENVELOPES:
            return Verdict.REJECT, refused.reason
        # [IGNORE] It is too old or committed, or its sender may not write: clocks, heads and configurations differ.
        return Verdict.IGNORE, refused.reason
    return ACCEPTED


def judge_transaction(message: Message, chain: BlockId) -> Judgement:
    """A transaction on its way to miners."""
    # [REJECT] It is the canonical encoding of a transaction, within its bound.
    try:
        transaction = decode_transaction(message.data)
    except MalformedError as error:
        return Verdict.REJECT, f"malformed transaction: {error}"
    # [REJECT] It is for this network and its sender signed it.
    try:
        check_transaction(transaction, chain)
    except Refused as refused:
        return Verdict.REJECT, refused.reason
    return ACCEPTED


def judge_block(message: Message, ledger: Blocks, now_ms: int) -> Judgement:
    """A block that was just mined, or cut."""
    # [REJECT] It is the canonical encoding of a block, within its bound.
    try:
        block = decode_block(message.data)
    except MalformedError as error:
        return Verdict.REJECT, f"malformed block: {error}"
    # [REJECT] It obeys every rule that can be checked without executing it; on proof of work, the work of its header first.
    try:
        status = ledger.check_block(block, now_ms)
    except InvalidBlockError as error:
        return Verdict.REJECT, str(error)
    # [IGNORE] Its time is too far ahead: it may become valid, but not on our word.
    if status is HeaderStatus.TOO_EARLY:
        return Verdict.IGNORE, "too early"
    # [IGNORE] It is known already, or forks off below what is final.
    if status is HeaderStatus.KNOWN:
        return KNOWN
    if status is HeaderStatus.STALE:
        return Verdict.IGNORE, "stale"
    # A block whose parent is missing has its work, or its seal, all the same: pass it on, and catch up. One that orderers
    # signed beside another of that height proves a lie, and everybody should know.
    return ACCEPTED


def judge_notice(message: Message, topic: str, mec_nodes: Container[bytes], topic_of: "TopicOf") -> Judgement:
    """News of a report in a cell."""
    # [REJECT] It is the canonical encoding of a notice.
    try:
        notice = read(Notice, message.data)
    except MalformedError as error:
        return Verdict.REJECT, f"malformed notice: {error}"
    # [REJECT] It is about this cell.
    try:
        about = topic_of(notice.lat_e7, notice.lon_e7)
    except ValueError as error:
        return Verdict.REJECT, f"a notice of nowhere: {error}"
    if about != topic:
        return Verdict.REJECT, "a notice of another cell"
    # [IGNORE] Its publisher is an enrolled MEC node; one that enrolled a moment ago may be unknown here.
    if message.source.public_key not in mec_nodes:
        return Verdict.IGNORE, "not published by a known MEC node"
    return ACCEPTED


class TopicOf(Protocol):
    """From a place in E7 to the topic of its cell."""

    def __call__(self, lat_e7: int, lon_e7: int, /) -> str:
        """Raises ValueError for a place outside the globe."""
