"""What must hold of a consortium at every moment, and what at the end: checked while a trial runs, by who sees it all."""

from collections import Counter
from collections.abc import Sequence

from actors.chain_trial import CREDITS
from actors.consortium_clients import Call, Clients
from actors.consortium_trial import Member, Trial
from chain.codec import block_id, decode_own, encode
from chain.contract import balance_key
from chain.contracts.accounts import balance_of, supply
from chain.keys import account_of
from chain.values import Account, Block, BlockId, Receipt


class BrokenError(AssertionError):
    """A consortium did what it never may."""


class Watch:
    """Looks at every block that any member commits. Raises BrokenError as soon as something is wrong.

    To be made after the trial's `Clients`. All calls are to be transfers, for `check_end` to account for all money.
    `ignored` are the names of members that lie, whose chains say nothing.
    """

    def __init__(self, trial: Trial, clients: Clients, ignored: Sequence[str] = ()) -> None:
        self._trial = trial
        self._clients = clients
        self._ignored = frozenset(ignored)
        self._told = trial.on_commit
        self._chain: dict[int, tuple[BlockId, bytes]] = {}
        """By height: block and receipts, as the first member that committed it had them."""
        self._roots: dict[int, bytes] = {}
        self._valid: Counter[bytes] = Counter()
        """How often each transaction took effect."""
        self.commits: list[int] = []
        """When each block was committed for the first time anywhere, in ms."""
        trial.on_commit = self._committed

    def _committed(self, member: Member, block: Block, receipts: Sequence[Receipt]) -> None:
        if member.name not in self._ignored:
            self._check(member, block, receipts)
        self._told(member, block, receipts)

    def _check(self, member: Member, block: Block, receipts: Sequence[Receipt]) -> None:
        height = block.header.height
        found = (block_id(block.header), encode(tuple(receipts)))
        first = self._chain.setdefault(height, found)
        if first is found:
            if height > 1 and (height - 1 not in self._chain or self._chain[height - 1][0] != block.header.parent):
                raise BrokenError(f"{member.name}'s block {height} does not follow block {height - 1}")
            self.commits.append(self._trial.now_ms)
            self._valid.update(receipt.transaction for receipt in receipts if receipt.ok)
        if first[0] != found[0]:
            raise BrokenError(f"{member.name} has another block {height}")
        if first != found:
            raise BrokenError(f"{member.name} has other receipts of block {height}")
        ledger = member.ledger
        if ledger.head.height == height and self._roots.setdefault(height, ledger.state.root) != ledger.state.root:
            raise BrokenError(f"{member.name} has another state after block {height}")
        for receipt in receipts:
            if self._valid[receipt.transaction] > 1:
                raise BrokenError(f"{receipt.transaction.hex()[:16]} took effect twice")

    # --- the end ----------------------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Whether all members are level and every call has ended."""
        heads = {member.ledger.head_id for member in self._trial.members.values() if member.name not in self._ignored}
        return len(heads) == 1 and all(call.ended_ms is not None for call in self._clients.calls)

    def check_end(self) -> None:
        """After all were healed: all level, no call unfinished, what clients were told is so, and no money is lost."""
        for member in self._trial.members.values():
            if member.name in self._ignored:
                continue
            ledger = member.ledger
            if ledger.head.height != len(self._chain):
                raise BrokenError(f"{member.name} is at {ledger.head.height}, others at {len(self._chain)}")
            for height in range(1, ledger.head.height + 1):
                header = ledger.header(height)
                if header is None or block_id(header) != self._chain[height][0]:
                    raise BrokenError(f"{member.name} has another block {height}")
            if ledger.state.root != self._roots.setdefault(ledger.head.height, ledger.state.root):
                raise BrokenError(f"{member.name} has another state at the end")
        for call in self._clients.calls:
            self._check_call(call)
        for member in self._trial.members.values():
            if member.name not in self._ignored:
                self._check_money(member)

    def _check_call(self, call: Call) -> None:
        took = sum(self._valid[tx] for tx in call.tried)
        if call.ended_ms is None:
            raise BrokenError(f"a call of {call.client} is unfinished, it took effect {took} times")
        if took != (call.outcome == "valid"):
            raise BrokenError(f"{call.client} was told {call.outcome}, and its call took effect {took} times")

    def _check_money(self, member: Member) -> None:
        trial, state = self._trial, member.ledger.state
        expected = {account_of(key): CREDITS for key in trial.keys.values()}
        for call in self._clients.acknowledged:
            to, amount = decode_own(tuple[Account, int], call.args)
            expected[account_of(trial.keys[call.client])] -= amount
            expected[to] += amount
        for account, amount in expected.items():
            if balance_of(state, account) != amount:
                raise BrokenError(f"{account.hex()[:16]} has {state.get(balance_key(account))!r}, not {amount}")
        if supply(state) != supply(trial.network.state):
            raise BrokenError("money was made, or lost")
