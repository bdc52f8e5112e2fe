"""Every contract does the same on every ledger: outcomes, results, events, gas, answers, and the state in the end."""

import re
from collections.abc import Iterable
from functools import cache

import pytest

from chain.contracts.spatial_draw import replay_draw
from chain.genesis import standard_registry
from chain.ledgers.ordered.update import check_update
from tests.chain.conformance.all_ledgers import LEDGERS
from tests.chain.conformance.channel_script import ORDERED_SCRIPTS
from tests.chain.conformance.scripts import SCRIPTS
from tests.chain.conformance.story import Story

ALL_SCRIPTS = SCRIPTS | ORDERED_SCRIPTS
FURTHER = {("spatial", "tally"): (replay_draw,), ("channel", "update"): (check_update,)}
"""What a docstring refers to for more refusals."""
NEVER = {
    # An assignment was refused for it before, and what is final stays.
    ("spatial", "tally", "draw_not_ready"),
    # Genesis has one.
    ("channel", "update", "no_channel"),
    ("channel", "config", "no_channel"),
    # More than that are not decoded: malformed_arguments.
    ("channel", "update", "too_many_signatures"),
}
"""Refusals that no script can meet, and why."""


@cache
def told(script: str, ledger: str) -> Story:
    tell, founding = ALL_SCRIPTS[script]
    story = Story(LEDGERS[ledger](founding))
    tell(story)
    story.end()
    return story


@pytest.mark.parametrize("ledger", [name for name in LEDGERS if name != "pow"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_ledgers_agree(script, ledger):
    reference, found = told(script, "pow").record, told(script, ledger).record
    for expected, noted in zip(reference.calls, found.calls, strict=True):
        assert noted == expected
    assert found.state == reference.state


@pytest.mark.parametrize("script", ORDERED_SCRIPTS)
def test_solo_and_raft_agree(script):
    solo, raft = told(script, "ordered/solo").record, told(script, "ordered/raft").record
    assert raft.calls == solo.calls
    assert raft.state == solo.state


def promised(contract: str, method: str, docstring: str) -> set[tuple[str, str, str]]:
    """The refusals that a docstring lists, behind the word."""
    _, _, listed = docstring.partition("Refused")
    return {(contract, method, reason) for reason in re.findall("``([a-z_]+)``", listed)}


def said(scripts: Iterable[str], ledger: str) -> set[tuple[str, str, str]]:
    return {each for script in scripts for each in told(script, ledger).said}


@pytest.mark.parametrize(
    "kind,scripts,ledger", [("pow", SCRIPTS, "pow"), ("ordered", ALL_SCRIPTS, "ordered/raft")], ids=["pow", "ordered"]
)
def test_every_call_and_refusal_is_in_a_script(kind, scripts, ledger):
    """Who adds a call, a query or a refusal to a contract adds it to a script as well."""
    methods = standard_registry(kind).methods
    wanted = {(contract, name, "") for contract, name, _ in methods}
    for contract, name, method in methods:
        wanted |= promised(contract, name, method.function.__doc__ or "")
        for further in FURTHER.get((contract, name), ()):
            wanted |= promised(contract, name, further.__doc__ or "")
    assert wanted - said(scripts, ledger) == {each for each in NEVER if each in wanted}
