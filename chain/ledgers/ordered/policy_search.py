"""Whether signatures satisfy a rule, and which signers to ask so that they will.

A signature counts for one principal of a policy, as in Fabric (`common/cauthdsl`, its `used` flags). Fabric gives each
principal the first signature that fits and never reconsiders: there, whether ``AND('A.member', 'A.peer')`` is satisfied
depends on who comes first, and one signature more can spoil it. Here all ways to assign signatures are considered, so
their order does not matter. In general that is set packing, which is NP-hard: where signatures are scarce for principals
that compete for them the search is bounded, and what is not found within the bound counts as not satisfied.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

from chain.ledgers.ordered.policy_text import MEMBER, OutOf, Principal, Rule

MAX_STEPS = 10_000
"""Of one search: some 20 ms."""

_Supply = tuple[int, ...]


class _ExhaustedError(Exception):
    """MAX_STEPS were taken."""


def principals_of(rule: Rule) -> Iterator[Principal]:
    """Each as often as it stands there, in order."""
    if isinstance(rule, Principal):
        yield rule
    else:
        for child in rule.rules:
            yield from principals_of(child)


def fewest_signatures(rule: Rule, roles: Collection[str]) -> int | None:
    """Fewest signatures that satisfy `rule` when signers have `roles` alone; None when no number does."""
    if isinstance(rule, Principal):
        return 1 if rule.role == MEMBER or rule.role in roles else None
    costs = sorted(cost for child in rule.rules if (cost := fewest_signatures(child, roles)) is not None)
    return sum(costs[: rule.n]) if len(costs) >= rule.n else None


def is_satisfied(rule: Rule, leaves: "Counter[Principal]", signers: Sequence[Principal]) -> bool:
    """Whether signatures of `signers`, distinct accounts all, can be given to principals so that `rule` holds.

    `leaves` counts `principals_of` the rule.
    """
    supply = Counter(signers)
    have: dict[str, dict[str, int]] = {}
    for (organisation, role), number in supply.items():
        have.setdefault(organisation, {})[role] = number
    wanted: dict[str, list[Principal]] = {}
    for leaf in leaves:
        roles = have.get(leaf.organisation, {})
        if leaf.role in roles or (roles and leaf.role == MEMBER):
            wanted.setdefault(leaf.organisation, []).append(leaf)
    # Where there is a signature for every principal of an organisation, nobody competes: it is a plain formula.
    free: set[Principal] = set()
    scarce: set[Principal] = set()
    for organisation, principals in wanted.items():
        roles = have[organisation]
        enough = all(leaf.role == MEMBER or roles[leaf.role] >= leaves[leaf] for leaf in principals)
        enough = enough and sum(roles.values()) >= sum(leaves[leaf] for leaf in principals)
        (free if enough else scarce).update(principals)
    if _holds(rule, free):
        return True
    if not scarce or not _holds(rule, free | scarce):
        return False
    return _Assignment(free, scarce, supply).exists(rule)


def _holds(rule: Rule, true: Collection[Principal]) -> bool:
    """The rule as a plain formula, in which the principals in `true` are."""
    if isinstance(rule, Principal):
        return rule in true
    missing = rule.n
    for child in rule.rules:
        if _holds(child, true):
            missing -= 1
            if not missing:
                return True
    return False


class _Assignment:
    """The search where signatures are scarce. A supply is how many signatures of each kind are not used yet."""

    def __init__(self, free: set[Principal], scarce: set[Principal], supply: "Counter[Principal]") -> None:
        self._free = free
        self._hopeful = free | scarce
        kinds = sorted(kind for kind in supply if any(leaf.matches(kind) for leaf in scarce))
        self._all = tuple(supply[kind] for kind in kinds)
        self._fitting = {leaf: [i for i, kind in enumerate(kinds) if leaf.matches(kind)] for leaf in scarce}
        self._plans: dict[OutOf, tuple[int, list[Rule]]] = {}
        self._steps = 0

    def exists(self, rule: Rule) -> bool:
        try:
            return bool(self._left_by(rule, self._all))
        except _ExhaustedError:
            return False

    def _left_by(self, rule: Rule, supply: _Supply) -> set[_Supply]:
        """What can be left of `supply` when `rule` has taken what it needs; empty when that is not there."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _ExhaustedError
        if isinstance(rule, Principal):
            if rule in self._free:
                return {supply}
            return {(*supply[:i], supply[i] - 1, *supply[i + 1 :]) for i in self._fitting.get(rule, ()) if supply[i]}
        missing, costly = self._plan(rule)
        if missing <= 0:
            return {supply}
        # What can be left when 0, 1, 2, … of the children so far are satisfied; from many to few, lest one counts twice.
        left: list[set[_Supply]] = [{supply}, *(set() for _ in range(missing))]
        for child in costly:
            for count in range(missing - 1, -1, -1):
                for before in sorted(left[count]):
                    left[count + 1] |= self._left_by(child, before)
        return left[missing]

    def _plan(self, rule: OutOf) -> tuple[int, list[Rule]]:
        """How many of a gate's rules are missing when those that cost nothing hold, and the others that can hold."""
        plan = self._plans.get(rule)
        if plan is None:
            dear = [child for child in rule.rules if not _holds(child, self._free)]
            missing = rule.n - (len(rule.rules) - len(dear))
            plan = self._plans[rule] = missing, [child for child in dear if _holds(child, self._hopeful)]
        return plan


def choices(rule: Rule, leaves: "Counter[Principal]", available: Sequence[Principal]) -> Iterator[tuple[int, ...]]:
    """Places in `available` whose signatures satisfy `rule` with none to spare; those that use early places come early.

    Each set once, sorted. The search ends after MAX_STEPS steps, perhaps with choices left.
    """
    seen: set[frozenset[int]] = set()
    try:
        for used in _Chooser(rule, available).ways(rule, frozenset()):
            if used in seen:
                continue
            seen.add(used)
            places = sorted(used)
            without = ([available[i] for i in places if i != spared] for spared in places)
            if not any(is_satisfied(rule, leaves, signers) for signers in without):
                yield tuple(places)
    except _ExhaustedError:
        return


class _Chooser:
    """Depth first through the ways to satisfy a rule, children that need early places alone before others."""

    def __init__(self, rule: Rule, available: Sequence[Principal]) -> None:
        self._available = available
        self._ranks: dict[Rule, int | None] = {}
        self._steps = 0
        self._rank(rule)

    def _rank(self, rule: Rule) -> int | None:
        """The last place that `rule` needs if nothing else needs any; None when it cannot be satisfied."""
        if isinstance(rule, Principal):
            rank = next((i for i, signer in enumerate(self._available) if rule.matches(signer)), None)
        else:
            found = sorted(rank for child in rule.rules if (rank := self._rank(child)) is not None)
            rank = found[rule.n - 1] if len(found) >= rule.n else None
        self._ranks[rule] = rank
        return rank

    def ways(self, rule: Rule, used: frozenset[int]) -> Iterator[frozenset[int]]:
        """What is used when `rule` is satisfied too."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _ExhaustedError
        if isinstance(rule, Principal):
            for i, signer in enumerate(self._available):
                if i not in used and rule.matches(signer):
                    yield used | {i}
            return
        ranked = sorted((rank, i) for i, child in enumerate(rule.rules) if (rank := self._ranks[child]) is not None)
        for chosen in combinations([rule.rules[i] for _, i in ranked], rule.n):
            yield from self._ways_of_all(chosen, used)

    def _ways_of_all(self, rules: tuple[Rule, ...], used: frozenset[int]) -> Iterator[frozenset[int]]:
        if not rules:
            yield used
            return
        for more in self.ways(rules[0], used):
            yield from self._ways_of_all(rules[1:], more)
