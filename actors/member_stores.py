"""What the ledger nodes of a population keep over a restart: each one's chain, and of orderers their votes and log."""

from pathlib import Path
from random import Random

from actors.population import Member
from actors.torn_write import tear
from actors.world import World
from chain.ledgers.ordered.raft.store import MemoryRaftStore, RaftStore
from chain.store import MemoryStore, Store


class MemberStores:
    """Opens each member's stores when they are first asked for: files in the data directory, or memory."""

    def __init__(self, world: World, data: Path | None) -> None:
        self._world, self._data = world, data
        self._keep_blocks = world.scenario.ledger.keep_blocks or None
        self._chains: dict[str, Store] = {}
        self._votes: dict[str, RaftStore] = {}

    @property
    def can_tear(self) -> bool:
        """Whether stores are on disks, whose last write can be torn."""
        return self._data is not None

    def chain(self, member: Member) -> Store:
        """A member's blocks and state. Raises StoreError."""
        store = self._chains.get(member.name)
        if store is None:
            store = self._chains[member.name] = self._open_chain(member)
        return store

    def votes(self, member: Member) -> RaftStore:
        """An orderer's votes and log. Raises StoreError."""
        store = self._votes.get(member.name)
        if store is None:
            store = self._votes[member.name] = self._open_votes(member)
        return store

    def lose(self, member: Member) -> None:
        """A member's disk is gone, with all that was on it."""
        if (chain := self._chains.pop(member.name, None)) is not None:
            chain.close()
        if (votes := self._votes.pop(member.name, None)) is not None:
            votes.close()
        if self._data is not None:
            for path in (self._chain_path(self._data, member), self._votes_path(self._data, member)):
                for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                    file.unlink(missing_ok=True)

    def tear(self, member: Member, rng: Random) -> int | None:
        """Close a member's chain so that its last write is torn; by how many bytes. None when it has none on disk."""
        store = self._chains.pop(member.name, None)
        if store is None or self._data is None:
            return None
        return tear(self._chain_path(self._data, member), store.close, rng)

    def close(self) -> None:
        """Close all. The members' nodes can still be looked at, as far as they need no store."""
        for chain in self._chains.values():
            chain.close()
        for votes in self._votes.values():
            votes.close()

    def _open_chain(self, member: Member) -> Store:
        if self._data is None:
            return MemoryStore(keep_blocks=self._keep_blocks)
        from chain.sqlite_store import SqliteStore  # noqa: PLC0415 - not for runs in memory

        return SqliteStore(
            self._chain_path(self._data, member),
            self._world.network.id,
            durability=self._world.scenario.ledger.durability,
            keep_blocks=self._keep_blocks,
        )

    def _open_votes(self, member: Member) -> RaftStore:
        if self._data is None:
            return MemoryRaftStore()
        from chain.sqlite_raft import SqliteRaftStore  # noqa: PLC0415 - not for runs in memory

        return SqliteRaftStore(
            self._votes_path(self._data, member),
            self._world.network.id,
            member.identity.account,
            durability=self._world.scenario.ledger.durability,
        )

    @staticmethod
    def _chain_path(data: Path, member: Member) -> Path:
        return data / f"{member.name}.sqlite"

    @staticmethod
    def _votes_path(data: Path, member: Member) -> Path:
        return data / f"{member.name}.raft.sqlite"
