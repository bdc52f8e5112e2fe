"""Time-jacking against votes: a miner dates its blocks ahead, and the votes in them come too late.

Attacked: the vote window, which counts in block times. A vote in a block that is dated after the window is refused, and its
nonce is used up: the vote is lost, and nobody can be blamed but the miner's clock.
Budget: one of three miners, whose clock is as far ahead as blocks may be.
Success: a true report is not confirmed.
Defence: blocks are at most 2 s ahead of a replica's clock (an interval), small next to the window of 10 s. Off: at most
60 s. In `late-miner-10` it is 10 s, as in the default scenario, where the window is 6 s: as long as the window or longer,
the bound binds nothing.
Source: spec, "Time-jacking"; "Vote".
"""

from functools import partial

from actors.attacks.case import Case, Measured, Size
from actors.protocol_trial import HONEST, VOTE_WINDOW_MS, Plot, incidents, play
from chain.contracts.spatial_records import CONFIRMED

MINER = "miner-03"
UNBOUNDED_MS = 60_000
CARE_MS = 200
"""What the attacker stays below the bound, so that no block of its comes too early."""


def _be_late(bound_ms: int, defended: bool, seed: int, size: Size) -> Measured:
    seen = incidents(seed, HONEST, size.reports, real=True)
    ahead_ms = bound_ms if defended else UNBOUNDED_MS
    plot = Plot({HONEST: seen}, pow_rules={"max_future_ms": ahead_ms}, skew_ms={MINER: ahead_ms - CARE_MS})
    ending = play(plot, seed)
    ends = list(ending.statuses().values())
    lost = sum(each.receipt.reason == "vote_window_closed" for each in ending.calls("vote", ok=False))
    return Measured(len(seen) - ends.count(CONFIRMED), len(seen), {"votes too late, a report": lost / len(seen)})


def _case(name: str, bound_ms: int, stands: str = "") -> Case:
    return Case(
        name=name,
        family="votes",
        goal="a true report is not confirmed",
        budget="a third of the hash power, and a clock that is ahead",
        defence=f"block times ≤ {bound_ms // 1000} s ahead, windows of {VOTE_WINDOW_MS // 1000} s; off: ≤ 60 s",
        source="malicious miner: time-jacking",
        run=partial(_be_late, bound_ms),
        limit=0.1,
        stands=stands,
    )


LATE_MINER = (
    _case("late-miner", 2_000),
    _case("late-miner-10", 10_000, stands="a bound as long as the vote window binds nothing"),
)
