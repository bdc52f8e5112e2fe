"""What a person sees and does, in a real Chromium over a real socket."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from actors.control import Update
from tests.web.chromium import distance
from tests.web.population import START_MS, report
from web.app import create_app
from web.assets import Assets
from web.serve import serve

pytestmark = pytest.mark.browser

MAP = "#leaflet canvas"
needs_leaflet = pytest.mark.skipif(
    not (Path(__file__).parents[2] / "web/node_modules/leaflet").is_dir(),
    reason="the map library is not installed (npm ci in web/)",
)


@needs_leaflet
async def test_submit_a_report_by_clicking_on_the_map(site, browser, worker):
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.wait("document.querySelector('#leaflet canvas')")
    await page.fill("#type", "flooding")
    await page.click("#leaflet", at=(0.62, 0.81))
    await page.wait("document.getElementById('lat').value && document.getElementById('nearby').textContent")
    lat = float(await page.evaluate("document.getElementById('lat').value"))
    lon = float(await page.evaluate("document.getElementById('lon').value"))
    assert 52.45 < lat < 52.52, "south of the middle"
    assert 13.40 < lon < 13.46, "east of the middle"
    assert "Nobody has reported this there yet" in await page.text("#nearby")
    async with page.loading():
        await page.click("#report-form button[type=submit]:not(.quiet)")
    assert "is on its way" in await page.text("main")
    newest = site.population.found[0]
    assert (newest.type, newest.mine) == ("flooding", True)
    assert (newest.lat, newest.lon) == (pytest.approx(lat), pytest.approx(lon))
    assert page.complaints == []


@needs_leaflet
async def test_the_map_shows_every_state_in_its_colour(site, browser, worker):
    """A canvas may be blank while the page around it is right, so look at its pixels."""
    for dark in (False, True):
        page = await browser.page(dark=dark)
        await page.goto(site.path(f"/actors/{worker}"))
        await page.wait("document.querySelectorAll('#leaflet canvas').length >= 2")
        left, top, width, height = await page.box("#leaflet")
        shown = await page.pixels(".leaflet-overlay-pane canvas")
        for state in ("pending", "assigned", "confirmed", "rejected", "expired", "in_review", "closed"):
            hex_ = await page.evaluate(
                f"getComputedStyle(document.documentElement).getPropertyValue('--state-{state}').trim()"
            )
            colour = [int(hex_[start : start + 2], 16) for start in (1, 3, 5)]
            seen = sum(count for *pixel, count in shown if distance(pixel, colour) < 24)
            assert seen > 60, f"{state} is not on the map (dark: {dark})"
        assert width > 300 and height > 300, (left, top)


@needs_leaflet
async def test_place_a_report_with_the_keyboard_alone(site, browser, worker):
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.wait("document.querySelector('#leaflet canvas')")
    await page.evaluate("document.getElementById('leaflet').focus()")
    await page.press("Enter")
    await page.wait("document.getElementById('lat').value")
    assert float(await page.evaluate("document.getElementById('lat').value")) == pytest.approx(52.52, abs=0.002)
    assert float(await page.evaluate("document.getElementById('lon').value")) == pytest.approx(13.40, abs=0.002)


async def test_vote_with_the_keyboard(site, browser, worker):
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.press("Tab")  # skip to the content
    await page.press("Tab")  # skip to the ballots
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the ballots"
    await page.press("Enter")
    for _ in range(3):
        await page.press("Tab")
    assert (await page.evaluate("document.activeElement.textContent")).strip() == "Reject"
    ring = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid", "focus is visible"
    async with page.loading():
        await page.press("Enter")
    assert site.population.votes == [(worker, site.population.asked[0].report, False)]
    assert "still sealed: reject (by you)" in await page.text("#ballot-list")
    assert page.complaints == []


async def test_a_block_arrives_without_reload(site, browser, worker):
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.wait("document.getElementById('live').textContent === 'Live'")
    await page.evaluate("document.getElementById('type')?.focus(), window.before = true")
    await page.fill("#lat", "52.5")
    block = site.population.mine()
    await page.wait(f"document.getElementById('tile-{block.id}')")
    assert (await page.text(".strip li:nth-child(2)")).startswith(str(block.height))
    assert await page.evaluate("window.before") is True, "the page was not loaded again"
    assert await page.evaluate("document.getElementById('lat').value") == "52.5", "what was typed stays"
    assert await page.evaluate("document.activeElement.id") == "lat", "focus stays"
    assert page.navigations == 1
    assert page.complaints == []


async def test_a_new_ballot_is_announced_and_shown(site, browser, worker):
    population = site.population
    first = population.asked[0]
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.wait("document.getElementById('live').textContent === 'Live'")
    population.asked.append(replace(first, report=population.found[9].id, type="broken light"))
    population.push(Update("ballot", START_MS, {"report": population.found[9].id, "stage": "open"}))
    await page.wait(f"document.getElementById('confirm-{population.found[9].id}')")
    assert await page.evaluate("document.getElementById('news').textContent") == "A report waits for a vote."


@needs_leaflet
async def test_coasts_appear_where_they_are_true(site, browser, worker):
    """Zoomed out there is land; at the scale of a city, where it would be wrong by kilometres, there is none."""
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.wait("!document.getElementById('map-help').hidden")
    ground = "#leaflet .leaflet-ground-pane canvas"
    land = [int("fbfaf4"[start : start + 2], 16) for start in (0, 2, 4)]
    assert not any(distance(colour, land) < 2 for colour in await page.pixels(ground))
    for _ in range(9):
        await page.click(".leaflet-control-zoom-out")
    # East of the place, whose frame is a dot in the middle now, lies Poland.
    await page.wait(
        f"(c => c.getContext('2d').getImageData(c.width * 0.58, c.height * 0.56, 1, 1).data[0] === {land[0]})"
        f"(document.querySelector('{ground}'))"
    )


@needs_leaflet
async def test_a_report_of_others_appears_on_the_map(site, browser, worker):
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.wait("document.getElementById('live').textContent === 'Live'")
    view = report(99, "pending", lat=52.525, lon=13.41)
    site.population.found.insert(0, view)
    site.population.push(Update("report", START_MS, {"id": view.id}))
    await page.wait(f"document.querySelector('#chart a[data-id=\"{view.id}\"]')")
    await page.wait(f"document.getElementById('row-{view.id}')")


async def test_the_page_says_when_the_server_is_gone_and_comes_back(app, population, browser, worker, nursery):
    page = await browser.page()
    async with trio.open_nursery() as first:
        url = await first.start(serve, app, "127.0.0.1", 0)
        port = int(url.rstrip("/").rpartition(":")[2])
        await page.goto(f"{url}actors/{worker}")
        await page.wait("document.getElementById('live').textContent === 'Live'")
        first.cancel_scope.cancel()
    await page.wait("document.getElementById('live').textContent.startsWith('Not connected')")
    block = population.mine()
    await nursery.start(serve, app, "127.0.0.1", port)
    await page.wait("document.getElementById('live').textContent === 'Live'")
    await page.wait(f"document.getElementById('tile-{block.id}')")


async def test_everything_works_without_scripts(site, browser, worker):
    page = await browser.page(scripts=False)
    await page.goto(site.path(f"/actors/{worker}"))
    assert await page.evaluate("document.querySelectorAll('#chart svg a.mark').length") == 40
    await page.box("#chart svg")
    await page.fill("#lat", "nan")
    await page.fill("#lon", "13.4")
    async with page.loading():
        await page.click("#report-form button:not(.quiet)")
    assert "such as 52.51630" in await page.text("#submit")
    assert await page.evaluate("document.getElementById('lat').value") == "nan"
    near = site.population.found[3]
    await page.fill("#type", near.type)
    await page.fill("#lat", str(near.lat))
    await page.fill("#lon", str(near.lon))
    async with page.loading():
        await page.click("#check")
    assert "Already reported near there" in await page.text("#nearby")
    async with page.loading():
        await page.click("#report-form button:not(.quiet)")
    assert "duplicate_report" in await page.text("#refusal")
    await page.fill("#lat", "52.4912")
    async with page.loading():
        await page.click("#report-form button:not(.quiet)")
    assert "is on its way" in await page.text("main")
    await page.goto(site.path(f"/actors/{worker}"))
    async with page.loading():
        await page.click(".ballot .good")
    assert site.population.votes[0][2] is True
    async with page.loading():
        await page.click(".attend button")
    assert "Give back" in await page.text(".attend")
    assert all("the server responded with a status of 4" in line for line in page.complaints), page.complaints


async def test_a_phone_needs_no_sideways_scrolling(site, browser, worker):
    block = site.population.chain[39]
    paths = [
        "/",
        f"/actors/{worker}",
        f"/actors/{worker}/reports",
        f"/actors/{worker}/reports/{site.population.found[0].id}",
        f"/actors/{worker}/blocks",
        f"/actors/{worker}/blocks/{block.id}",
        "/search?q=nothing",
        "/search?q=er-0",
    ]
    page = await browser.page(width=360, height=740)
    for path in paths:
        await page.goto(site.path(path))
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, path


async def test_dark_follows_the_system_and_the_button(site, browser):
    page = await browser.page(dark=True)
    await page.goto(site.url)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    await page.click("#theme")
    light = await page.evaluate(ground)
    assert dark != light
    await page.goto(site.url)
    assert await page.evaluate(ground) == light, "the choice is kept"


async def test_hostile_text_stays_text(site, browser, worker):
    evil = "<img src=x onerror='window.pwned=1'>\"'><script>window.pwned=1</script>"
    population = site.population
    population.found.insert(0, report(77, "confirmed", type=evil, outcome=evil, requester=evil, workers=(evil,)))
    page = await browser.page()
    for path in (
        f"/actors/{worker}",
        f"/actors/{worker}/reports/{population.found[0].id}",
        f"/actors/{worker}/reports",
    ):
        await page.goto(site.path(path))
        await page.wait("document.getElementById('live').textContent === 'Live'")
        assert await page.evaluate("window.pwned === undefined")
        assert evil in await page.text("main")
    await page.goto(site.path(f"/actors/{worker}"))
    assert await page.evaluate("document.querySelector('#chart a.mark:last-of-type').dataset.type") == evil
    assert all(url.startswith((site.url, "ws")) for url in page.requests if "://" in url), "no third party"


async def test_without_the_map_library_the_drawing_takes_clicks(population, browser, worker, nursery, tmp_path):
    app = create_app(population, secret=b"s", allowed_hosts=["127.0.0.1"], assets=Assets(modules=tmp_path))
    url = await nursery.start(serve, app, "127.0.0.1", 0)
    page = await browser.page()
    await page.goto(f"{url}actors/{worker}")
    await page.wait("document.querySelector('.map__drawing--pick')")
    await page.click("#chart", at=(0.25, 0.5))
    await page.wait("document.getElementById('lat').value")
    assert float(await page.evaluate("document.getElementById('lat').value")) == pytest.approx(52.52, abs=0.001)
    assert float(await page.evaluate("document.getElementById('lon').value")) == pytest.approx(13.3784, abs=0.001)
    assert page.complaints == []


async def test_a_message_survives_the_refresh_in_the_background(site, browser, worker):
    """Blocks that arrive while a form is sent must not use up what the next page has to say."""
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.wait("document.getElementById('live').textContent === 'Live'")
    async with page.loading():
        site.population.mine()
        await page.click(".attend button")
    assert "You decide for this actor now" in await page.text("main")
