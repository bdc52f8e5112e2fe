"""One Raft node: no sockets, no clock, no disk. `propose`, `receive`, `tick` and their like return effects.

The theory of operation is in `chain.ledgers.ordered.raft`, the package's docstring.
"""

from collections.abc import Callable, Sequence
from typing import Any

from chain.errors import Refused
from chain.ledgers.ordered.raft.core import RaftCore
from chain.ledgers.ordered.raft.events import (
    Effect,
    Install,
)
from chain.ledgers.ordered.raft.judge import judge
from chain.ledgers.ordered.raft.log import entries_bytes
from chain.ledgers.ordered.raft.membership import with_learner, with_voter, without
from chain.ledgers.ordered.raft.messages import (
    Advance,
    Append,
    Appended,
    Entry,
    Forgot,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Rejected,
    RequestVote,
    Snapshot,
    TimeoutNow,
    Vote,
    decode_message,
)
from chain.ledgers.ordered.raft.role import Role


class RaftNode(RaftCore):
    """One node. `now_ms` never decreases from call to call (a lesser one counts as the latest).

    The owner carries effects out in order, and calls `tick` at `next_deadline_ms`, which any other call may change.
    Peers are 32-byte accounts; the owner passes on what comes from those alone who may ever be members.
    """

    # --- what the owner asks for

    def start(self, now_ms: int) -> Sequence[Effect]:
        """To be called once, before anything else: gives `Install` to an owner that did not come to carry it out."""
        self._clock(now_ms)
        if self._behind:
            self._outbox.add(Install(self._log.snapshot))
        return self._flush()

    def propose(self, data: bytes, now_ms: int) -> Sequence[Effect]:
        """Append one entry; see `propose_all`. It is at `log.last_index` afterwards."""
        return self.propose_all((data,), now_ms)

    def propose_all(self, batch: Sequence[bytes], now_ms: int) -> Sequence[Effect]:
        """Append entries and send them at once.

        Raises NotLeaderError, and Refused: transferring, too_long (above `max_entry_bytes`), log_full (too much is
        uncommitted, or not compacted). Nothing changed then.
        """
        replication = self._leading()
        if self._transfer is not None:
            raise Refused("transferring", f"{self._transfer[0].hex()[:16]} is to lead")
        entries = [Entry(self._term, 0, data) for data in batch]
        if entries:
            self._check_room(entries)
            now_ms = self._clock(now_ms)
            self._append(entries)
            replication.send_new(now_ms)
            self._advance_commit(now_ms)
        return self._flush()

    def campaign(self, now_ms: int) -> Sequence[Effect]:
        """Stand now (asking first, as ever) rather than when no leader was heard for long enough."""
        now_ms = self._clock(now_ms)
        if self._replication is None and self._membership.may_stand(self.me, self._log.commit):
            self._stand(now_ms, pre=True)
        return self._flush()

    def transfer(self, peer: bytes, now_ms: int) -> Sequence[Effect]:
        """Let `peer` lead: `SteppedDown("transferred")` follows, or `TransferFailed` after an election timeout.

        Raises NotLeaderError, and Refused: not_a_voter, transferring.
        """
        replication = self._leading()
        if peer == self.me or peer not in self._membership.voters:
            raise Refused("not_a_voter", peer.hex()[:16])
        if self._transfer is not None:
            raise Refused("transferring", f"{self._transfer[0].hex()[:16]} is to lead")
        now_ms = self._clock(now_ms)
        self._transfer = (peer, now_ms + self._config.election_ms)
        if not replication.stand(peer):
            replication.go_on(peer, now_ms)
        return self._flush()

    def add_learner(self, peer: bytes, now_ms: int) -> Sequence[Effect]:
        """Send `peer` the log from now on, without counting it.

        Raises NotLeaderError, and Refused: already_member, too_many_members; and as all changes of configuration:
        transferring, not_ready (no entry of this term is committed yet), change_in_progress.
        """
        return self._reconfigure(with_learner, peer, now_ms)

    def promote(self, peer: bytes, now_ms: int) -> Sequence[Effect]:
        """Make a learner a voter. Raises as `add_learner`, and Refused: not_a_learner, learner_behind."""
        return self._reconfigure(with_voter, peer, now_ms)

    def remove(self, peer: bytes, now_ms: int) -> Sequence[Effect]:
        """Remove a voter or learner. A leader that removes itself leads until that is committed.

        Raises as `add_learner`, and Refused: unknown_peer, last_voter.
        """
        return self._reconfigure(without, peer, now_ms)

    def compact(self, index: int, data: bytes) -> Sequence[Effect]:
        """Drop the log up to `index`, which `data` stands for: what another owner needs to get to the state after it.

        Keep some entries before the last applied: a follower that lacks less than those needs no snapshot. Nothing
        happens when the log begins later. Raises ValueError for an index not applied, or data above `max_snapshot_bytes`.
        """
        log = self._log
        if index > log.applied:
            raise ValueError(f"index {index} is not applied, the last is {log.applied}")
        if len(data) > self._config.max_snapshot_bytes:
            raise ValueError(f"{len(data)} bytes, allowed are {self._config.max_snapshot_bytes}")
        if index > log.snapshot.index:
            snapshot = Snapshot(index, log.term(index) or 0, self._membership.at(index), data)
            log.compact(snapshot)
            self._membership.compact(index)
            self._outbox.save_snapshot(snapshot)
        return self._flush()

    def tick(self, now_ms: int) -> Sequence[Effect]:
        """Do what is due."""
        now_ms = self._clock(now_ms)
        if self._replication is not None:
            self._tick_leader(self._replication, now_ms)
        elif self._membership.may_stand(self.me, self._log.commit) and self._timer.due(now_ms):
            self._stand(now_ms, pre=True)
        return self._flush()

    def receive(self, peer: bytes, message: bytes, now_ms: int) -> Sequence[Effect]:
        """Take a message of `peer`, which the transport vouches for.

        Raises MalformedError for what no correct peer can have sent; nothing changed then.
        """
        decoded = decode_message(message, limit=self._max_message_bytes)
        judge(self.me, self._term, self._leader, self._log, peer, decoded)
        now_ms = self._clock(now_ms)
        if decoded.term > self._term:
            if not self._catch_up(peer, decoded, now_ms):
                return ()
        elif decoded.term < self._term:
            self._answer_old(peer, decoded)
            return self._flush()
        self._HANDLERS[type(decoded)](self, peer, decoded, now_ms)
        return self._flush()

    # --- messages; terms are equal here, but for those of pre-votes

    def _on_request_vote(self, peer: bytes, message: RequestVote, now_ms: int) -> None:
        if self._respects_lease(message, now_ms):
            return
        log = self._log
        free = self._vote == peer or (not self._vote and self._leader is None)
        ours, theirs = (log.last_term, log.last_index), (message.last_term, message.last_index)
        level = theirs >= ours
        if message.pre and message.term > self._term:
            # Where two ask at the same time, both would win this and then split the votes: one gives way.
            crossed = self._role is Role.PRE_CANDIDATE and now_ms - self._stood_ms < self._config.tick_ms
            free = not (crossed and (theirs, peer) < (ours, self.me))
        if not (free and level):
            if free and message.pre and self._role is Role.FOLLOWER:
                self._timer.hasten(now_ms)
            self._outbox.send(peer, Vote(self._term, message.pre, granted=False))
            return
        if not message.pre:
            if self._vote != peer:
                self._vote = peer
                self._outbox.save_hard_state(HardState(self._term, peer))
            self._timer.restart(now_ms)
        self._outbox.send(peer, Vote(message.term, message.pre, granted=True))

    def _on_vote(self, peer: bytes, message: Vote, now_ms: int) -> None:
        asked = Role.PRE_CANDIDATE if message.pre else Role.CANDIDATE
        if self._role is not asked or message.term != self._term + (message.pre and message.granted):
            return
        self._ballot.record(peer, message.granted)
        self._count(now_ms)

    def _heed(self, leader: bytes, now_ms: int) -> None:
        if self._role is not Role.FOLLOWER:
            self._follow(self._term, leader, now_ms)
        self._set_leader(leader)
        if self._is_new_leader:
            # A new timeout for each leader: else who stood for the last one would have left those with longer ones.
            self._timer.draw(now_ms)
            self._is_new_leader = False
        else:
            self._timer.restart(now_ms)

    def _on_append(self, peer: bytes, message: Append, now_ms: int) -> None:
        self._heed(peer, now_ms)
        log = self._log
        previous, entries = message.previous_index, message.entries
        if previous < log.commit:
            # Late or doubled: what is committed is the same there (`judge` looked).
            entries = entries[log.commit - previous :]
            previous = log.commit
        elif log.term(previous) != message.previous_term:
            hint_index, hint_term = log.last_not_above(previous, message.previous_term)
            self._outbox.send(peer, Rejected(self._term, message.previous_index, hint_index, hint_term))
            return
        last = previous + len(entries)
        for place, entry in enumerate(entries):
            index = previous + 1 + place
            if index <= log.last_index:
                if log.term(index) == entry.term:
                    continue
                log.truncate(index)
                self._membership.truncate(index)
            fresh = self._fitting(entries[place:])
            if fresh:
                log.append(fresh)
                self._membership.note(index, fresh)
            # Even if none fits: what was dropped is to be dropped on disk.
            self._outbox.save_entries(index)
            last = index - 1 + len(fresh)
            break
        if entries and last == previous:
            return  # No room: asked again with the next heartbeat, when the owner may have compacted.
        # The answer first: applying may take its time.
        self._outbox.send(peer, Appended(self._term, last))
        self._commit_to(min(message.commit, last))

    def _fitting(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """What the bounds of the log let through."""
        config, log = self._config, self._log
        if log.held_bytes + self._max_message_bytes > config.max_log_bytes:
            left = config.max_log_bytes - log.held_bytes
            while entries and entries_bytes(entries) > left:
                entries = entries[:-1]
        return entries[: max(0, config.max_log_entries - len(log))]

    def _on_appended(self, peer: bytes, message: Appended, now_ms: int) -> None:
        replication = self._replication
        if replication is None:
            return
        if replication.appended(peer, message.index, now_ms):
            self._advance_commit(now_ms)
            replication.go_on(peer, now_ms)
            replication.advance()
            replication.forget_removed(now_ms)
            self._push_transfer(replication, peer)
        else:
            replication.go_on(peer, now_ms)

    def _on_rejected(self, peer: bytes, message: Rejected, now_ms: int) -> None:
        if self._replication is not None:
            self._replication.rejected(peer, message, now_ms)

    def _on_heartbeat(self, peer: bytes, message: Heartbeat, now_ms: int) -> None:
        self._heed(peer, now_ms)
        self._outbox.send(peer, HeartbeatReply(self._term))
        self._commit_to(message.commit)

    def _on_heartbeat_reply(self, peer: bytes, _message: HeartbeatReply, now_ms: int) -> None:
        if self._replication is not None:
            self._replication.alive(peer, now_ms)
            self._push_transfer(self._replication, peer)

    def _on_advance(self, peer: bytes, message: Advance, now_ms: int) -> None:
        self._heed(peer, now_ms)
        self._commit_to(message.commit)

    def _on_install_snapshot(self, peer: bytes, message: InstallSnapshot, now_ms: int) -> None:
        self._heed(peer, now_ms)
        snapshot, log = message.snapshot, self._log
        self._outbox.send(peer, Appended(self._term, max(snapshot.index, log.commit)))
        if snapshot.index <= log.commit:
            return
        if log.term(snapshot.index) == snapshot.term:
            self._commit_to(snapshot.index)
            return
        log.restore(snapshot)
        self._membership.restore(snapshot)
        self._outbox.save_snapshot(snapshot)
        self._outbox.save_entries(snapshot.index + 1)
        self._outbox.add(Install(snapshot))

    def _on_timeout_now(self, peer: bytes, _message: TimeoutNow, now_ms: int) -> None:
        if self._replication is None and self._leader in (None, peer) and self.me in self._membership.voters:
            self._stand(now_ms, pre=False, transfer=True)

    def _on_forgot(self, peer: bytes, _message: Forgot, now_ms: int) -> None:
        if self._replication is not None:
            self._replication.forgot(peer, now_ms)

    _HANDLERS: dict[type, Callable[[Any, bytes, Any, int], None]] = {  # noqa: RUF012 - never changed
        RequestVote: _on_request_vote,
        Vote: _on_vote,
        Append: _on_append,
        Appended: _on_appended,
        Rejected: _on_rejected,
        Heartbeat: _on_heartbeat,
        HeartbeatReply: _on_heartbeat_reply,
        Advance: _on_advance,
        InstallSnapshot: _on_install_snapshot,
        TimeoutNow: _on_timeout_now,
        Forgot: _on_forgot,
    }
