"""Processes of the real program, for tests that need several: started, watched by their journals, killed, looked at."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.data_directory import DataDirectory
from chain.codec import block_id
from chain.genesis import Network, kind_of
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.pow.ledger import PowLedger
from chain.sqlite_store import SqliteStore
from chain.state import WorldState
from chain.values import BlockId

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
MIDDLE = "44.5,11.35"
CORNER = "44.4905,11.3405"
TOWN = """
name = "town"
[place]
name = "Town"
lat_min = 44.49
lat_max = 44.51
lon_min = 11.34
lon_max = 11.36
[population]
requester = { count = 2, false_share = 0.0 }
worker = { count = 8, accuracy = 1.0, presence_interval_ms = 1000, look_ms = [50, 200], roam_m = 300.0 }
miner = { count = 2, hash_rate = 60 }
mec = { count = 2 }
facility = { count = 1, review_ms = [100, 300] }
[ledger]
block_interval_ms = 300
[spatial]
# A combination of workers serves once: with groups of five, eight workers would soon have none left.
group_size = 3
vote_window_ms = 1500
reveal_window_ms = 2000
duplicate_radius_m = 10
[reports]
per_minute = 60.0
"""
"""A town of two kilometres where things happen quickly: a report is decided and paid within ten seconds."""


class Process:
    """One ``launch.py`` process with a journal and a report in `folder`; started at once."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.journal = folder / f"{name}.jsonl"
        self.report = folder / f"{name}.json"
        self.output = folder / f"{name}.out"
        for path in (self.report, self.journal):
            path.unlink(missing_ok=True)  # of a process of that name before
        self.started_s = time.monotonic()
        environment = {k: v for k, v in os.environ.items() if k != "CROWDMESH_PASSPHRASE"}
        with self.output.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "launch.py",
                    *arguments,
                    *("--journal", str(self.journal), "--report", str(self.report)),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def bootstrap(self) -> str:
        """Where others can join."""
        found: list[str] = []

        def told() -> bool:
            found[:] = re.findall(r"--bootstrap (\S+)", self.output.read_text())
            return bool(found)

        self.wait_for(told, "its address")
        return found[0]

    def records(self, kind: str) -> list[dict]:
        """What the journal has of a kind; its last line may be half written."""
        if not self.journal.exists():
            return []
        lines = self.journal.read_bytes().split(b"\n")[:-1]
        return [record for line in lines if (record := json.loads(line))["k"] == kind]

    def final_height(self) -> int:
        return max((record["height"] for record in self.records("final")), default=0)

    def wait_for(self, done: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> float:
        """Until `done`, asked ten times a second; seconds since the process started."""
        until = time.monotonic() + patience_s
        while not done():
            assert self._process.poll() is None, f"ended instead of {what}: {self.output.read_text()[-2000:]}"
            assert time.monotonic() < until, f"no {what} in {patience_s} s: {self.output.read_text()[-2000:]}"
            time.sleep(0.1)
        return time.monotonic() - self.started_s

    def kill(self) -> None:
        """As the system does when memory is short."""
        self._process.kill()
        self._process.wait()

    def stop(self, number: int = signal.SIGTERM) -> dict:
        """Ask to end, expect exit code 0 within three seconds, and return the report."""
        began = time.monotonic()
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE_S)
        took = time.monotonic() - began
        assert code == 0, f"exit code {code}: {self.output.read_text()[-2000:]}"
        assert took < 3, f"took {took:.1f} s to end"
        return json.loads(self.report.read_text())

    def finish(self, patience_s: float) -> dict:
        """Wait for its end by itself, expect exit code 0, and return the report."""
        code = self._process.wait(patience_s)
        assert code == 0, f"exit code {code}: {self.output.read_text()[-2000:]}"
        return json.loads(self.report.read_text())

    def end(self) -> None:
        """Whatever state it is in."""
        if self._process.poll() is None:
            self.kill()


@dataclass(frozen=True)
class Kept:
    """What a ledger node's store has of the final chain."""

    ids: dict[int, BlockId]
    producers: set[bytes]
    state: WorldState


def kept(data: Path, name: str) -> Kept:
    """Read the store in a data directory that nobody has open, of the actor whose name begins so."""
    with DataDirectory(data) as directory:
        genesis = directory.genesis()
    assert genesis is not None
    network = Network.found(genesis)
    (path,) = [p for p in data.glob("*.sqlite") if p.name.startswith(name)]
    store = SqliteStore(path, network.id)
    try:
        make = OrderedLedger if kind_of(genesis) == "ordered" else PowLedger
        core = make(network, loaded=store.load(), archive=store)
        headers = [header for h in range(core.final.height + 1) if (header := core.header(h)) is not None]
        return Kept({h.height: block_id(h) for h in headers}, {bytes(h.producer) for h in headers}, core.final_state)
    finally:
        store.close()
