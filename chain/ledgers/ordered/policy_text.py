"""Signature policies as people write them, read into rules and written back.

    policy    = gate | principal
    gate      = ("AND" | "OR") "(" policy *("," policy) ")"
              | "OutOf" "(" number "," policy *("," policy) ")"
    principal = "'" organisation "." role "'"          role: member, admin, peer, orderer or client

Hyperledger Fabric's language (its documentation, *Endorsement policies*), with one spelling for each word. An
organisation's name may contain dots, so the role is what stands after the last one.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn, TypeAlias

from chain.errors import ChainError

MAX_POLICY_CHARACTERS = 1_024
"""As it is given, and as `write_rule` writes it."""
MAX_DEPTH = 8
"""Gates within gates."""
MAX_PRINCIPALS = 64
"""In one policy, repeated ones counted each time."""
MAX_ORGANISATION_CHARACTERS = 32
ORGANISATION_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\Z"
MEMBER: Final = "member"
"""What every valid certificate is, whatever its role."""
CERTIFICATE_ROLES = ("admin", "peer", "orderer", "client")
"""What a certificate may say."""
ROLES = (MEMBER, *CERTIFICATE_ROLES)

_GATES = ("AND", "OR", "OutOf")
_POLICY = "AND(…), OR(…), OutOf(…) or 'Organisation.role'"
_TOKEN = re.compile(r"(?P<word>[A-Za-z_]+)|(?P<number>0|[1-9][0-9]*)|(?P<quoted>'[^']*')|(?P<sign>[(),])")
_SPACE = re.compile(r"[ \t\r\n]*")
_ORGANISATION = re.compile(ORGANISATION_PATTERN)
_SHOWN = 24
"""Characters of the offending text that a message repeats."""


class PolicyError(ChainError, ValueError):
    """The writer's fault: not a policy. `position` is where in the text it was noticed, from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class Principal(NamedTuple):
    """Somebody of an organisation in a role: what a policy asks for, and what a valid certificate makes of its signer."""

    organisation: str
    role: str

    def matches(self, signer: "Principal") -> bool:
        """Whether `signer`'s signature is one of those that this asks for."""
        return self.organisation == signer.organisation and self.role in (MEMBER, signer.role)


@dataclass(frozen=True, slots=True)
class OutOf:
    """At least `n` of `rules`, where 1 <= n <= len(rules) and there are two rules or more."""

    n: int
    rules: "tuple[Rule, ...]"


Rule: TypeAlias = Principal | OutOf


def write_rule(rule: Rule) -> str:
    """The text that `read_rule` makes the same rule of."""
    if isinstance(rule, Principal):
        return f"'{rule.organisation}.{rule.role}'"
    parts = ", ".join(write_rule(child) for child in rule.rules)
    if rule.n == len(rule.rules):
        return f"AND({parts})"
    if rule.n == 1:
        return f"OR({parts})"
    return f"OutOf({rule.n}, {parts})"


def read_rule(text: str) -> Rule:
    """A gate around a single rule is that rule; AND and OR are read as OutOf. Raises PolicyError."""
    if len(text) > MAX_POLICY_CHARACTERS:
        raise PolicyError(
            f"a policy of {len(text):,} characters, where {MAX_POLICY_CHARACTERS:,} are allowed", MAX_POLICY_CHARACTERS
        )
    reader = _Reader(text)
    rule = reader.rule(0)
    if reader.at < len(text):
        reader.fail("the end")
    if len(written := write_rule(rule)) > MAX_POLICY_CHARACTERS:  # it has a space after each comma
        raise PolicyError(f"a policy that is written in {len(written):,} characters", MAX_POLICY_CHARACTERS)
    return rule


class _Reader:
    """Recursive descent: `at` is where the next token begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._principals = 0
        self.at = 0
        self._skip(0)

    def rule(self, depth: int) -> Rule:
        start = self.at
        kind, token = self._peek()
        if kind == "quoted":
            self._skip(len(token))
            return self._principal(token[1:-1], start)
        if token not in _GATES:
            self.fail(_POLICY)
        if depth == MAX_DEPTH:
            self._refuse(f"gates may be nested {MAX_DEPTH} deep, this is deeper", start)
        self._skip(len(token))
        self._take("(")
        n = None
        counted = self.at
        if token == "OutOf":  # noqa: S105 - a token of the language
            n = self._number()
            self._take(",")
        rules = [self.rule(depth + 1)]
        while self._peek()[1] == ",":
            self._skip(1)
            rules.append(self.rule(depth + 1))
        if self._peek()[1] != ")":
            self.fail("',' or ')'")
        self._skip(1)
        if n is None:
            n = len(rules) if token == "AND" else 1  # noqa: S105
        if not 1 <= n <= len(rules):
            self._refuse(f"OutOf asks for {n} of {len(rules)}, 1 to {len(rules)} can be had", counted)
        return rules[0] if len(rules) == 1 else OutOf(n, tuple(rules))

    def fail(self, expected: str) -> NoReturn:
        """Say what should stand here."""
        rest = self._text[self.at : self.at + _SHOWN]
        found = repr(rest) if rest else "the end"
        if rest.startswith("'"):
            found += " without a closing quote" if "'" not in self._text[self.at + 1 :] else ""
        raise PolicyError(f"expected {expected} at character {self.at + 1}, found {found}", self.at)

    def _refuse(self, message: str, position: int) -> NoReturn:
        raise PolicyError(f"{message} (at character {position + 1})", position)

    def _skip(self, length: int) -> None:
        space = _SPACE.match(self._text, self.at + length)
        self.at = space.end() if space else self.at + length

    def _peek(self) -> tuple[str | None, str]:
        """Kind and text of the next token; (None, "") at the end and at what is none."""
        match = _TOKEN.match(self._text, self.at)
        return (match.lastgroup, match[0]) if match else (None, "")

    def _take(self, sign: str) -> None:
        if self._peek()[1] != sign:
            self.fail(repr(sign))
        self._skip(1)

    def _number(self) -> int:
        kind, token = self._peek()
        if kind != "number":
            self.fail("how many of the rules")
        if len(token) > len(str(MAX_PRINCIPALS)):
            self._refuse(f"OutOf asks for more than the {MAX_PRINCIPALS} principals that a policy may have", self.at)
        self._skip(len(token))
        return int(token)

    def _principal(self, name: str, position: int) -> Principal:
        organisation, _, role = name.rpartition(".")
        if role not in ROLES or not organisation:
            shown = repr(name[:_SHOWN])
            self._refuse(f"{shown} does not name an organisation and one of the roles {', '.join(ROLES)}", position)
        if len(organisation) > MAX_ORGANISATION_CHARACTERS or not _ORGANISATION.match(organisation):
            self._refuse(
                f"{organisation[:_SHOWN]!r} is no name of an organisation: 1 to {MAX_ORGANISATION_CHARACTERS} letters,"
                " digits, dots and dashes, the first and last a letter or digit",
                position,
            )
        self._principals += 1
        if self._principals > MAX_PRINCIPALS:
            self._refuse(f"more than {MAX_PRINCIPALS} principals", position)
        return Principal(organisation, role)
