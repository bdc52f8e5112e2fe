"""A peer's score: what is counted of it, and the pure function that weighs it (gossipsub-v1.1.md, "The Score Function").

    score = min(cap, Σ topics  w·(w1·P1 + w2·P2 + w3·P3 + w3b·P3b + w4·P4)) + w5·P5 + w6·P6 + w7·P7

    P1   time in the mesh, in quanta, capped            P4   invalid messages, squared
    P2   first deliveries, capped                       P5   what the application says, and its complaints
    P3   deficit of deliveries in the mesh, squared     P6   linked peers of the same group too many, squared
    P3b  the same when it left the mesh                 P7   misdeeds beyond a threshold, squared

Counters decay in steps, at the multiples of the decay interval. Nobody steps them: a counter is kept with the number of
the step at which it was last written, and `decayed` says in closed form what has become of it. So a score is a function
of what was counted and of the number of the step, whenever and however often it is asked for.

Unlike go, P3 counts members alone: go goes on counting it, beside P3b, for a peer that has left the mesh.
"""

from dataclasses import dataclass, field, replace
from math import inf

from net.gossip.score_params import ScoreParams, TopicScoreParams


@dataclass(slots=True)
class TopicCounters:
    """What a peer did in one topic, as of decay step `step`."""

    step: int
    mesh_since: float | None = None
    """When it joined our mesh, in seconds; None outside."""
    first_deliveries: float = 0.0
    mesh_deliveries: float = 0.0
    mesh_failures: float = 0.0
    """Sum of squared deficits with which it left the mesh."""
    invalid: float = 0.0


@dataclass(slots=True)
class PeerCounters:
    """What a peer did, and what else its score is made of. `misdeeds` and `complaints` are as of decay step `step`."""

    step: int
    topics: dict[str, TopicCounters] = field(default_factory=dict)
    misdeeds: float = 0.0
    complaints: float = 0.0
    """How often the application caught it at a lie; capped."""
    application: float = 0.0
    """P5 without complaints, before its weight."""
    colocated: int = 1
    """Linked peers of its group, itself included."""


def step_of(now: float, params: ScoreParams) -> int:
    """Return the number of the decay step at or before `now` (s)."""
    return int(now // params.decay_interval_s)


def decayed(value: float, factor: float, steps: int, to_zero: float) -> float:
    """Return what `steps` steps leave of a counter."""
    if value == 0.0 or steps <= 0:
        return value
    left = value * factor**steps
    return left if left >= to_zero else 0.0


def settle_topic(counters: TopicCounters, topic: TopicScoreParams, params: ScoreParams, step: int) -> None:
    """Write the counters anew as of `step`."""
    steps = step - counters.step
    if steps > 0:
        zero = params.decay_to_zero
        counters.first_deliveries = decayed(counters.first_deliveries, topic.first_deliveries_decay, steps, zero)
        counters.mesh_deliveries = decayed(counters.mesh_deliveries, topic.mesh_deliveries_decay, steps, zero)
        counters.mesh_failures = decayed(counters.mesh_failures, topic.mesh_failure_decay, steps, zero)
        counters.invalid = decayed(counters.invalid, topic.invalid_decay, steps, zero)
        counters.step = step


def settle_peer(counters: PeerCounters, params: ScoreParams, step: int) -> None:
    """Write what is counted besides topics anew as of `step`."""
    steps = step - counters.step
    if steps > 0:
        counters.misdeeds = decayed(counters.misdeeds, params.behaviour_decay, steps, params.decay_to_zero)
        counters.complaints = decayed(counters.complaints, params.complaints_decay, steps, params.decay_to_zero)
        counters.step = step


def settled(counters: PeerCounters, params: ScoreParams, now: float) -> PeerCounters:
    """Return a copy as of `now`, in seconds; for those who look."""
    step = step_of(now, params)
    topics: dict[str, TopicCounters] = {}
    for name, was in counters.topics.items():
        copy = topics[name] = replace(was)
        topic = params.of_topic(name)
        if topic is not None:
            settle_topic(copy, topic, params, step)
    whole = replace(counters, topics=topics)
    settle_peer(whole, params, step)
    return whole


def deficit_of(counters: TopicCounters, topic: TopicScoreParams, params: ScoreParams, step: int) -> float:
    """Return P3 before its weight: 0 outside the mesh and until a member is as old as the activation."""
    since = counters.mesh_since
    if since is None or step * params.decay_interval_s - since <= topic.mesh_deliveries_activation_s:
        return 0.0
    steps = step - counters.step
    have = decayed(counters.mesh_deliveries, topic.mesh_deliveries_decay, steps, params.decay_to_zero)
    missing = topic.mesh_deliveries_threshold - have
    return missing * missing if missing > 0 else 0.0


def score_of(counters: PeerCounters, params: ScoreParams, now: float) -> float:
    """Return the score of a peer with these counters at `now`, in seconds. Pure; constant within a decay step."""
    step = step_of(now, params)
    return _weigh(counters, params, step)


def outlook_of(counters: PeerCounters, params: ScoreParams, now: float) -> tuple[float, float]:
    """Return bounds, from below and above, of the scores that time alone can make of these counters, `now` included.

    Below: what speaks for the peer decays and it delivers nothing; above: what speaks against it is forgotten.
    """
    step = step_of(now, params)
    lowest = highest = 0.0
    for name, one in counters.topics.items():
        topic = params.of_topic(name)
        if topic is not None:
            low, high = _topic_outlook(one, topic, params, step)
            lowest += low
            highest += high
    others = _constant(counters, params)
    return _capped(lowest, params) + others + _conduct(counters, params, step), _capped(highest, params) + others


def steady_until(counters: PeerCounters, params: ScoreParams, now: float) -> float:
    """Return the first time, in seconds, at which time alone may make the score negative; infinity if never.

    The bound falls from step to step: in it, what speaks for the peer decays and deficits grow, but nothing is forgiven.
    """
    step = step_of(now, params)
    if outlook_of(counters, params, now)[0] >= 0:
        return inf
    if _floor(counters, params, step, 0) < 0:
        return now
    good, bad = 0, 1
    while _floor(counters, params, step, bad) >= 0:
        good, bad = bad, 2 * bad
        if bad > _FAR:
            return (step + good) * params.decay_interval_s
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _floor(counters, params, step, middle) >= 0 else (good, middle)
    return (step + bad) * params.decay_interval_s


_FAR = 1 << 20
"""Steps after which we had better look again."""


def _floor(counters: PeerCounters, params: ScoreParams, step: int, ahead: int) -> float:
    """Return what the score is at least in all steps from `step` to `step + ahead`."""
    total = 0.0
    for name, one in counters.topics.items():
        topic = params.of_topic(name)
        if topic is not None:
            then = decayed(
                one.first_deliveries, topic.first_deliveries_decay, step + ahead - one.step, params.decay_to_zero
            )
            part = _time_in_mesh(one, topic, params, step) + _held_against(one, topic, params, step)
            part += topic.first_deliveries_weight * then
            part += topic.mesh_deliveries_weight * deficit_of(one, topic, params, step + ahead)
            total += topic.weight * part
    return _capped(total, params) + _constant(counters, params) + _conduct(counters, params, step)


def _weigh(counters: PeerCounters, params: ScoreParams, step: int) -> float:
    total = 0.0
    for name, one in counters.topics.items():
        topic = params.of_topic(name)
        if topic is not None:
            total += _topic_score(one, topic, params, step)
    return _capped(total, params) + _constant(counters, params) + _conduct(counters, params, step)


def _topic_score(one: TopicCounters, topic: TopicScoreParams, params: ScoreParams, step: int) -> float:
    steps, zero = step - one.step, params.decay_to_zero
    total = _time_in_mesh(one, topic, params, step)
    total += topic.first_deliveries_weight * decayed(one.first_deliveries, topic.first_deliveries_decay, steps, zero)
    if topic.mesh_deliveries_weight:
        total += topic.mesh_deliveries_weight * deficit_of(one, topic, params, step)
    return topic.weight * (total + _held_against(one, topic, params, step))


def _topic_outlook(one: TopicCounters, topic: TopicScoreParams, params: ScoreParams, step: int) -> tuple[float, float]:
    steps, zero = step - one.step, params.decay_to_zero
    member = one.mesh_since is not None
    low = _time_in_mesh(one, topic, params, step) + _held_against(one, topic, params, step)
    if member:
        low += topic.mesh_deliveries_weight * topic.mesh_deliveries_threshold**2
    high = topic.first_deliveries_weight * decayed(one.first_deliveries, topic.first_deliveries_decay, steps, zero)
    if member:
        high += topic.time_in_mesh_weight * topic.time_in_mesh_cap
    return topic.weight * low, topic.weight * high


def _time_in_mesh(one: TopicCounters, topic: TopicScoreParams, params: ScoreParams, step: int) -> float:
    """P1, weighed. As of the step, like all else."""
    if one.mesh_since is None:
        return 0.0
    quanta = max(0.0, step * params.decay_interval_s - one.mesh_since) // topic.time_in_mesh_quantum_s
    return topic.time_in_mesh_weight * min(quanta, topic.time_in_mesh_cap)


def _held_against(one: TopicCounters, topic: TopicScoreParams, params: ScoreParams, step: int) -> float:
    """P3b and P4, weighed: what only time forgives."""
    steps, zero = step - one.step, params.decay_to_zero
    total = topic.mesh_failure_weight * decayed(one.mesh_failures, topic.mesh_failure_decay, steps, zero)
    return total + topic.invalid_weight * decayed(one.invalid, topic.invalid_decay, steps, zero) ** 2


def _constant(counters: PeerCounters, params: ScoreParams) -> float:
    """P5 without complaints, and P6, weighed: what time does not change."""
    surplus = max(0, counters.colocated - params.colocation_threshold)
    return params.application_weight * counters.application + params.colocation_weight * surplus * surplus


def _conduct(counters: PeerCounters, params: ScoreParams, step: int) -> float:
    """P7 and the complaints of P5, weighed: what time forgives."""
    steps, zero = step - counters.step, params.decay_to_zero
    surplus = max(0.0, decayed(counters.misdeeds, params.behaviour_decay, steps, zero) - params.behaviour_threshold)
    total = params.behaviour_weight * surplus * surplus
    complaints = decayed(counters.complaints, params.complaints_decay, steps, zero)
    return total + params.application_weight * params.complaint_weight * complaints


def _capped(topics: float, params: ScoreParams) -> float:
    return min(topics, params.topic_cap) if params.topic_cap else topics
