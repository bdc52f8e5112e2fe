"""A board shows all campaigns there are, is looked at when it should and no more often, and goes on when nobody answers."""

from collections import Counter
from itertools import pairwise

import pytest
import trio

from actors.campaigns.board import AT_ONCE, LONG_OVER_MS, MAX_PAGE, Board
from actors.ledger import GatewayError
from chain.contracts.campaign_records import DONE
from chain.errors import Refused
from tests.actors.campaigns.square import square
from tests.actors.simulated import play
from tests.chain.campaign_town import OUTSIDER, TERMS, Fair

QUIET = square(population__worker__count=1, population__miner__count=0)


class Reader:
    """A ledger that is only read: the contract's own answers, from a town's state; or none."""

    def __init__(self, fair):
        self.fair = fair
        self.asked = []
        self.fails = lambda: False

    async def query(self, contract, method, *args, at="head"):
        await trio.lowlevel.checkpoint()
        self.asked.append((method, *args))
        if self.fails():
            raise GatewayError("nobody answers")
        try:
            return self.fair.query(method, *args, contract=contract)
        except AssertionError as refusal:
            raise Refused("unknown_campaign") from refusal


def fair_with(campaigns: int) -> Fair:
    fair = Fair(bond=0, bounty=0)
    for _ in range(campaigns - 1):
        fair.do(OUTSIDER, "deploy", fair.terms)
    return fair


def watched(reader, attend, *, rest_s=10.0, for_s=100.0):
    """What a board that is watched for some time has its actor attend to."""

    async def script(swarm):
        board = Board(swarm.world, "onlooker", reader, rest_s=rest_s)
        with trio.move_on_after(for_s):
            await board.watch(lambda standing: attend(swarm.world.clock.now_ms(), standing))

    play(QUIET, script)


@pytest.mark.parametrize("count", [1, MAX_PAGE - 1, MAX_PAGE, MAX_PAGE + 1, 2 * MAX_PAGE, 2 * MAX_PAGE + 7])
def test_all_campaigns_are_there_page_by_page(count):
    reader, found = Reader(fair_with(count)), []

    async def script(swarm):
        found.extend(await Board(swarm.world, "onlooker", reader, rest_s=1.0).campaigns())

    play(QUIET, script)
    ids = [standing.campaign.id for standing in found]
    assert len(ids) == len(set(ids)) == count
    assert [s.campaign.opened_ms for s in found] == sorted(s.campaign.opened_ms for s in found)
    assert len(reader.asked) == count // MAX_PAGE + 1


def test_rest_is_as_long_as_nothing_is_due_but_no_longer_than_told():
    reader, looks = Reader(Fair()), []

    async def attend(now_ms, standing):
        looks.append(now_ms)
        await trio.lowlevel.checkpoint()
        return now_ms + 3_600_000

    watched(reader, attend, rest_s=10.0, for_s=101.0)
    assert len(reader.asked) == len(looks) == 10
    gaps = [after - before for before, after in pairwise(looks)]
    assert all(10_000 <= gap <= 10_600 for gap in gaps)


def test_what_is_due_earlier_is_looked_at_earlier():
    looks = []

    async def attend(now_ms, standing):
        looks.append(now_ms)
        await trio.lowlevel.checkpoint()
        return None if len(looks) % 2 else now_ms + 4_000

    watched(Reader(Fair()), attend, rest_s=10.0, for_s=60.0)
    gaps = [after - before for before, after in pairwise(looks)]
    assert all(1_000 <= gap <= 1_600 for gap in gaps[0::2])
    assert all(4_000 <= gap <= 4_600 for gap in gaps[1::2])


def test_when_nobody_answers_it_asks_again_soon():
    reader, looks = Reader(Fair()), []
    reader.fails = lambda: len(reader.asked) <= 5

    async def attend(now_ms, standing):
        looks.append(now_ms)
        await trio.lowlevel.checkpoint()
        return now_ms + 3_600_000

    watched(reader, attend, for_s=9.0)
    assert len(reader.asked) == 6 and len(looks) == 1


@pytest.mark.parametrize("error", [GatewayError("gone"), Refused("unknown_campaign")], ids=repr)
def test_what_goes_wrong_in_one_campaign_is_no_others_trouble(error):
    seen = Counter()

    async def attend(now_ms, standing):
        await trio.lowlevel.checkpoint()
        seen[standing.campaign.id] += 1
        if len(seen) == 1:
            raise error
        return now_ms + 3_600_000

    watched(Reader(fair_with(3)), attend, for_s=0.5)
    assert list(seen.values()) == [1, 1, 1]


def test_a_bug_escapes():
    async def attend(now_ms, standing):
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        watched(Reader(Fair()), attend)
    assert raised.group_contains(ZeroDivisionError)


def test_so_many_campaigns_are_attended_to_at_a_time():
    now, most = [], []

    async def attend(now_ms, standing):
        now.append(standing)
        most.append(len(now))
        await trio.sleep(5)
        now.remove(standing)
        return now_ms + 3_600_000

    watched(Reader(fair_with(20)), attend, rest_s=100.0, for_s=16.0)
    assert len(most) == 20
    assert max(most) == AT_ONCE


def test_campaigns_that_are_over_for_long_are_asked_for_no_more():
    """And all of them again, should the ledger not know the last of those any more."""
    fair = Fair(bond=0, bounty=0)
    fair.to(DONE).settle()
    fair.here(1, "close")
    fair.do(OUTSIDER, "deploy", TERMS)
    reader, seen = Reader(fair), []

    async def attend(now_ms, standing):
        seen.append((standing.campaign.phase, now_ms))
        await trio.lowlevel.checkpoint()
        return now_ms + 3_600_000

    rest_s = LONG_OVER_MS / 2_000
    watched(reader, attend, rest_s=rest_s, for_s=3.5 * rest_s)
    assert [phase for phase, _ in seen] == ["closed", "registration"] * 3 + ["registration"]
    assert [after for _, _, after in reader.asked] == [None] * 3 + [fair.campaign]

    there = []

    async def script(swarm):
        board = Board(swarm.world, "onlooker", reader, rest_s=1.0)
        reader.fair = fair
        await board.campaigns()
        await trio.sleep(LONG_OVER_MS / 1000)
        await board.campaigns()
        reader.fair = Fair(grace_ms=5)
        with pytest.raises(Refused):
            await board.campaigns()
        there.extend(await board.campaigns())

    play(QUIET, script)
    assert [standing.campaign.phase for standing in there] == ["registration"]
