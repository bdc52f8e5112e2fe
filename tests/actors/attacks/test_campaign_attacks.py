"""Attacks on campaigns, over whole populations: won without the defence, lost with it, or said to stand."""

from functools import lru_cache
from inspect import isfunction
from pathlib import Path

import pytest

from actors.attack_table import CASES
from actors.attacks.campaign import variants
from actors.attacks.campaign.cast import organizer, worker
from actors.attacks.campaign.organizers import Staller
from actors.attacks.campaign.overbidding import walkable
from actors.attacks.campaign.variants import variant
from actors.attacks.campaign.withholding import Keeper
from actors.attacks.case import TINY, Measured
from actors.campaign_trial import (
    FUNDS,
    ORACLES,
    ORGANIZER,
    REQUESTERS,
    REWARD,
    TASKS,
    UNREVIEWED,
    WORKERS,
    Ending,
    Plot,
    oracles,
    play,
    workers,
)
from actors.scenario import load
from actors.trial import Stage, play_out
from actors.virtual_time import run_virtual
from chain.contract import Method
from chain.contracts import campaign
from chain.contracts.campaign_records import Stop, Task
from chain.values import Account

SHIPPED = Path(__file__).parents[3] / "scenarios" / "campaign.toml"
STOPPED = [
    "freeloading-disputed",
    "no-show",
    "withheld-data",
    "wrong-data",
    "impossible-path",
    "lazy-oracle",
    "late-oracle",
    "hurrying-organizer",
    "false-disputes",
]
STOPPED_TOO = [
    "late-data",
    "padded-selection",
    "friendly-oracle",
    "freeloading",
    "withheld-reveal",
    "false-winners",
    "false-winners-challenged",
    "false-winners-majority",
    "oracle-sybils",
    "stalling-organizer",
    "unpaying-organizer",
]
"""By what is tried out above in another attack, or by what takes longer."""
STANDS = ["made-up-data", "optimistic-path", "friendly-majority", "task-squatting"]
SEEDS = range(1, 7)


@lru_cache
def trial(name: str, defended: bool, ledger: str) -> Measured:
    """Of the first seed in which chance gives the attacker anything to try: it may be that none is selected, or drawn."""
    run = CASES[name].trials[ledger]
    return next(measured for seed in SEEDS if (measured := run(defended, seed, TINY)).tries)


def check_stopped(name: str, ledger: str) -> None:
    case = CASES[name]
    assert trial(name, False, ledger).share > case.limit
    assert trial(name, True, ledger).share <= case.limit
    assert not case.stands


@pytest.mark.parametrize("name", STOPPED)
def test_defence_holds_and_nothing_holds_without_it(name):
    check_stopped(name, "pow")


@pytest.mark.slow
@pytest.mark.parametrize("name", STOPPED_TOO)
def test_defence_holds_and_nothing_holds_without_it_either(name):
    check_stopped(name, "pow")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*STOPPED, *STOPPED_TOO])
def test_defence_holds_on_an_ordered_ledger_too(name):
    check_stopped(name, "ordered")


@pytest.mark.parametrize("name", STANDS)
def test_what_no_defence_stops_is_said_to_stand(name):
    assert trial(name, True, "pow").share > CASES[name].limit
    assert CASES[name].stands


def test_every_attack_on_campaigns_is_tried_here():
    assert sorted([*STOPPED, *STOPPED_TOO, *STANDS]) == sorted(
        name for name, case in CASES.items() if case.family == "campaign"
    )


@lru_cache
def honest(ledger: str) -> Ending:
    return play(Plot(ledger=ledger), 1)


@pytest.mark.parametrize("ledger", ["pow", "ordered"])
def test_honest_people_are_paid_and_lose_nothing(ledger):
    ending = honest(ledger)
    rewards = ending.paid(*workers(WORKERS))
    assert rewards and all(rewards.values())
    assert sum(rewards.values()) == sum(len(chosen.wins) for chosen in ending.chosen().values())
    assert not ending.void
    assert ending.gain(ORGANIZER, *oracles(ORACLES)) == 0
    spent = -ending.gain(*(f"requester-{number:02}" for number in range(1, 1 + REQUESTERS)))
    assert spent == ending.gain(*workers(WORKERS)) == REWARD * sum(rewards.values())


def test_same_seed_same_ending():
    again = play(Plot(), 1)
    assert [each.receipt for each in again.called] == [each.receipt for each in honest("pow").called]


def test_lost_deposit_goes_to_whom_was_let_down():
    measured = trial("no-show", True, "pow")
    assert measured.figures["gained by each, credits a cycle"] == -0.5
    assert trial("no-show", False, "pow").figures["gained by each, credits a cycle"] == 0


def test_worker_that_answers_keeps_its_deposit():
    assert trial("false-disputes", True, "pow").figures["disputed"] > 0.5
    assert trial("false-disputes", True, "pow").figures["deposits lost a cycle"] == 0
    assert trial("false-disputes", False, "pow").figures["deposits lost a cycle"] > 0


@pytest.mark.slow
def test_worker_that_keeps_its_data_does_not_keep_requesters_from_the_next_cycle():
    """They look for answers on the ledger, block by block, while publishing begins."""
    turned = dict.fromkeys(workers(4), worker(Keeper))
    ending = play(Plot("ordered", 3, turned, {"phases": UNREVIEWED}), 1)
    assert len(ending.events("published")) == 3 * TASKS


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shipped_campaign_survives_an_organizer_that_stalls(seed):
    """Oracles pay attention late, and blocks come late: no phase may be half over by then."""
    scenario = load(SHIPPED, [f"seed={seed}", "campaign.cycles=1"])
    stage = Stage(scenario, "campaign", campaign, turned={ORGANIZER: organizer(Staller)})

    async def go() -> Ending:
        return await play_out(stage, scenario.duration_s, lambda world, name: Ending(world, name, until="settled"))

    ending = run_virtual(go, seed=seed)
    assert len(ending.events("rewarded")) > 0
    assert [each["void"] for each in ending.events("ended")] == [False]
    assert FUNDS + ending.gain(ORGANIZER) < FUNDS  # its bond went to those who did its work


# Variants. ------------------------------------------------------------------------------------------------------------

REPLACED = {
    "submit_data": [variants.submit_data_of_anybody, variants.submit_any_data, variants.submit_data_any_time],
    "answer": [variants.answer_with_any_data, variants.answer_in_vain],
    "replace_oracle": [variants.never_replace_oracle],
    "advance": [variants.advance_any_time, variants.advance_by_organizer],
    "distribute_rewards": [variants.distribute_by_organizer],
}


@pytest.mark.parametrize("name,function", [(name, each) for name, several in REPLACED.items() for each in several])
def test_variant_differs_in_what_it_replaces_and_leaves_the_contract_alone(name, function):
    before = dict(vars(campaign))
    other = variant(**{name: function})
    functions = {each: value for each, value in vars(campaign).items() if isfunction(value)}
    assert {each for each, value in functions.items() if vars(other)[each] is not value} == {name}
    assert vars(campaign) == before
    assert other.__name__ != campaign.__name__
    old, new = Method.of(functions[name]), Method.of(function)
    assert (new.arguments, new.returns) == (old.arguments, old.returns)


@pytest.mark.slow
@pytest.mark.parametrize("name,function", [(name, each) for name, several in REPLACED.items() for each in several])
def test_honest_people_do_not_notice_a_variant(name, function):
    ending = play(Plot(contract=variant(**{name: function})), 2)
    paid = ending.paid(*workers(WORKERS))
    assert paid and all(paid.values())
    assert not ending.void
    assert not ending.events("forfeited")


# What is measured. ----------------------------------------------------------------------------------------------------


def stop(number: int, metres_north: float, arrival_ms: int) -> tuple[Stop, Task]:
    lat_e7 = 444_900_000 + round(metres_north * 1e7 / 111_195)
    nobody = Account(bytes(32))
    return Stop(number, arrival_ms), Task(number, nobody, lat_e7, 113_400_000, REWARD, arrival_ms, 1_000, 1)


@pytest.mark.parametrize(
    "path,possible",
    [
        ([], True),
        ([stop(0, 0.0, 5_000)], True),
        ([stop(0, 0.0, 5_000), stop(1, 100.0, 10_000)], True),
        ([stop(0, 0.0, 5_000), stop(1, 100.0, 9_900)], False),
        ([stop(0, 0.0, 5_000), stop(1, 100.0, 10_000), stop(2, 110.0, 10_000)], False),
    ],
)
def test_walkable_at_twenty_metres_a_second(path, possible):
    assert walkable(path, 20.0) is possible
