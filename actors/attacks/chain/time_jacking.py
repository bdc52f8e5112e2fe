"""Time-jacking: blocks with false times, to slow the chain down or to make it cheap.

Attacked: the retarget rule, which believes the times in headers. Ahead: the attacker stamps its blocks as late as it may,
so that time seems to pass which has not, and difficulty falls. Behind: it stamps them as early as it may, a millisecond
after the median, so that their time is nobody's, or so that those after it seem to have taken longer.
Budget: 40 % of the hash power.
Success: blocks take less than 0.8 or more than 1.25 of their interval, on average.
Defence: a block's time is at most so much ahead of a replica's clock (one interval, or ten as in the default scenario),
and after the median of the last eleven. Off: no bound ahead; the median of the last 1,001, which is to say long ago.
On in both: the retarget rule counts a moment once, in whatever order headers name it (`chain.ledgers.pow.difficulty`).
Source: spec, "Time-jacking"; Culubas (2011); on the bound, Zawy (2018).
"""

from functools import partial

from actors.attacks.case import Case, Measured, Size
from actors.chain_trial import HASHES_PER_STEP, INTERVAL_MS, Field, Peer, found

ALPHA = 0.4
SLOWER, FASTER = 1.25, 0.8
FOREVER_MS = 2**40
FAR_AHEAD_MS = 60 * INTERVAL_MS
WINDOW = 11
LONG_WINDOW = 1_001


class Ahead(Peer):
    """Stamps its blocks as far ahead as it may."""

    attacker = True

    def work(self, attempts: int) -> None:
        """Mine as if it were later."""
        bound_ms = self.field.network.genesis.ledger.max_future_ms
        ahead_ms = min(bound_ms, FAR_AHEAD_MS)
        self.carry(self.ledger.mine(attempts, self.field.now_ms + ahead_ms))


class Behind(Peer):
    """Stamps its blocks as early as it may."""

    attacker = True

    def work(self, attempts: int) -> None:
        """Mine as if it were the time of the median, which the block then has to exceed by a millisecond."""
        head = self.ledger.head.height
        window = self.field.network.pow.median_window
        headers = [self.ledger.header(height) for height in range(max(0, head - window + 1), head + 1)]
        times = sorted(header.time_ms for header in headers if header is not None)
        self.carry(self.ledger.mine(attempts, times[len(times) // 2]))


def _jack(kind: type[Peer], bound_ms: int, defended: bool, seed: int, size: Size) -> Measured:
    rules = {"max_future_ms": bound_ms, "median_window": WINDOW}
    if not defended:
        rules = {"max_future_ms": FOREVER_MS, "median_window": LONG_WINDOW}
    field = Field(found(seed, (), **rules), seed)
    hashes = round(ALPHA * HASHES_PER_STEP)
    witness = field.add_honest(HASHES_PER_STEP - hashes)[0]
    field.add(kind(field, "attacker", hashes))
    blocks = max(150, size.blocks // 2)  # fewer say nothing
    warm = blocks // 5
    field.run(warm * INTERVAL_MS)
    first = witness.ledger.head.height
    field.run((blocks - warm) * INTERVAL_MS)
    slower = (blocks - warm) / max(1, witness.ledger.head.height - first)
    return Measured(int(not FASTER <= slower <= SLOWER), 1, {"mean interval, of the target's": slower})


def _case(name: str, kind: type[Peer], intervals: int) -> Case:
    return Case(
        name=name,
        family="chain",
        goal=f"blocks take < {FASTER:g} or > {SLOWER:g} of their interval",
        budget=f"{ALPHA:.0%} of the hash power",
        defence=f"times ≤ {intervals} interval{'s' if intervals > 1 else ''} ahead, > median of {WINDOW}; off: neither",
        source="malicious miner: time-jacking",
        run=partial(_jack, kind, intervals * INTERVAL_MS),
    )


TIME_JACKING = (
    _case("time-jacking-ahead", Ahead, 1),
    _case("time-jacking-ahead-10", Ahead, 10),
    _case("time-jacking-behind", Behind, 1),
)
