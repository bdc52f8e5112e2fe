"""Random faults of everything at once under load: members agree at every moment, and every call ends as its client is told."""

import pytest

from tests.actors.ordered.storm import Storm


def run(seed: int, calls: int = 60) -> Storm:
    storm = Storm(seed, orderers=3 + 2 * (seed % 2), majority_seals=seed % 4 >= 2, calls=calls, duration_ms=25 * calls)
    storm.run()
    return storm


@pytest.mark.parametrize("seed", range(20))
def test_a_storm_leaves_all_members_level_and_every_call_ended_as_its_client_was_told(seed):
    storm = run(seed)
    assert storm.crashes
    # A storm in which nothing gets through would show nothing.
    assert len(storm.clients.acknowledged) > 30


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_hundreds_of_storms(part):
    for seed in range(100 + 20 * part, 120 + 20 * part):
        run(seed, 150)


@pytest.mark.parametrize("seed", range(2))
def test_a_solo_orderer_that_crashes_again_and_again_loses_nothing(seed):
    storm = Storm(seed, orderers=1, consensus="solo", calls=60, duration_ms=1_500)
    storm.run()
    assert len(storm.clients.acknowledged) > 30


def test_a_storm_is_the_same_every_time():
    first, second = run(7, 30), run(7, 30)
    assert first.watch.commits == second.watch.commits
    assert [call.tried for call in first.clients.calls] == [call.tried for call in second.clients.calls]
