"""Attacks on the votes, over whole populations: won without the defence, lost with it, or said to stand."""

import os
import subprocess
import sys
from functools import lru_cache
from inspect import isfunction
from pathlib import Path

import pytest

from actors.attack_table import CASES
from actors.attacks.case import TINY, Measured
from actors.attacks.votes.hired_voters import hypergeometric
from actors.attacks.votes.variants import tally_by_word, variant
from actors.protocol_trial import ACCOMPLICE, HONEST, Plot, incidents, play
from chain.contracts import spatial

ROOT = Path(__file__).parents[3]
STOPPED = [
    "repeat",
    "race-report",
    "altered",
    "stolen",
    "hired-voters",
    "skip-confirmation",
    "cheating-assigner",
    "afar",
    "wrong-type",
    "vote-copying",
    "reject-to-resubmit",
    "late-miner",
    "stalking",
]
"""Those whose outcome is (nearly) certain; rings and the careless win by chance, and are compared with theory."""
STANDS = ["stolen-at-gateway", "lying-assigner"]


@lru_cache
def trial(name: str, defended: bool) -> Measured:
    return CASES[name].run(defended, 1, TINY)


@pytest.mark.parametrize("name", STOPPED)
def test_attack_succeeds_without_the_defence(name):
    measured = trial(name, False)
    assert measured.tries > 0
    assert measured.share > CASES[name].limit


@pytest.mark.parametrize("name", STOPPED)
def test_defence_holds(name):
    measured = trial(name, True)
    assert measured.tries > 0
    assert measured.share <= CASES[name].limit
    assert not CASES[name].stands


def test_voting_twice_pays_without_the_defence_alone():
    """Three of fifteen may not be drawn, so this is a matter of chance too; with one ballot each, they are no majority."""
    wins = {
        defended: sum(CASES["double-vote"].run(defended, seed, TINY).wins for seed in (1, 2, 3))
        for defended in (False, True)
    }
    assert wins[False] >= 3
    assert wins[True] <= 1


@pytest.mark.parametrize("name", STANDS)
def test_what_no_defence_stops_is_said_to_stand(name):
    assert trial(name, True).share > CASES[name].limit
    assert CASES[name].stands


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring-6", "ring-9", "afar-lying", "careless"])
def test_rings_win_as_often_as_theory_says(name):
    case = CASES[name]
    measured = [case.run(True, seed, TINY) for seed in range(1, 13)]
    wins, tries = sum(each.wins for each in measured), sum(each.tries for each in measured)
    predicted = case.predicted[1]
    assert predicted is not None
    spread = (predicted * (1 - predicted) / tries) ** 0.5
    assert abs(wins / tries - predicted) < 4 * spread


def test_hypergeometric_by_hand():
    assert hypergeometric(3) == 66 / 3003  # all three, and two of the other twelve
    assert hypergeometric(6) == (20 * 36 + 15 * 9 + 6) / 3003
    assert hypergeometric(6) + hypergeometric(9) == pytest.approx(1.0)


def test_honest_people_record_what_is_there_and_nothing_else():
    reports = {
        HONEST: incidents(5, HONEST, 3, real=True),
        ACCOMPLICE: incidents(5, ACCOMPLICE, 3, real=False),
    }
    ending = play(Plot(reports), 5)
    statuses = ending.statuses()
    assert [statuses[report] for report in ending.submitted(HONEST)] == ["confirmed"] * 3
    assert [statuses[report] for report in ending.submitted(ACCOMPLICE)] == ["rejected"] * 3


def test_variant_differs_in_what_it_replaces_and_leaves_the_contract_alone():
    before = dict(vars(spatial))
    other = variant(tally=tally_by_word)
    functions = {name: value for name, value in vars(spatial).items() if isfunction(value)}
    assert {name for name, value in functions.items() if vars(other)[name] is not value} == {"tally"}
    assert vars(spatial) == before
    assert other.__name__ != spatial.__name__


def test_same_seed_same_outcome_in_another_process():
    program = (
        "from actors.attack_table import CASES\n"
        "from actors.attacks.case import TINY\n"
        "print(CASES['double-vote'].run(True, 2, TINY), CASES['race-payment'].run(False, 2, TINY))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    here = f"{trial('double-vote', True)} {CASES['race-payment'].run(False, 2, TINY)}"
    assert other.stdout.strip() == here
