"""What a node or swarm keeps between runs beside its stores: the network's genesis, its ports, whom it knew.

A directory belongs to one process at a time, held by a lock that the system releases when the process ends, however
it ends. Files: ``lock``, ``genesis.msgpack``, ``peers.msgpack``; keys and stores are others' to name.
"""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from actors.messages import Known
from actors.scenario import ScenarioError
from chain.codec import decode, encode
from chain.errors import GenesisError, MalformedError, StoreError
from chain.genesis import Genesis, check_genesis

MAX_GENESIS_BYTES = 1 << 20
MAX_PEERS = 64
"""Ledger nodes of other processes that are remembered."""
MAX_MEMORY_BYTES = 1 << 20


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes a restart quick: lost, a node needs its bootstrap peers again, and no more."""

    peers: Annotated[tuple[Known, ...], Meta(max_length=MAX_PEERS)] = ()
    ports: Mapping[str, tuple[int, ...]] = {}
    """The TCP ports of each actor, in the order of its listening addresses."""


class DataDirectory:
    """An open data directory; made if it is not there. `close` gives it up.

    Raises ScenarioError when it cannot be written, StoreError when another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f"cannot use data directory {path}: {error.strerror}"
            raise ScenarioError(msg) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            msg = f"data directory {path} is in use by another process: end that first, or choose another --data"
            raise StoreError(msg) from None

    def genesis(self) -> Genesis | None:
        """The network that this directory is of; None for a new one. Raises StoreError when it cannot be read."""
        path = self.path / "genesis.msgpack"
        try:
            genesis = decode(Genesis, path.read_bytes(), limit=MAX_GENESIS_BYTES)
            check_genesis(genesis)
        except FileNotFoundError:
            return None
        except (OSError, MalformedError, GenesisError) as error:
            msg = f"{path}: {error}"
            raise StoreError(msg) from None
        return genesis

    def keep_genesis(self, genesis: Genesis) -> None:
        """Bind the directory to a network, durably."""
        self._replace("genesis.msgpack", encode(genesis))

    def recall(self) -> Memory:
        """What was remembered last; nothing when it is lost or damaged, for it is only a convenience."""
        try:
            raw = (self.path / "peers.msgpack").read_bytes()
            return msgspec.msgpack.decode(raw[:MAX_MEMORY_BYTES], type=Memory)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Memory()

    def remember(self, memory: Memory) -> None:
        """Keep this for the next start. Raises StoreError when the disk does not take it."""
        self._replace("peers.msgpack", msgspec.msgpack.encode(memory))

    def close(self) -> None:
        """Let other processes have it."""
        os.close(self._lock)

    def _replace(self, name: str, data: bytes) -> None:
        part = self.path / f"{name}.part"
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path / name)
        except OSError as error:
            msg = f"cannot write {self.path / name}: {error.strerror}"
            raise StoreError(msg) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
