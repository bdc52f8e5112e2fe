"""What must hold of a cluster at all times (paper, figure 3), checked after each step of each node.

A node's log is looked at as its disk has it and, for what it holds to be committed, as it says itself.
"""

from chain.ledgers.ordered.raft.messages import Kind


class Violation(AssertionError):
    """A safety property does not hold."""


class Checker:
    """One cluster's history. Each check costs what the step changed, not what the logs have."""

    def __init__(self):
        self.leaders = {}  # term → who led it
        self.entries = {}  # (index, term) → (term before, entry): log matching by induction
        self.chosen = {}  # index → term, of all that any node held to be committed
        self.data = {}  # proposal → index where it is committed
        self.top = 0  # highest index chosen
        self.votes = {}  # (peer, term) → for whom, on disk

    def persisted(self, peer, persist, term_before):
        state = persist.hard_state
        if state is not None and state.vote:
            known = self.votes.setdefault((peer, state.term), state.vote)
            if known != state.vote:
                raise Violation(f"two votes in term {state.term}")
        if persist.first_index is None:
            return
        before = term_before
        for place, entry in enumerate(persist.entries):
            index = persist.first_index + place
            known = self.entries.setdefault((index, entry.term), (before, entry))
            if known != (before, entry):
                raise Violation(f"log matching: {index} of term {entry.term} is {known} and {(before, entry)}")
            before = entry.term

    def same_on_disk(self, log, disk):
        """What a node would find if it died now is what it has. Lengths and last entries tell."""
        stored = disk.last()
        if stored != (log.last_index, log.last_term):
            raise Violation(f"the log ends at {(log.last_index, log.last_term)}, on disk at {stored}")

    def became_leader(self, peer, term, log):
        known = self.leaders.setdefault(term, peer)
        if known != peer:
            raise Violation(f"election safety: term {term} has two leaders")
        if log.last_index < self.top:
            raise Violation(f"leader completeness: the log ends at {log.last_index}, {self.top} is committed")
        for index in range(max(1, log.snapshot.index), self.top + 1):
            if log.term(index) != self.chosen[index]:
                raise Violation(f"leader completeness: {index} has term {log.term(index)}, not {self.chosen[index]}")

    def holds_committed(self, log, checked):
        """Everything up to `log.commit` is what others held to be committed; `checked` was looked at before."""
        for index in range(max(checked, log.snapshot.index - 1) + 1, log.commit + 1):
            term = log.term(index)
            if self.chosen.setdefault(index, term) != term:
                raise Violation(f"state machine safety: {index} has terms {term} and {self.chosen[index]}")
        self.top = max(self.top, log.commit)

    def applied(self, commit, previous):
        """`commit` was given to an owner whose last was `previous`: nothing is left out, doubled or altered."""
        if commit.index <= previous:
            raise Violation(f"{commit.index} applied after {previous}")
        for index in range(previous + 1, commit.index):
            _, entry = self.entries[index, self.chosen[index]]
            if entry.kind == Kind.DATA:
                raise Violation(f"{index} was left out")
        if self.chosen.get(commit.index) != commit.term:
            raise Violation(f"{commit.index} of term {commit.term} was not chosen")
        _, entry = self.entries[commit.index, commit.term]
        if entry.data != commit.data or entry.kind != Kind.DATA:
            raise Violation(f"{commit.index} was altered")
        if self.data.setdefault(commit.data, commit.index) != commit.index:
            raise Violation(f"{commit.data} is committed twice")
