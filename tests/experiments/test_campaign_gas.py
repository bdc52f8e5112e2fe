"""What calls of a campaign cost has the shape that the paper reports, whatever it comes to."""

from itertools import pairwise

import pytest

from chain.gas import CALL_DATA, CALL_DATA_ZERO, SHA256_WORD, words
from chain.storage_gas import COLD, SET
from experiments import campaign_gas
from experiments.campaign_gas import PAPER, Plan, report, run, table

ZERO_BYTES = 8 * (CALL_DATA - CALL_DATA_ZERO)
"""What a few bytes of call data that happen to be zero spare."""


@pytest.fixture(scope="module")
def found():
    return report(run(Plan(seeds=12)))


def rows(found, operation):
    return [row for row in found["rows"] if row["operation"] == operation]


@pytest.mark.parametrize("operation", ["deploy", "publish_task", "submit_hash", "register_oracle"])
def test_some_calls_cost_the_same_whatever_the_campaign(found, operation):
    (row,) = rows(found, operation)
    assert row["gas_max"] - row["gas_min"] <= ZERO_BYTES


def test_a_bid_costs_so_much_a_task_and_a_slot_now_and_then(found):
    bids = rows(found, "bid_path")
    assert len(bids) >= 5
    assert all(row["gas_max"] - row["gas_min"] <= ZERO_BYTES + CALL_DATA * row["tasks"] for row in bids)
    steps = [
        (after["gas_min"] - before["gas_max"]) / (after["tasks"] - before["tasks"]) for before, after in pairwise(bids)
    ]
    least = min(steps)
    # Each task is looked up, all of them cost the same; its stop is ten bytes, so every third one or so takes a new slot.
    assert least > 0
    assert all(step <= least + SET + COLD + 2 * ZERO_BYTES for step in steps)
    assert found["slopes"]["bid_path"]["ours"] == pytest.approx(least + (SET + COLD) / 3, rel=0.25)


def test_data_cost_their_bytes(found):
    of = rows(found, "submit_data")
    assert len(of) >= 3
    # 34 bytes of call data a task, hashed once and told in an event; the bid that it is compared with grows, too.
    least, most = 34 * (CALL_DATA + 8) * 0.9, 34 * (CALL_DATA + 8) + 2 * words(34) * SHA256_WORD + COLD
    assert least <= found["slopes"]["submit_data"]["ours"] <= most


def test_every_figure_of_the_paper_is_compared(found):
    compared = {(row["operation"], row["tasks"]) for row in found["rows"] if row["ratio"] is not None}
    published = {(operation, tasks) for operation, figures in PAPER.items() for tasks in figures}
    assert compared == published
    assert all(
        row["ratio"] == pytest.approx(row["gas"] / row["paper"], abs=1e-3) for row in found["rows"] if row["paper"]
    )
    assert found["slopes"]["bid_path"]["paper"] == pytest.approx(29_034.8)  # by hand: (2·123,832 + 42,684) / 10
    text = table(found)
    assert "return_selection" in text and "one task more: submit_data" in text


def test_same_seed_same_gas():
    assert report(run(Plan(seeds=1))) == report(run(Plan(seeds=1)))


def test_an_interrupt_keeps_what_is_done(monkeypatch):
    real = campaign_gas._play

    def impatient(seed):
        if seed == 2:
            raise KeyboardInterrupt
        return real(seed)

    monkeypatch.setattr(campaign_gas, "_play", impatient)
    kept = report(run(Plan()))
    assert (kept["interrupted"], kept["seeds"]) == (True, 1) and rows(kept, "publish_task")[0]["calls"] == 10
    nothing = report(run(Plan(seed=2)))
    assert nothing["rows"] == [] and table(nothing) == "nothing was done"
