"""Selfish mining: a miner keeps its blocks to itself until publishing them voids the work of others.

Attacked: fairness. The attacker mines on its own unpublished branch; it answers a block of the others with one of its own
when it is one ahead, publishes everything when its lead melts to one, and otherwise shows as much as the others have.
Because honest replicas never go back behind a final block, it also publishes when its branch gets as long as finality is
deep. It is connected ten times better than others, so that most of them see its answer to a block before the block.
Budget: 20, 33, 40 or 45 % of the hash power, with one key or with many.
Success: it has more than its share of hash power, by five points of a hundred, of the final chain's blocks.
Defence: the quota, 3 of any 10 blocks by one key. Among branches of equal work all replicas keep the one they saw first,
with the defence on and off: against an attacker so well connected that hardly helps, and choosing at random is not built.
Not tested here: that the quota stops whoever has several keys. It cannot, see the last row.
Source: Eyal & Sirer (2014); spec, "Proof of work".
"""

from functools import partial

from actors.attacks.case import Case, Measured, Size
from actors.chain_trial import HASHES_PER_STEP, INTERVAL_MS, Field, Peer, found, key_of
from chain.codec import decode_block
from chain.keys import account_of
from chain.ledger import Broadcast, HeaderStatus
from chain.ledgers.pow.ledger import PowLedger
from chain.values import Account, Block

DEPTH = 12
MARGIN = 0.05
QUOTA = 3
HONEST = 5
"""Honest miners: as many as the quota lets fill the chain without the attacker."""
FACES = 4
"""Keys of the attacker with many: with three blocks each they may make ten in a row."""


class SelfishMiner(Peer):
    """An honest replica, but for when it publishes its blocks."""

    attacker = True

    def __init__(self, field: Field, name: str, rate: int) -> None:
        super().__init__(field, name, rate)
        self._withheld: list[tuple[Block, Broadcast]] = []
        self._public = 0
        """Height of the highest block that others know."""
        self._fork = 0
        """Height of the last block that our branch shares with theirs."""
        self._racing = False
        """Whether we answered a block with one of the same height."""

    def publish(self, effect: Broadcast) -> None:
        """Withhold a block of ours, unless it decides a race."""
        if effect.topic != "blocks":
            super().publish(effect)
            return
        block = decode_block(effect.data)
        if not self._withheld and not self._racing:
            self._fork = block.header.height - 1
        self._withheld.append((block, effect))
        if self._racing or block.header.height - self._fork >= DEPTH:
            self._show(block.header.height)

    def hear_block(self, sender: Peer, block: Block) -> None:
        """Import it as all do, then see what is left of our lead."""
        before = self._public
        super().hear_block(sender, block)
        self._public = max(self._public, block.header.height)
        if self._public == before:
            return
        ours = [withheld.header.height for withheld, _ in self._withheld]
        if not ours or max(ours) < self._public:
            self._withheld.clear()  # they are ahead, and our replica follows them already
            self._racing = False
            return
        lead = max(ours) - self._public
        self._show(max(ours) if lead <= 1 else self._public)
        self._racing = lead == 0

    def _show(self, height: int) -> None:
        for block, effect in self._withheld:
            if block.header.height <= height:
                super().publish(effect)
        self._withheld = [held for held in self._withheld if held[0].header.height > height]
        self._public = max(self._public, height)
        self._racing = False


class ManyFaced(SelfishMiner):
    """A selfish miner that mines each block with another of its keys: a replica for each, which follow each other."""

    def __init__(self, field: Field, name: str, rate: int) -> None:
        super().__init__(field, name, rate)
        keys = [account_of(key_of(field.seed, f"{name}/{number}")) for number in range(1, FACES)]
        self._faces = [self.ledger, *(PowLedger(field.network, producer=key) for key in keys)]
        self.accounts = {self.account, *keys}

    def work(self, attempts: int) -> None:
        """Mine with the key whose turn it is."""
        self.carry(self._faces[self.ledger.head.height % FACES].mine(attempts, self.field.now_ms))

    def publish(self, effect: Broadcast) -> None:
        """Tell the other faces what one of them found."""
        if effect.topic == "blocks":
            self._tell(decode_block(effect.data))
        super().publish(effect)

    def hear_block(self, sender: Peer, block: Block) -> None:
        """Tell all faces."""
        self._tell(block)
        super().hear_block(sender, block)

    def _tell(self, block: Block) -> None:
        for face in self._faces:
            if face.check_header(block.header, self.field.now_ms) is not HeaderStatus.KNOWN:
                face.receive_block(self.id, block, self.field.now_ms)


def shares(field: Field, witness: Peer, accounts: set[Account], blocks: int) -> float:
    """Let `blocks` become final, and return what share of them `accounts` mined."""
    field.run(blocks * INTERVAL_MS * 4, lambda: witness.ledger.final.height >= blocks)
    producers = witness.producers(last=witness.ledger.final.height)
    return sum(producer in accounts for producer in producers) / max(1, len(producers))


def _selfish(alpha: float, keys: int, defended: bool, seed: int, size: Size) -> Measured:
    field = Field(found(seed, finality_depth=DEPTH, quota=QUOTA if defended else 0), seed)
    hashes = round(alpha * HASHES_PER_STEP)
    honest = field.add_honest(HASHES_PER_STEP - hashes, count=HONEST)
    if keys == 1:
        accounts = {field.add(SelfishMiner(field, "attacker", hashes)).account}
    else:
        many = ManyFaced(field, "attacker", hashes)
        field.add(many)
        accounts = many.accounts
    share = shares(field, honest[0], accounts, size.blocks)
    return Measured(int(share > alpha + MARGIN), 1, {"share of blocks": share, "share of hashes": alpha})


def _case(percent: int, keys: int = 1, *, harmless: str = "", stands: str = "") -> Case:
    return Case(
        name=f"selfish-{percent}" + ("-sybils" if keys > 1 else ""),
        family="chain",
        goal=f"> {percent / 100 + MARGIN:.2f} of final blocks with {percent / 100:.2f} of the hash power",
        budget=f"{percent} % of the hash power, {keys} key{'s' if keys > 1 else ''}, links ten times faster",
        defence=f"quota of {QUOTA} of 10 blocks per key; off: no quota",
        source="malicious miner: selfish mining; Eyal & Sirer 2014",
        run=partial(_selfish, percent / 100, keys),
        harmless=harmless,
        stands=stands,
    )


SELFISH = (
    _case(20, harmless="a fifth of the hash power gains two points: a few hundred blocks hardly tell that from chance"),
    _case(33),
    _case(40),
    _case(45),
    _case(40, FACES, stands="keys are free, so a quota per key does not bind who has several"),
)
