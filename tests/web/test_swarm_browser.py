"""A person with a browser in a real swarm of nine: everything from the list of actors to the reward."""

import re
from functools import partial

import pytest
import trio

from tests.web import chromium
from tests.web.chromium import distance
from tests.web.swarm_process import read_json, swarm_process
from tests.web.test_browser import needs_leaflet

pytestmark = pytest.mark.browser

LIVE = "document.getElementById('live').textContent === 'Live'"
SUBMIT = "#report-form button[type=submit]:not(.quiet)"


@pytest.fixture(scope="module")
def swarm():
    if (reason := chromium.why_not()) is not None:
        pytest.skip(reason)
    with swarm_process() as running:
        yield running


async def shown(url):
    """A page as JSON, from another thread: the swarm is another process, but the browser's socket is ours."""
    return await trio.to_thread.run_sync(partial(read_json, url))


async def take_over(page, swarm, name):
    """Attach to an actor by the list of actors, and take it over."""
    await page.goto(swarm.url)
    async with page.loading():
        await page.click(f"#actor-{swarm.ids[name]} a")
    assert await page.text("h1") == name
    async with page.loading():
        await page.click(".attend button")
    assert "You decide for this actor" in await page.text("main")
    await page.wait(LIVE)


async def colour_of(page, state):
    hex_ = await page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--state-{state}').trim()")
    return [int(hex_[start : start + 2], 16) for start in (1, 3, 5)]


@needs_leaflet
async def test_report_vote_and_be_paid(swarm, browser):
    reporter, voter = await browser.page(), await browser.page()
    await take_over(reporter, swarm, "worker-01")
    await take_over(voter, swarm, "worker-02")

    # Report, by a click on the map.
    await reporter.wait("document.querySelector('#leaflet canvas')")
    await reporter.fill("#type", "fire")
    await reporter.click("#leaflet", at=(0.55, 0.45))
    await reporter.wait("document.getElementById('nearby').textContent")
    assert "Nobody has reported this there yet" in await reporter.text("#nearby")
    lat, lon = [await reporter.evaluate(f"document.getElementById('{name}').value") for name in ("lat", "lon")]
    async with reporter.loading():
        await reporter.click(SUBMIT)
    assert "is on its way" in await reporter.text("main")
    report = (await reporter.url()).rpartition("/")[2]
    await reporter.wait(LIVE)
    await reporter.evaluate("window.same = true")
    await reporter.wait("/Pending/.test(document.getElementById('verdict').textContent)")
    await reporter.wait("/Assigned/.test(document.getElementById('verdict').textContent)")

    # Vote, by keyboard, on the page that has been open all the time.
    await voter.wait(f"document.getElementById('confirm-{report}')")
    assert await voter.evaluate("document.getElementById('news').textContent") == "A report waits for a vote."
    await voter.evaluate("document.getElementById('ballots').focus()")
    for _ in range(2):
        await voter.press("Tab")
    assert await voter.evaluate("document.activeElement.id") == f"confirm-{report}"
    async with voter.loading():
        await voter.press("Enter")
    assert "Voted, still sealed: confirm (by you)" in await voter.text("#ballot-list")
    await voter.wait(LIVE)
    assert await voter.text(".balance__sum") == "0"
    await voter.evaluate(
        "new MutationObserver(() => { window.seenPending ||= !!document.querySelector('#money tbody .tag--soft') })"
        ".observe(document.getElementById('money'), { childList: true, subtree: true })"
    )

    # Confirmed, and paid: first pending, then for good. Nothing is loaded again.
    await reporter.wait("/Confirmed|In review/.test(document.getElementById('verdict').textContent)")
    assert await reporter.evaluate("window.same") is True
    history = await reporter.text("#history")
    assert re.findall("Pending|Assigned|Confirmed", history) == ["Pending", "Assigned", "Confirmed"]
    loads = voter.navigations
    await voter.wait("window.seenPending")
    await voter.wait("document.querySelector('#money tbody') && !document.querySelector('#money tbody .tag--soft')")
    await voter.wait("parseFloat(document.querySelector('.balance__sum').textContent) > 0")
    assert voter.navigations == loads
    assert "Voted and revealed: confirm (by you)" in await voter.text("#ballot-list")
    actor = await shown(swarm.path("worker-02"))
    (reward,) = actor["actor"]["rewards"]
    assert (reward["cause"], reward["report"], reward["final"]) == ("worker", report, True)
    assert actor["actor"]["summary"]["balance"] == reward["amount"]
    (ballot,) = actor["ballots"]
    assert (ballot["stage"], ballot["decided_by"], ballot["choice"]) == ("revealed", "human", True)

    # The block that holds it.
    async with voter.loading():
        await voter.click("#money tbody a")
    assert re.match(r"Block \d+", await voter.text("h1"))
    block = await voter.text("main")
    for words in (
        "spatial.tally",
        "spatial.confirmed",
        "worker-02",
        "requester_reward",
        "0.50 credits",
        "worker-01",
        "final",
    ):
        assert words in block, words
    tally = next(
        tx
        for tx in (await shown(await voter.url()))["block"]["transactions"]
        if tx["method"] == "tally" and ["report", report] in tx["arguments"]
    )
    await voter.fill("#q", tally["id"])
    async with voter.loading():
        await voter.press("Enter")
    assert await voter.text(f"#tx-{tally['id']} b") == "spatial.tally", "found by its id"

    # The same again is refused, beside the form; the map shows what is there already.
    await reporter.goto(swarm.path("worker-01"))
    await reporter.wait("document.querySelectorAll('#leaflet canvas').length >= 2")
    pixels = await reporter.pixels(".leaflet-overlay-pane canvas")
    colours = [await colour_of(reporter, state) for state in ("confirmed", "in_review", "closed")]
    assert max(sum(n for *pixel, n in pixels if distance(pixel, colour) < 24) for colour in colours) > 60
    await reporter.fill("#type", "fire")
    await reporter.fill("#lat", lat)
    await reporter.fill("#lon", lon)
    await reporter.wait("/Already reported near there/.test(document.getElementById('nearby').textContent)")
    async with reporter.loading():
        await reporter.click(SUBMIT)
    assert "duplicate_report" in await reporter.text("#submit #refusal")
    assert await reporter.evaluate("document.querySelector('#refusal a').href") == swarm.path(
        "worker-01", f"/reports/{report}"
    )
    assert all("status of 409" in line for line in reporter.complaints + voter.complaints)


@pytest.mark.slow
async def test_report_and_vote_without_scripts(swarm, browser):
    """Forms and reloading do all of it."""
    page = await browser.page(scripts=False)
    voter = "worker-03"
    await page.goto(swarm.path(voter))
    async with page.loading():
        await page.click(".attend button")
    await page.goto(swarm.path("worker-04"))
    await page.fill("#type", "waste")
    await page.fill("#lat", "44.45")
    await page.fill("#lon", "11.25")
    async with page.loading():
        await page.click("#check")
    assert "Nobody has reported this there yet" in await page.text("#nearby")
    async with page.loading():
        await page.click(SUBMIT)
    assert "is on its way" in await page.text("main")
    address = await page.url()
    report = address.rpartition("/")[2]
    with trio.fail_after(chromium.DEADLINE_S):
        while not await page.evaluate(f"!!document.getElementById('confirm-{report}')"):
            await page.goto(swarm.path(voter))
    async with page.loading():
        await page.click(f"#reject-{report}")
    assert "still sealed: reject (by you)" in await page.text("#ballot-list")
    with trio.fail_after(chromium.DEADLINE_S):
        while True:
            await page.goto(address)
            if not re.match("Sent|Pending|Assigned", await page.text("#verdict")):
                break
    view = (await shown(address))["report"]
    assert swarm.ids[voter] not in view["workers"]
    assert (await shown(swarm.path(voter)))["ballots"][0]["choice"] is False
    assert page.complaints == []
