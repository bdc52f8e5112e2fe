"""A MEC node hears the news of the cells where its workers are, so that everybody there hears it."""

import pytest

from actors.mec import MecNode
from actors.sensing.mobility import Point
from tests.actors.simulated import play, simulate, small, until
from tests.checkers import of_kind

# Two cells of a few kilometres, three MEC nodes: workers of one cell ask different nodes.
WIDE = {
    "population__mec__count": 3,
    "population__worker__count": 14,
    "population__worker__roam_m": 4_000,
    "population__worker__speed_m_s": 12.0,
    "reports__hot_spots": 3,
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_is_in_a_cell_hears_its_news(seed, tmp_path):
    run = simulate(small(**WIDE, seed=seed), tmp_path, seconds=90)
    told = [record for record in of_kind(run.journal, "published") if "/cell/" in record["topic"]]
    heard = [record for record in of_kind(run.journal, "delivered") if "/cell/" in record["topic"]]
    assert len(told) >= 10
    assert len(heard) > len(told)
    assert run.report["gossip"]["undelivered"] == 0


def test_a_cell_is_left_when_its_workers_are_gone():
    async def script(swarm):
        mec = swarm.actors["mec-01"]
        assert isinstance(mec, MecNode)
        hood, clock = mec._neighbourhood, swarm.world.clock
        await until(lambda: len(mec._presence) == 8)
        cells = hood.cells
        hood.present(Point(1.0, 1.0), clock.now_ms() + 3_000)
        hood.present(Point(1.0, 1.0), clock.now_ms() + 1_000)
        assert hood.cells == cells + 1
        began = clock.now_ms()
        await until(lambda: hood.cells == cells)
        assert 3_000 <= clock.now_ms() - began <= 3_200

    play(small(population__worker__speed_m_s=0.0), script)
