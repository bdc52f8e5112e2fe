"""Virtual time jumps, repeats itself, and leaves trio as it was."""

import time

import pytest
import trio
import trio._core._run as trio_run

from actors.virtual_time import run_virtual


async def race():
    """Many tasks that wake at one instant, in the order in which they ran."""
    order = []

    async def runner(name):
        for _ in range(3):
            await trio.sleep(1)
            order.append(name)

    async with trio.open_nursery() as nursery:
        for name in range(20):
            nursery.start_soon(runner, name)
    return order


def test_the_order_is_the_seeds():
    assert run_virtual(race, seed=4) == run_virtual(race, seed=4) != run_virtual(race, seed=5)


def test_a_day_takes_no_time():
    async def sleep():
        began = trio.current_time()
        await trio.sleep(86_400)
        return trio.current_time() - began

    began = time.monotonic()
    assert run_virtual(sleep, seed=1) == pytest.approx(86_400)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("fails", [False, True])
def test_trio_is_left_as_it_was(fails):
    async def main():
        await trio.sleep(1)
        if fails:
            raise LookupError

    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r.getstate()
    if fails:
        with pytest.raises(LookupError):
            run_virtual(main, seed=1)
    else:
        run_virtual(main, seed=1)
    assert (trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r.getstate()) == before
