"""Race attack: one coin is spent twice at the same moment, with the shop and with oneself.

Attacked: who believes a payment before it is in a block. The attacker gives the payment to the shop's node and, at the
same time, another one with the same nonce, to an account of its own, to all miners, to whom it is better connected.
Budget: links ten times faster than the shop's; no hash power.
Success: the shop has handed over the goods, and the final chain does not have its payment.
Defence: the shop waits until the payment is final. Off: it goes by what its node's mempool has.
Source: spec, "race attack"; Karame, Androulaki & Čapkun (2012). For two versions of a report, see `race-report`.
"""

from contextlib import suppress

from actors.attacks.case import Case, Measured, Size
from actors.chain_trial import HASHES_PER_STEP, INTERVAL_MS, Field, Peer, found, key_of, pay
from chain.codec import encode, transaction_id
from chain.errors import Refused
from chain.keys import account_of
from chain.values import Transaction

DEPTH = 4
AMOUNT = 1_000


def _race(defended: bool, seed: int, size: Size) -> Measured:
    names = [f"buyer-{number}" for number in range(size.payments)]
    network = found(seed, names, finality_depth=DEPTH)
    field = Field(network, seed)
    miners = field.add_honest(HASHES_PER_STEP, count=3)
    shop = field.add(Peer(field, "shop", 0))
    buyer = Peer(field, "attacker", 0)
    buyer.attacker = True
    field.add(buyer)
    field.run(2 * INTERVAL_MS)

    payments: list[Transaction] = []
    handed_over: set[bytes] = set()
    for name in names:
        key = key_of(seed, name)
        payment = pay(network, key, 0, shop.account, AMOUNT)
        back = pay(network, key, 0, account_of(key_of(seed, f"{name}'s other")), AMOUNT)
        payments.append(payment)
        field.send(buyer, "tx", encode(back), miners)
        with suppress(Refused):
            shop.submit(payment)
        field.run(INTERVAL_MS // 4)
        if not defended and shop.ledger.pending_transaction(transaction_id(payment)) is not None:
            handed_over.add(transaction_id(payment))
    field.run(4 * DEPTH * INTERVAL_MS)

    final = {transaction_id(payment) for payment in payments if _is_final(shop, payment)}
    if defended:
        handed_over = set(final)
    return Measured(len(handed_over - final), len(names), {"paid in the end": len(final) / len(names)})


def _is_final(shop: Peer, payment: Transaction) -> bool:
    found_at = shop.ledger.receipt(transaction_id(payment))
    return found_at is not None and found_at[0].header.height <= shop.ledger.final.height


RACE = Case(
    name="race-payment",
    family="chain",
    goal="the goods are gone, and the payment is not in the final chain",
    budget="links ten times faster than the shop's",
    defence=f"the shop waits for finality ({DEPTH} blocks); off: it goes by its mempool",
    source="network: race attack; Karame et al. 2012",
    run=_race,
)
