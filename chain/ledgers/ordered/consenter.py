"""How orderers agree on the order of batches: alone (`Solo`), or by Raft.

A consenter takes opaque entries and gives every one back as `Commit`, in one order at all orderers, each with an index
above all before it. It returns Raft's effects (`chain.ledgers.ordered.raft.events`), whichever it is.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Protocol

from chain.errors import MalformedError, Refused
from chain.ledgers.ordered.channel import OrderedRules
from chain.ledgers.ordered.raft.config import RaftConfig
from chain.ledgers.ordered.raft.events import BecameLeader, Commit, Effect, Send, SteppedDown
from chain.ledgers.ordered.raft.messages import (
    Advance,
    Append,
    Configuration,
    Forgot,
    Heartbeat,
    RequestVote,
    decode_message,
    encode_message,
)
from chain.ledgers.ordered.raft.node import RaftNode
from chain.ledgers.ordered.raft.store import Stored
from chain.values import MAX_BLOCK_BYTES

MAX_WORD_BYTES = RaftConfig(max_entry_bytes=MAX_BLOCK_BYTES, max_append_bytes=MAX_BLOCK_BYTES).max_message_bytes
"""The longest message from orderer to orderer: what their transport must be able to carry."""


class Consenter(Protocol):
    """What an orderer needs of one."""

    @property
    def leader(self) -> bytes | None:
        """Account of the orderer that leads, as far as this one knows."""

    @property
    def leads(self) -> bool:
        """Whether this one leads, and has committed all that leaders before it left."""

    def start(self, now_ms: int) -> Sequence[Effect]:
        """To be called once, before anything else."""

    def carried_out(self, index: int) -> None:
        """Entries up to `index` are in blocks here; they need not have been in this one's log."""

    def propose(self, data: bytes, now_ms: int) -> Sequence[Effect]:
        """Have an entry ordered. Raises Refused: not_leader, log_full, transferring."""

    def receive(self, peer: bytes, message: bytes, now_ms: int) -> Sequence[Effect]:
        """Take a message of another orderer. Raises MalformedError."""

    def tick(self, now_ms: int) -> Sequence[Effect]:
        """Do what is due."""

    def next_deadline_ms(self) -> int | None:
        """When to tick next; None when nothing is due."""

    def compact(self, index: int, data: bytes) -> Sequence[Effect]:
        """Forget entries up to `index`: `data` names the state after them."""

    def distrust(self) -> None:
        """This one's votes and log are lost: it must not be counted on until it has what others committed with it."""

    def align(self, orderers: Sequence[bytes], now_ms: int) -> Sequence[Effect]:
        """Take a step towards these being the members, when this one leads."""

    def hand_over(self, orderers: Sequence[bytes], now_ms: int) -> Sequence[Effect]:
        """Let another of these lead, when this one does."""


class Solo:
    """One orderer, that orders as it is told. When it stops, so does the channel."""

    def __init__(self, me: bytes, index: int) -> None:
        """`index` is that of the last entry that was carried out."""
        self._me = me
        self._index = index

    @property
    def leader(self) -> bytes | None:
        return self._me

    @property
    def leads(self) -> bool:
        return True

    def start(self, now_ms: int) -> Sequence[Effect]:  # noqa: ARG002 - of the seam, as below
        return (BecameLeader(1),)

    def carried_out(self, index: int) -> None:
        self._index = max(self._index, index)

    def propose(self, data: bytes, now_ms: int) -> Sequence[Effect]:  # noqa: ARG002
        self._index += 1
        return (Commit(self._index, 1, data),)

    def receive(self, peer: bytes, message: bytes, now_ms: int) -> Sequence[Effect]:  # noqa: ARG002
        raise MalformedError("a solo orderer has nobody to talk to")

    def tick(self, now_ms: int) -> Sequence[Effect]:  # noqa: ARG002
        return ()

    def next_deadline_ms(self) -> int | None:
        return None

    def compact(self, index: int, data: bytes) -> Sequence[Effect]:  # noqa: ARG002
        return ()

    def distrust(self) -> None:
        """Nobody votes."""

    def align(self, orderers: Sequence[bytes], now_ms: int) -> Sequence[Effect]:  # noqa: ARG002
        return ()

    def hand_over(self, orderers: Sequence[bytes], now_ms: int) -> Sequence[Effect]:  # noqa: ARG002
        return ()


class Raft:
    """A `RaftNode` as a consenter: says when it may be given work, and follows the channel's orderers."""

    def __init__(
        self,
        me: bytes,
        rules: OrderedRules,
        *,
        stored: Stored | None,
        applied: int,
        rng: Random,
        now_ms: int,
    ) -> None:
        """`applied` is the index of the last entry that is in a block here.

        Raises StoreError when `stored` cannot be.
        """
        # Blocks come from others too, so that an entry of that index was committed does not mean that it is the one in
        # our log. Only a snapshot is sure; what follows it comes out again as `Commit`, in time.
        sure = stored.snapshot.index if stored is not None and stored.snapshot is not None else 0
        self._rng = rng
        self._node = RaftNode(
            me,
            founding=Configuration(rules.channel.orderers, ()),
            stored=stored,
            applied=min(applied, sure),
            config=RaftConfig(
                tick_ms=rules.tick_ms,
                election_ticks=rules.election_ticks,
                heartbeat_ticks=rules.heartbeat_ticks,
                max_entry_bytes=MAX_BLOCK_BYTES,
                max_append_bytes=MAX_BLOCK_BYTES,
            ),
            rng=rng,
            now_ms=now_ms,
        )
        self._first: int | None = None
        """Index of the first entry of the term that this node leads."""
        self._votes = True
        """Whether it grants votes. Who forgot its log could help somebody to lead who lacks what it had acknowledged."""

    @property
    def leader(self) -> bytes | None:
        return self._node.leader

    @property
    def leads(self) -> bool:
        return self._first is not None and self._node.log.applied >= self._first

    def start(self, now_ms: int) -> Sequence[Effect]:
        return self._note(self._node.start(now_ms))

    def carried_out(self, index: int) -> None:
        pass  # its log has them, or will: they come out again as `Commit`

    def propose(self, data: bytes, now_ms: int) -> Sequence[Effect]:
        return self._note(self._node.propose(data, now_ms))

    def receive(self, peer: bytes, message: bytes, now_ms: int) -> Sequence[Effect]:
        if self._votes:
            return self._note(self._node.receive(peer, message, now_ms))
        decoded = decode_message(message, limit=MAX_WORD_BYTES)
        if isinstance(decoded, RequestVote):
            return ()
        if isinstance(decoded, Heartbeat | Advance) and decoded.commit > self._node.log.last_index:
            # It led before we forgot, and still counts on what we had.
            return (Send(peer, encode_message(Forgot(decoded.term))),)
        effects = self._note(self._node.receive(peer, message, now_ms))
        # A leader was elected by a quorum without this one, so all that was committed with its help is up to there.
        self._votes = isinstance(decoded, Append) and 0 < decoded.commit <= self._node.log.commit
        return effects

    def tick(self, now_ms: int) -> Sequence[Effect]:
        return self._note(self._node.tick(now_ms))

    def next_deadline_ms(self) -> int | None:
        return self._node.next_deadline_ms()

    def compact(self, index: int, data: bytes) -> Sequence[Effect]:
        return self._note(self._node.compact(min(index, self._node.log.applied), data))

    def distrust(self) -> None:
        self._votes = False

    def align(self, orderers: Sequence[bytes], now_ms: int) -> Sequence[Effect]:
        node = self._node
        members = node.configuration
        if node.replication is None or (set(orderers) == set(members.voters) and not members.learners):
            return ()
        steps: list[tuple[Callable[[bytes, int], Sequence[Effect]], bytes]] = []
        known = (*members.voters, *members.learners)
        # One step at a time, the first that can be taken. Itself last: who is removed does not lead any more.
        for orderer in sorted(orderers):
            if orderer not in known:
                steps.append((node.add_learner, orderer))
            elif orderer in members.learners and node.replication.followers[orderer].match:
                steps.append((node.promote, orderer))  # it has answered: who is down must not count for the quorum
        gone = [one for one in known if one not in orderers]
        steps += [(node.remove, one) for one in sorted(gone, key=lambda one: (one == node.me, one))]
        for step, orderer in steps:
            with suppress(
                Refused
            ):  # a change is under way, or the newcomer lacks too much: asked again with the next tick
                return self._note(step(orderer, now_ms))
        return ()

    def hand_over(self, orderers: Sequence[bytes], now_ms: int) -> Sequence[Effect]:
        node = self._node
        others = [one for one in sorted(orderers) if one != node.me and one in node.configuration.voters]
        if node.replication is None or not others:
            return ()
        with suppress(Refused):  # it is under way
            return self._note(node.transfer(self._rng.choice(others), now_ms))
        return ()

    def _note(self, effects: Sequence[Effect]) -> Sequence[Effect]:
        for effect in effects:
            if isinstance(effect, BecameLeader):
                self._first = self._node.log.last_index
            elif isinstance(effect, SteppedDown):
                self._first = None
        return effects
