"""Members whose stores are files, killed as by `kill -9`: what comes up again has what was in the files at that moment."""

import shutil
from collections.abc import Callable
from pathlib import Path

from actors.consortium_trial import Member, Trial
from chain.sqlite_raft import SqliteRaftStore
from chain.sqlite_store import SqliteStore


def on_disk(folder: Path) -> Callable[[Trial, str, str, str], Member]:
    """Make members that keep their stores in `folder`."""

    class DiskMember(Member):
        def __init__(self, trial: Trial, name: str, organisation: str, role: str) -> None:
            super().__init__(trial, name, organisation, role)
            self._open()

        def _path(self, store: str) -> Path:
            return folder / f"{self.name}-{self.lives}-{store}.sqlite"

        def _open(self) -> None:
            self.store = SqliteStore(self._path("chain"), self.trial.network.id)  # type: ignore[assignment]
            if self.role == "orderer":
                self.raft_store = SqliteRaftStore(self._path("raft"), self.trial.network.id, self.account)  # type: ignore[assignment]

        def start(self) -> None:
            if self.lives:
                # SQLite tidies up when it is closed, also by the garbage collector; a process that is killed does not.
                old = {store: self._path(store) for store in ("chain", "raft")}
                self.lives += 1
                for store, path in old.items():
                    for suffix in ("", "-wal"):
                        left = path.with_name(path.name + suffix)
                        if left.exists():
                            shutil.copyfile(left, self._path(store).with_name(self._path(store).name + suffix))
                self.store.close()
                self.raft_store.close()
                self._open()
                self.lives -= 1
            super().start()

    return DiskMember
