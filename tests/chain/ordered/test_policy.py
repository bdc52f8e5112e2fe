"""A policy says exactly whose signatures suffice, however it is written and in whatever order they come."""

import random
from itertools import combinations, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chain.ledgers.ordered.policy import (
    MAX_DEPTH,
    MAX_POLICY_CHARACTERS,
    MAX_PRINCIPALS,
    ROLES,
    OutOf,
    Policy,
    PolicyError,
    Principal,
    any_of,
    majority,
)

CERTIFIED = ("peer", "admin")
LEAVES = st.builds(Principal, st.sampled_from("AB"), st.sampled_from(["member", *CERTIFIED]))
SIGNERS = st.lists(st.builds(Principal, st.sampled_from("ABC"), st.sampled_from(CERTIFIED)), max_size=5)


def gates(children):
    return st.lists(children, min_size=2, max_size=3).flatmap(
        lambda rules: st.builds(OutOf, st.integers(1, len(rules)), st.just(tuple(rules)))
    )


RULES = st.recursive(LEAVES, gates, max_leaves=5)
NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,6}[A-Za-z0-9])?", fullmatch=True)
ANY_RULES = st.recursive(st.builds(Principal, NAMES, st.sampled_from(ROLES)), gates, max_leaves=12)


def count(rule):
    return 1 if isinstance(rule, Principal) else sum(count(child) for child in rule.rules)


def holds(rule, given_to):
    """`given_to` says for each principal, in order, whether it has a signature; it is used up."""
    if isinstance(rule, Principal):
        return given_to.pop(0)
    return sum([holds(child, given_to) for child in rule.rules]) >= rule.n


def leaves(rule):
    return [rule] if isinstance(rule, Principal) else [leaf for child in rule.rules for leaf in leaves(child)]


def by_all_assignments(rule, signers):
    """The slow plain version: each principal gets any signature that fits it, or none, and none is given twice."""
    wanted = leaves(rule)
    fitting = [
        [None, *(i for i, s in enumerate(signers) if (w.organisation, w.role) in (s, (s.organisation, "member")))]
        for w in wanted
    ]
    for assignment in product(*fitting):
        used = [i for i in assignment if i is not None]
        if len(used) == len(set(used)) and holds(rule, [i is not None for i in assignment]):
            return True
    return False


def policy(text):
    return Policy.parse(text)


def signers(text):
    return [Principal(*one.split(".")) for one in text.split()]


@given(rule=ANY_RULES)
def test_what_is_written_is_read_back(rule):
    written = Policy(rule)
    assert Policy.parse(str(written)) == written
    assert str(Policy.parse(str(written))) == str(written)


@given(rule=ANY_RULES, spaces=st.lists(st.sampled_from(["", " ", "\n", "\t  "]), min_size=4, max_size=4))
def test_spaces_between_tokens_mean_nothing(rule, spaces):
    text = str(Policy(rule)).replace(" ", "")
    for sign, space in zip("(),", spaces, strict=False):
        text = text.replace(sign, f"{space}{sign}{space}")
    text = spaces[3] + text + spaces[3]
    if len(text) <= MAX_POLICY_CHARACTERS:
        assert Policy.parse(text) == Policy(rule)


def test_one_policy_has_one_canonical_text():
    for text in ("AND('A.peer','B.peer')", " OutOf( 2,'A.peer' , 'B.peer' )", "AND(AND('A.peer'),OR('B.peer'))"):
        assert str(policy(text)) == "AND('A.peer', 'B.peer')"
    assert str(policy("OutOf(1,'A.peer','B.peer')")) == "OR('A.peer', 'B.peer')"
    assert str(policy("OutOf(1,'org-1.example.com.peer')")) == "'org-1.example.com.peer'"
    assert policy("OutOf(2,'A.peer','B.peer','C.peer')").principals == tuple(signers("A.peer B.peer C.peer"))


@given(rule=RULES, given_=SIGNERS)
@example(rule=OutOf(2, (Principal("A", "member"), Principal("A", "peer"))), given_=signers("A.peer A.admin"))
@example(
    rule=OutOf(1, (OutOf(2, tuple(signers("A.peer A.peer"))), OutOf(2, tuple(signers("A.peer B.peer"))))),
    given_=signers("A.peer B.peer"),
)
def test_a_policy_is_satisfied_when_some_assignment_of_signatures_satisfies_it(rule, given_):
    assert Policy(rule).satisfied(given_) == by_all_assignments(rule, given_)


@given(rule=RULES, given_=SIGNERS, more=SIGNERS, data=st.data())
def test_one_signature_more_never_harms_in_any_order(rule, given_, more, data):
    if Policy(rule).satisfied(given_):
        assert Policy(rule).satisfied(data.draw(st.permutations([*given_, *more])))


@pytest.mark.parametrize(
    "text, enough, too_little",
    [
        ("AND('A.peer', 'B.peer')", "B.peer A.peer", "A.peer A.peer"),
        ("OR('A.peer', 'B.admin')", "B.admin", "B.peer"),
        ("OutOf(2, 'A.peer', 'B.peer', 'C.peer')", "C.peer A.peer", "C.peer C.peer C.peer"),
        ("AND('A.member', 'A.peer')", "A.peer A.client", "A.peer"),
        ("AND('A.member', 'A.member')", "A.admin A.orderer", "A.admin B.orderer"),
        ("OR(AND('A.peer', 'B.peer'), 'C.admin')", "C.admin", "A.peer C.peer"),
        ("OutOf(2, AND('A.peer','B.peer'), AND('A.peer','C.peer'))", "A.peer A.peer B.peer C.peer", "A.peer B.peer C.peer"),
    ],
)  # fmt: skip
def test_whose_signatures_suffice(text, enough, too_little):
    assert policy(text).satisfied(signers(enough))
    assert not policy(text).satisfied(signers(too_little))
    assert not policy(text).satisfied([])


def test_signers_do_not_depend_on_who_signed_first():
    """Fabric gives the peer's signature to the member, finds no peer, and is not satisfied."""
    both = signers("A.peer A.client")
    assert policy("AND('A.member', 'A.peer')").satisfied(both)
    assert policy("AND('A.member', 'A.peer')").satisfied(both[::-1])


@given(rule=RULES, available=SIGNERS)
def test_choices_are_all_the_sets_that_have_none_to_spare(rule, available):
    minimal = set()
    for size in range(len(available) + 1):
        for places in combinations(range(len(available)), size):
            known = any(set(smaller) <= set(places) for smaller in minimal)
            if not known and by_all_assignments(rule, [available[i] for i in places]):
                minimal.add(places)
    found = list(Policy(rule).choices(available))
    assert sorted(found) == sorted(minimal)


def test_who_stands_early_is_asked_first():
    text = majority([f"O{i}" for i in range(8)], "peer")
    available = [Principal(f"O{7 - i // 4}", "peer") for i in range(32)]
    assert next(policy(text).choices(available)) == (0, 4, 8, 12, 16)
    assert next(policy(text).choices(available[::-1])) == (0, 4, 8, 12, 16)
    assert list(policy(text).choices(available[:16])) == []


@given(rule=RULES)
def test_fewest_is_the_size_of_the_smallest_choice(rule):
    everybody = [Principal(o, r) for o in "AB" for r in CERTIFIED for _ in range(count(rule))]
    smallest = min(map(len, Policy(rule).choices(everybody)))
    assert Policy(rule).fewest() == smallest


def test_fewest_counts_only_the_roles_that_sign():
    assert policy("AND('A.peer', OR('A.orderer', 'B.orderer'))").fewest({"orderer"}) is None
    assert policy("OR('A.peer', AND('A.orderer', 'B.member'))").fewest({"orderer"}) == 2
    assert policy("OR('A.peer', AND('A.orderer', 'B.member'))").fewest() == 1


def test_the_usual_policies():
    assert majority(["C", "A", "B"], "peer") == "OutOf(2, 'A.peer', 'B.peer', 'C.peer')"
    assert majority(["A", "B"], "peer") == "AND('A.peer', 'B.peer')"
    assert majority(["A"], "admin") == any_of(["A"], "admin") == "'A.admin'"
    assert any_of(["B", "A"], "orderer") == "OR('A.orderer', 'B.orderer')"


@pytest.mark.parametrize(
    "text, position, message",
    [
        ("", 0, "expected AND(…), OR(…), OutOf(…) or 'Organisation.role' at character 1, found the end"),
        ("AND", 3, "expected '(' at character 4, found the end"),
        ("AND()", 4, "expected AND(…), OR(…), OutOf(…) or 'Organisation.role' at character 5, found ')'"),
        ("AND('A.peer'", 12, "expected ',' or ')' at character 13, found the end"),
        ("AND('A.peer' 'B.peer')", 13, "expected ',' or ')' at character 14, found"),
        ("'A.peer' OR 'B.peer'", 9, "expected the end at character 10, found"),
        ("AND('A.peer))", 4, "without a closing quote"),
        ('"A.peer"', 0, "expected AND(…)"),
        ("or('A.peer')", 0, "expected AND(…), OR(…), OutOf(…) or"),
        ("OutOf('A.peer', 'B.peer')", 6, "expected how many of the rules at character 7"),
        ("OutOf(1 'A.peer')", 8, "expected ',' at character 9"),
        ("OutOf(0, 'A.peer')", 6, "asks for 0 of 1, 1 to 1 can be had (at character 7)"),
        ("OutOf(3, 'A.peer', 'B.peer')", 6, "asks for 3 of 2, 1 to 2 can be had (at character 7)"),
        ("OutOf(02, 'A.peer', 'B.peer')", 7, "expected ',' at character 8"),
        ("OutOf(-1, 'A.peer')", 6, "expected how many of the rules"),
        ("OutOf(" + 900 * "9" + ", 'A.peer')", 6, "more than the 64 principals"),
        ("AND('A.peer', 'B.boss')", 14, "'B.boss' does not name an organisation and one of the roles member, admin"),
        ("'peer'", 0, "'peer' does not name"),
        ("'.peer'", 0, "'.peer' does not name"),
        ("'A.Peer'", 0, "'A.Peer' does not name"),
        ("'A b.peer'", 0, "'A b' is no name of an organisation"),
        ("'A\n.peer'", 0, "is no name of an organisation"),
        ("'-A.peer'", 0, "'-A' is no name of an organisation"),
        ("'Ä.peer'", 0, "is no name of an organisation"),
        ("'" + "A" * 33 + ".peer'", 0, "is no name of an organisation: 1 to 32"),
        ("\u00a0'A.peer'", 0, "expected AND(…)"),
        ("\x00", 0, "found '\\x00'"),
    ],
)
def test_what_is_no_policy__says_where_and_what_was_expected(text, position, message):
    with pytest.raises(PolicyError) as error:
        policy(text)
    assert error.value.position == position
    assert message in str(error.value)
    assert len(str(error.value)) < 200


def read_or_refused(text):
    """Whether it is written and read back, or refused at a place that is in it or at its end."""
    try:
        read = policy(text)
    except PolicyError as error:
        return 0 <= error.position <= len(text)
    return Policy.parse(str(read)) == read


@given(text=st.one_of(st.text(max_size=60), st.text(alphabet="ANDORutf(),' .12peer", max_size=60)))
def test_junk_is_a_policy_or_a_policy_error(text):
    assert read_or_refused(text)


@given(
    rule=ANY_RULES, at=st.integers(0, 10_000), junk=st.sampled_from(["", "(", ")", "'", ",", "AND", "7", "é", "\n("])
)
def test_a_damaged_policy_is_a_policy_or_a_policy_error(rule, at, junk):
    text = str(Policy(rule))
    at %= len(text)
    assert read_or_refused(text[:at] + junk + text[at + 1 :])


def nested(depth):
    text = "'A.peer'"
    for _ in range(depth):
        text = f"AND({text},'B.peer')"
    return text


def test_nesting_is_bounded():
    assert policy(nested(MAX_DEPTH)).fewest() == MAX_DEPTH + 1
    with pytest.raises(PolicyError, match="nested 8 deep, this is deeper"):
        policy(nested(MAX_DEPTH + 1))
    with pytest.raises(PolicyError, match="nested 8 deep"):
        policy("AND(" * 250)


def test_principals_and_characters_are_bounded():
    many = ",".join(["'A.peer'"] * MAX_PRINCIPALS)
    assert policy(f"AND({many})").fewest() == MAX_PRINCIPALS
    with pytest.raises(PolicyError, match="more than 64 principals"):
        policy(f"AND({many},'A.peer')")
    assert policy("'A.peer'" + " " * (MAX_POLICY_CHARACTERS - 8))
    with pytest.raises(PolicyError, match="1,025 characters, where 1,024 are allowed"):
        policy("'A.peer'" + " " * (MAX_POLICY_CHARACTERS - 7))
    tight = "OR(" + ",".join(f"'{'x' * 17}.admin'" for _ in range(39)) + ")"
    assert len(tight) <= MAX_POLICY_CHARACTERS
    with pytest.raises(PolicyError, match="is written in 1,055"):
        policy(tight)


def all_of(names):
    return f"AND({','.join(repr(f'{name}.peer') for name in names)})"


def test_large_thresholds_are_cheap():
    """By the plain formula where nobody competes, by few supplies where some do: never by all subsets."""
    names = [f"O{i}" for i in range(MAX_PRINCIPALS - 1)]
    text = majority(names, "peer")[:-1] + ", 'O0.peer')"
    half = [Principal(name, "peer") for name in names[:32]]
    assert policy(text).satisfied(half)
    assert not policy(text).satisfied(half[1:])
    assert not policy(text).satisfied(half[:-1])
    assert policy(text).satisfied([*half[:-1], half[0]])
    assert next(policy(text).choices(half)) == tuple(range(32))


def test_a_search_that_takes_too_long_is_given_up():
    """Seven disjoint triples among 21 that overlap: what is not found within the bound counts as not satisfied."""
    rng = random.Random(0)
    names = [f"O{i:02}" for i in range(21)]
    order = rng.sample(names, 21)
    triples = [rng.sample(names, 3) for _ in range(14)] + [order[3 * i : 3 * i + 3] for i in range(7)]
    hard = policy(f"OutOf(7, {', '.join(all_of(triple) for triple in triples)})")
    everybody = [Principal(name, "peer") for name in order]
    assert policy(f"AND({', '.join(all_of(triple) for triple in triples[14:])})").satisfied(everybody)
    assert not hard.satisfied(everybody)
    assert list(hard.choices(everybody)) == []
    assert hard.satisfied(everybody * 21)
