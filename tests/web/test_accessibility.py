"""axe finds nothing wrong (WCAG 2.1 A and AA, and its best practices) on any page, in both themes and on a phone."""

from pathlib import Path

import pytest

from actors.control import CommandRefusedError
from tests.web.conftest import HOSTS, SECRET
from tests.web.ordered_population import OrderedPopulation
from web.app import create_app
from web.serve import serve

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not AXE.is_file(), reason="axe-core is not installed (npm ci in web/, with its dev dependencies)"
    ),
]

TAGS = '["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]'
RUN = f"""axe.run(document, {{ runOnly: {TAGS} }}).then(result => result.violations.flatMap(violation =>
    violation.nodes.map(node => `${{violation.id}}: ${{node.target}} – ${{node.failureSummary}}`)))"""


async def violations(page) -> list[str]:
    # A page that was loaded without scripts stays as it is; axe itself needs them.
    await page.command("Emulation.setScriptExecutionDisabled", value=False)
    await page.evaluate(AXE.read_text())  # the debugger may run what the page's policy forbids
    found: list[str] = await page.evaluate(RUN)
    return found


def paths(population, worker):
    return {
        "run": "/",
        "actor": f"/actors/{worker}",
        "miner": f"/actors/{population.by_name('miner-01')}",
        "reports": f"/actors/{worker}/reports",
        "report": f"/actors/{worker}/reports/{population.found[3].id}",
        "audit": f"/actors/{worker}/reports/{population.found[3].id}/audit",
        "campaigns": f"/actors/{worker}/campaigns",
        "campaign": f"/actors/{worker}/campaigns/{population.campaigning.ids[0]}",
        "blocks": f"/actors/{worker}/blocks",
        "block": f"/actors/{worker}/blocks/39",
        "search": "/search?q=er-0",
        "nothing found": "/search?q=nothing",
        "not found": "/nothing",
    }


@pytest.mark.parametrize("look", ["light", "dark", "phone", "without scripts"])
async def test_axe_finds_nothing(site, browser, worker, look):
    page = await browser.page(dark=look == "dark", width=360 if look == "phone" else 1280)
    wrong = []
    for name, path in paths(site.population, worker).items():
        await page.command("Emulation.setScriptExecutionDisabled", value=look == "without scripts")
        await page.goto(site.path(path))
        if look != "without scripts" and name in {"actor", "miner", "campaign"}:
            await page.wait("document.querySelector('.map--interactive, .map__drawing--pick, #map-help[hidden]')")
        wrong += [f"{name}: {line}" for line in await violations(page)]
    assert wrong == []


async def test_axe_finds_nothing_in_a_refused_form(site, browser, worker):
    page = await browser.page()
    await page.goto(site.path(f"/actors/{worker}"))
    await page.fill("#lat", "nan")
    await page.fill("#lon", "nan")
    async with page.loading():
        await page.click("#report-form button:not(.quiet)")
    assert await violations(page) == []


@pytest.mark.parametrize("dark", [False, True])
async def test_axe_finds_nothing_on_a_campaign_as_it_goes_on(site, browser, worker, dark):
    """A path that is planned, a bid that is refused, a selection, and a phone's view of it."""
    campaigns = site.population.campaigning
    page = await browser.page(dark=dark, width=360 if dark else 1280)
    address = site.path(f"/actors/{worker}/campaigns/{campaigns.ids[0]}")
    campaigns.set_phase("bidding")
    await page.goto(address)
    async with page.loading():
        await page.click("#plan-form button")
    wrong = [f"planned: {line}" for line in await violations(page)]
    campaigns.refuse_next = CommandRefusedError("cannot_walk", "within reach together: 3")
    async with page.loading():
        await page.click("#bid-form button")
    wrong += [f"refused: {line}" for line in await violations(page)]
    campaigns.set_phase("collection")
    campaigns.select()
    await page.goto(address)
    wrong += [f"selected: {line}" for line in await violations(page)]
    assert wrong == []


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_axe_finds_nothing_on_an_ordered_ledger(assets, browser, nursery, look):
    population = OrderedPopulation()
    app = create_app(population, secret=SECRET, allowed_hosts=HOSTS, assets=assets)
    url = (await nursery.start(serve, app, "127.0.0.1", 0)).rstrip("/")
    worker = population.by_name("worker-01")
    page = await browser.page(dark=look == "dark", width=360 if look == "phone" else 1280)
    wrong = []
    for path in (
        "/",
        "/channel",
        f"/actors/{population.by_name('endorser-01')}",
        f"/actors/{worker}/blocks",
        f"/actors/{worker}/blocks/39",
    ):
        await page.goto(url + path)
        wrong += [f"{path}: {line}" for line in await violations(page)]
    assert wrong == []
