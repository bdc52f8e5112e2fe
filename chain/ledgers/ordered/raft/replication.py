"""A leader's side of replication: to whom what is sent, what a quorum has, and whether a quorum is there."""

from chain.ledgers.ordered.raft.config import RaftConfig
from chain.ledgers.ordered.raft.log import RaftLog
from chain.ledgers.ordered.raft.membership import Membership
from chain.ledgers.ordered.raft.messages import (
    Advance,
    Append,
    Heartbeat,
    InstallSnapshot,
    Rejected,
    TimeoutNow,
    encode_message,
)
from chain.ledgers.ordered.raft.outbox import Outbox
from chain.ledgers.ordered.raft.progress import Progress, State


class Replication:
    """One leader's term. It changes no log: `RaftNode` does, and calls `send_new` or `advance` afterwards."""

    __slots__ = ("_config", "_encoded", "_leaving", "_log", "_me", "_membership", "_outbox", "_term", "followers")

    def __init__(
        self,
        me: bytes,
        term: int,
        *,
        log: RaftLog,
        membership: Membership,
        outbox: Outbox,
        config: RaftConfig,
        now_ms: int,
    ) -> None:
        self._me = me
        self._term = term
        self._log = log
        self._membership = membership
        self._outbox = outbox
        self._config = config
        self._encoded: tuple[tuple[int, int, int], bytes] = ((0, 0, 0), b"")
        self.followers: dict[bytes, Progress] = {}
        """By peer, sorted: all members, and who is being removed until it knows."""
        self._leaving: tuple[bytes, ...] = ()
        self.follow(now_ms)

    # --- who

    def follow(self, now_ms: int) -> None:
        """Look after new members too."""
        wanted = {*self._membership.members, *self.followers} - {self._me}
        last = self._log.last_index
        self.followers = {
            peer: self.followers.get(peer) or Progress(last, self._config.max_inflight, now_ms)
            for peer in sorted(wanted)
        }
        self._leaving = tuple(peer for peer in self.followers if peer not in self._membership.members)

    def forget_removed(self, now_ms: int) -> None:
        """Leave alone whom a committed configuration removed: as soon as they know of it, or are silent."""
        index = self._membership.index
        for peer in self._leaving:
            progress = self.followers[peer]
            silent = now_ms - progress.heard_ms >= self._config.election_ms
            if self._log.commit >= index and (progress.told >= index or silent):
                del self.followers[peer]
        self._leaving = tuple(peer for peer in self._leaving if peer in self.followers)

    # --- what is sent

    def send_new(self, now_ms: int) -> None:
        """Send everybody who can take them the entries that it lacks."""
        for peer in self.followers:
            self.go_on(peer, now_ms)

    def _send(self, peer: bytes, progress: Progress, now_ms: int, *, empty: bool = False) -> None:
        """Send entries from `progress.next` on (none if `empty`), or the snapshot that stands for them."""
        log = self._log
        previous = progress.next - 1
        previous_term = log.term(previous)
        if previous_term is None:
            progress.sent_snapshot(log.snapshot.index, now_ms)
            self._outbox.send(peer, InstallSnapshot(self._term, log.snapshot))
            return
        entries = () if empty else log.batch(
            progress.next, max_bytes=self._config.max_append_bytes, max_entries=self._config.max_append_entries
        )  # fmt: skip
        # Followers that are level get the same bytes.
        key = (previous, len(entries), log.commit)
        if self._encoded[0] != key or not entries:
            message = Append(self._term, previous, previous_term, log.commit, entries)
            self._encoded = (key, encode_message(message))
        self._outbox.send_entries(peer, self._encoded[1])
        progress.sent(len(entries))
        progress.told = max(progress.told, min(log.commit, previous + len(entries)))

    def heartbeat(self) -> None:
        """Tell everybody that the leader is there, and what it has of what is committed."""
        commit = self._log.commit
        for peer, progress in self.followers.items():
            self._outbox.send(peer, Heartbeat(self._term, min(commit, progress.match)))

    def advance(self) -> None:
        """Tell of the commit index at once, whom no entries told."""
        commit = self._log.commit
        encoded = b""
        for peer, progress in self.followers.items():
            index = min(commit, progress.match)
            if index > progress.told:
                progress.told = index
                if index != commit:
                    self._outbox.send(peer, Advance(self._term, index))
                    continue
                encoded = encoded or encode_message(Advance(self._term, commit))
                self._outbox.send_encoded(peer, encoded)

    def stand(self, peer: bytes) -> bool:
        """Tell `peer` to stand if it has all of the log. Return whether it has."""
        level = self.followers[peer].match == self._log.last_index
        if level:
            self._outbox.send(peer, TimeoutNow(self._term))
        return level

    # --- what is answered

    def appended(self, peer: bytes, index: int, now_ms: int) -> bool:
        """`peer` has all up to `index`. Return whether that is news."""
        progress = self.followers.get(peer)
        if progress is None:
            return False
        progress.heard_ms = now_ms
        return progress.appended(index)

    def go_on(self, peer: bytes, now_ms: int) -> None:
        """Send what now has room."""
        progress = self.followers.get(peer)
        while progress is not None and not progress.paused and progress.next <= self._log.last_index:
            self._send(peer, progress, now_ms)

    def rejected(self, peer: bytes, message: Rejected, now_ms: int) -> None:
        """Go back to where the logs may meet: the hint of the follower's log, looked at with ours (as etcd does)."""
        progress = self.followers.get(peer)
        if progress is None:
            return
        progress.heard_ms = now_ms
        guess = message.hint_index
        if message.hint_term:
            guess, _ = self._log.last_not_above(guess, message.hint_term)
        if progress.rejected(message.index, guess):
            self._send(peer, progress, now_ms)

    def forgot(self, peer: bytes, now_ms: int) -> None:
        """`peer` has nothing of what it acknowledged: look for where the logs meet as with a new one.

        To believe that it has more would be to offer it for ever what it cannot append.
        """
        progress = self.followers.get(peer)
        if progress is None or not progress.match:
            return  # found out already
        progress = self.followers[peer] = Progress(self._log.last_index, self._config.max_inflight, now_ms)
        self._send(peer, progress, now_ms, empty=True)

    def alive(self, peer: bytes, now_ms: int) -> None:
        """`peer` answered a heartbeat. Something may have been lost if it lacks entries."""
        progress = self.followers.get(peer)
        if progress is None:
            return
        progress.heard_ms = now_ms
        if progress.state is State.SNAPSHOT:
            if now_ms - progress.snapshot_ms < self._config.election_ms:
                return
            progress.retry_snapshot()
        progress.probing = False
        if progress.match < self._log.last_index:
            # With its window full, an empty message finds out whether what fills it arrived.
            self._send(peer, progress, now_ms, empty=progress.paused)

    # --- what a quorum has

    def quorum_match(self) -> int:
        """The highest index that a quorum has; this node has all."""
        followers, last = self.followers, self._log.last_index
        matches = sorted(last if peer == self._me else followers[peer].match for peer in self._membership.voters)
        return matches[-self._membership.quorum]

    def quorum_heard_ms(self, now_ms: int) -> int:
        """Since when a quorum has not been heard, at the worst."""
        followers = self.followers
        heard = sorted(now_ms if peer == self._me else followers[peer].heard_ms for peer in self._membership.voters)
        return heard[-self._membership.quorum]

    def excuse(self, late_ms: int) -> None:
        """This node did not run for so long: that nobody was heard is its own fault."""
        for progress in self.followers.values():
            progress.heard_ms += late_ms

    def best_voter(self) -> bytes | None:
        """The voter beside this node that has most of the log."""
        voters = [peer for peer in self._membership.voters if peer != self._me]
        return max(voters, key=lambda peer: self.followers[peer].match, default=None)
