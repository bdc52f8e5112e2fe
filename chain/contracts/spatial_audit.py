"""Replaying the draw of a report's voters from what is public: blocks, and which combinations had served.

A `Course` gathers what blocks say about one report; `audit` draws again and compares. An assigner that lets its friends
vote cannot open a group that fits both its commitment and chance: the ledger refuses the opening, the report expires, and
the attempt stays in a block for everybody to see.

What this cannot see: whom the MEC node counted as present. The list of candidates is its word.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from chain.codec import transaction_id
from chain.contract import Registry
from chain.contracts.spatial_board import assigned_at_ms
from chain.contracts.spatial_draw import replay_draw
from chain.contracts.spatial_records import Assignment, Opening
from chain.contracts.spatial_rules import SpatialRules
from chain.errors import Refused
from chain.values import Account, Block, BlockId, Receipt, Transaction, TxId

HONEST = "honest"
DISHONEST = "dishonest"
UNOPENED = "unopened"
"""The group was never shown, and its votes never counted: the report expired."""
OPEN = "open"
"""The time to show the group is not over."""
UNASSIGNED = "unassigned"
VERDICTS = (HONEST, DISHONEST, UNOPENED, OPEN, UNASSIGNED)
MAX_SHOWN = 64
"""Refused attempts to open a group that are remembered."""
# Of a tally that failed: what its opening is to blame for. Conflicts, late blocks and other people's calls say nothing.
_BLAMED = {
    "requester_among_candidates",
    "too_few_candidates",
    "opening_mismatch",
    "candidates_unsorted",
    "group_not_drawn",
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call about the report, and where it is."""

    height: int
    index: int
    sender: Account
    method: str
    arguments: tuple[object, ...]
    receipt: Receipt


@dataclass(slots=True)
class Course:
    """What the ledger says about one report, in the order of its blocks."""

    report: TxId
    registry: Registry
    submitted: Recorded | None = None
    assigned: Recorded | None = None
    assigned_ms: int = 0
    refused: list[Recorded] = field(default_factory=list)
    """Openings by the assigner that the ledger did not accept."""
    ended: Recorded | None = None
    """The tally or the expiry that decided it."""
    votes: int = 0

    def read(self, block: Block, receipts: tuple[Receipt, ...]) -> None:
        """Take in the next block of the best chain, from the one that holds the submission on."""
        for index, (transaction, receipt) in enumerate(zip(block.transactions, receipts, strict=True)):
            if transaction.contract == "spatial":
                self._note(block, index, transaction, receipt)

    def _note(self, block: Block, index: int, transaction: Transaction, receipt: Receipt) -> None:
        if self.submitted is None:
            if transaction_id(transaction) == self.report and receipt.ok:
                self.submitted = self._recorded(block, index, transaction, receipt, ())
            return
        if self.ended is not None or transaction.method not in ("assign", "vote", "tally", "expire"):
            return
        try:
            arguments = self.registry.method("spatial", transaction.method, is_query=False).decode_args(
                transaction.args
            )
        except Refused:
            return
        if arguments[0] != self.report:
            return
        found = self._recorded(block, index, transaction, receipt, arguments)
        if not receipt.ok:
            tried = found.method == "tally" and self.assigned is not None and found.sender == self.assigned.sender
            if tried and receipt.reason in _BLAMED and len(self.refused) < MAX_SHOWN:
                self.refused.append(found)
        elif found.method == "assign":
            self.assigned, self.assigned_ms = found, assigned_at_ms(receipt)
        elif found.method == "vote":
            self.votes += 1
        else:
            self.ended = found

    @staticmethod
    def _recorded(
        block: Block, index: int, transaction: Transaction, receipt: Receipt, arguments: tuple[object, ...]
    ) -> Recorded:
        return Recorded(block.header.height, index, transaction.sender, transaction.method, arguments, receipt)


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of it."""

    report: TxId
    verdict: str
    """One of VERDICTS."""
    findings: tuple[str, ...]
    """What was checked, in sentences for people, in order."""
    assigner: Account | None = None
    seed_height: int | None = None
    seed: BlockId | None = None
    candidates: tuple[Account, ...] = ()
    """Sorted."""
    attempt: int | None = None
    """Draws before this one gave combinations that had served."""
    group: tuple[Account, ...] = ()
    """Whom chance drew, sorted."""


def seed_height(course: Course, rules: SpatialRules) -> int:
    """Return the height of the block that seeds the draw. Raises LookupError for a report that is not on the ledger."""
    if course.submitted is None:
        raise LookupError(f"report {course.report.hex()} is not in these blocks")
    return course.submitted.height + rules.draw_delay


def audit(
    course: Course, rules: SpatialRules, seed: BlockId | None, served: Callable[[bytes, int, int], bool]
) -> Audit:
    """Draw again. `seed`: the id of the block at `seed_height`, None before it is there.

    `served(combination, height, index)`: whether it had served before that transaction. Raises LookupError for a report
    that is not on the ledger.
    """
    at = seed_height(course, rules)
    if course.assigned is None or seed is None:
        said = "Nobody was assigned" + (" in time, and the report expired." if course.ended else " yet.")
        return Audit(course.report, UNASSIGNED, (said,))
    made = course.assigned
    commitment, root = made.arguments[1:]
    assert isinstance(commitment, bytes) and isinstance(root, bytes)  # noqa: S101, PT018 - decoded by type
    assignment = Assignment(made.sender, at - rules.draw_delay, course.assigned_ms, commitment, root)
    findings = [
        f"Block {at} seeds the draw, {rules.draw_delay} after the report's: nobody knew its id when the report was made.",
        f"The assigner committed to its candidates and to a group in block {made.height}, before any vote.",
    ]
    known = Audit(course.report, OPEN, (), assigner=made.sender, seed_height=at, seed=seed)
    findings += [
        f"In block {each.height} the assigner opened what does not fit: {each.receipt.reason} {each.receipt.detail}".rstrip()
        for each in course.refused
    ]
    if course.ended is None or course.ended.method != "tally":
        verdict = DISHONEST if course.refused else UNOPENED if course.ended else OPEN
        findings.append(
            "The group was never shown; the report expired and no vote of it counted."
            if course.ended
            else "The group is not shown before the votes are counted."
        )
        return replace(known, verdict=verdict, findings=tuple(findings))
    opening = course.ended.arguments[1]
    assert isinstance(opening, Opening)  # noqa: S101 - decoded by type

    def before(combination: bytes) -> bool:
        return served(combination, made.height, made.index)

    try:
        attempt, group = replay_draw(seed, course.report, assignment, opening, rules.group_size, before)
    except Refused as refused:
        findings.append(f"The opening does not fit: {refused}. The ledger should not have counted it.")
        return replace(known, verdict=DISHONEST, findings=tuple(findings))
    findings.append(f"{len(opening.candidates)} candidates, the ones that were committed to.")
    if attempt:
        findings.append(f"Draws 1 to {attempt} gave combinations that had served before, and were passed over.")
    findings.append(
        f"Draw {attempt + 1} gives the {len(group)} who were given tickets: the group is the one that chance drew."
    )
    return replace(
        known,
        verdict=HONEST,
        findings=tuple(findings),
        candidates=tuple(opening.candidates),
        attempt=attempt,
        group=group,
    )
