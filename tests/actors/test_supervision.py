"""Who crashes is noted and started again with its store; its neighbours go on."""

from itertools import pairwise

import pytest
import trio

from actors.facility import Facility
from chain.store import MemoryStore
from tests.actors.simulated import play, simulate, small, until
from tests.checkers import conflicting_finality, of_kind, what_went_wrong

# Who restarts mines alone until it has found the others: two blocks on top are not enough then.
DEEP = {"ledger__finality_depth": 6}


def break_store(swarm, name, times):
    """Plant a bug: the next `times` saves of an actor's store raise."""
    store = swarm.stores.chain(next(m for m in swarm.members if m.name == name))
    assert isinstance(store, MemoryStore)
    save, left = store.save, [times]

    def failing(*args):
        if left[0]:
            left[0] -= 1
            raise ArithmeticError("a planted bug")
        return save(*args)

    store.save = failing


@pytest.mark.parametrize("name", ["miner-01", "mec-01", "facility-01"])
def test_a_ledger_node_that_crashes_comes_back(tmp_path, name):
    run = simulate(small(**DEEP), tmp_path, watch=lambda swarm: break_store(swarm, name, 2))
    report = run.report
    errors = report["errors"]
    assert len(errors) == 2
    assert all(error.startswith(f"{name}: ArithmeticError: a planted bug (") for error in errors)
    assert [r["what"] for r in of_kind(run.journal, "error")] == [error.partition(": ")[2] for error in errors]
    assert what_went_wrong({**report, "errors": []}) == []
    assert conflicting_finality(run.journal) == []
    assert run.swarm.restarts == {name: 2}
    assert run.swarm.states[name] == "stopped"
    ups = [record["a"] for record in of_kind(run.journal, "up")]
    assert ups.count(name) == 3
    assert all(ups.count(member.name) == 1 for member in run.swarm.members if member.name != name)
    assert report["reports"]["confirmed"] >= 3
    heights = [node.core.final.height for node in run.swarm.full_nodes]
    assert max(heights) - min(heights) <= 4


def test_pauses_between_crashes_grow(tmp_path):
    run = simulate(small(**DEEP), tmp_path, watch=lambda swarm: break_store(swarm, "facility-01", 10**6))
    crashes = [record["t"] for record in of_kind(run.journal, "error")]
    assert 3 <= len(crashes) <= 7
    pauses = [b - a for a, b in pairwise(crashes)]
    assert all(later > earlier for earlier, later in pairwise(pauses))
    assert run.report["replicas_agree"]
    assert run.report["reports"]["confirmed"] >= 3


class FaintFacility(Facility):
    """Faints at the first report it reviews."""

    faints = 1

    async def _review(self, report):
        if type(self).faints:
            type(self).faints -= 1
            raise ZeroDivisionError("fainted")
        await super()._review(report)


def test_a_bug_in_an_actors_own_task_is_caught_too(tmp_path, monkeypatch):
    monkeypatch.setattr("actors.swarm.Facility", FaintFacility)
    run = simulate(small(**DEEP), tmp_path)
    assert len(run.report["errors"]) == 1
    assert "facility-01: ZeroDivisionError: fainted (" in run.report["errors"][0]
    assert run.report["reports"]["closed"] >= 1


def test_a_light_actor_that_crashes_comes_back():
    async def script(swarm):
        worker = swarm.actors["worker-03"]
        await until(lambda: worker.node.mec is not None)
        neighbours = {name: actor for name, actor in swarm.actors.items() if name != "worker-03"}
        worker.node.overlay._nursery.start_soon(_raise)
        await until(lambda: swarm.states["worker-03"] == "restarting")
        await until(lambda: swarm.states["worker-03"] == "running")
        reborn = swarm.actors["worker-03"]
        assert reborn is not worker
        assert reborn.identity == worker.identity
        await until(lambda: reborn.node.mec == worker.node.mec)
        assert {name: actor for name, actor in swarm.actors.items() if name != "worker-03"} == neighbours
        assert len(swarm.world.errors) == 1
        assert swarm.world.errors[0].startswith("worker-03: RuntimeError: planted")

    play(small(), script)


async def _raise():
    await trio.lowlevel.checkpoint()
    raise RuntimeError("planted")
