"""The state of a Raft node and what changes it from within: terms and roles, elections, a leader's log, commitment."""

from collections.abc import Callable, Sequence
from random import Random

from chain.codec import encode
from chain.errors import Refused
from chain.ledgers.ordered.raft.config import RaftConfig
from chain.ledgers.ordered.raft.election import Ballot, ElectionTimer
from chain.ledgers.ordered.raft.events import (
    BecameLeader,
    Commit,
    Effect,
    LeaderIs,
    NotLeaderError,
    Reconfigured,
    SteppedDown,
    TransferFailed,
)
from chain.ledgers.ordered.raft.log import RaftLog, entries_bytes
from chain.ledgers.ordered.raft.membership import Membership, with_voter
from chain.ledgers.ordered.raft.messages import (
    Advance,
    Append,
    Configuration,
    Entry,
    HardState,
    Heartbeat,
    InstallSnapshot,
    Kind,
    Message,
    Rejected,
    RequestVote,
    Vote,
)
from chain.ledgers.ordered.raft.outbox import Outbox
from chain.ledgers.ordered.raft.replication import Replication
from chain.ledgers.ordered.raft.role import Role
from chain.ledgers.ordered.raft.store import Stored, restored_log

_FROM_LEADER = (Append, Heartbeat, Advance, InstallSnapshot)


class RaftCore:
    """What `RaftNode` is made of; it alone calls this."""

    def __init__(
        self,
        me: bytes,
        *,
        founding: Configuration,
        stored: Stored | None,
        applied: int = 0,
        config: RaftConfig,
        rng: Random,
        now_ms: int,
    ) -> None:
        """`founding` is in force before the log begins: the same at all first members; any other node may have it, too.

        `stored` is what the node's store has; `applied` the index of the last `Commit` or `Install` that the owner has
        carried out for good. Raises StoreError when they do not fit each other.
        """
        self.me = me
        self._config = config
        self._max_message_bytes = config.max_message_bytes
        self._now_ms = now_ms
        self._log, state = restored_log(founding, stored, applied)
        self._term, self._vote = state.term, state.vote
        self._membership = Membership(self._log.snapshot, self._log.since(self._log.snapshot.index + 1))
        self._behind = applied < self._log.snapshot.index
        self._outbox = Outbox()
        self._role = Role.FOLLOWER
        self._leader: bytes | None = None
        self._is_new_leader = False
        self._timer = ElectionTimer(config, rng, now_ms)
        self._ballot = Ballot()
        self._stood_ms = now_ms
        # What a leader has.
        self._replication: Replication | None = None
        self._next_heartbeat_ms = 0
        self._transfer: tuple[bytes, int] | None = None

    # --- what can be seen from outside

    @property
    def role(self) -> Role:
        """What this node is at the moment."""
        return self._role

    @property
    def term(self) -> int:
        """The latest term seen."""
        return self._term

    @property
    def leader(self) -> bytes | None:
        """Who leads this term, as far as this node knows."""
        return self._leader

    @property
    def configuration(self) -> Configuration:
        """In force: the latest in the log, committed or not."""
        return self._membership.latest

    @property
    def log(self) -> RaftLog:
        """To look at: `commit`, `applied`, `last_index`, `snapshot`, `held_bytes`."""
        return self._log

    @property
    def replication(self) -> Replication | None:
        """To look at, while this node leads."""
        return self._replication

    def next_deadline_ms(self) -> int | None:
        """When to tick next; None when there is nothing to wait for."""
        if self._replication is not None:
            return self._next_heartbeat_ms if self._replication.followers else None
        if self._membership.may_stand(self.me, self._log.commit):
            return self._timer.deadline_ms
        return None

    # --- terms and roles

    def _clock(self, now_ms: int) -> int:
        self._now_ms = max(self._now_ms, now_ms)
        return self._now_ms

    def _flush(self) -> Sequence[Effect]:
        return self._outbox.flush(self._log)

    def _leading(self) -> Replication:
        if self._replication is None:
            raise NotLeaderError(self._leader)
        return self._replication

    def _catch_up(self, peer: bytes, message: Message, now_ms: int) -> bool:
        """Enter the later term of a message. Return False when the message is not to be heeded."""
        if isinstance(message, RequestVote):
            if self._respects_lease(message, now_ms):
                return False
            if message.pre:
                return True
        elif isinstance(message, Vote) and message.pre and message.granted:
            return True
        self._follow(message.term, peer if isinstance(message, _FROM_LEADER) else None, now_ms)
        return True

    def _respects_lease(self, message: RequestVote, now_ms: int) -> bool:
        """A leader that is heard is not given up for one who does not hear it (thesis 4.2.3)."""
        if message.transfer or self._leader is None:
            return False
        return self._replication is not None or self._timer.leader_is_fresh(now_ms)

    def _answer_old(self, peer: bytes, message: Message) -> None:
        """Tell one of an earlier term that it is over: a leader must not go on without those who know a later one."""
        if isinstance(message, RequestVote):
            self._outbox.send(peer, Vote(self._term, message.pre, granted=False))
        elif isinstance(message, _FROM_LEADER):
            self._outbox.send(peer, Rejected(self._term, 0, 0, 0))

    def _follow(self, term: int, leader: bytes | None, now_ms: int, reason: str = "higher_term") -> None:
        if term > self._term:
            self._term, self._vote = term, b""
            self._outbox.save_hard_state(HardState(term, b""))
        if self._replication is not None:
            self._outbox.add(SteppedDown("transferred" if self._transfer and reason == "higher_term" else reason))
            self._replication = self._transfer = None
            self._timer.draw(now_ms)
        self._role = Role.FOLLOWER
        self._set_leader(leader)

    def _set_leader(self, leader: bytes | None) -> None:
        if leader != self._leader:
            self._leader = leader
            self._is_new_leader = leader is not None
            self._outbox.add(LeaderIs(leader))

    def _stand(self, now_ms: int, *, pre: bool, transfer: bool = False) -> None:
        self._set_leader(None)
        if pre:
            self._role = Role.PRE_CANDIDATE
        else:
            self._role = Role.CANDIDATE
            self._term, self._vote = self._term + 1, self.me
            self._outbox.save_hard_state(HardState(self._term, self.me))
        self._stood_ms = now_ms
        self._ballot = Ballot()
        self._ballot.record(self.me, granted=True)
        self._timer.draw_retry(now_ms)
        log = self._log
        question = RequestVote(self._term + pre, pre, transfer, log.last_index, log.last_term)
        for peer in self._membership.voters:
            if peer != self.me:
                self._outbox.send(peer, question)
        self._count(now_ms)

    def _count(self, now_ms: int) -> None:
        result = self._ballot.result(self._membership.voters, self._membership.quorum)
        if result is None:
            return
        if not result:
            self._role = Role.FOLLOWER
        elif self._role is Role.PRE_CANDIDATE:
            self._stand(now_ms, pre=False)
        else:
            self._lead(now_ms)

    def _lead(self, now_ms: int) -> None:
        self._role = Role.LEADER
        self._set_leader(self.me)
        self._outbox.add(BecameLeader(self._term))
        log = self._log
        self._replication = Replication(
            self.me,
            self._term,
            log=log,
            membership=self._membership,
            outbox=self._outbox,
            config=self._config,
            now_ms=now_ms,
        )
        self._next_heartbeat_ms = now_ms + self._config.heartbeat_ms
        self._append([Entry(self._term, Kind.NOOP, b"")])
        self._replication.send_new(now_ms)
        self._advance_commit(now_ms)

    def _tick_leader(self, replication: Replication, now_ms: int) -> None:
        late_ms = now_ms - self._next_heartbeat_ms
        if late_ms < 0:
            return
        if late_ms > self._config.tick_ms:
            replication.excuse(late_ms)
        if now_ms - replication.quorum_heard_ms(now_ms) >= self._config.election_ms:
            self._follow(self._term, None, now_ms, "no_quorum")
            return
        if self._transfer is not None and now_ms >= self._transfer[1]:
            self._outbox.add(TransferFailed(self._transfer[0]))
            self._transfer = None
        replication.forget_removed(now_ms)
        replication.heartbeat()
        self._next_heartbeat_ms = now_ms + self._config.heartbeat_ms

    # --- a leader's log

    def _check_room(self, entries: list[Entry]) -> None:
        config, log = self._config, self._log
        longest = max([len(entry.data) for entry in entries])
        if longest > config.max_entry_bytes:
            raise Refused("too_long", f"{longest} bytes, allowed are {config.max_entry_bytes}")
        size = entries_bytes(entries)
        waiting = log.last_index - log.commit
        if waiting and (
            waiting + len(entries) > config.max_uncommitted_entries
            or log.uncommitted_bytes + size > config.max_uncommitted_bytes
        ):
            raise Refused("log_full", f"{waiting} entries of {log.uncommitted_bytes} bytes are not committed yet")
        if len(log) + len(entries) > config.max_log_entries or log.held_bytes + size > config.max_log_bytes:
            raise Refused("log_full", f"{len(log)} entries of {log.held_bytes} bytes are not compacted yet")

    def _append(self, entries: list[Entry]) -> None:
        first = self._log.last_index + 1
        self._log.append(entries)
        self._outbox.save_entries(first)

    def _reconfigure(
        self, change: Callable[[Configuration, bytes], Configuration], peer: bytes, now_ms: int
    ) -> Sequence[Effect]:
        replication, log = self._leading(), self._log
        if self._transfer is not None:
            raise Refused("transferring", f"{self._transfer[0].hex()[:16]} is to lead")
        if log.term(log.commit) != self._term:
            raise Refused("not_ready", "no entry of this term is committed yet")
        if self._membership.index > log.commit:
            raise Refused("change_in_progress", f"the configuration at {self._membership.index} is not committed yet")
        configuration = change(self._membership.latest, peer)
        if change is with_voter:
            lacks = log.last_index - replication.followers[peer].match
            if lacks > self._config.learner_gap:
                raise Refused("learner_behind", f"it lacks {lacks} entries, allowed are {self._config.learner_gap}")
        now_ms = self._clock(now_ms)
        entry = Entry(self._term, Kind.CONFIGURATION, encode(configuration))
        self._append([entry])
        self._membership.note(log.last_index, [entry])
        replication.follow(now_ms)
        replication.send_new(now_ms)
        self._advance_commit(now_ms)
        return self._flush()

    def _advance_commit(self, now_ms: int) -> None:
        """Commit what a quorum has if it is of this term: earlier terms' entries only with one of this (paper 5.4.2)."""
        replication, log = self._replication, self._log
        if replication is None:
            return
        index = replication.quorum_match()
        if index <= log.commit or log.term(index) != self._term:
            return
        reconfigured = log.commit < self._membership.index <= index
        log.commit = index
        replication.advance()
        self._apply()
        if reconfigured:
            replication.forget_removed(now_ms)
            if self.me not in self._membership.voters:
                heir = replication.best_voter()
                if heir is not None:
                    replication.stand(heir)
                self._follow(self._term, None, now_ms, "removed")

    def _apply(self) -> None:
        """Give the owner what is committed."""
        log, add = self._log, self._outbox.add
        for index, entry in enumerate(log.between(log.applied + 1, log.commit), log.applied + 1):
            if not entry.kind:
                add(Commit(index, entry.term, entry.data))
            elif entry.kind == Kind.CONFIGURATION:
                add(Reconfigured(index, self._membership.at(index)))
        log.applied = log.commit

    def _commit_to(self, index: int) -> None:
        if index > self._log.commit:
            self._log.commit = index
            self._apply()

    def _push_transfer(self, replication: Replication, peer: bytes) -> None:
        if self._transfer is not None and self._transfer[0] == peer:
            replication.stand(peer)
