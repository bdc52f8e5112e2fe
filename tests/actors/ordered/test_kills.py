"""Members killed again and again under load, with their stores on disk and as they were on disk at that moment."""

import pytest

from tests.actors.ordered.disks import on_disk
from tests.actors.ordered.storm import Storm


def kill(tmp_path, seed: int, kills: int) -> Storm:
    storm = Storm(
        seed,
        majority_seals=seed % 2 == 1,
        calls=4 * kills,
        duration_ms=kills * 100,
        crash_every_ms=80,
        away_ms=250,
        make=on_disk(tmp_path),
    )
    storm.run()
    return storm


@pytest.mark.parametrize("seed", range(2))
def test_nothing_acknowledged_is_lost_when_members_are_killed_and_come_back_from_their_files(tmp_path, seed):
    storm = kill(tmp_path, seed, 15)
    assert storm.kills >= 5
    assert len(storm.clients.acknowledged) == len(storm.clients.calls)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 16))
def test_fifty_kills_with_files(tmp_path, seed):
    storm = kill(tmp_path, seed, 100)
    assert storm.kills >= 50
    assert len(storm.clients.acknowledged) == len(storm.clients.calls)
