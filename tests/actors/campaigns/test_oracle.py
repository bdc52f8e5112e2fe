"""Oracles return what the contract takes or nothing, and look at each result of others anew."""

import pytest
import trio

from actors.campaign_config import CampaignConfig, OraclesConfig
from actors.oracle import Oracle
from chain.contracts.campaign_check import invalid
from chain.contracts.campaign_records import CLOSED, SELECTION
from tests.actors.campaigns import algorithms
from tests.actors.campaigns.square import CYCLE_S, FUNDS, campaigns, did, drawn_now, organizer, square, standing
from tests.actors.simulated import play, simulate
from tests.chain.campaign_town import Fair
from tests.checkers import read_journal

FAIR = Fair().to(SELECTION)


@pytest.fixture(scope="module")
def node():
    nodes = []

    async def script(swarm):
        nodes.append(swarm.actors["oracle-01"].node)
        await trio.lowlevel.checkpoint()

    play(square(), script)
    return nodes[0]


def oracle(node, selector) -> Oracle:
    return Oracle(node, CampaignConfig(oracles=OraclesConfig(selector=selector)), 0)


@pytest.mark.parametrize("selector", ["greedy", "exact", "improved", f"{algorithms.HERE}:all_paths"])
def test_a_selection_is_one_that_the_contract_takes(node, selector):
    fair = FAIR.copy()
    selection = oracle(node, selector).compute(fair.tasks, fair.bids)
    assert not invalid(fair.tasks, fair.bids, selection)
    assert len(selection.paths) == (4 if "all_paths" in selector else 3)
    fair.returned(selection)
    assert fair.standing.accepted.selection == selection


@pytest.mark.parametrize("selector", algorithms.SELECTORS, ids=lambda selector: selector.__name__)
def test_a_selection_that_is_not__reject(node, selector):
    ours = oracle(node, f"{algorithms.HERE}:{selector.__name__}")
    with pytest.raises(ValueError, match=r"."):
        ours.compute(FAIR.tasks, FAIR.bids)


def test_nothing_to_select_from(node):
    assert oracle(node, "greedy").compute((), ()).paths == ()
    assert oracle(node, "greedy").compute(FAIR.tasks, ()).winners == ((), (), ())


def test_a_selector_that_fails_is_named_and_the_cycle_is_void(tmp_path):
    run = simulate(square(campaign__oracles__selector=f"{algorithms.HERE}:too_few"), tmp_path, seconds=90)
    assert run.report["errors"]
    assert {error.partition(": ")[2][:31] for error in run.report["errors"]} == {"campaign.oracles.selector: task"}
    assert len(run.report["errors"]) <= 3  # not once a look
    ((cycle,), balances, locked) = campaigns(run.report)
    assert (cycle["phase"], cycle["void"], cycle["returned"], locked) == ("closed", True, 0, 0)
    assert cycle["penalised_micro"] == 2_000_000 * cycle["replaced"] > 0
    assert sum(balances[f"oracle-0{place}"] for place in (1, 2, 3)) == 3 * FUNDS
    assert all(balances[name] == FUNDS for name in balances if not name.startswith("oracle"))


def test_the_result_of_an_earlier_cycle_is_not_good_for_the_next(tmp_path):
    """An oracle returns the very bytes that everybody found right in the cycle before."""
    liars, ended = [], {}

    async def script(swarm):
        ledger = organizer(swarm).ledger
        earlier = None
        while not liars:
            found = await standing(swarm)
            if found is not None and found.campaign.cycle == 0 and found.accepted is not None:
                earlier = found.accepted.selection
            elif found is not None and found.campaign.cycle == 1 and found.campaign.phase == SELECTION:
                made = await ledger.query("campaign", "draw", found.campaign.id)
                liars.extend(drawn_now(swarm, found, made) or ())
            await trio.sleep(0.02)
        # What it selects is its own affair; an actor of a user's may do this.
        swarm.actors[liars[0]].compute = lambda *_: earlier
        await trio.sleep(CYCLE_S)
        assert (await standing(swarm)).campaign.phase == CLOSED
        for place in (1, 2, 3):
            name = f"oracle-0{place}"
            ended[name] = await ledger.query("accounts", "balance", swarm.actors[name].identity.account)
        assert swarm.world.errors == []

    journal = tmp_path / "journal.jsonl"
    play(square(campaign__cycles=2, campaign__oracles__check="on_challenge"), script, journal=journal)
    done = did(read_journal(journal))
    assert done[liars[0], "return_selection"] >= 1
    (challenger,) = [name for name, method in done if method == "challenge"]
    assert ended[liars[0]] == FUNDS - 2_000_000
    assert ended[challenger] == FUNDS + 2_000_000
