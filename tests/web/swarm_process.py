"""``launch.py swarm`` in a process of its own, small and quick, for tests that look at it from outside."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_S = 40.0
SETTINGS = {
    "name": '"browsed"',
    "seed": "5",
    "population.requester.count": "1",
    "population.worker.count": "4",
    "population.worker.accuracy": "1.0",
    "population.worker.roam_m": "300.0",
    "population.worker.presence_interval_ms": "1000",
    "population.worker.look_ms": "[100, 300]",
    "population.miner.count": "2",
    "population.mec.count": "1",
    "population.facility.count": "1",
    "population.facility.review_ms": "[60000, 60001]",
    "ledger.block_interval_ms": "400",
    "ledger.finality_depth": "5",
    "spatial.group_size": "3",
    "spatial.min_workers": "3",
    "spatial.report_radius_m": "60000",
    "spatial.vote_window_ms": "6000",
    "spatial.reveal_window_ms": "4000",
    "reports.per_minute": "0.001",
}
"""A worker's report is voted on by the three others, all of whom are near enough; nobody reports but the test."""


@dataclass(frozen=True)
class SwarmProcess:
    """A running swarm."""

    process: subprocess.Popen[str]
    url: str
    ids: dict[str, str]
    """Actor's name → id."""

    def path(self, name: str, rest: str = "") -> str:
        """The address of an actor's page."""
        return f"{self.url}actors/{self.ids[name]}{rest}"

    def interrupt(self) -> float:
        """Ctrl-C; the seconds until the process has ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        return time.monotonic() - began


def read_json(url: str) -> Any:
    """A page as JSON."""
    with urllib.request.urlopen(url + ("&" if "?" in url else "?") + "format=json", timeout=10) as answer:
        return json.load(answer)


@contextmanager
def swarm_process(**settings: str) -> Iterator[SwarmProcess]:
    """Start it, wait until all of its actors run, and end it."""
    options = [f"--set={key}={value}" for key, value in {**SETTINGS, **settings}.items()]
    command = [sys.executable, "launch.py", "swarm", "--web", "127.0.0.1:0", "--for", "5m", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        url = _address(process)
        deadline = time.monotonic() + START_S
        while True:
            actors = read_json(url)["actors"]
            if actors and all(actor["state"] == "running" and actor["peers"] for actor in actors):
                break
            assert time.monotonic() < deadline, [actor["state"] for actor in actors]
            time.sleep(0.1)
        yield SwarmProcess(process, url, {actor["name"]: actor["id"] for actor in actors})
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("web "):
            return line.split()[1]
    raise AssertionError("the swarm ended before it served pages:\n" + "".join(said))
