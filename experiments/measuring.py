"""What benches share: the graph of links that a seed draws, the machine, and this process's CPU time and memory."""

import os
import platform
import random
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def links(nodes: int, degree: int, seed: int) -> list[tuple[int, int]]:
    """Pairs to dial: `degree` / 2 random cycles through all peers, so the graph is connected and nearly regular."""
    rng = random.Random(f"{seed}/links")
    pairs: set[tuple[int, int]] = set()
    for _ in range(max(1, degree // 2)):
        order = list(range(nodes))
        rng.shuffle(order)
        pairs |= {(min(a, b), max(a, b)) for a, b in zip(order, [*order[1:], order[0]], strict=True)}
    return sorted(pairs)


def machine() -> dict[str, Any]:
    """Describe what the figures were measured on."""
    model = platform.processor() or "unknown"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux
    libraries = {name: version(name) for name in ("libp2p", "trio", "pynacl")}
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), **libraries}


def cpu_s() -> float:
    """CPU seconds, user and system, that this process has used."""
    times = os.times()
    return times.user + times.system


def resident_bytes() -> int:
    """Memory of this process that is resident now; 0 where there is no /proc to ask."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """The most memory of this process that was ever resident."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
