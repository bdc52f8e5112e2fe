"""What cannot be true given what a node knows: the mark of a peer that is broken, or of one that lost its disk.

Nothing is changed here, so that a refused message leaves no trace. Raft assumes crashes and no lies; this finds those
that would break the log, and cannot find all.
"""

from chain.errors import MalformedError
from chain.ledgers.ordered.raft.log import RaftLog
from chain.ledgers.ordered.raft.messages import (
    Advance,
    Append,
    Appended,
    Entry,
    Heartbeat,
    InstallSnapshot,
    Message,
    Rejected,
    TimeoutNow,
    Vote,
)


def judge(me: bytes, term: int, leader: bytes | None, log: RaftLog, peer: bytes, message: Message) -> None:
    """Raise MalformedError when `peer` cannot have sent `message` to `me`, who knows `leader` in `term`."""
    if peer == me:
        raise MalformedError("a message from ourselves")
    if isinstance(message, Append | Heartbeat | Advance | InstallSnapshot | TimeoutNow):
        if message.term < term:
            return
        if message.term == term and leader not in (None, peer):
            raise MalformedError(f"term {term} has another leader")
        if isinstance(message, Append):
            _judge_append(log, message)
        elif isinstance(message, Heartbeat | Advance):
            if message.commit > log.last_index:
                raise MalformedError(f"index {message.commit} committed here, where the log ends at {log.last_index}")
        elif isinstance(message, InstallSnapshot):
            _agree(log, message.snapshot.index, message.snapshot.term)
    elif isinstance(message, Appended | Rejected):
        if isinstance(message, Appended) and message.term > term:
            raise MalformedError(f"entries of term {message.term} acknowledged, which has no leader here")
        if message.term == term and leader == me and message.index > log.last_index:
            raise MalformedError(f"index {message.index} answered, where the log ends at {log.last_index}")
    elif isinstance(message, Vote) and message.granted and message.term > term + message.pre:
        raise MalformedError(f"a vote in term {message.term}, where none was asked for beyond {term}")


def _judge_append(log: RaftLog, message: Append) -> None:
    """What is committed cannot be otherwise at a leader (leader completeness)."""
    previous = message.previous_index
    _agree(log, previous, message.previous_term)
    for place in range(min(len(message.entries), log.commit - previous)):
        index, entry = previous + 1 + place, message.entries[place]
        _agree(log, index, entry.term)
        _same(log, index, entry)


def _agree(log: RaftLog, index: int, term: int) -> None:
    if index <= log.commit and log.term(index) not in (None, term):
        raise MalformedError(f"the entry at {index} is committed with term {log.term(index)}, not {term}")


def _same(log: RaftLog, index: int, entry: Entry) -> None:
    if index > log.snapshot.index and log.entry(index) != entry:
        raise MalformedError(f"the entry at {index} is committed with other data")
