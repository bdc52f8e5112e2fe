"""What one replica may choose, and what it tells about itself."""

from dataclasses import dataclass, field

from chain.ledgers.pow.mempool import MempoolLimits
from chain.values import BlockId


@dataclass(frozen=True, slots=True)
class PowConfig:
    """What one replica may choose for itself; all that must be the same everywhere is in `PowRules`."""

    mempool: MempoolLimits = field(default_factory=MempoolLimits)
    template_refresh_ms: int = 1_000
    """A miner with transactions looks for more at most this often, and at most four times a block interval; one
    without looks whenever this or a quarter of a block interval has passed."""
    kept_blocks: int = 1_024
    """Bodies of final blocks kept in memory and served to peers that catch up."""
    snapshot_interval: int = 256
    """Final blocks between two states that are saved, and served to peers that are far behind."""
    snapshot_gap: int = 512
    """A replica that would have to execute more blocks than this takes a state instead."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one replica has seen and done, for people."""

    height: int
    head: BlockId
    final_height: int
    difficulty: int
    """Of the next block, in expected hashes."""
    work: int
    """Expected hashes spent on the best chain."""
    live_blocks: int
    """Blocks above the final one, on all branches."""
    pending: int
    """Transactions that wait."""
    mined: int
    """Blocks found here, since the start."""
    attempts: int
    """Nonces tried here, since the start."""
    reorganisations: int
    deepest_reorganisation: int
    """Most blocks that left the best chain at once."""
    stale: int
    """Blocks that came too late to be on any branch."""
