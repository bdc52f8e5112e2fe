"""What one direction of a link does to what it carries: by its nature (`LinkConditions`), and by a fault (`Impairment`)."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal

LANE_FRAMES = 256
"""Frames and requests that may be under way, or wait for the receiver, in one direction of a link."""
LANE_BYTES = 4 << 20
"""Bytes likewise. The frame that crosses the bound is still taken, so one frame of any allowed size passes."""

INFINITY = float("inf")
Spread = Literal["uniform", "normal", "lognormal", "exponential"]


@dataclass(frozen=True, slots=True)
class LinkConditions:
    """What one direction of a link does to frames, requests and answers.

    Each takes `latency_s`, varied by `jitter_s` as `spread` says, but never overtakes an earlier one: a late one holds
    up those behind it, as on TCP. Raises ValueError for what no link can be.
    """

    latency_s: float = 0.0
    """One way, at least 0."""
    jitter_s: float = 0.0
    """At least 0, and but for `exponential` at most `latency_s`."""
    loss: float = 0.0
    """From 0 to 1. Per frame: there is no retransmission below us; only dialling tries again."""
    spread: Spread = "uniform"
    """How the time a frame takes is distributed: `uniform` within ± `jitter_s` of `latency_s`; `normal` with that
    standard deviation, cut off at 0; `lognormal` with mean `latency_s` and standard deviation `jitter_s`; `exponential`
    for `latency_s` and then a tail of mean `jitter_s`."""
    bytes_per_s: float = INFINITY
    """Above 0. Bytes are sent one after the other at this rate, before the latency."""
    queue_bytes: int = LANE_BYTES
    """From 1 to LANE_BYTES: bytes that may wait or be under way before the sender is held up, LANE_BYTES's way."""
    duplication: float = 0.0
    """From 0 to 1: the share of frames that arrive twice, the second time after a delay of its own. Requests do not."""
    reordering: float = 0.0
    """From 0 to 1: the share of frames that take but a random part of their time and overtake what went before. The
    transport's contract promises order: with this, and with `duplication`, the transport is at fault and it shows."""

    def __post_init__(self) -> None:
        if not (0 <= self.latency_s < INFINITY and 0 <= self.jitter_s < INFINITY):
            raise ValueError(f"latency {self.latency_s} s, jitter {self.jitter_s} s: neither is a time")
        if self.jitter_s > self.latency_s and self.spread != "exponential":
            raise ValueError(f"latency {self.latency_s} s ± {self.jitter_s} s: need 0 ≤ jitter ≤ latency")
        for name in ("loss", "duplication", "reordering"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"a {name} of {getattr(self, name)} is not a probability")
        if not self.bytes_per_s > 0:
            raise ValueError(f"{self.bytes_per_s} bytes a second: nothing would ever arrive")
        if not 1 <= self.queue_bytes <= LANE_BYTES:
            raise ValueError(f"a queue of {self.queue_bytes} bytes; allowed are 1 to {LANE_BYTES}")

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but latency, jitter and loss."""
        return self.bytes_per_s == INFINITY and not self.duplication and not self.reordering

    def delay_s(self, rng: random.Random) -> float:
        """How long the next thing takes, in seconds; draws nothing when there is no jitter."""
        latency, jitter = self.latency_s, self.jitter_s
        if not jitter:
            return latency
        if self.spread == "uniform":
            return latency + rng.uniform(-jitter, jitter)
        if self.spread == "normal":
            return max(0.0, rng.normalvariate(latency, jitter))
        if self.spread == "exponential":
            return latency + rng.expovariate(1 / jitter)
        variance = math.log1p((jitter / latency) ** 2)
        return rng.lognormvariate(math.log(latency) - variance / 2, math.sqrt(variance))


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a fault adds to one direction between two peers, whatever links they have meanwhile."""

    cut: bool = False
    """Frames, requests and answers vanish. See `net.memory` on how the ends of a dead link find out."""
    held: bool = False
    """What is sent waits, in order, until the fault is over. Links stay up, for the keep-alive cannot tell held from
    slow; senders are held up once the queue is full."""
    bytes_per_s: float = INFINITY
    """At most so much passes: above 0. What waits goes on at the old rate when the fault is over."""

    def __post_init__(self) -> None:
        if not self.bytes_per_s > 0:
            raise ValueError(f"{self.bytes_per_s} bytes a second: hold the link rather")


SOUND = Impairment()
"""No fault."""
