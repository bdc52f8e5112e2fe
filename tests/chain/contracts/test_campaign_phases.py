"""Every call of a campaign in every phase, by everybody, and with arguments of every wrong kind.

A call that is added without a row fails here. `Town.attempt` sees that what is refused changes nothing but a nonce.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest
from msgspec.structs import replace

from chain.contract import Registry
from chain.contracts import campaign
from chain.contracts.campaign_records import (
    BIDDING,
    CLOSED,
    COLLECTION,
    DONE,
    MAX_BIDS,
    MAX_DRAWN,
    MAX_DURATION_MS,
    MAX_ORACLES,
    MAX_PATH,
    MAX_SAMPLES,
    MAX_SEALED_BYTES,
    MAX_TASKS,
    PHASES,
    PUBLISHING,
    REGISTRATION,
    SELECTION,
    SUBMISSION,
    TIMED,
    Selection,
    Stop,
)
from chain.values import MAX_INT, TxId
from tests.chain.campaign_town import (
    ORACLES,
    ORGANIZER,
    OTHER_REQUESTER,
    OUTSIDER,
    REQUESTER,
    TERMS,
    WORKERS,
    Fair,
)
from tests.chain.town import SALT
from tests.strategies import account

NOWHERE = TxId(bytes(32))
SELECTED, LOSER = WORKERS[0], WORKERS[3]
ROLES = (ORGANIZER, REQUESTER, OTHER_REQUESTER, *ORACLES, SELECTED, LOSER, OUTSIDER)
CALLS = {name: each for _, name, each in Registry({"campaign": campaign}).methods if not each.is_query}
Args = tuple[object, ...]


@cache
def reached(where: str) -> Fair:
    """A campaign in a phase, or when something happened in it; for `copy` alone."""
    match where:
        case "registered":
            fair = Fair()
            fair.register(*ORACLES)
        case "published":
            fair = reached(PUBLISHING).copy()
            fair.publish(REQUESTER, 0)
        case "selected":
            fair = reached(SELECTION).copy()
            fair.returned(fair.result(*WORKERS[:4]))
        case "drawn" | "late oracle":
            fair = reached(SELECTION).copy()
            fair.wait_for_draw()
            if where == "late oracle":
                fair.at(fair.ask("draw").draw.since_ms + TERMS.oracle_ms + 1)
        case "opened" | "disputed":
            fair = reached(SUBMISSION).copy()
            fair.open(*WORKERS[:3])
            if where == "disputed":
                fair.here(REQUESTER, "dispute", account(SELECTED), 0)
        case "settled":
            fair = reached(DONE).copy()
            fair.settle()
        case "closed":
            fair = reached("settled").copy()
            fair.here(ORGANIZER, "close")
        case _:
            fair = Fair().to(where)
            fair.block(after_ms=1)
    return fair


@dataclass(frozen=True)
class Row:
    """A call that is carried out at `where`, when it names the campaign and then `args`."""

    where: str
    phases: tuple[str, ...]
    """In which it may be."""
    args: Callable[[Fair], Args] = lambda _: ()
    refused: dict[int, str] = field(default_factory=dict)
    """Who is refused there, and why."""
    otherwise: str = ""
    """Why all others are refused, but for `allowed`."""
    allowed: tuple[int, ...] = ()
    wrong: tuple[Args, ...] = ()
    """(place, what is malformed there), places counted behind the campaign."""

    def reason(self, who: int) -> str:
        return "" if who in self.allowed else self.refused.get(who, self.otherwise)


SELECTIONS = (
    *(Selection((-1,), ()), Selection((2**63,), ()), Selection(tuple(range(MAX_BIDS + 1)), ())),
    *(Selection((), ((),) * (MAX_TASKS + 1)), Selection((), ((0,) * (MAX_SAMPLES + 1),)), Selection((), ((-1,),))),
    *(((0,), (), ()), Selection((0.0,), ()), Selection("", ())),
)
PATHS = (
    *((Stop(0, 1),) * (MAX_PATH + 1), (Stop(-1, 1),), (Stop(MAX_TASKS, 1),)),
    *((Stop(0, -1),), (Stop(0, 2**63),), ((0,),), 0),
)
NUMBERS = (-1, MAX_TASKS, 2**63, b"\x00", "0", None, True)
NATURALS = (-1, 2**63, b"\x00", "0", None, True)
INTEGERS = (b"\x00", "0", None, True)
ACCOUNTS = (b"", bytes(31), bytes(33), 0, "a" * 32, None)
SALTS = (b"", bytes(15), bytes(17), "s" * 16, None)


def at(place: int, values: tuple[object, ...]) -> tuple[Args, ...]:
    return tuple((place, value) for value in values)


ROWS: dict[str, Row] = {
    "deploy": Row(REGISTRATION, PHASES, lambda fair: (fair.terms,)),
    "advance": Row(BIDDING, TIMED, otherwise="phase_not_over"),
    "next_cycle": Row("settled", (DONE,), otherwise="not_organizer", allowed=(ORGANIZER,)),
    "close": Row("settled", (DONE,), otherwise="not_organizer", allowed=(ORGANIZER,)),
    "register_oracle": Row(
        "registered",
        (REGISTRATION,),
        lambda _: (MAX_ORACLES - 1,),
        refused=dict.fromkeys(ORACLES, "registered_twice"),
        wrong=at(0, NATURALS),
    ),
    "withdraw_oracle": Row(
        BIDDING, tuple(phase for phase in PHASES if phase != SELECTION), otherwise="not_oracle", allowed=ORACLES
    ),
    "publish_task": Row(
        "published",
        (PUBLISHING,),
        lambda fair: reached(PUBLISHING).task(MAX_TASKS - 1),
        wrong=(
            *at(0, NUMBERS),
            *(each for place in (1, 2) for each in at(place, INTEGERS)),
            *(each for place in (3, 4, 5, 6) for each in at(place, NATURALS)),
        ),
    ),
    "bid_path": Row(
        BIDDING,
        (BIDDING,),
        lambda fair: (MAX_BIDS - 1, reached(BIDDING).path((0, 0))),
        wrong=at(0, NATURALS) + at(1, PATHS),
    ),
    "return_selection": Row(
        "drawn",
        (SELECTION,),
        lambda _: (reached("drawn").best(),),
        refused=dict.fromkeys(ORACLES, "not_drawn"),  # but for one
        otherwise="not_oracle",
        wrong=at(0, (*SELECTIONS, None)),
    ),
    "replace_oracle": Row("late oracle", (SELECTION,)),
    "challenge": Row("selected", (SELECTION,), lambda fair: (reached("selected").best(),), wrong=at(0, SELECTIONS)),
    "submit_hash": Row(
        COLLECTION,
        (COLLECTION,),
        lambda _: (bytes(32),),
        otherwise="not_selected",
        allowed=(SELECTED,),
        wrong=at(0, ACCOUNTS),
    ),
    "submit_data": Row(
        SUBMISSION,
        (SUBMISSION,),
        lambda fair: (reached(SUBMISSION).digests(SELECTED), SALT),
        otherwise="not_selected",
        allowed=(SELECTED,),
        wrong=at(0, ((b"",), (bytes(33),), ("x",), 0, None)) + at(1, SALTS),
    ),
    "dispute": Row(
        "opened",
        (SUBMISSION,),
        lambda _: (account(SELECTED), 0),
        otherwise="not_requester",
        allowed=(REQUESTER,),
        wrong=at(0, ACCOUNTS) + at(1, NUMBERS),
    ),
    "answer": Row(
        "disputed",
        (SUBMISSION,),
        lambda fair: reached(SUBMISSION).answer(SELECTED, 0),
        otherwise="no_dispute",
        allowed=(SELECTED,),
        wrong=(
            *at(0, NUMBERS),
            *at(1, ((bytes(31),), 0)),
            *at(2, SALTS),
            *at(3, (bytes(MAX_SEALED_BYTES + 1), "x", None)),
        ),
    ),
    "distribute_rewards": Row(DONE, (DONE,), lambda _: (1,), wrong=at(0, (0, -1, 65, 2**63, b"\x01", "1", None, True))),
}
WRONG_TERMS = (
    *(
        {"durations_ms": each}
        for each in ((1,) * 5, (1,) * 7, (0, *TERMS.durations_ms[1:]), (MAX_DURATION_MS + 1,) * 6)
    ),
    *(
        {name: value}
        for name in ("review_ms", "grace_ms", "deposit", "stake", "penalty", "bond")
        for value in (-1, 2**63)
    ),
    *({name: value} for name in ("bounty", "challenge_ms", "max_speed_mm_s") for value in (-1, 2**63)),
    *({"oracle_ms": each} for each in (0, MAX_DURATION_MS + 1)),
    *({"draw_delay": each} for each in (0, 1_001)),
    *({name: each} for name in ("drawn", "agreeing") for each in (0, MAX_DRAWN + 1)),
    *({"check": each} for each in (b"on_return", 1, None)),
    *({"oracles": each} for each in ((bytes(31),), (account(1),) * (MAX_ORACLES + 1), None)),
)


def args_of(method: str, fair: Fair) -> Args:
    """With the campaign, where the call names one."""
    args = ROWS[method].args(fair)
    return args if method == "deploy" else (fair.campaign, *args)


def test_the_table_has_every_call():
    assert set(ROWS) == set(CALLS)


@pytest.mark.parametrize(
    "phase,method", [(phase, method) for phase in PHASES for method, row in ROWS.items() if phase not in row.phases]
)
def test_a_call_in_the_wrong_phase(phase, method):
    """By whomever, it is told that, and nothing else about it."""
    fair = reached("closed" if phase == CLOSED else phase).copy()
    assert {fair.no(who, method, *args_of(method, fair)) for who in ROLES} == {"wrong_phase"}


@pytest.mark.parametrize("method", [method for method in ROWS if method != "deploy"])
def test_a_call_of_no_campaign(method):
    fair = reached(ROWS[method].where).copy()
    args = ROWS[method].args(fair)
    assert {fair.no(who, method, NOWHERE, *args) for who in ROLES} == {"unknown_campaign"}


@pytest.mark.parametrize("method", ROWS)
def test_who_may(method):
    """Each at the same moment, and as nobody else did."""
    row = ROWS[method]
    for who in ROLES:
        fair = reached(row.where).copy()
        chance = method == "return_selection" and who in fair.drawn()
        expected = "" if chance else row.reason(who)
        receipt = fair.attempt(who, method, *args_of(method, fair), contract="campaign", after_ms=1)
        assert receipt.reason == expected, (who, receipt.reason, receipt.detail)


@pytest.mark.parametrize("method", ROWS)
def test_malformed_arguments(method):
    fair = reached(ROWS[method].where).copy()
    good = args_of(method, fair)
    first = 0 if method == "deploy" else 1
    bad: list[Args] = [good[:-1], (*good, 0), ()]
    bad += [(*good[:place], junk, *good[place + 1 :]) for place in range(len(good)) for junk in (1.5, {"a": 1}, [[0]])]
    if first:
        bad += [(junk, *good[1:]) for junk in (b"", bytes(31), bytes(33), "c" * 32, 0, None)]
    for place, junk in ROWS[method].wrong:
        bad.append((*good[: first + place], junk, *good[first + place + 1 :]))
    if method == "deploy":
        bad += [(replace(TERMS, **changes),) for changes in WRONG_TERMS]
    for args in bad:
        assert fair.no(OUTSIDER, method, *args) == "malformed_arguments", args


@pytest.mark.parametrize(
    "changes,name",
    [
        ({"review_ms": 10_000}, "review_ms"),
        ({"grace_ms": 3_000}, "grace_ms"),  # 6 s are left of submission for data
        ({"review_ms": 7_995, "grace_ms": 1_002}, "grace_ms"),
        ({"durations_ms": (10_000, 2_000, 10_000, 10_000, 10_000, 10_000)}, "grace_ms"),
        ({"durations_ms": (1, 1, 1, 1, 1, 1), "grace_ms": 0, "review_ms": 0, "challenge_ms": 0}, "grace_ms"),
        ({"challenge_ms": 4_000}, "challenge_ms"),
        ({"challenge_ms": MAX_INT}, "challenge_ms"),
        ({"penalty": 701}, "penalty"),
        ({"bounty": 61}, "bounty"),
        ({"agreeing": 2}, "agreeing"),
        ({"check": "never"}, "check"),
        ({"oracles": (account(1), account(1))}, "oracles"),
        ({"oracles": tuple(sorted((account(1), account(2)), reverse=True))}, "oracles"),
    ],
)
def test_deploy__reject_bad_terms(changes, name):
    fair = reached(REGISTRATION).copy()
    receipt = fair.attempt(OUTSIDER, "deploy", replace(TERMS, **changes), contract="campaign")
    assert (receipt.reason, receipt.detail) == ("bad_terms", name)


@pytest.mark.parametrize(
    "changes",
    [
        {"review_ms": 7_994, "grace_ms": 1_002},
        {"grace_ms": 2_999, "challenge_ms": 2_000},
        {"challenge_ms": 3_999},
        {"penalty": 700, "bounty": 60, "drawn": 2, "agreeing": 2},
        {"durations_ms": (1, 2, 2, 2, 2, 2), "grace_ms": 0, "review_ms": 0, "challenge_ms": 0},
    ],
)
def test_terms_at_their_ends(changes):
    reached(REGISTRATION).copy().do(OUTSIDER, "deploy", replace(TERMS, **changes))


@pytest.mark.parametrize(
    "method,where,phase",
    [
        ("register_oracle", "registered", REGISTRATION),
        ("publish_task", "published", PUBLISHING),
        ("bid_path", BIDDING, BIDDING),
        ("return_selection", SELECTION, SELECTION),
        ("replace_oracle", SELECTION, SELECTION),
        ("submit_hash", COLLECTION, COLLECTION),
        ("dispute", "opened", SUBMISSION),
        ("answer", "disputed", SUBMISSION),
    ],
)
def test_phase_over(method, where, phase):
    """The phase is as it was, for nobody moved it; its time is over all the same."""
    fair = reached(where).copy()
    fair.at(fair.end_of(phase) + 1)
    assert fair.not_here(OUTSIDER, method, *ROWS[method].args(fair)) == "phase_over"
