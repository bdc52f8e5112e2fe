"""Peers and orderers are processes over TCP; they are killed at random under load and come back with their files."""

import pytest
import trio

from tests.actors.ordered.siege import Siege

CALM_S = 4.0
"""Eight times the time without a leader after which an orderer stands."""

CATCH_UP_S = 2.0
"""Heartbeats are 0.1 s apart: with the second at the latest the leader knows that it forgot, and sends what it lacks."""


class Forgetting(Siege):
    """One orderer comes back without its disk; later, when all were down, without its votes and log."""

    async def attack(self, nursery: trio.Nursery) -> None:
        forgetful, second, third = (self.members[name] for name in ("orderer-1", "orderer-2", "orderer-3"))
        self.kill(forgetful)
        forgetful.lose(chain=True)
        forgetful.start()
        await self.until_told(forgetful, "votes_lost")
        await self.until_told(forgetful, "up")
        await self.until_acknowledged()
        # Once it has caught up with who leads, it counts again: one of the others can go.
        await trio.sleep(CATCH_UP_S)
        self.kill(second)
        await self.until_acknowledged()
        second.start()
        await self.until_told(second, "up")
        await self.until_acknowledged()

        # All down, and one forgets: it must not help one of the others to lead, who may lack what it had acknowledged.
        for member in (forgetful, second, third):
            self.kill(member)
        forgetful.lose(chain=False)
        forgetful.start()
        second.start()
        await self.until_told(forgetful, "votes_lost")
        await self.until_told(second, "up")
        calls = sum(call.outcome == "final" for call in self.calls)
        await trio.sleep(CALM_S)
        assert not [who for who in forgetful.lines("leader") + second.lines("leader") if len(who) > 2]
        assert sum(call.outcome == "final" for call in self.calls) == calls
        third.start()
        await self.until_acknowledged()


@pytest.mark.slow
def test_an_orderer_that_lost_its_votes_is_not_counted_on(tmp_path):
    siege = Forgetting(tmp_path, kills=0, seed=3)
    siege.run()
    assert len(siege.killed) == 5


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_to_three_kills(tmp_path):
    siege = Siege(tmp_path, kills=3, seed=1, pause_s=(0.2, 0.5))
    siege.run()
    assert len(siege.killed) == 3


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_to_fifty_kills(tmp_path, capsys):
    siege = Siege(tmp_path, kills=50, seed=2)
    siege.run()
    assert len(siege.killed) == 50
    with capsys.disabled():
        print("", *siege.figures(), sep="\n")
