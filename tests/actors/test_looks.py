"""The regular look at the overlay: what it writes down, and that an honest actor whom others mistrust is told of."""

from collections import defaultdict

import pytest
import trio

from actors.checkers import Bounds, check, mistrust
from actors.looks import LOOK_S
from actors.messages import tx_topic
from tests.actors.simulated import play, simulate, small
from tests.checkers import of_kind, read_journal

JUNK = b"no transaction"


def test_everybody_is_looked_at_and_nobody_mistrusted(tmp_path):
    run = simulate(small(), tmp_path, seconds=35.0)
    looks = of_kind(run.journal, "look")
    joined = defaultdict(set)
    for r in of_kind(run.journal, "subscribed"):
        joined[r["a"]].add(r["topic"])
    assert len({r["a"] for r in looks}) == 14 and len(looks) == 3 * 14
    assert {round(r["t"] / 1000 / LOOK_S, 1) for r in looks} <= {1.0, 2.0, 3.0}
    for r in looks:
        assert r["below"] == {} and [*r["meshes"]] == sorted(r["meshes"])
        assert {*r["meshes"]} <= joined[r["a"]]
    assert max(degree for r in looks for degree, _ in r["meshes"].values()) >= 3
    assert check(run.journal, Bounds()) == []


def test_who_is_down_is_not_looked_at(tmp_path):
    crash = {"at_s": 5, "kind": "crash", "actors": ["worker-03"], "for_s": 20}
    run = simulate(small(faults=[crash]), tmp_path, seconds=35.0)
    assert [round(r["t"], -4) for r in of_kind(run.journal, "look") if r["a"] == "worker-03"] == [30_000]


@pytest.mark.parametrize("scoring", [True, False])
def test_who_gossips_junk_is_mistrusted(scoring, tmp_path):
    """An actor that goes by other rules than the others is honest as far as the checker knows, and sticks out."""

    async def script(swarm):
        await swarm.actors["worker-01"].node.overlay.publish(tx_topic(swarm.world.topics), JUNK)
        await trio.sleep(LOOK_S + 1)

    path = tmp_path / "journal.jsonl"
    play(small(network__scoring=scoring), script, journal=path)
    journal = read_journal(path)
    assert [r for r in of_kind(journal, "look") if "below" in r] == of_kind(journal, "look") * scoring
    wrong = mistrust(journal, Bounds())
    assert bool(wrong) is scoring
    assert all(" scores worker-01 -9" in line or " scores worker-01 -1" in line for line in wrong)
    assert mistrust(journal, Bounds(), dishonest={"worker-01"}) == []
