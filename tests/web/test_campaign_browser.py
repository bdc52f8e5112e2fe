"""A person with a browser in a real swarm: publishes a task of a campaign by a click on the map, and bids a path to it."""

from functools import partial

import pytest
import trio

from tests.web import chromium
from tests.web.chromium import distance
from tests.web.swarm_process import read_json, swarm_process
from tests.web.test_browser import needs_leaflet

pytestmark = pytest.mark.browser

SETTINGS = {
    "systems": '["campaign"]',
    "place.name": '"Square"',
    "place.lat_min": "44.49",
    "place.lat_max": "44.490899",
    "place.lon_min": "11.34",
    "place.lon_max": "11.341261",
    "population.worker.count": "2",
    "population.facility.count": "0",
    "population.organizer.count": "1",
    "population.oracle.count": "1",
    "campaign.tasks.count": "0",
    "campaign.phases.registration": "2.0",
    "campaign.phases.publishing": "8.0",
    "campaign.phases.bidding": "60.0",
    "campaign.phases.grace": "3.5",
}
"""Nobody publishes but the test, which has all the time there is to bid."""


@pytest.fixture(scope="module")
def swarm():
    if (reason := chromium.why_not()) is not None:
        pytest.skip(reason)
    with swarm_process(**SETTINGS) as running:
        yield running


async def shown(url):
    return await trio.to_thread.run_sync(partial(read_json, url))


async def only_campaign(swarm):
    """Its id, once it is deployed."""
    with trio.fail_after(chromium.DEADLINE_S):
        while not (found := (await shown(swarm.path("mec-01", "/campaigns")))["campaigns"]):  # noqa: ASYNC110 - reloads
            await trio.sleep(0.1)
    return found[0]["id"]


async def ink(page, name):
    hex_ = await page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()")
    return [int(hex_[start : start + 2], 16) for start in (1, 3, 5)]


async def painted(page, name):
    """How many pixels of the map have a colour of the theme."""
    colour = await ink(page, name)
    return sum(n for *pixel, n in await page.pixels(".leaflet-overlay-pane canvas") if distance(pixel, colour) < 40)


@needs_leaflet
async def test_publish_a_task_and_bid_a_path(swarm, browser):
    path = f"/campaigns/{await only_campaign(swarm)}"
    requester, worker = await browser.page(), await browser.page()
    await worker.goto(swarm.path("worker-01"))
    async with worker.loading():
        await worker.click(".attend button")
    await worker.goto(swarm.path("worker-01", path))

    # Publish, by a click on the map; the form came by itself when its phase did.
    await requester.goto(swarm.path("requester-01", path))
    await requester.wait("document.getElementById('task-form') && document.querySelector('#leaflet canvas')")
    await requester.click("#leaflet", at=(0.5, 0.5))
    await requester.fill("#reward", "2.5")
    await requester.fill("#samples", "2")
    assert float(await requester.evaluate("document.getElementById('lat').value")) == pytest.approx(44.49045, abs=2e-4)
    async with requester.loading():
        await requester.click("#task-form button")
    assert "Task 127 is published" in await requester.text("main")
    row = await requester.text("#task-127")
    assert "mine" in row and "2.50" in row

    # Bid, on the page that has been open all the time.
    await worker.wait("document.getElementById('plan-form')")
    assert await worker.evaluate("document.getElementById('news').textContent") == "The campaign has come to: bidding."
    async with worker.loading():
        await worker.click("#plan-form button")
    assert "1 task on" in await worker.text("#plan")
    await worker.wait("document.querySelectorAll('#leaflet canvas').length >= 2")
    assert await painted(worker, "path-mine") > 200, "the way that is planned is on the map"
    assert await painted(worker, "state-task-wanted") > 30, "and the task"
    async with worker.loading():
        await worker.click("#bid-form button")
    assert "A path of 1 task is bid" in await worker.text("main")
    assert "Your bid is in" in await worker.text("#act")
    assert "127" in await worker.text("#own")

    view = (await shown(swarm.path("worker-01", path)))["campaign"]
    (mine,) = [bid for bid in view["bids"] if bid["mine"]]
    assert ([stop["task"] for stop in mine["path"]], mine["stage"], mine["deposit"]) == ([127], "bid", 500_000)
    (task,) = view["tasks"]
    assert (task["reward"], task["samples"], task["requester"]) == (2_500_000, 2, swarm.ids["requester-01"])
    await worker.wait("/Deposit locked/.test(document.getElementById('flows').textContent)")
    assert requester.complaints == worker.complaints == []
