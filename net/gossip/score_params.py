"""What a router's opinion of its peers is made of: weights, caps and decays (gossipsub-v1.1.md, "The Score Function").

Precedents in brackets: Lotus is Filecoin's node, go is go-libp2p-pubsub. A weight of 0 switches its part off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network


def decay_over(seconds: float, *, interval_s: float = 1.0, to_zero: float = 0.01) -> float:
    """Return the decay factor with which a counter at 1 takes `seconds` to reach `to_zero`, a step each `interval_s`.

    Raises ValueError unless `seconds` > 0, `interval_s` > 0 and 0 < `to_zero` < 1.
    """
    if not (seconds > 0 and interval_s > 0 and 0 < to_zero < 1):
        raise ValueError("seconds > 0, interval_s > 0 and 0 < to_zero < 1 must hold")
    return float(to_zero ** (interval_s / max(seconds, interval_s)))


PRIVATE_NETWORKS = (
    *("127.0.0.0/8", "::1/128"),  # loopback
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),  # RFC 1918, RFC 4193
    *("169.254.0.0/16", "fe80::/10"),  # link-local
)
"""Here many peers on one address are a swarm of many processes, or many hosts behind one gateway, far more often than an
attack; and who can dial from within such a network is known to whoever runs it."""


def _check(what: str, *rules: tuple[bool, str]) -> None:
    for holds, rule in rules:
        if not holds:
            raise ValueError(f"{what}: {rule} must hold")


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class TopicScoreParams:
    """How behaviour in one topic counts. Counters are in messages. Raises ValueError when the values contradict."""

    weight: float = 1.0
    """What the topic's sum is multiplied by; not negative."""

    time_in_mesh_weight: float = 1 / 3600
    """P1, per quantum in the mesh; not negative and small, for it costs an attacker nothing but patience (Lotus)."""
    time_in_mesh_quantum_s: float = 1.0
    """P1 grows by one per quantum (Lotus)."""
    time_in_mesh_cap: float = 300.0
    """P1 at most, in quanta (the Ethereum clients)."""

    first_deliveries_weight: float = 1.0
    """P2, per valid message that the peer was the first to bring; not negative (Lotus: 0.5 to 5)."""
    first_deliveries_decay: float = decay_over(600)
    """P2 is multiplied by it at each decay interval; between 0 and 1 (Lotus: 10 min to 1 h)."""
    first_deliveries_cap: float = 100.0
    """P2 at most (Lotus)."""

    mesh_deliveries_weight: float = 0.0
    """P3, per message² that a mesh member is short of the threshold; not positive. Off (as in Lotus): it needs a topic
    whose rate is known. Members that keep a message back at our IDONTWANT get no credit for it."""
    mesh_deliveries_decay: float = decay_over(60)
    """P3's counter and decay."""
    mesh_deliveries_cap: float = 20.0
    """P3's counter at most; not below the threshold."""
    mesh_deliveries_threshold: float = 5.0
    """P3: a member with so many deliveries is not short of any."""
    mesh_deliveries_window_s: float = 0.01
    """P3: a copy that comes so long after the message was accepted counts too (go: 1-5 ms; Lotus 10 ms)."""
    mesh_deliveries_activation_s: float = 60.0
    """P3: new members are let alone for so long; at least 1 s (Lotus)."""

    mesh_failure_weight: float = 0.0
    """P3b, per message² that a member was short of when it left the mesh; not positive."""
    mesh_failure_decay: float = decay_over(600)
    """P3b's decay."""

    invalid_weight: float = -1000.0
    """P4, per invalid message²; not positive. One message crosses the gossip threshold (Lotus)."""
    invalid_decay: float = decay_over(3600)
    """P4's decay (Lotus)."""

    def __post_init__(self) -> None:
        decays = (self.first_deliveries_decay, self.mesh_deliveries_decay, self.mesh_failure_decay, self.invalid_decay)
        _check(
            "topic score parameters",
            (self.weight >= 0, "weight >= 0"),
            (self.time_in_mesh_weight >= 0, "time_in_mesh_weight >= 0"),
            (self.time_in_mesh_quantum_s > 0, "time_in_mesh_quantum_s > 0"),
            (self.time_in_mesh_cap >= 0, "time_in_mesh_cap >= 0"),
            (self.first_deliveries_weight >= 0, "first_deliveries_weight >= 0"),
            (self.first_deliveries_cap >= 0, "first_deliveries_cap >= 0"),
            (self.mesh_deliveries_weight <= 0, "mesh_deliveries_weight <= 0"),
            (
                0 < self.mesh_deliveries_threshold <= self.mesh_deliveries_cap,
                "0 < mesh_deliveries_threshold <= mesh_deliveries_cap",
            ),
            (self.mesh_deliveries_window_s >= 0, "mesh_deliveries_window_s >= 0"),
            (self.mesh_deliveries_activation_s >= 1, "mesh_deliveries_activation_s >= 1"),
            (self.mesh_failure_weight <= 0, "mesh_failure_weight <= 0"),
            (self.invalid_weight <= 0, "invalid_weight <= 0"),
            (all(0 < decay < 1 for decay in decays), "0 < decay < 1 of each decay"),
        )


DEFAULT_TOPIC = TopicScoreParams()


@dataclass(frozen=True, slots=True)
class ScoreParams:
    """How a peer's whole behaviour counts. Raises ValueError when the values contradict."""

    topics: Sequence[tuple[str, TopicScoreParams]] = ()
    """Parameters by beginning of the topic's name; the first that fits."""
    default_topic: TopicScoreParams | None = DEFAULT_TOPIC
    """For topics that none fits; None: they do not count."""
    topic_cap: float = 200.0
    """What all topics together can add at most; 0 for no bound (go)."""

    application_weight: float = 1.0
    """P5: what the application's opinion is multiplied by; not negative."""
    complaint_weight: float = -1000.0
    """P5, per complaint of the application; not positive. One outweighs `topic_cap` and crosses the gossip threshold, as
    an invalid message does: what is complained of is a proven lie."""
    complaints_cap: float = 5.0
    """P5: complaints at most, not negative; with five, the graylist lasts some ten minutes and the rest over an hour."""
    complaints_decay: float = decay_over(3600)
    """P5: decay of complaints."""

    colocation_weight: float = -100.0
    """P6, per linked peer² of a group (`net.transport.LinkUp.group`) beyond the threshold; not positive (Lotus)."""
    colocation_threshold: int = 5
    """P6: so many linked peers of a group are let alone; at least 1 (Lotus)."""
    colocation_exempt: Sequence[str] = PRIVATE_NETWORKS
    """P6: networks (CIDR) whose hosts are let alone however many peers they have (go: IPColocationFactorWhitelist)."""

    behaviour_weight: float = -10.0
    """P7, per misdeed² beyond the threshold; not positive (Lotus)."""
    behaviour_threshold: float = 6.0
    """P7: so many misdeeds are forgiven, since loss looks like a broken promise (Lotus)."""
    behaviour_decay: float = decay_over(600)
    """P7's decay."""

    decay_interval_s: float = 1.0
    """Time between two steps of all decays, in seconds; steps are at its multiples (go)."""
    decay_to_zero: float = 0.01
    """A counter that decays below it is 0; between 0 and 1 (go)."""
    retain_s: float = 6 * 3600.0
    """How long what is held against a peer survives its link, undecayed (Lotus)."""
    max_retained: int = 4096
    """Peers without link that are remembered; the one that left first goes first."""

    def __post_init__(self) -> None:
        _check(
            "score parameters",
            (self.topic_cap >= 0, "topic_cap >= 0"),
            (self.application_weight >= 0, "application_weight >= 0"),
            (self.complaint_weight <= 0, "complaint_weight <= 0"),
            (self.complaints_cap >= 0, "complaints_cap >= 0"),
            (0 < self.complaints_decay < 1, "0 < complaints_decay < 1"),
            (self.colocation_weight <= 0, "colocation_weight <= 0"),
            (self.colocation_threshold >= 1, "colocation_threshold >= 1"),
            (all(map(_is_network, self.colocation_exempt)), "colocation_exempt: networks in CIDR form"),
            (self.behaviour_weight <= 0, "behaviour_weight <= 0"),
            (self.behaviour_threshold >= 0, "behaviour_threshold >= 0"),
            (0 < self.behaviour_decay < 1, "0 < behaviour_decay < 1"),
            (self.decay_interval_s > 0, "decay_interval_s > 0"),
            (0 < self.decay_to_zero < 1, "0 < decay_to_zero < 1"),
            (self.retain_s >= 0, "retain_s >= 0"),
            (self.max_retained >= 0, "max_retained >= 0"),
        )

    def of_topic(self, topic: str) -> TopicScoreParams | None:
        """Return the parameters of a topic; None when it does not count."""
        return next((params for prefix, params in self.topics if topic.startswith(prefix)), self.default_topic)
