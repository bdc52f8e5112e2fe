"""What votes of independent workers should come to (Condorcet 1785), with the contract's majority: of those assigned."""

from collections.abc import Mapping
from math import comb

Groups = Mapping[tuple[int, int], int]
"""How many groups there were with so many assigned, of whom so many voted."""


def confirmed(assigned: int, voted: int, probability: float) -> float:
    """Probability that more than half of `assigned` confirm, when each who voted does with `probability`, on its own."""
    return sum(
        comb(voted, votes) * probability**votes * (1 - probability) ** (voted - votes)
        for votes in range(assigned // 2 + 1, voted + 1)
    )


def prediction(accuracy: float, false_share: float, groups: Groups) -> dict[str, float]:
    """Recall and precision of what is recorded; at least one group.

    Who was assigned and did not vote counts against a report, true or false. Precision is 1 where nothing would be
    recorded.
    """
    total = sum(groups.values())
    true, false = (
        sum(number * confirmed(*group, chance) for group, number in sorted(groups.items())) / total
        for chance in (accuracy, 1 - accuracy)
    )
    recorded = (1 - false_share) * true + false_share * false
    return {"recall": true, "precision": (1 - false_share) * true / recorded if recorded else 1.0}
