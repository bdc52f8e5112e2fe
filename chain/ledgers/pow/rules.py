"""What a header must obey, one rule after another, cheap ones first.

A broken rule is `InvalidBlockError`, whose message begins with the rule's name: bad_block, bad_version, bad_work,
bad_height, bad_difficulty, bad_time, bad_quota. What may become right later, or is no longer wanted, is a status.
"""

from chain.codec import block_id
from chain.errors import InvalidBlockError
from chain.ledgers.pow.difficulty import MAX_DIFFICULTY
from chain.ledgers.pow.mining import has_work
from chain.ledgers.pow.parameters import PowRules
from chain.ledgers.pow.tree import Node
from chain.values import Block, Header

HEADER_VERSION = 1


def check_bare(block: Block) -> None:
    """Check that nobody added to a block what its id does not commit to. Raises InvalidBlockError.

    This says nothing about the header: it must not be remembered as bad, for the block as it was made may come yet.
    """
    if block.evidence or block.seal:
        raise InvalidBlockError("bad_block: evidence or a seal, which proof of work has none of")


def check_alone(header: Header) -> None:
    """Check what can be seen without the parent. Raises InvalidBlockError."""
    if header.version != HEADER_VERSION:
        raise InvalidBlockError(f"bad_version: {header.version}")
    if header.height < 1:
        raise InvalidBlockError(f"bad_height: {header.height}")
    if not 1 <= header.difficulty <= MAX_DIFFICULTY:
        raise InvalidBlockError(f"bad_difficulty: {header.difficulty}")
    if not has_work(block_id(header), header.difficulty):
        raise InvalidBlockError(f"bad_work: the id does not meet difficulty {header.difficulty}")


def check_child(parent: Node, header: Header, rules: PowRules) -> None:
    """Check a header, `check_alone` passed, against the branch that it extends. Raises InvalidBlockError."""
    if header.parent != parent.id or header.height != parent.height + 1:
        raise InvalidBlockError(f"bad_height: {header.height} after {parent.height}")
    if header.difficulty != (expected := parent.child_difficulty(rules)):
        raise InvalidBlockError(f"bad_difficulty: {header.difficulty}, the retarget rule says {expected}")
    if header.time_ms <= (median := parent.median_time_past(rules)):
        raise InvalidBlockError(f"bad_time: {header.time_ms} is not after {median}, the median of the last blocks")
    if not parent.may_produce(header.producer, rules):
        raise InvalidBlockError(f"bad_quota: the miner has {rules.quota} of the last {rules.quota_window} blocks")
