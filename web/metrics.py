"""Prometheus metrics in a registry of the app's own, and the health check.

Labels are roles, states and statuses, never actors: 300 actors with 30 metrics each make a scrape of 0.7 s, and
a time series per phone is what monitoring systems choke on.
"""

from collections import Counter as Tally
from collections.abc import Iterable
from types import TracebackType
from typing import cast

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from quart import Quart, Response, current_app, request

from actors.control import Control
from web.answer import as_json

METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


class Browsers:
    """How many browsers listen, and what they missed. A context manager around each of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attached = 0
        self._gauge = Gauge("crowdmesh_browsers", "Browsers that listen to live updates", registry=registry)
        self._lost = Counter("crowdmesh_browser_updates_lost", "Updates dropped for slow browsers", registry=registry)

    def lost(self, count: int) -> None:
        """Count updates that a browser did not get."""
        self._lost.inc(count)

    def __enter__(self) -> None:
        self.attached += 1
        self._gauge.set(self.attached)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.attached -= 1
        self._gauge.set(self.attached)


class Population(Collector):
    """The snapshots as gauges, read when asked."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def collect(self) -> Iterable[GaugeMetricFamily]:
        run, actors = self._control.run(), self._control.actors()
        yield GaugeMetricFamily("crowdmesh_run_clock_seconds", "Clock of the run", value=run.now_ms / 1000)
        yield GaugeMetricFamily("crowdmesh_chain_height", "Height of the best chain", value=run.height)
        yield GaugeMetricFamily(
            "crowdmesh_chain_final_height", "Height of the last final block", value=run.final_height
        )
        reports = GaugeMetricFamily("crowdmesh_reports", "Reports by status", labels=["status"])
        for status, count in run.reports:
            reports.add_metric([status], count)
        yield reports
        population = GaugeMetricFamily("crowdmesh_actors", "Actors by role and state", labels=["role", "state"])
        for (role, state), count in sorted(Tally((actor.role, actor.state) for actor in actors).items()):
            population.add_metric([role, state], count)
        yield population
        attended = GaugeMetricFamily("crowdmesh_attended_actors", "Actors that a human took over", labels=["role"])
        peers = GaugeMetricFamily("crowdmesh_peers", "Peers of all actors of a role", labels=["role"])
        balance = GaugeMetricFamily("crowdmesh_balance_microcredits", "What a role owns together", labels=["role"])
        behind = GaugeMetricFamily("crowdmesh_lowest_height", "Final height of the slowest of a role", labels=["role"])
        for role in sorted({actor.role for actor in actors}):
            group = [actor for actor in actors if actor.role == role]
            attended.add_metric([role], sum(actor.attended for actor in group))
            peers.add_metric([role], sum(actor.peers for actor in group))
            balance.add_metric([role], sum(actor.balance for actor in group))
            behind.add_metric([role], min(actor.height for actor in group))
        yield from (attended, peers, balance, behind)


def browsers() -> Browsers:
    """The browsers of this app."""
    return cast("Browsers", current_app.extensions["browsers"])


def install(app: Quart, control: Control) -> None:
    """Add ``/metrics`` (by role) and ``/healthz``."""
    registry = CollectorRegistry()
    registry.register(Population(control))
    answers = Counter(
        "crowdmesh_http_requests", "Requests by method and status", ["method", "status"], registry=registry
    )
    app.extensions["browsers"] = Browsers(registry)

    @app.after_request
    async def count(response: Response) -> Response:
        method = request.method if request.method in METHODS else "other"  # any text can be a method
        answers.labels(method, str(response.status_code)).inc()
        return response

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    @app.get("/healthz")
    async def healthz() -> Response:
        """200 while the population answers; ``failed`` counts actors that gave up."""
        run, actors = control.run(), control.actors()
        failed = sum(actor.state == "failed" for actor in actors)
        return as_json({"status": "ok", "height": run.height, "actors": len(actors), "failed": failed})
