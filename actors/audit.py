"""Audits of a draw, over whatever holds the blocks: an actor's ledger, or the store of a run that has ended."""

from typing import Any, Protocol

from actors.ledger import FoundBlock, Outcome
from chain.codec import block_id
from chain.contract import Registry
from chain.contracts.spatial_audit import Audit, Course, audit, seed_height
from chain.contracts.spatial_draw import MAX_DRAWS, combination_id, draw_once
from chain.contracts.spatial_records import Opening
from chain.contracts.spatial_rules import SpatialRules
from chain.values import BlockId, TxId

MAX_BLOCKS = 5_000
"""Blocks that are read after the one that recorded the report."""


class UnauditableError(Exception):
    """The blocks that it takes are not here."""


class Books(Protocol):
    """The part of `actors.ledger.Ledger` that an audit reads."""

    async def block(self, ref: BlockId | int) -> FoundBlock | None:
        """See `actors.ledger.Ledger.block`."""

    async def outcome(self, transaction: TxId) -> Outcome | None:
        """See `actors.ledger.Ledger.outcome`."""

    async def query(self, contract: str, method: str, *args: Any) -> Any:
        """See `actors.ledger.Ledger.query`."""


async def audit_report(books: Books, registry: Registry, rules: SpatialRules, report: TxId) -> Audit:
    """Read the report's course and draw again. Raises UnauditableError; what `books` raises escapes."""
    where = await books.outcome(report)
    if where is None or where.header is None:
        raise UnauditableError(f"no block here holds report {report.hex()}")
    course = Course(report, registry)
    at = where.header.height
    for height in range(at, at + MAX_BLOCKS):
        found = await books.block(height)
        if found is None:
            if height == at:
                raise UnauditableError(f"of block {height}, which records the report, the header alone is kept here")
            break
        course.read(found.block, found.receipts)
        if course.ended is not None:
            break
    if course.submitted is None:
        raise UnauditableError(f"{report.hex()} is no report")
    seeding = await books.block(seed_height(course, rules))
    seed = None if seeding is None else block_id(seeding.block.header)
    served = await _served(books, course, rules, seed)

    def before(combination: bytes, height: int, index: int) -> bool:
        when = served.get(combination)
        return when is not None and when < (height, index)

    return audit(course, rules, seed, before)


async def _served(
    books: Books, course: Course, rules: SpatialRules, seed: BlockId | None
) -> dict[bytes, tuple[int, int]]:
    """When the combinations had served that the draw comes upon, up to the first that had not."""
    opening = course.ended.arguments[1] if course.ended is not None and course.ended.method == "tally" else None
    served: dict[bytes, tuple[int, int]] = {}
    if seed is None or course.assigned is None or not isinstance(opening, Opening):
        return served
    made = (course.assigned.height, course.assigned.index)
    for attempt in range(MAX_DRAWS):
        combination = combination_id(draw_once(seed, course.report, attempt, opening.candidates, rules.group_size))
        when = await books.query("spatial", "served_at", combination)
        if when is None:
            break
        served[combination] = when
        if when >= made:
            break
    return served
