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

_FROM_LEADER = frozenset((Append, Heartbeat, Advance, InstallSnapshot, TimeoutNow))


def judge(me: bytes, term: int, leader: bytes | None, log: RaftLog, peer: bytes, message: Message) -> None:
    """Raise MalformedError when `peer` cannot have sent `message` to `me`, who knows `leader` in `term`."""
    if peer == me:
        raise MalformedError("a message from ourselves")
    kind = type(message)
    if kind in _FROM_LEADER:
        if message.term < term:
            return
        if message.term == term and leader is not None and leader != peer:
            raise MalformedError(f"term {term} has another leader")
        if kind is Append:
            _judge_append(log, message)  # type: ignore[arg-type]
        elif kind is InstallSnapshot:
            snapshot = message.snapshot  # type: ignore[union-attr]
            _agree(log, snapshot.index, snapshot.term)
        elif kind is not TimeoutNow and message.commit > log.last_index:  # type: ignore[union-attr]
            raise MalformedError(f"what is committed is not here, where the log ends at {log.last_index}")
    elif kind is Appended or kind is Rejected:
        if kind is Appended and message.term > term:
            raise MalformedError(f"entries of term {message.term} acknowledged, which has no leader here")
        if message.term == term and leader == me and message.index > log.last_index:  # type: ignore[union-attr]
            raise MalformedError(f"what is not here was answered, where the log ends at {log.last_index}")
    elif kind is Vote and message.granted and message.term > term + message.pre:  # type: ignore[union-attr]
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
