"""Random faults of everything at once under load: members agree at every moment, and every call ends as its client is told."""

import pytest

from tests.actors.ordered.storm import Storm


def run(seed: int) -> Storm:
    storm = Storm(seed, orderers=3 + 2 * (seed % 2), majority_seals=seed % 4 >= 2, calls=100, duration_ms=2_500)
    storm.run()
    return storm


@pytest.mark.parametrize("seed", range(20))
def test_a_storm_leaves_all_members_level_and_every_call_ended_as_its_client_was_told(seed):
    storm = run(seed)
    assert storm.crashes
    # A storm in which nothing gets through would show nothing.
    assert len(storm.clients.acknowledged) > 50


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_hundreds_of_storms(part):
    for seed in range(100 + 20 * part, 120 + 20 * part):
        run(seed)


@pytest.mark.parametrize("seed", range(2))
def test_a_solo_orderer_that_crashes_again_and_again_loses_nothing(seed):
    storm = Storm(seed, orderers=1, consensus="solo", calls=100, duration_ms=2_500)
    storm.run()
    assert len(storm.clients.acknowledged) > 50


def test_a_storm_is_the_same_every_time():
    first, second = run(7), run(7)
    assert first.watch.commits == second.watch.commits
    assert [call.tried for call in first.clients.calls] == [call.tried for call in second.clients.calls]
