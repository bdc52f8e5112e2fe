"""A script that is told to a ledger, and the record of it in a form that must be the same on all ledgers.

Ids differ by construction: a transaction's contains the network's id and, on an ordered ledger, the time it was made; what
is derived from a report's id (commitments, roots) follows, and so does whom a draw picks, which is seeded by a block's id.
So whatever differs for such a reason is *named* as the script comes across it, ids of transactions by their ordinal, and
its bytes are replaced by its name's digest of the same length wherever they are found. What is not named must be equal.
Only three numbers of the ledger are in the contracts' part of the state or in answers: the height of the block that
recorded a report, which is compared with the ledger's own word and left out, that of the block that had oracles drawn, which
is left out, and where a combination served.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from chain.codec import decode_own, encode
from chain.contract import Context, encode_args
from chain.contracts.campaign_queries import Drawn
from chain.contracts.spatial_draw import SealedGroup, combination_id, commit_ballot, draw_group, seal_group
from chain.contracts.spatial_records import Assignment, Progress, Report, Ticket
from chain.errors import Refused
from chain.gas import Meter, intrinsic_gas, sha256_gas
from chain.values import TxId
from tests.chain.conformance.founding import FOUNDED_MS, IDLE_MS
from tests.chain.conformance.ledgers import Asked, LedgerUnderTest, Outcome
from tests.chain.town import HERE, SALT
from tests.strategies import MEC, account

OWN = (b"accounts/nonce/", b"seen/", b"channel/")
"""Parts of the state that belong to the ledger and not to a contract: who has said how much, and who its members are."""
_LEDGERS_OWN = {("spatial", "served_at"), ("accounts", "nonce"), ("channel", "config")}
"""Queries that tell of a place in blocks, of a nonce, of which an ordered ledger has none, or who orders."""
DRAWN_MS = 3 * IDLE_MS
"""After so long the block that seeds a draw is final, on any ledger here."""
_ASSIGNMENT = b"spatial/assignment/"


@dataclass
class Record:
    """What happened, with names for what differs by construction."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    """(sender, contract, method, reason, result, gas, events), or of a query (contract, method, reason, answer). Gas is
    what was used, without `_own_gas`, and what was refunded; of calls that were made at once, both in one."""
    state: dict[bytes, bytes] = field(default_factory=dict)
    """The contracts' part of the final state, and key policies."""


class Story:
    """Calls are a second apart unless told."""

    def __init__(self, ledger: LedgerUnderTest) -> None:
        self.ledger = ledger
        self.rules = ledger.network.genesis.spatial
        self.record = Record()
        self.said: list[tuple[str, str, str]] = []
        """(contract, method, reason) of each call and query."""
        self.time_ms = FOUNDED_MS + 10_000  # by then orderers have a leader
        self.recorded: dict[TxId, int] = {}
        """Height of the block of each report."""
        self._names: dict[bytes, bytes] = {}
        self.name("network", ledger.network.id)

    # --- names ------------------------------------------------------------------------------------------------

    def name(self, name: str, found: bytes) -> None:
        """From now on `found` is called so, wherever it is met."""
        self._names.setdefault(found, sha256(name.encode()).digest()[: len(found)])

    def named(self, data: bytes) -> bytes:
        """The same with names in place of what has one."""
        for found, name in self._names.items():
            data = data.replace(found, name)
        return data

    # --- calls ------------------------------------------------------------------------------------------------

    def wait(self, for_ms: int) -> None:
        """Nobody calls for so long."""
        self.time_ms += for_ms
        self.ledger.pass_until(self.time_ms)

    def attempt(
        self,
        who: int,
        method: str,
        *args: object,
        contract: str = "spatial",
        after_ms: int = 1_000,
        endorsers: tuple[int, ...] = (0, 1),
    ) -> Outcome:
        """Call, and note what becomes of it."""
        (outcome,) = self.at_once(Asked(who, contract, method, args, endorsers), after_ms=after_ms)
        return outcome

    def at_once(self, *asked: Asked, after_ms: int = 1_000) -> Sequence[Outcome]:
        """Make calls that do not wait for one another."""
        self.wait(after_ms)
        metered = self._metered(asked[0]) if len(asked) == 1 else None
        outcomes = self.ledger.call_all(asked)
        for each, outcome in zip(asked, outcomes, strict=True):
            self._note(each, outcome, metered)
        return outcomes

    def call(self, who: int, method: str, *args: object, **how: Any) -> Outcome:
        """A call that must not be refused."""
        outcome = self.attempt(who, method, *args, **how)
        assert outcome.reason == "", (self.ledger.name, method, outcome.reason)
        return outcome

    def refused(self, reason: str, who: int, method: str, *args: object, **how: Any) -> None:
        """A call that must be refused for that."""
        outcome = self.attempt(who, method, *args, **how)
        assert outcome.reason == reason, (self.ledger.name, method, outcome.reason, "expected", reason)

    def query(self, method: str, *args: object, contract: str = "spatial") -> Any:
        """Ask, and note the answer, or the reason why there is none. Returns None then."""
        registry = self.ledger.network.registry
        try:
            data = self.ledger.query(contract, method, encode_args(*args))
        except Refused as refused:
            self.said.append((contract, method, refused.reason))
            self.record.calls.append((contract, method, refused.reason, b""))
            return None
        self.said.append((contract, method, ""))
        answer = registry.result(contract, method, data)
        noted: Any = answer is not None if (contract, method) in _LEDGERS_OWN else without_heights(answer)
        if method == "reports" and not args[0]:  # they come by id
            noted = tuple(sorted(noted, key=lambda each: each.recorded_ms))
        self.record.calls.append((contract, method, "", self.named(encode(noted))))
        return answer

    def _metered(self, asked: Asked) -> Meter:
        """What a call will use and be refunded: a receipt shows one less the other, capped."""
        network = self.ledger.network
        args = encode_args(*asked.args)
        meter = Meter(network.genesis.ledger.max_transaction_gas)
        context = Context(
            self.ledger.replica.state,
            asked.contract,
            sender=account(asked.who),
            tx=TxId(sha256(args).digest()),
            time_ms=self.time_ms,
            block_id_at=self.ledger.block_id,
            gas=meter,
        )
        with suppress(Refused):
            meter.charge(intrinsic_gas(args))
            network.registry.run(context, asked.contract, asked.method, args)
        return meter

    def _note(self, asked: Asked, outcome: Outcome, metered: Meter | None) -> None:
        self.said.append((asked.contract, asked.method, outcome.reason))
        if outcome.transaction is not None:
            self.name(f"transaction {len(self.record.calls)}", outcome.transaction)
            if (asked.contract, asked.method, outcome.reason) == ("spatial", "submit", ""):
                self.recorded[outcome.transaction] = outcome.height
        sender = self.named(account(asked.who))
        done: tuple[Any, ...] = (b"", (0, 0), ())
        if not outcome.reason:
            events = tuple((event.contract, event.name, self.named(event.data)) for event in outcome.events)
            gas, refund = outcome.gas, 0
            if metered is not None:
                assert gas == metered.spent, (self.ledger.name, asked.method, gas, metered.spent)
                gas, refund = metered.used, metered.refund
            gas -= _own_gas(asked)
            # How much a channel's configuration is to read depends on how many orderers it names.
            cost = (gas, refund) if asked.contract != "channel" else (0, 0)
            done = (self.named(outcome.result), cost, events)
        self.record.calls.append((sender, asked.contract, asked.method, outcome.reason, *done))

    def end(self) -> Record:
        """What came of it all."""
        for key, entry in self.ledger.final_state().scan(b""):
            if key.startswith(OWN):
                continue
            value = entry.value
            if key.startswith(_ASSIGNMENT):
                assignment = decode_own(Assignment, value)
                assert assignment.recorded_height == self.recorded[TxId(key[len(_ASSIGNMENT) :])]
                value = encode(without_heights(assignment))
            self.record.state[self.named(key)] = self.named(value)
        return self.record

    # --- a report's life --------------------------------------------------------------------------------------

    def submit(self, who: int, place: tuple[int, int] = HERE, type_: str = "fire", **how: Any) -> TxId:
        outcome = self.call(who, "submit", type_, *place, self.time_ms, **how)
        assert outcome.transaction is not None
        return outcome.transaction

    def seal(self, report: TxId, candidates: Sequence[int]) -> tuple[list[int], SealedGroup]:
        """Wait for the draw; returns whom it picks, and how they are hidden. Raises LookupError when all have served.

        Drawn candidates get the names "drawn 0" and so on, the others "passed over 0", for chance differs: a script that
        draws from more than a group must not have them do anything else.
        """
        height = self.recorded[report] + self.rules.draw_delay
        self.wait(DRAWN_MS)
        seed = self.ledger.block_id(height)
        assert seed is not None
        accounts = {account(number): number for number in candidates}
        drawn = draw_group(seed, report, accounts, self.rules.group_size, self._served)
        if drawn is None:
            raise LookupError("every combination drawn has served")
        group = drawn[1]
        if len(group) < len(accounts):
            for place, member in enumerate(group):
                self.name(f"drawn {place} of {len(self.record.calls)}", member)
            for place, other in enumerate(sorted(set(accounts) - set(group))):
                self.name(f"passed over {place} of {len(self.record.calls)}", other)
            self.name(f"combination of {len(self.record.calls)}", combination_id(group))
        sealed = self.hide(report, candidates, [accounts[member] for member in group])
        return [accounts[member] for member in group], sealed

    def hide(self, report: TxId, candidates: Sequence[int], group: Sequence[int]) -> SealedGroup:
        """Commit to any candidates and group, drawn or not."""
        members = sorted(account(number) for number in group)
        sealed = seal_group(report, [account(number) for number in candidates], members, b"secret" * 6)
        self.name(f"candidates of {len(self.record.calls)}", sealed.candidates_commitment)
        self.name(f"group of {len(self.record.calls)}", sealed.group_root)
        return sealed

    def _served(self, combination: bytes) -> bool:
        return self.ledger.state().get(b"spatial/served/" + combination) is not None

    def assign(self, report: TxId, candidates: Sequence[int]) -> tuple[list[int], SealedGroup]:
        group, sealed = self.seal(report, candidates)
        self.call(MEC, "assign", report, sealed.candidates_commitment, sealed.group_root)
        return group, sealed

    def ballot(self, report: TxId, who: int, confirm: bool) -> bytes:
        found = commit_ballot(report, account(who), confirm, SALT)
        self.name(f"ballot {len(self.record.calls)}", found)
        return found

    def vote(self, report: TxId, sealed: SealedGroup, who: int, confirm: bool) -> None:
        self.call(who, "vote", report, self.ballot(report, who, confirm), sealed.tickets[account(who)])

    def progress(self, report: TxId) -> Progress:
        found = self.query("progress", report)
        assert isinstance(found, Progress)
        return found

    def report(self, report: TxId) -> Report:
        found = self.query("report", report)
        assert isinstance(found, Report)
        return found

    def until(self, time_ms: int) -> None:
        """The next call, made a millisecond later, is the first after `time_ms`."""
        self.wait(time_ms - self.time_ms)

    def decide(self, report: TxId, candidates: Sequence[int], confirmations: int) -> list[int]:
        """From assignment to tally, with this many confirmations and the rest rejecting; returns the group."""
        group, sealed = self.assign(report, candidates)
        for place, who in enumerate(group):
            self.vote(report, sealed, who, place < confirmations)
        self.until(self.progress(report).vote_until_ms)
        for place, who in enumerate(group):
            self.call(who, "reveal", report, place < confirmations, SALT)
        self.call(MEC, "tally", report, sealed.opening)
        return group


def _own_gas(asked: Asked) -> int:
    """What a call costs for what differs by construction.

    Of its bytes, some are zero by chance. A ticket is as long as its place in a tree of digests makes it, and so is the way
    to the root that the contract hashes: at each step a mark and two digests.
    """
    steps = sum(len(each.path.siblings) for each in asked.args if isinstance(each, Ticket))
    return intrinsic_gas(encode_args(*asked.args)) + steps * sha256_gas(1 + 2 * 32)


def without_heights(answer: Any) -> Any:
    """The same value with 0 for the height of the block that recorded a report, or had oracles drawn."""
    if isinstance(answer, Assignment | Drawn):
        return msgspec.structs.replace(answer, recorded_height=0)
    if isinstance(answer, tuple):
        return tuple(without_heights(part) for part in answer)
    if isinstance(answer, msgspec.Struct):
        parts = {name: without_heights(getattr(answer, name)) for name in answer.__struct_fields__}
        return msgspec.structs.replace(answer, **parts)
    return answer
