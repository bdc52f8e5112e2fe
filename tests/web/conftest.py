"""An app over a fixed population; the same on a real socket; a browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import trio
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
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


class Compiled(BytecodeCache):
    """Templates are compiled once for all apps of the tests: that takes longer than most tests."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session")
def compiled() -> Compiled:
    return Compiled()


@pytest.fixture
def population() -> FixedPopulation:
    return FixedPopulation()


@pytest.fixture(scope="session")
def assets() -> Assets:
    """They never change, and zipping them takes most of the time of making an app."""
    return Assets()


@pytest.fixture
def app(population, assets, compiled) -> QuartTrio:
    made = create_app(population, secret=SECRET, allowed_hosts=HOSTS, assets=assets)
    made.jinja_env.bytecode_cache = compiled
    return made


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
