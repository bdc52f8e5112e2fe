"""Each attack does what it says without the defence, and not with it; where that is not so, the test says so."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from actors.attacks.catalogue import ATTACKS
from actors.attacks.plan import Outcome
from actors.overlay_trial import Size, gossip_config, run_trial

ROOT = Path(__file__).parents[3]
TINY = Size(honest=16, attackers=24, rate=6.0, warm_s=6.0, attack_s=10.0, recovery_s=0.0, drain_s=5.0)
HARMLESS = {
    "sybil": "meshes that are warm keep their honest members",
    "iwant-spam": "its limits hold without scores",
}
"""Fail with the defence off too."""


@lru_cache
def trial(name: str, defence: str) -> Outcome:
    return run_trial(ATTACKS[name], defence, TINY, seed=1)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_harms_who_has_no_defence(name):
    attack = ATTACKS[name]
    outcome = trial(name, "off")
    assert outcome.pairs > 0
    assert (attack.harm(outcome) > attack.limit) == (name not in HARMLESS)


@pytest.mark.parametrize("name", ATTACKS)
def test_defence_holds(name):
    attack = ATTACKS[name]
    outcome = trial(name, "on")
    assert outcome.pairs > 0
    assert attack.harm(outcome) <= attack.limit
    # Suspicion falls on attackers: nobody honest loses its gossip, let alone its frames.
    assert outcome.honest_score_min > gossip_config(attack, "on").gossip_threshold


@pytest.mark.parametrize("name", ATTACKS)
def test_defence_loses_no_message(name):
    assert trial(name, "on").undelivered == 0


@pytest.mark.parametrize("name", ["sybil", "spam", "ihave-spam", "iwant-spam", "graft-flood", "replay"])
def test_attackers_leave_warm_meshes_for_good(name):
    off, on = trial(name, "off"), trial(name, "on")
    assert off.clean_s is None or name == "graft-flood"  # which gets no place to begin with
    assert on.clean_s is not None
    assert on.recovered_s is not None and on.recovered_s <= on.clean_s <= 8.0
    assert on.mesh_share_end == on.mesh_share_later == 0.0


@pytest.mark.parametrize("name", ["eclipse", "eclipse-region"])
def test_an_eclipsed_peer_keeps_its_honest_members_and_puts_the_others_out(name):
    off, on = trial(name, "off"), trial(name, "on")
    assert off.recovered_s is None
    assert on.recovered_s is not None and on.recovered_s <= 8.0
    # Two honest links do not fill a mesh, so newcomers may try.
    assert on.mesh_share_later < off.mesh_share_end


def test_meshes_that_boot_among_sybils_need_no_minute_of_backoff_to_mend():
    on = run_trial(ATTACKS["cold-boot"], "on", replace(TINY, attack_s=4.0, recovery_s=30.0), seed=1)
    assert on.mesh_share_peak > 0.5
    assert on.recovered_s is not None and on.recovered_s <= on.clean_s < 30.0


def test_covert_flash_slows_who_has_no_defence():
    assert trial("covert-flash", "off").p99_s > 3 * trial("covert-flash", "on").p99_s


def test_beggars_draw_copies_up_to_the_limit_and_no_more():
    attack = ATTACKS["iwant-spam"]
    assert 2 < attack.harm(trial(attack.name, "on")) <= attack.limit


def test_replay_is_stopped_by_the_judge_and_not_by_scores():
    assert trial("replay", "on").repeats == 0
    assert trial("replay", "off").repeats > 0


def test_nothing_invalid_is_delivered_whatever_the_defence():
    for defence in ("on", "off"):
        outcome = trial("spam", defence)
        assert outcome.waste.frames > 0
        assert outcome.repeats == 0
        assert outcome.undelivered == 0


def test_same_seed_same_outcome_in_another_process():
    program = (
        "from tests.actors.attacks.test_attacks import TINY\n"
        "from actors.attacks.catalogue import ATTACKS\n"
        "from actors.overlay_trial import run_trial\n"
        "print(run_trial(ATTACKS['eclipse'], 'on', TINY, 1))\n"
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    other = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(trial("eclipse", "on"))


def test_refuse_a_defence_that_is_none():
    with pytest.raises(ValueError, match="on, off, unscored"):
        run_trial(ATTACKS["sybil"], "prayer", TINY, 1)
