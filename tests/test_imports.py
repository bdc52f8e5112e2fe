"""
Imports point one way: launch → web → actors → {net, chain}; experiments → actors.

Each source file is parsed, not imported, so a broken rule is reported even where the forbidden library is not installed.
Imports under TYPE_CHECKING count too: a type is knowledge. To let a file know one thing more, add a line to ALLOWED above
its folder's, with the reason; a rule that many files need to break is a rule to discuss.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"actors", "net", "chain", "web", "experiments", "tests", "launch"}

# What a rule may speak of. A module not named here is anybody's (if pyproject.toml declares it). Dotted names are watched
# apart from their parents: who may import `trio` may not thereby import `trio._core`.
WATCHED = {
    "trio": "a core takes `now` and returns effects; the shell beside it (net/overlay.py, actors/node.py) has the clock",
    "trio._core": "the private scheduling switches have one door: actors/virtual_time.py",
    "libp2p": "libp2p has one door: net/libp2p_host.py and its parts; speak to the Transport in net/transport.py",
    "aioquic": "QUIC has one door: net/libp2p_quic.py and its socket, net/libp2p_udp.py",
    "sqlite3": "SQLite has one door a kind of store: speak to the Store in chain/store.py, or to a RaftStore",
    "quart": "Quart has one door: web/; actors offer actors/control.py",
    "quart_trio": "Quart has one door: web/; actors offer actors/control.py",
    "hypercorn": "Hypercorn has one door: web/; actors offer actors/control.py",
    "asyncio": "we are on trio",
    "anyio": "we are on trio",
    "threading": "no threads: a clock that jumps does not wait for them",
    "multiprocessing": "processes are started by actors/processes.py alone",
    "concurrent": "no threads: a clock that jumps does not wait for them",
    "subprocess": "processes are started by actors/processes.py alone",
    "socket": "sockets belong to libp2p and Hypercorn",
    "time": "time is an argument: take `now`, or the clock of actors/clock.py",
    "datetime": "time is an argument: take `now` and integers; format dates in web/",
    "random": "chance is an argument: take a random.Random",
    "secrets": "chance is an argument; keys come from actors/keyfile.py",
    "uuid": "chance is an argument: derive identifiers from a random.Random or a digest",
    "os": "files and the environment belong to launch.py, actors/keyfile.py, actors/journal.py, actors/data_directory.py",
    "pathlib": "cores do not know files",
}

CHAIN_CORE = {"chain", "random"}
ACTORS = {"actors", "net", "chain", "trio", "random", "pathlib", "datetime"}
WEB = {"web", "trio", "quart", "quart_trio", "hypercorn", "random", "secrets", "pathlib", "datetime"}

# First match wins: the rule for one file stands before the rule for its folder. On the right are the only names from OURS
# and WATCHED that the file may import. `random` is let in for the class random.Random alone (see SHARED_RANDOM).
ALLOWED: list[tuple[str, set[str]]] = [
    ("chain/sqlite_store.py", {"chain", "sqlite3", "pathlib"}),
    # Its own file for what must be durable before a Raft message leaves; the ledger's store saves later.
    ("chain/sqlite_raft.py", {"chain", "sqlite3", "pathlib"}),
    ("chain/**", CHAIN_CORE),
    ("net/libp2p_host.py", {"net", "trio", "libp2p", "socket"}),
    ("net/libp2p_tcp.py", {"net", "trio", "libp2p", "os"}),
    ("net/libp2p_tls.py", {"net", "libp2p", "aioquic"}),
    ("net/libp2p_quic.py", {"net", "trio", "libp2p", "aioquic"}),
    ("net/libp2p_udp.py", {"net", "trio", "aioquic", "os", "socket"}),
    ("net/gossip/**", {"net.gossip", "net.peer", "net.signing", "random"}),
    # The core uses them, so they keep its rule.
    ("net/peer.py", {"net.peer"}),
    ("net/signing.py", {"net.peer", "net.signing"}),
    ("net/**", {"net", "trio", "random"}),
    ("actors/virtual_time.py", ACTORS | {"trio._core"}),
    ("actors/clock.py", ACTORS | {"time", "os"}),
    ("actors/keyfile.py", ACTORS | {"time", "os", "secrets"}),
    ("actors/journal.py", ACTORS | {"time", "os"}),
    ("actors/data_directory.py", ACTORS | {"os"}),
    ("actors/keys_command.py", ACTORS | {"os"}),
    ("actors/processes.py", ACTORS | {"subprocess"}),
    ("actors/process_child.py", ACTORS | {"os"}),
    ("actors/**", ACTORS),
    # The seam has a part of its own for campaigns.
    ("web/**", WEB | {"actors.control", "actors.campaign_control"}),
    (
        "experiments/bench_gossip.py",
        {"experiments", "actors", "net", "trio", "libp2p", "random", "pathlib", "time", "os", "subprocess"},
    ),
    # They build overlays themselves, and measure time, memory and the machine.
    ("experiments/bench_overlay.py", {"experiments", "actors", "net", "trio", "random", "time"}),
    ("experiments/bench_actors.py", {"experiments", "actors", "net", "trio", "time"}),
    ("experiments/bench_pow.py", {"experiments", "chain", "time"}),
    ("experiments/ordered_throughput.py", {"experiments", "actors", "chain", "random", "time"}),
    ("experiments/ordered_latency.py", {"experiments", "chain", "trio", "time"}),
    ("experiments/ordered_nodes.py", {"experiments", "actors", "chain", "net", "trio", "random"}),
    ("experiments/evm_token.py", {"experiments", "time"}),
    ("experiments/measuring.py", {"experiments", "random", "pathlib", "os"}),
    # They look at the ledger itself: final events, and what the contract's own code pays.
    ("experiments/spatial_accuracy.py", {"experiments", "actors", "chain", "random"}),
    ("experiments/spatial_rewards.py", {"experiments", "actors", "chain", "random"}),
    # Rewards are what the contract's own code says.
    ("experiments/campaign_setting.py", {"experiments", "actors", "chain", "random"}),
    ("experiments/campaign_gas.py", {"experiments", "actors", "chain", "random"}),
    ("experiments/**", {"experiments", "actors", "random", "pathlib", "trio"}),
    ("launch.py", (OURS | set(WATCHED)) - {"tests", "trio._core", "libp2p", "sqlite3", "asyncio", "anyio"}),
]

# The module's own generator is shared by all that run in the process, and seeded by none.
SHARED_RANDOM = {
    "seed",
    "random",
    "choice",
    "choices",
    "sample",
    "shuffle",
    "randint",
    "uniform",
    "randrange",
    "expovariate",
    "gauss",
    "getrandbits",
    "betavariate",
    "binomialvariate",
    "gammavariate",
    "getstate",
    "lognormvariate",
    "normalvariate",
    "paretovariate",
    "randbytes",
    "setstate",
    "triangular",
    "vonmisesvariate",
    "weibullvariate",
    "SystemRandom",
}
WALL_CLOCK = {"time.time", "time.time_ns", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today",
              "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}  # fmt: skip
MAY_READ_WALL_CLOCK = ("actors/clock.py", "actors/benchmarks/")

MAX_LINES = 500


def sources(*folders: str) -> list[str]:
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    ]
    return sorted(found) + (["launch.py"] if (ROOT / "launch.py").exists() else [])


SOURCES = sources("actors", "chain", "experiments", "net", "web")


def rule(path: str) -> set[str]:
    for pattern, allowed in ALLOWED:
        if path == pattern or (pattern.endswith("/**") and path.startswith(pattern[:-2])):
            return allowed
    raise LookupError(f"{path} has no rule: add one to ALLOWED in tests/test_imports.py")


def imported(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    """Absolute dotted names; `from a import b` gives both `a` and `a.b`, for b may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = path.split("/")[: -node.level]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def objection(name: str, allowed: set[str]) -> str | None:
    """Why a file with these permissions may not import `name`, or None when it may."""
    # The most special name that is watched decides: trio._core before trio.
    watched = max((w for w in WATCHED if within(name, w)), key=len, default=None)
    if watched is not None:
        return None if watched in allowed else WATCHED[watched]
    top = name.partition(".")[0]
    if top not in OURS or any(within(name, a) for a in allowed):
        return None
    seen = sorted(a for a in allowed if a.split(".")[0] in OURS)
    return f"of our own it sees {', '.join(seen) or 'nothing'} (DESIGN: launch → web → actors → net, chain)"


@pytest.mark.parametrize("path", SOURCES)
def test_imports_point_one_way(path: str) -> None:
    allowed = rule(path)
    wrong = {}
    for line, name in imported(ast.parse((ROOT / path).read_text()), path):
        why = objection(name, allowed)
        # `from a import b, c` names a twice; once is enough.
        if why is not None:
            wrong.setdefault((line, why), f"{path}:{line} imports {name}: {why}")

    assert list(wrong.values()) == []


@pytest.mark.parametrize("path", SOURCES)
def test_time_and_chance_are_arguments(path: str) -> None:
    wrong = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in WALL_CLOCK and not path.startswith(MAY_READ_WALL_CLOCK):
                wrong.append(f"{path}:{node.lineno} uses {name}: take `now`, or the clock of actors/clock.py")
            if name.startswith("random.") and name.count(".") == 1 and node.attr in SHARED_RANDOM:
                wrong.append(f"{path}:{node.lineno} uses {name}: take a random.Random")
            if name in {"numpy.random.seed", "np.random.seed"}:
                wrong.append(f"{path}:{node.lineno} uses {name}: take numpy.random.Generator or a random.Random")
        elif isinstance(node, ast.ImportFrom) and node.module == "random":
            wrong += [
                f"{path}:{node.lineno} imports random.{alias.name}: take a random.Random"
                for alias in node.names
                if alias.name in SHARED_RANDOM
            ]

    assert wrong == []


# Distributions whose import name is not their own, and those whose documented interface includes others'.
IMPORT_NAMES = {"pynacl": {"nacl"}, "scikit-learn": {"sklearn"}, "quart": {"quart", "werkzeug", "jinja2", "markupsafe"}}


# They import what an extra installs when called, and say how to install it where it is missing.
BY_EXTRA = {"actors/sensing/selection_exact.py": "experiments"}


def declared(group: str | None) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] if group is None else project["optional-dependencies"][group]
    names = {re.split(r"[\[<>=!~; ]", line)[0].lower() for line in lines}
    return set().union(*(IMPORT_NAMES.get(name, {name.replace("-", "_")}) for name in names))


@pytest.mark.parametrize("path", SOURCES)
def test_imports_are_declared(path: str) -> None:
    """What `make swarm` installs is what the app imports; experiments may have more, benchmarks may try for more."""
    import sys

    if path.startswith("actors/benchmarks/"):
        return
    known = OURS | sys.stdlib_module_names | declared(None)
    if path.startswith("experiments/"):
        known |= declared("experiments") | declared("bench")
    if path in BY_EXTRA:
        known |= declared(BY_EXTRA[path])
    wrong = [
        f"{path}:{line} imports {name}: not a dependency in pyproject.toml (add it there with its reason; `make lock`)"
        for line, name in imported(ast.parse((ROOT / path).read_text()), path)
        if name.split(".")[0] not in known
    ]

    assert wrong == []


@pytest.mark.parametrize("path", sources("actors", "chain", "experiments", "net", "tests", "web"))
def test_files_stay_readable(path: str) -> None:
    lines = len((ROOT / path).read_text().splitlines())
    assert lines <= MAX_LINES, f"{path} has {lines} lines: split it where a reader would pause"


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_locks_hold_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pins = [entry for entry in re.split(r"\n(?=\S)", text) if re.match(r"[a-z0-9].*==", entry)]

    assert pins
    assert [entry.split()[0] for entry in pins if "--hash=sha256:" not in entry] == []
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links|--trusted-host| @ ", text) == []


def test_npm_lock_holds_hashes_and_no_address() -> None:
    """npm writes none with omit-lockfile-registry-resolved=true; `npm ci` then asks whichever registry is configured."""
    import json

    path = ROOT / "web" / "package-lock.json"
    packages = json.loads(path.read_text())["packages"] if path.exists() else {}
    libraries = {name: entry for name, entry in packages.items() if name}

    assert [name for name, entry in libraries.items() if "resolved" in entry] == []
    assert [name for name, entry in libraries.items() if "integrity" not in entry] == []


# In pieces, lest this file mention them.
REGISTRIES = re.compile(
    r"registry\.(?:npmjs|yarnpkg)|files\.pythonhosted|pypi\.(?:org|python)/simple|_authToken|/opt/pypi|/opt/wheels"
)
TEXT = {".py", ".sh", ".md", ".toml", ".json", ".lock", ".txt", ".cfg", ".yml", ".yaml", ".html", ".js", ".css", ""}
NOT_OURS = {
    ".git",
    ".venv",
    "node_modules",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
}


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the business of the machine that installs them."""
    me = Path(__file__).resolve()
    wrong = []
    for path in ROOT.rglob("*"):
        if NOT_OURS.intersection(path.relative_to(ROOT).parts) or path == me:
            continue
        if path.is_file() and path.suffix in TEXT and path.stat().st_size < 2_000_000:
            match = REGISTRIES.search(path.read_text(errors="replace"))
            if match:
                wrong.append(f"{path.relative_to(ROOT)} mentions {match[0]}")

    assert wrong == []


@pytest.mark.parametrize(
    "path, code",
    [
        ("chain/state.py", "import net.peer"),
        ("chain/state.py", "import trio"),
        ("chain/ledgers/pow/tree.py", "from ....net import peer"),
        ("net/memory.py", "from chain import values"),
        ("net/gossip/router.py", "import trio"),
        ("net/gossip/router.py", "from net import overlay"),
        ("net/gossip/router.py", "from time import monotonic"),
        ("net/overlay.py", "import libp2p.host"),
        ("actors/worker.py", "from trio import _core"),
        ("actors/worker.py", "import trio._core._run"),
        ("actors/worker.py", "import web.app"),
        ("web/app.py", "from actors import node"),
        ("web/app.py", "import chain.state"),
        ("experiments/auction.py", "import web"),
    ],
)
def test_the_rules_bite(path: str, code: str) -> None:
    names = [name for _, name in imported(ast.parse(code), path)]
    assert any(objection(name, rule(path)) for name in names)


@pytest.mark.parametrize(
    "path, code",
    [
        ("chain/state.py", "import random, hashlib"),
        ("chain/sqlite_store.py", "import sqlite3"),
        ("net/gossip/router.py", "from .score import Score"),
        ("net/gossip/router.py", "from net.peer import PeerId"),
        ("net/libp2p_host.py", "from libp2p import new_host"),
        ("actors/virtual_time.py", "import trio._core._run"),
        ("actors/node.py", "from net import overlay\nfrom chain import state\nfrom . import actor"),
        ("web/app.py", "from actors.control import Control\nfrom actors import control\nimport quart_trio"),
        ("launch.py", "import os, time, actors.swarm"),
    ],
)
def test_the_rules_let_through_what_they_should(path: str, code: str) -> None:
    names = [name for _, name in imported(ast.parse(code), path)]
    assert [objection(name, rule(path)) for name in names] == [None] * len(names)
