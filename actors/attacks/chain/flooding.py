"""Flooding: so many transactions that those of others find no place.

Attacked: the mempool and the blocks. The attacker sends valid transactions, several times as many as blocks can hold, from
one account or from as many as it takes; keys cost nothing, and there are no fees.
Budget: one account, or 64 of them; 10 transactions a second where blocks hold 2 a second.
Success: an honest transaction is not in a block within ten block intervals. Honest ones come at a fifth of what blocks hold.
Defence: the mempool takes no more than so many of one sender's (16 of 512 here, as 64 of 4,096 by default). Off: only the
whole is bounded.
What remains: the quota is per key. Whoever has many keys fills the pool, and then it is full for all; nothing but a price
for a place, or for a key, would change that, and the papers have neither.
Source: spec, "DDoS".
"""

from contextlib import suppress
from functools import partial

from actors.attacks.case import Case, Measured, Size
from actors.chain_trial import HASHES_PER_STEP, INTERVAL_MS, STEP_MS, Field, Peer, found, key_of, pay
from chain.codec import encode, transaction_id
from chain.errors import Refused
from chain.keys import account_of
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.mempool import MempoolLimits
from chain.values import Account, TxId

PLACES = 512
PER_SENDER = 16
BLOCK = 20
"""Transactions of a block."""
HONEST_EVERY_MS = 2_500
FLOOD_PER_STEP = 10
PATIENCE_MS = 10 * INTERVAL_MS
WARM_S = 100
CUSTOMERS = 8
SYBILS = 64


class Flooder(Peer):
    """Sends transfers of nothing much from its accounts in turn."""

    attacker = True

    def __init__(self, field: Field, accounts: list[str], shop: Account, per_sender: int) -> None:
        super().__init__(field, "flooder", 1)
        self._names, self._shop, self._per_sender = accounts, shop, per_sender
        self._next = [0] * len(accounts)
        self._turn = 0

    def work(self, attempts: int) -> None:
        """Send what goes into a step; no account runs further ahead of the chain than a mempool takes."""
        del attempts
        for _ in range(FLOOD_PER_STEP):
            place = self._turn = (self._turn + 1) % len(self._names)
            key = key_of(self.field.seed, self._names[place])
            done = self.ledger.next_nonce(account_of(key))
            if self._next[place] >= done + self._per_sender:
                continue
            transaction = pay(self.field.network, key, self._next[place], self._shop)
            self._next[place] += 1
            self.field.send(self, "tx", encode(transaction), self.field.others(self))


def _flood(accounts: int, defended: bool, seed: int, size: Size) -> Measured:
    customers = [f"customer-{number}" for number in range(CUSTOMERS)]
    flood = [f"flood-{number}" for number in range(accounts)]
    network = found(seed, [*customers, *flood], max_block_transactions=BLOCK)
    field = Field(network, seed)
    per_sender = PER_SENDER if defended else PLACES
    limits = MempoolLimits(transactions=PLACES, per_sender=per_sender)
    miners = field.add_honest(HASHES_PER_STEP, count=3, config=PowConfig(mempool=limits))
    shop = account_of(key_of(seed, "shop"))
    field.add(Flooder(field, flood, shop, per_sender))
    sent: dict[TxId, int] = {}
    included: dict[TxId, int] = {}

    def customer_sends(number: int) -> None:
        name = customers[number % CUSTOMERS]
        key, node = key_of(seed, name), miners[number % len(miners)]
        transaction = pay(network, key, node.ledger.next_nonce(account_of(key)), shop)
        sent.setdefault(transaction_id(transaction), field.now_ms)  # one that was refused is tried again
        with suppress(Refused):  # mempool_full, most likely: then it is not in time
            node.submit(transaction)
        field.after(HONEST_EVERY_MS, customer_sends, number + 1)

    def look() -> None:
        for tx in sent:
            if tx not in included and miners[0].ledger.receipt(tx) is not None:
                included[tx] = field.now_ms
        field.after(STEP_MS, look)

    field.after(WARM_S * 1000, customer_sends, 0)
    field.after(WARM_S * 1000, look)
    field.run(WARM_S * 1000 + PATIENCE_MS + size.blocks * 500)
    judged = [tx for tx, at in sent.items() if at + PATIENCE_MS <= field.now_ms]
    late = [tx for tx in judged if included.get(tx, field.now_ms) - sent[tx] > PATIENCE_MS]
    return Measured(len(late), len(judged), {"in time": 1 - len(late) / max(1, len(judged))})


def _case(name: str, accounts: int, stands: str = "") -> Case:
    return Case(
        name=name,
        family="chain",
        goal="an honest transaction is not in a block within ten intervals",
        budget=f"{accounts} account{'s' if accounts > 1 else ''}, five times what blocks hold",
        defence=f"{PER_SENDER} of {PLACES} places in a mempool per sender; off: as many as there are",
        source="network: DDoS",
        run=partial(_flood, accounts),
        limit=0.1,
        stands=stands,
    )


FLOODING = (
    _case("flood-one-account", 1),
    _case("flood-sybils", SYBILS, stands="keys are free and there are no fees: many keys fill the pool for all"),
)
