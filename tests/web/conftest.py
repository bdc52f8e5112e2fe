"""An app over a fixed population; the same on a real socket; a browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import trio
from quart_trio import QuartTrio

from tests.web import chromium
from tests.web.population import FixedPopulation
from web.app import create_app
from web.assets import Assets
from web.serve import serve

SECRET = b"for tests only, thirty-two bytes"
HOSTS = ("localhost", "127.0.0.1")


@dataclass
class Site:
    """The app where a socket can reach it."""

    url: str
    population: FixedPopulation
    app: QuartTrio

    def path(self, path: str) -> str:
        return self.url.rstrip("/") + path


@pytest.fixture
def population() -> FixedPopulation:
    return FixedPopulation()


@pytest.fixture(scope="session")
def assets() -> Assets:
    """They never change, and zipping them takes most of the time of making an app."""
    return Assets()


@pytest.fixture
def app(population, assets) -> QuartTrio:
    return create_app(population, secret=SECRET, allowed_hosts=HOSTS, assets=assets)


@pytest.fixture
def worker(population) -> str:
    return population.by_name("worker-01")


@pytest.fixture
async def site(app, population, nursery) -> Site:
    url = await nursery.start(serve, app, "127.0.0.1", 0)
    return Site(url, population, app)


@pytest.fixture
async def browser() -> AsyncIterator[chromium.Browser]:
    if (reason := chromium.why_not()) is not None:
        pytest.skip(reason)
    async with chromium.open_chromium() as opened:
        with trio.fail_after(90):
            yield opened
