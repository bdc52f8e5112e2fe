"""A chain of one replica for contract tests: real signed transactions in real blocks, without mining them."""

from typing import Any

from chain.codec import block_id, encode, transaction_id
from chain.contract import encode_args, event_fields, nonce_key
from chain.contracts.accounts import nonce_of
from chain.contracts.spatial_draw import SealedGroup, commit_ballot, draw_group, seal_group
from chain.contracts.spatial_records import Report
from chain.genesis import Genesis, Network
from chain.keys import sign_transaction
from chain.state import Version
from chain.transition import apply_block, assemble, reward
from chain.values import BlockId, Event, Receipt, Transaction, TxId
from tests.strategies import MEC, account, genesis, key, spatial_rules

PRODUCER = 999
HERE = (352_271_000, -808_431_000)
SALT = b"s" * 16


class Town:
    """Blocks are one second apart unless told; `calls` go one to a block."""

    def __init__(self, founding: Genesis | None = None, **rules: Any) -> None:
        self.network = Network.found(founding or genesis(spatial=spatial_rules(**rules)))
        self.rules = self.network.genesis.spatial
        self.blocks = [self.network.block]
        self.state = self.network.state
        self.time_ms = self.network.genesis.time_ms
        self.events: list[Event] = []
        self.receipts: list[tuple[Receipt, ...]] = []
        """Of all blocks but genesis."""

    @property
    def height(self) -> int:
        return len(self.blocks) - 1

    def final_id(self, executing: int, height: int) -> BlockId | None:
        """Block id at `height`, when final for the block being executed."""
        if not 0 <= height <= executing - self.network.genesis.ledger.finality_depth:
            return None
        return block_id(self.blocks[height].header)

    def sign(self, who: int, contract: str, method: str, args: bytes, nonce: int | None = None) -> Transaction:
        number = nonce_of(self.state, account(who)) if nonce is None else nonce
        return sign_transaction(key(who), self.network.id, number, contract, method, args)

    def block(self, *transactions: Transaction, after_ms: int = 1_000) -> tuple[Receipt, ...]:
        """Add a block that holds all of `transactions`."""
        self.time_ms += after_ms
        executing = self.height + 1
        parent = self.blocks[-1].header
        block, _ = assemble(
            self.network,
            parent,
            block_id(parent),
            self.state,
            transactions,
            time_ms=self.time_ms,
            producer=account(PRODUCER),
            difficulty=1,
            final_ids=lambda height: self.final_id(executing, height),
        )
        assert block.transactions == transactions
        applied = apply_block(
            self.network, self.state, block, final_ids=lambda height: self.final_id(executing, height)
        )
        self.blocks.append(block)
        self.state = applied.state
        self.receipts.append(applied.receipts)
        self.events += [event for receipt in applied.receipts for event in receipt.events]
        return applied.receipts

    def attempt(
        self, who: int, method: str, *args: object, contract: str = "spatial", after_ms: int = 1_000
    ) -> Receipt:
        """One call in one block. When refused: nothing but the nonce and the block reward may have changed."""
        transaction = self.sign(who, contract, method, encode_args(*args))
        before = self.state
        (receipt,) = self.block(transaction, after_ms=after_ms)
        assert receipt.transaction == transaction_id(transaction)
        if not receipt.ok:
            nonce = {nonce_key(account(who)): encode(transaction.nonce + 1)}
            untouched = before.apply(nonce, Version(self.height, 0))
            assert self.state.root == reward(self.network, untouched, account(PRODUCER), Version(self.height, 1)).root
            assert receipt.events == () and receipt.result == b"\xc0"
        return receipt

    def call(self, who: int, method: str, *args: object, contract: str = "spatial", after_ms: int = 1_000) -> Receipt:
        """A call that must not be refused."""
        receipt = self.attempt(who, method, *args, contract=contract, after_ms=after_ms)
        assert receipt.ok, f"{receipt.reason}: {receipt.detail}"
        return receipt

    def refusal(self, who: int, method: str, *args: object, contract: str = "spatial", after_ms: int = 1_000) -> str:
        """Why a call is refused."""
        receipt = self.attempt(who, method, *args, contract=contract, after_ms=after_ms)
        assert not receipt.ok, f"{method} was allowed"
        return receipt.reason

    def query(self, method: str, *args: object, contract: str = "spatial") -> Any:
        registry = self.network.registry
        data = registry.query(self.state, contract, method, encode_args(*args), time_ms=self.time_ms)
        return registry.result(contract, method, data)

    def report(self, report: TxId) -> Report:
        found: Report = self.query("report", report)
        return found

    def said(self, name: str) -> list[dict[str, Any]]:
        """Fields of all events of a name so far."""
        return [event_fields(event) for event in self.events if event.name == name]

    # The steps of a report's life, each with the actors' own functions.

    def submit(self, who: int, place: tuple[int, int] = HERE, type_: str = "fire") -> TxId:
        return self.call(who, "submit", type_, *place, self.time_ms).transaction

    def until_final(self, height: int) -> None:
        while self.height + 1 - self.network.genesis.ledger.finality_depth < height:
            self.block()

    def seal(self, report: TxId, candidates: list[int]) -> tuple[list[int], SealedGroup]:
        """The drawn group (key numbers) and how it is hidden, once the draw is final. Raises LookupError: none left."""
        recorded = self.state.version(b"spatial/report/" + report)
        assert recorded is not None
        seed_height = recorded.height + self.rules.draw_delay
        self.until_final(seed_height)
        accounts = {account(number): number for number in candidates}
        drawn = draw_group(
            block_id(self.blocks[seed_height].header),
            report,
            accounts,
            self.rules.group_size,
            lambda combination: self.query("served_at", combination) is not None,
        )
        if drawn is None:
            raise LookupError("every combination drawn has served")
        _, group = drawn
        return [accounts[member] for member in group], seal_group(report, accounts, group, b"secret" * 6)

    def assign(self, report: TxId, candidates: list[int]) -> tuple[list[int], SealedGroup]:
        group, sealed = self.seal(report, candidates)
        self.call(MEC, "assign", report, sealed.candidates_commitment, sealed.group_root)
        return group, sealed

    def vote(self, report: TxId, sealed: SealedGroup, who: int, confirm: bool) -> None:
        worker = account(who)
        self.call(who, "vote", report, commit_ballot(report, worker, confirm, SALT), sealed.tickets[worker])

    def until(self, time_ms: int) -> None:
        """The next call's block, a second later by default, is after `time_ms`."""
        self.block(after_ms=max(1, time_ms - self.time_ms))

    def decide(self, report: TxId, candidates: list[int], confirmations: int) -> list[int]:
        """From assignment to tally, with this many confirmations and the rest rejecting; returns the group."""
        group, sealed = self.assign(report, candidates)
        for place, who in enumerate(group):
            self.vote(report, sealed, who, place < confirmations)
        self.until(self.query("progress", report).vote_until_ms)
        for place, who in enumerate(group):
            self.call(who, "reveal", report, place < confirmations, SALT)
        self.call(MEC, "tally", report, sealed.opening)
        return group
