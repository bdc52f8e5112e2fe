"""Algorithms by name, and names that there are none of."""

import pytest

from actors.sensing.planning import planner
from actors.sensing.selection import selector
from actors.sensing.solvers import resolve

KNOWN = {"best": "tests.actors.sensing.plans:lazy_planner"}


def test_a_name_and_a_dotted_path_are_the_same_function():
    assert resolve("planner", "best", KNOWN) is resolve("planner", KNOWN["best"], KNOWN)


@pytest.mark.parametrize(
    "name, message",
    [
        ("fastest", "'fastest' is no planner: one of best, or your own as module:function"),
        ("", "'' is no planner"),
        ("my_lab.planning", "is no planner"),
        (":best", "is no planner"),
        ("..planning:best", "is no planner"),
        ("my lab:best", "is no planner"),
        ("my_lab.planning:best.of", "is no planner"),
        ("no_such_lab.planning:best", "planner 'no_such_lab.planning:best': No module named 'no_such_lab'"),
        ("tests.actors.sensing.plans:missing", "has no attribute 'missing'"),
        ("tests.actors.sensing.plans:NOT_A_FUNCTION", "NOT_A_FUNCTION is a int, not a function"),
    ],
)
def test_unknown_names__are_refused(name, message):
    with pytest.raises(ValueError) as refused:
        resolve("planner", name, KNOWN)
    assert message in str(refused.value)


def test_what_is_known_is_told():
    with pytest.raises(ValueError, match="'quick' is no planner: one of greedy, improved, exact, or"):
        planner("quick")
    with pytest.raises(ValueError, match="'quick' is no selector: one of greedy, improved, exact, or"):
        selector("quick")
