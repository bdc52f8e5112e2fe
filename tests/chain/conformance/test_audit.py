"""What anybody reads off the blocks about a draw is the same on every ledger."""

import pytest

from chain.contract import state_key
from chain.contracts.spatial_audit import HONEST, Audit, Course, audit, seed_height
from chain.contracts.spatial_board import served_key
from chain.values import TxId
from tests.chain.conformance.all_ledgers import LEDGERS
from tests.chain.conformance.story import Story
from tests.chain.conformance.test_conflicts import OPEN, revealed


def audited(story: Story, report: TxId) -> tuple[Course, Audit]:
    """Replay the draw of a report from the blocks of a replica."""
    replica = story.ledger.replica
    course = Course(report, story.ledger.network.registry)
    for height in range(story.recorded[report], replica.head.height + 1):
        block, receipts = replica.block(height), replica.receipts(height)
        assert block is not None and receipts is not None
        course.read(block, receipts)

    def served(combination: bytes, height: int, index: int) -> bool:
        when = replica.state.version(state_key("spatial", served_key(combination)))
        return when is not None and tuple(when) < (height, index)

    return course, audit(course, story.rules, story.ledger.block_id(seed_height(course, story.rules)), served)


@pytest.mark.parametrize("name", LEDGERS)
def test_an_honest_node_whose_tally_met_a_conflict_is_honest(name):
    """On an ordered ledger the second tally of one requester's is invalid at first, and stays in its block as such."""
    story = Story(LEDGERS[name](OPEN))
    due = revealed(story, (10, [1, 2, 3]), (10, [4, 5, 6]))
    assert {outcome.reason for outcome in story.at_once(*due)} == {""}
    ended = 0
    for each in due:
        course, verdict = audited(story, TxId(each.args[0]))
        assert (verdict.verdict, course.refused) == (HONEST, [])
        ended += course.ended is not None and course.ended.receipt.ok
    assert ended == len(due)
    conflicts = [
        receipt.reason
        for height in range(1, story.ledger.replica.head.height + 1)
        for receipt in story.ledger.replica.receipts(height) or ()
        if not receipt.ok
    ]
    assert ("mvcc_read_conflict" in conflicts) == name.startswith("ordered")
