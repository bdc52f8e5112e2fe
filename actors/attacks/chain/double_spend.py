"""Double spending by majority hash power: a payment is taken back by a heavier branch in which it never was.

Attacked: what somebody did on the strength of a payment. The attacker pays a merchant on the public chain, and mines in
secret from the block before on a branch where the same money goes to itself. Once the merchant has shipped, after six
confirmations or when the payment is final, it publishes its branch as soon as that has more work.
Budget: 30, 51 or 60 % of the hash power. It gives up when ten blocks behind, or after 80 blocks.
Success: the merchant shipped, and the payment is not in its chain any more.
Defence: finality. A replica never goes back behind a block six deep. Off: it does, and the merchant counts six
confirmations.
What finality does not do: the heavier branch exists all the same, and a replica that joins afterwards and asks both
sides follows it (`newcomers-…`): no rule inside proof of work tells the branches apart for somebody who was not there. And
since blocks take their time to travel, it comes before the last public block to some and after it to others: these have
finalised, those go over (`finality-split-…`), and neither side ever comes back. Without finality neither would happen.
Source: Nakamoto (2008); Rosenfeld (2014), here without a block mined in advance; spec, "Proof of work".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from math import comb

from actors.attacks.case import Case, Measured, Size
from actors.chain_trial import HASHES_PER_STEP, INTERVAL_MS, NEVER, Field, Peer, found, key_of, pay
from chain.codec import decode_block, transaction_id
from chain.keys import account_of
from chain.ledger import Broadcast
from chain.ledgers.pow.ledger import PowLedger
from chain.values import Block, TxId

DEPTH = 6
"""Confirmations that a merchant waits for, its own block included; blocks on top of a final one."""
BEHIND = 10
PATIENCE = 80
WARM = 3


class DoubleSpender(Peer):
    """Mines on a branch of its own from `begin_branch` to `release`, and watches the others with a second replica."""

    attacker = True

    def __init__(self, field: Field, name: str, rate: int) -> None:
        super().__init__(field, name, rate)
        self.public = PowLedger(field.network)
        self._secret: list[Broadcast] | None = None

    def begin_branch(self) -> None:
        """Stop following the others."""
        self._secret = []

    def publish(self, effect: Broadcast) -> None:
        """Keep blocks, and what is to be in them, to itself."""
        if self._secret is None:
            self._show(effect)
        elif effect.topic == "blocks":
            self._secret.append(effect)

    def hear_block(self, sender: Peer, block: Block) -> None:
        """Follow the others, or only watch them."""
        self.public.receive_block(sender.id, block, self.field.now_ms)
        if self._secret is None:
            super().hear_block(sender, block)

    @property
    def is_ahead(self) -> bool:
        """Whether our branch has more work than theirs."""
        return self.ledger.statistics().work > self.public.statistics().work

    @property
    def behind(self) -> int:
        """Blocks by which our branch is shorter than theirs."""
        return self.public.head.height - self.ledger.head.height

    def release(self) -> None:
        """Show the branch."""
        secret, self._secret = self._secret or [], None
        for effect in secret:
            self._show(effect)

    def _show(self, effect: Broadcast) -> None:
        if effect.topic == "blocks":
            self.public.receive_block(self.id, decode_block(effect.data), self.field.now_ms)
        super().publish(effect)


@dataclass(frozen=True, slots=True)
class _Ending:
    """What came of one payment."""

    taken_back: bool = False
    honest_split: bool = False
    """Some honest miners follow one branch and some the other."""
    newcomer_misled: bool = False


@lru_cache(maxsize=4_096)
def _attempt(alpha: float, *, finality: bool, seed: int, number: int) -> _Ending:
    """One payment and what came of it; remembered, for several goals are looked for in the same attempts."""
    network = found(seed, ["buyer"], finality_depth=DEPTH if finality else NEVER)
    field = Field(network, seed * 1_000 + number)
    hashes = round(alpha * HASHES_PER_STEP)
    merchant, *others = field.add_honest(HASHES_PER_STEP - hashes)
    attacker = field.add(DoubleSpender(field, "attacker", hashes))
    field.run(100 * INTERVAL_MS, lambda: merchant.ledger.head.height >= WARM)

    buyer = key_of(seed, "buyer")
    payment = pay(network, buyer, 0, account_of(key_of(seed, "merchant")), 1_000)
    refund = pay(network, buyer, 0, account_of(key_of(seed, "another of the buyer's")), 1_000)
    paid = transaction_id(payment)
    attacker.begin_branch()
    attacker.submit(refund)
    merchant.submit(payment)

    def over() -> bool:
        shipped = _shipped(merchant, paid, finality=finality)
        gone = attacker.public.head.height > PATIENCE or attacker.behind > BEHIND
        return gone or (shipped and attacker.is_ahead)

    field.run(10 * PATIENCE * INTERVAL_MS, over)
    if not _shipped(merchant, paid, finality=finality) or not attacker.is_ahead:
        return _Ending()
    attacker.release()
    field.run(INTERVAL_MS // 2)
    newcomer = field.add(Peer(field, "newcomer", 0))
    field.link(newcomer, attacker)
    field.run(2 * INTERVAL_MS)
    return _Ending(
        taken_back=merchant.ledger.receipt(paid) is None,
        honest_split=len({peer.ledger.receipt(paid) is None for peer in (merchant, *others)}) > 1,
        newcomer_misled=newcomer.ledger.receipt(transaction_id(refund)) is not None,
    )


def _shipped(merchant: Peer, paid: TxId, *, finality: bool) -> bool:
    found = merchant.ledger.receipt(paid)
    if found is None:
        return False
    height = found[0].header.height
    return height <= merchant.ledger.final.height if finality else merchant.ledger.head.height - height + 1 >= DEPTH


Goal = Callable[[_Ending], bool]


def _double_spend(alpha: float, goal: Goal, defended: bool, seed: int, size: Size) -> Measured:
    endings = [_attempt(alpha, finality=defended, seed=seed, number=n) for n in range(size.payments)]
    return Measured(sum(map(goal, endings)), len(endings))


def predicted(alpha: float, depth: int) -> float:
    """The probability that an attacker with endless patience gets ahead after `depth` public blocks."""
    if alpha >= 0.5:
        return 1.0
    p, q = 1 - alpha, alpha
    ahead = sum(comb(m + depth - 1, m) * p**depth * q**m * (1 - (q / p) ** (depth - m + 1)) for m in range(depth + 1))
    return 1 - ahead


def _case(name: str, percent: int, goal: str, won: Goal, *, stands: str = "", theory: bool = False) -> Case:
    alpha = percent / 100
    return Case(
        name=f"{name}-{percent}",
        family="chain",
        goal=goal,
        budget=f"{percent} % of the hash power; gives up {BEHIND} blocks behind",
        defence=f"finality: no way back behind {DEPTH} blocks; off: the merchant counts {DEPTH} confirmations",
        source="malicious miner: majority hash power; Rosenfeld 2014",
        run=partial(_double_spend, alpha, won),
        stands=stands,
        predicted=(predicted(alpha, DEPTH), 0.0) if theory else (None, None),
    )


_TAKEN_BACK = "the merchant shipped, and its chain has lost the payment"
_MISLED = "who joins afterwards follows a branch where the payment never was"
_SPLIT = "honest miners end on different chains for good"
_MORE_WORK = "work is all that a newcomer can compare, and the attacker has more of it"
_LATENCY = "the branch is shown when some have finalised the last block and others have not heard of it"

MAJORITY = (
    *(_case("double-spend", p, _TAKEN_BACK, lambda ending: ending.taken_back, theory=True) for p in (30, 51, 60)),
    *(_case("newcomers", p, _MISLED, lambda ending: ending.newcomer_misled, stands=_MORE_WORK) for p in (30, 51)),
    *(_case("finality-split", p, _SPLIT, lambda ending: ending.honest_split, stands=_LATENCY) for p in (30, 51)),
)
