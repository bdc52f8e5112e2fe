"""The block tree against a list of all blocks ever seen, searched anew each time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.ledgers.pow.tree import Node, Tree
from chain.values import Header

DEPTH = 3


def node_on(parent, number, difficulty):
    block_id = number.to_bytes(32, "big")
    height = parent.height + 1 if parent is not None else 0
    parent_id = parent.id if parent is not None else bytes(32)
    zero = bytes(32)
    return Node(Header(1, height, parent_id, number, zero, zero, zero, zero, difficulty, 0), block_id, parent)


def line(node):
    """Ids from genesis up to a node."""
    return [ancestor.id for ancestor in node.back()][::-1]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), max_size=40))
def test_tree_is_what_a_search_of_everything_finds(steps):
    """Head: the heaviest, first seen among equals, of all that lead on from the final block, which never leaves."""
    genesis = node_on(None, 0, 1)
    tree = Tree(genesis, DEPTH)
    seen, head, final = [genesis], genesis, genesis
    for number, (back, difficulty) in enumerate(steps, start=1):
        parent = seen[max(0, len(seen) - 1 - back)]
        header = node_on(parent, number, difficulty).header
        allowed = line(parent)[: final.height + 1] == line(final)
        known = tree.get(parent.id) is not None
        assert allowed == (known and not tree.comes_too_late(header))
        if not allowed:
            continue
        node = node_on(parent, number, difficulty)
        change = tree.add(node)
        seen.append(node)
        before, new_head = line(head), node if node.work > head.work else head
        after = line(new_head)
        if new_head is head:
            assert change is None
        else:
            common = sum(a == b for a, b in zip(before, after, strict=False))
            assert [left.id for left in change.left] == before[common:][::-1]
            assert [joined.id for joined in change.joined] == after[common:]
            newly = after[final.height + 1 : max(final.height, new_head.height - DEPTH) + 1]
            assert [node.id for node in change.final] == newly
            head = new_head
            final = next(n for n in head.back() if n.height == max(final.height, head.height - DEPTH))
        assert tree.head is head and tree.final is final
        assert [tree.at(height).id for height in range(head.height + 1)] == line(head)
        assert tree.at(head.height + 1) is None and tree.at(-1) is None
        live = [n for n in seen if n.height > final.height and line(n)[: final.height + 1] == line(final)]
        assert tree.live_count == len(live)
        for other in seen:
            kept = other in live or other.id in line(head)
            assert (tree.get(other.id) is other) == kept
            assert tree.on_best_chain(other) == (other.id in line(head))
            if kept:
                assert [tree.ancestor(other, height).id for height in range(other.height + 1)] == line(other)
