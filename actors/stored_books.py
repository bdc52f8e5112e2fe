"""The ledger of a run that has ended, read from a node's store in its data directory; see `actors.audit`."""

from pathlib import Path
from typing import Any

import trio

from actors.audit import UnauditableError, audit_report
from actors.data_directory import DataDirectory
from actors.ledger import FoundBlock, Outcome
from actors.local_answers import NodeCore, find_block, find_outcome
from chain.codec import decode
from chain.contract import encode_args
from chain.contracts.spatial_audit import Audit
from chain.errors import MalformedError, StoreError
from chain.genesis import Network
from chain.ledgers.ordered.channel import OrderedRules
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.pow.ledger import PowLedger
from chain.sqlite_store import SqliteStore
from chain.values import BlockId, TxId, TxIdField


class StoredBooks:
    """`actors.audit.Books` over one store. Raises StoreError for one that cannot be read."""

    def __init__(self, network: Network, path: Path) -> None:
        self._network = network
        self._store = SqliteStore(path, network.id)
        make = OrderedLedger if isinstance(network.genesis.ledger, OrderedRules) else PowLedger
        self._core: NodeCore = make(network, loaded=self._store.load(), archive=self._store)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    async def block(self, ref: BlockId | int) -> FoundBlock | None:
        """See `actors.ledger.Ledger.block`."""
        await trio.lowlevel.checkpoint()
        return find_block(self._core, ref)

    async def outcome(self, transaction: TxId) -> Outcome | None:
        """See `actors.ledger.Ledger.outcome`."""
        await trio.lowlevel.checkpoint()
        return find_outcome(self._core, transaction)

    async def query(self, contract: str, method: str, *args: Any) -> Any:
        """See `actors.ledger.Ledger.query`."""
        await trio.lowlevel.checkpoint()
        registry = self._network.registry
        data = self._core.query(contract, method, encode_args(*args), final=False)
        return registry.result(contract, method, data)


def audit_stored(data: Path, report: str, actor: str | None) -> Audit:
    """Audit a report (an id in hex) by the store of `actor`, or of the first ledger node that has what it takes.

    Raises StoreError and ScenarioError for a directory that cannot be used, UnauditableError.
    """
    report_id = _report_id(report)
    if not data.is_dir():
        raise StoreError(f"{data} is no directory; give the one that `--data` named when the swarm or node ran")
    with DataDirectory(data) as directory:
        genesis = directory.genesis()
        stores = sorted(data.glob("*.sqlite"))
        if genesis is None or not stores:
            raise StoreError(f"{data} holds no ledger: nothing ran there with --data")
        if actor is not None:
            stores = [path for path in stores if path.stem == actor]
            if not stores:
                raise StoreError(f"{data} holds no ledger of {actor!r}")
        network = Network.found(genesis)
        why = None
        for path in stores:
            books = StoredBooks(network, path)
            try:
                return trio.run(audit_report, books, network.registry, network.genesis.spatial, report_id)
            except UnauditableError as error:
                why = error
            finally:
                books.close()
    assert why is not None  # noqa: S101 - there is a store
    raise why


def _report_id(text: str) -> TxId:
    try:
        return TxId(decode(TxIdField, b"\xc4\x20" + bytes.fromhex(text), limit=64))
    except (ValueError, MalformedError):
        raise UnauditableError(f"{text!r} is no report: an id is 64 hexadecimal digits") from None


def told(found: Audit) -> str:
    """Lay an audit out for a terminal."""
    lines = [f"report     {found.report.hex()}", f"verdict    {found.verdict}"]
    if found.assigner is not None:
        lines.append(f"assigner   {found.assigner.hex()}")
    if found.seed is not None:
        lines.append(f"seed       block {found.seed_height}, {found.seed.hex()}")
    lines += [f"  - {each}" for each in found.findings]
    lines += [f"drawn      {each.hex()}" for each in found.group]
    return "\n".join(lines)


def as_report(found: Audit) -> dict[str, Any]:
    """Make what `audit --json` prints."""
    return {
        "report": found.report.hex(),
        "verdict": found.verdict,
        "findings": list(found.findings),
        "assigner": found.assigner.hex() if found.assigner else None,
        "seed_height": found.seed_height,
        "seed": found.seed.hex() if found.seed else None,
        "candidates": [each.hex() for each in found.candidates],
        "attempt": found.attempt,
        "group": [each.hex() for each in found.group],
    }
