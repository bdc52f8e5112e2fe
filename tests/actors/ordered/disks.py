"""Members whose stores are files, killed as by `kill -9`: what comes up again has what was in the files at that moment."""

import shutil
from collections.abc import Callable
from pathlib import Path

from actors.consortium_trial import Member, Trial
from chain.sqlite_raft import SqliteRaftStore
from chain.sqlite_store import SqliteStore
from chain.values import BlockId


def head(store: SqliteStore) -> BlockId | None:
    loaded = store.load()
    return None if loaded is None else loaded.head


def on_disk(folder: Path) -> Callable[[Trial, str, str, str], Member]:
    """Make members that keep their stores in `folder`."""

    class DiskMember(Member):
        def __init__(self, trial: Trial, name: str, organisation: str, role: str) -> None:
            super().__init__(trial, name, organisation, role)
            self._generation = 0
            self._open()

        def _paths(self) -> list[Path]:
            return [folder / f"{self.name}-{self._generation}-{store}.sqlite" for store in ("chain", "raft")]

        def _open(self) -> None:
            chain, raft = self._paths()
            self.store = SqliteStore(chain, self.trial.network.id)  # type: ignore[assignment]
            self.raft_store = SqliteRaftStore(raft, self.trial.network.id, self.account)  # type: ignore[assignment]

        def start(self) -> None:
            if self.lives:
                # SQLite tidies up when it is closed, also by the garbage collector; a process that is killed does not.
                old = self._paths()
                self._generation += 1
                for path, copy in zip(old, self._paths(), strict=True):
                    for suffix in ("", "-wal"):
                        left = path.with_name(path.name + suffix)
                        if left.exists():
                            shutil.copyfile(left, copy.with_name(copy.name + suffix))
                chain, raft = self.store, self.raft_store
                kept = raft.load(), head(chain)
                self._open()
                # Nothing that was saved is missing.
                assert (self.raft_store.load(), head(self.store)) == kept
                chain.close()
                raft.close()
            super().start()

    return DiskMember
