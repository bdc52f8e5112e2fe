"""Signature policies: whose signatures something needs. `policy_text` has the language, `policy_search` the semantics."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from chain.ledgers.ordered.policy_search import choices, fewest_signatures, is_satisfied, principals_of
from chain.ledgers.ordered.policy_text import (
    CERTIFICATE_ROLES,
    MAX_DEPTH,
    MAX_ORGANISATION_CHARACTERS,
    MAX_POLICY_CHARACTERS,
    MAX_PRINCIPALS,
    MEMBER,
    ORGANISATION_PATTERN,
    ROLES,
    OutOf,
    PolicyError,
    Principal,
    Rule,
    read_rule,
    write_rule,
)

__all__ = [
    "CERTIFICATE_ROLES",
    "MAX_DEPTH",
    "MAX_ORGANISATION_CHARACTERS",
    "MAX_POLICY_CHARACTERS",
    "MAX_PRINCIPALS",
    "MEMBER",
    "ORGANISATION_PATTERN",
    "ROLES",
    "OutOf",
    "Policy",
    "PolicyError",
    "Principal",
    "any_of",
    "majority",
]

_ANSWERS = 1_024
"""Remembered by a policy: most transactions are endorsed by the same few."""


class Policy:
    """Immutable; equal to what has the same rule. `str` is its canonical text."""

    __slots__ = ("_answers", "_leaves", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._leaves = Counter(principals_of(rule))
        self._answers: dict[tuple[Principal, ...], bool] = {}

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """The policy that `text` says; the same object when asked again. Raises PolicyError."""
        return _parsed(text)

    def __str__(self) -> str:
        return write_rule(self.rule)

    def __repr__(self) -> str:
        return f"Policy.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.rule == other.rule

    def __hash__(self) -> int:
        return hash(self.rule)

    @property
    def principals(self) -> tuple[Principal, ...]:
        """Each that is named, once, in order."""
        return tuple(self._leaves)

    def satisfied(self, signers: Sequence[Principal]) -> bool:
        """Whether these signers, all of them distinct accounts with valid certificates, suffice.

        None counts for two principals of the policy. Their order does not matter, and one more never harms.
        """
        key = tuple(signers)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= _ANSWERS:
                self._answers.clear()
            answer = self._answers[key] = is_satisfied(self.rule, self._leaves, key)
        return answer

    def choices(self, available: Sequence[Principal]) -> Iterator[tuple[int, ...]]:
        """Whom to ask: sorted places in `available` that suffice with none to spare, each set of them once.

        Signers that stand early are preferred. The search is bounded (`policy_search.MAX_STEPS`), so there may be
        more; the first comes quickly unless principals compete for few signers. Nothing when they do not suffice.
        """
        return choices(self.rule, self._leaves, available)

    def fewest(self, roles: Collection[str] = CERTIFICATE_ROLES) -> int | None:
        """Fewest signatures that suffice, when signers have one of `roles`; None when no number does."""
        return fewest_signatures(self.rule, roles)


@lru_cache(maxsize=1_024)
def _parsed(text: str) -> Policy:
    return Policy(read_rule(text))


def majority(organisations: Collection[str], role: str) -> str:
    """Text of Fabric's default: somebody in `role` from more than half of `organisations`, one or more and distinct."""
    return _text(len(organisations) // 2 + 1, organisations, role)


def any_of(organisations: Collection[str], role: str) -> str:
    """Text of the policy that somebody in `role` of one of `organisations`, one or more and distinct, suffices."""
    return _text(1, organisations, role)


def _text(n: int, organisations: Collection[str], role: str) -> str:
    principals = tuple(Principal(name, role) for name in sorted(organisations))
    return write_rule(principals[0] if len(principals) == 1 else OutOf(n, principals))
