"""A lying orderer: the leader publishes other blocks than those that were agreed upon.

Attacked: the one chain. The leader takes part in Raft as it should, but what it publishes has the transactions in another
order, or one of them altered, or goes to half of the peers only while the others get the true block.
Budget: one of three orderers, the leader, with the best links.
Success: an honest member, peer or orderer, commits a block that was not agreed upon.
Defence: the channel's `blocks` policy asks signatures of a majority of organisations' orderers. The honest ones make every
block themselves, and sign no other. Off: one signature, as Fabric's Raft has it; its orderers may crash, and do not lie.
Then the chain parts, and the channel stops, for the liar's next block stands on what others do not have.
Either way whoever sees both blocks knows who signed two, and says so (`Equivocated`).
An altered transaction never takes effect, for its sender did not sign it: it only is lost.
"""

from collections.abc import Callable

from msgspec.structs import replace

from actors.attacks.case import Case, Measured, Size
from actors.attacks.ordered.stage import MOST_ORDERERS, ONE_ORDERER, accusers, leader_of, pay, policies, stage
from actors.consortium_trial import Member, Trial
from chain.codec import decode_block, encode
from chain.ledgers.ordered.blocks import seal
from chain.merkle import transactions_root
from chain.values import Block

LOAD_MS = 400
"""How long customers pay each other."""


def reordered(block: Block) -> Block | None:
    """The same transactions in reverse; None when there are not two of them."""
    if len(block.transactions) < 2:
        return None
    return _with(replace(block, transactions=block.transactions[::-1], evidence=block.evidence[::-1]))


def altered(block: Block) -> Block | None:
    """The first transaction's evidence with another signature of its sender, which is none."""
    if not block.transactions:
        return None
    first, *others = block.evidence
    return _with(replace(block, evidence=(first[:-1] + bytes([first[-1] ^ 1]), *others)))


def _with(block: Block) -> Block:
    root = transactions_root(block.transactions, block.evidence)
    return replace(block, header=replace(block.header, transactions_root=root))


class LyingOrderer(Member):
    """Once `lie` is set, what it publishes is what `lie` makes of its blocks."""

    lie: Callable[[Block], Block | None] | None = None
    halves = False
    """Every second peer gets the true block."""

    def publish(self, topic: str, data: bytes) -> None:
        block = decode_block(data) if topic == "blocks" and self.lie is not None else None
        false = self.lie(block) if block is not None and self.lie is not None else None
        if false is None:
            super().publish(topic, data)
            return
        lie = encode(seal(false, self.signer))
        for place, other in enumerate(self.trial.others(self)):
            self._tell(other, data if self.halves and place % 2 else lie)

    def _tell(self, other: Member, block: bytes) -> None:
        self.trial.deliver(self, other.account, lambda to: to.hear(self, "blocks", block))


def run_lies(
    seed: int, lie: Callable[[Block], Block | None], blocks: str, *, halves: bool = False
) -> tuple[Trial, LyingOrderer]:
    """Customers pay each other while the leader lies. Returns the trial and the liar."""
    trial, clients = stage(seed, LyingOrderer, policies=policies(blocks=blocks))
    liar = leader_of(trial)
    if not isinstance(liar, LyingOrderer):
        raise TypeError(f"{liar.name} does not lie")
    liar.lie, liar.halves = lie, halves
    for number in range(LOAD_MS // 10):
        sender, to = trial.rng.sample(trial.customers, 2)
        trial.at(trial.now_ms + 10 * number, pay, clients, sender, to, 1 + number, trial)
    trial.run_for(LOAD_MS + 1_500)
    return trial, liar


def misled(trial: Trial, liar: Member) -> list[Member]:
    """Honest members with a block that was not agreed upon. The liar itself follows what was."""
    true = liar.ledger

    def is_misled(member: Member) -> bool:
        ledger = member.ledger
        common = min(true.head.height, ledger.head.height)
        return any(ledger.header(height) != true.header(height) for height in range(1, common + 1))

    return [member for member in trial.others(liar) if is_misled(member)]


def _case(name: str, goal: str, lie: Callable[[Block], Block | None], *, halves: bool = False) -> Case:
    def run(defended: bool, seed: int, size: Size) -> Measured:  # noqa: ARG001 - one lie is enough
        trial, liar = run_lies(seed, lie, MOST_ORDERERS if defended else ONE_ORDERER, halves=halves)
        seen = accusers(trial, liar)
        paid = max(peer.ledger.statistics().codes.get("VALID", 0) for peer in trial.orderers if peer is not liar)
        figures = {
            "members that accuse the liar": seen / (len(trial.members) - 1),
            "payments committed": paid / (LOAD_MS // 10),
        }
        return Measured(len(misled(trial, liar)), len(trial.members) - 1, figures)

    return Case(
        name=name,
        family="ordered",
        goal=goal,
        budget="the leader of three orderers",
        defence="a majority of organisations' orderers sign each block; off: one signature is enough",
        source="malicious orderer",
        run=run,
    )


LYING_ORDERERS = (
    _case("reordered-blocks", "a member commits a block with its transactions in another order", reordered),
    _case("altered-blocks", "a member commits a block with another transaction than was ordered", altered),
    _case("forked-blocks", "a member commits another block than others", reordered, halves=True),
)
