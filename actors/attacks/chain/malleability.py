"""Transaction malleability: a third party changes a payment on its way, so that its sender does not find it again.

Attacked: who waits for a transaction by its id. The attacker hears a payment before the miners do, and sends them a twin
whose signature is another encoding of the same one: an Ed25519 signature (R, S) holds for S + L too, unless a verifier
insists on S < L. The twin gets into a block; the sender, whose id covers the signature, sees nothing of its own, gives the
payment up after a while and pays again.
Budget: good links, no hash power and no money.
Success: a customer has paid twice.
Defence: ids leave the signature out, and the verifier refuses S + L (RFC 8032, 5.1.7; libsodium). Off: ids over the whole
transaction, and a verifier that reduces S first, as many did. What stands in for it here is a shell around the real
ledger that reduces S on arrival, and tells its client by the bytes that came first.
Source: spec, "transaction malleability"; Decker & Wattenhofer (2014).
"""

from hashlib import sha256

from msgspec.structs import replace

from actors.attacks.case import Case, Measured, Size
from actors.chain_trial import CREDITS, HASHES_PER_STEP, INTERVAL_MS, Field, Peer, found, key_of, pay
from chain.codec import encode, transaction_id
from chain.contracts.accounts import balance_of
from chain.keys import account_of
from chain.ledger import Broadcast
from chain.values import Transaction, TxId

ORDER = 2**252 + 27742317777372353535851937790883648493
"""L, the order of Ed25519's base point."""
AMOUNT = 1_000
PATIENCE_MS = 10 * INTERVAL_MS
SLOW_MS = 1_000
"""What a customer's own link to the network takes: it is on the phone."""


def twin(transaction: Transaction) -> Transaction:
    """The same transaction under the other signature."""
    scalar = int.from_bytes(transaction.signature[32:], "little") + ORDER
    return replace(transaction, signature=transaction.signature[:32] + scalar.to_bytes(32, "little"))


def reduced(transaction: Transaction) -> Transaction:
    """The transaction as a lax verifier sees it: with S modulo L."""
    scalar = int.from_bytes(transaction.signature[32:], "little") % ORDER
    return replace(transaction, signature=transaction.signature[:32] + scalar.to_bytes(32, "little"))


class LaxPeer(Peer):
    """Takes any S, and names transactions by all of their bytes."""

    def __init__(self, field: Field, name: str, rate: int) -> None:
        super().__init__(field, name, rate)
        self._named: dict[TxId, bytes] = {}

    def hear_transaction(self, transaction: Transaction) -> None:
        """Pool it with S reduced. Raises Refused."""
        self._named.setdefault(transaction_id(transaction), whole_id(transaction))
        super().hear_transaction(reduced(transaction))

    def knows(self, transaction: Transaction) -> bool:
        """Whether the chain has a transaction of this id."""
        inner = transaction_id(transaction)
        return self.ledger.receipt(inner) is not None and self._named.get(inner) == whole_id(transaction)


class StrictPeer(Peer):
    """The real one."""

    def knows(self, transaction: Transaction) -> bool:
        """Whether the chain has a transaction of this id."""
        return self.ledger.receipt(transaction_id(transaction)) is not None


def whole_id(transaction: Transaction) -> bytes:
    """An id that covers the signature."""
    return sha256(encode(transaction)).digest()


class Mutator(Peer):
    """Passes on a twin of each payment that it hears, and nothing else."""

    attacker = True

    def hear_transaction(self, transaction: Transaction) -> None:
        """Be faster than the original."""
        super().publish(Broadcast("tx", encode(twin(transaction))))


def _mutate(defended: bool, seed: int, size: Size) -> Measured:
    names = [f"customer-{number}" for number in range(size.payments)]
    network = found(seed, names)
    field = Field(network, seed)
    kind = StrictPeer if defended else LaxPeer
    peers = [field.add(kind(field, f"honest-{place}", HASHES_PER_STEP // 3)) for place in range(3)]
    mutator = field.add(Mutator(field, "mutator", 0))
    shop = account_of(key_of(seed, "shop"))
    field.run(2 * INTERVAL_MS)

    def send(transaction: Transaction) -> None:
        data = encode(transaction)
        # The attacker listens where the customer is, and the miners are further off.
        field.after(1, mutator.hear, mutator, "tx", data)
        for peer in peers:
            field.after(SLOW_MS, peer.hear, mutator, "tx", data)

    firsts = [pay(network, key_of(seed, name), 0, shop, AMOUNT) for name in names]
    for first in firsts:
        send(first)
    field.run(PATIENCE_MS)
    for name, first in zip(names, firsts, strict=True):
        if not peers[0].knows(first):
            send(pay(network, key_of(seed, name), 1, shop, AMOUNT))
            send(pay(network, key_of(seed, name), 0, shop, AMOUNT + 1))  # in case that the first one is still to come
    field.run(PATIENCE_MS)
    state = peers[0].ledger.state
    spent = [CREDITS - balance_of(state, account_of(key_of(seed, name))) for name in names]
    return Measured(
        sum(amount >= 2 * AMOUNT for amount in spent), len(names), {"paid": sum(a > 0 for a in spent) / len(names)}
    )


MALLEABILITY = Case(
    name="malleability",
    family="chain",
    goal="a customer has paid twice",
    budget="links faster than the customers'",
    defence="ids without signatures, S < L; off: ids over all bytes, any S",
    source="network: transaction malleability; Decker & Wattenhofer 2014",
    run=_mutate,
)
