"""The parameters of a router.

A default's precedent is in brackets: v1.0, v1.1 and v1.2 are libp2p's gossipsub specs, go is go-libp2p-pubsub.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GossipConfig:
    """Parameters of one router. Durations are in seconds, sizes in bytes. Raises ValueError when they contradict."""

    d: int = 6
    """Mesh members aimed at per topic (v1.0)."""
    d_lo: int = 4
    """With fewer members, the heartbeat grafts up to `d` (v1.0; go has 5)."""
    d_hi: int = 12
    """With more members, the heartbeat prunes down to `d` (v1.0)."""
    d_score: int = 4
    """Members kept for their score when pruning; the rest is chosen at random (v1.1)."""
    d_out: int = 2
    """Members to which we dialled, kept or grafted; below `d_lo` and at most `d` / 2 (v1.1)."""
    d_lazy: int = 6
    """Peers outside the mesh that get gossip, at least (v1.0)."""
    gossip_factor: float = 0.25
    """Share of the peers outside the mesh that get gossip, when that is more than `d_lazy` (v1.1)."""

    heartbeat_s: float = 1.0
    """Time between heartbeats (v1.0)."""
    mcache_history: int = 5
    """Heartbeats for which a message can be asked for with IWANT (v1.0 `mcache_len`)."""
    mcache_gossip: int = 3
    """Heartbeats for which a message is advertised with IHAVE (v1.0)."""
    seen_ttl_s: float = 120.0
    """How long a message id is remembered after it was first seen (v1.0, go)."""
    fanout_ttl_s: float = 60.0
    """How long peers are remembered for a topic we publish to without subscribing (v1.0)."""
    prune_backoff_s: int = 60
    """After a PRUNE, no GRAFT for so long; in whole seconds, as on the wire (v1.1)."""
    full_backoff_s: int = 10
    """The same after a GRAFT refused for lack of room only (v1.1 and go: `prune_backoff_s`). Sybils that fill meshes at boot
    are found out within seconds; honest peers that they kept out must not stay out for a minute longer."""
    unsubscribe_backoff_s: int = 10
    """The same after a PRUNE because we left the topic (v1.1)."""
    max_backoff_s: int = 3600
    """The longest backoff that a peer can impose with a PRUNE; what exceeds it is cut."""
    iwant_followup_s: float = 3.0
    """A peer that advertised a message has so long to send it after IWANT (go)."""
    graft_flood_s: float = 10.0
    """A GRAFT so soon after a PRUNE counts twice (go)."""
    opportunistic_graft_beats: int = 60
    """Heartbeats between two looks at the median score (v1.1, go)."""
    opportunistic_graft_margin: float = 1.0
    """How much better than the median they must be: about one delivery, lest time in other meshes alone (P1) stir a
    network at rest (v1.1: 0)."""
    opportunistic_graft_peers: int = 2
    """Peers grafted then, at most (v1.1)."""
    offer_px: bool = False
    """Name other peers when pruning; for bootstrap peers and others that are trusted to (go: off too)."""
    px_peers: int = 16
    """Peers that a PRUNE names, and that are taken from one, at most (go; more than `d_hi`, v1.1)."""
    idontwant_bytes: int = 1024
    """Members are told not to send a message that we have and whose data is at least so long (v1.2; go)."""
    d_eager: int = 4
    """Members of a mesh that get a message of `idontwant_bytes` or more at once when `stagger_s` is set."""
    stagger_s: float = 0.0
    """The others get it so much later, unless they declined it; 0: all at once (v1.0). Of use when a little more than
    the latency of a link."""
    idontwant_beats: int = 3
    """Heartbeats for which we heed an IDONTWANT (go)."""
    flood_publish: bool = True
    """Send own messages to all peers of the topic, not just to the mesh (v1.1, against eclipse attacks)."""

    max_peers: int = 512
    """Links served; one more is told to hang up, and so is one that dialled us beyond `max_dialled_us`."""
    max_topics_per_peer: int = 1024
    """Topics that one peer, or we, may subscribe to; further ones are ignored and cost the peer."""
    max_fanout_topics: int = 256
    """Topics for which fanout peers are remembered; the one unused longest goes first."""
    max_frame_bytes: int = 1 << 20
    """The transport's bound; a longer batch is split (`net.transport.MAX_FRAME_BYTES`)."""
    max_message_bytes: int = 1 << 18
    """Longest data of a message, own or received."""
    max_pending_messages: int = 2048
    """Messages that may await a verdict at the same time; one more counts as IGNORE and may come again."""
    max_pending_bytes: int = 1 << 25
    """The same in bytes."""
    seen_capacity: int = 1 << 17
    """Message ids remembered: 120 s at 1,000 messages/s; about 20 MB when full."""
    mcache_messages: int = 1 << 14
    """Messages kept for IWANT."""
    mcache_bytes: int = 1 << 25
    """The same in bytes."""
    max_backoffs: int = 1 << 14
    """Backoffs remembered, one per topic and peer; the oldest goes first."""
    max_ihave_messages: int = 10
    """Frames with IHAVE that are heeded per peer and heartbeat (go)."""
    max_ihave_length: int = 5000
    """Ids sent in one IHAVE, and ids asked for per peer and heartbeat (go)."""
    max_iwant_length: int = 5000
    """Ids answered per peer and heartbeat, so that small requests cannot cause unbounded work."""
    max_idontwant_length: int = 512
    """Ids of IDONTWANT heeded per peer and heartbeat (go: 1,000 frames of 10); further ones are ignored."""
    max_promises: int = 4096
    """Answers to IWANT awaited at the same time; further ones are not watched."""
    iwant_retransmissions: int = 3
    """How often one peer gets the same message by IWANT (go)."""

    gossip_threshold: float = -500.0
    """Below this score, a peer gets no gossip and its gossip is ignored (v1.1; value of Lotus)."""
    publish_threshold: float = -1000.0
    """Below this score, a peer gets none of our own messages by flood publishing (v1.1; Lotus)."""
    graylist_threshold: float = -2500.0
    """Below this score, a peer's frames are ignored (v1.1; Lotus)."""
    accept_px_threshold: float = 1000.0
    """From this score on, the peers that a peer names in a PRUNE are suggested for dialling; only the application can
    give so much, as to bootstrap peers (v1.1; Lotus)."""
    opportunistic_graft_threshold: float = 3.5
    """With a median score of a mesh below it, peers above the median are grafted; 0 switches that off (v1.1; Lotus)."""

    def __post_init__(self) -> None:
        rules = (
            (0 < self.d_lo <= self.d <= self.d_hi, "0 < d_lo <= d <= d_hi"),
            (0 <= self.d_out < self.d_lo and 2 * self.d_out <= self.d, "0 <= d_out < d_lo and d_out <= d / 2"),
            (0 <= self.d_score <= self.d, "0 <= d_score <= d"),
            (0 < self.mcache_gossip <= self.mcache_history, "0 < mcache_gossip <= mcache_history"),
            (self.heartbeat_s > 0, "heartbeat_s > 0"),
            (self.max_message_bytes + 1024 <= self.max_frame_bytes, "a message fits into a frame"),
            (48 * self.max_ihave_length + 1024 <= self.max_frame_bytes, "an IHAVE fits into a frame"),
            (
                self.graylist_threshold <= self.publish_threshold <= self.gossip_threshold <= 0,
                "graylist_threshold <= publish_threshold <= gossip_threshold <= 0",
            ),
            (self.accept_px_threshold >= 0, "accept_px_threshold >= 0"),
            (self.opportunistic_graft_threshold >= 0, "opportunistic_graft_threshold >= 0"),
            (self.opportunistic_graft_beats > 0, "opportunistic_graft_beats > 0"),
            (
                self.opportunistic_graft_peers >= 0 and self.opportunistic_graft_margin >= 0,
                "opportunistic_graft_peers >= 0 and opportunistic_graft_margin >= 0",
            ),
            (0 <= self.px_peers <= 64, "0 <= px_peers <= 64"),
            (self.d_eager > 0 and self.stagger_s >= 0, "d_eager > 0 and stagger_s >= 0"),
            (self.idontwant_beats > 0 and self.max_idontwant_length >= 0, "IDONTWANT limits are not negative"),
        )
        for holds, rule in rules:
            if not holds:
                raise ValueError(f"gossip configuration: {rule} must hold")

    @property
    def max_dialled_us(self) -> int:
        """Links at which nobody else may dial us: an eighth of all is kept for whom we dial, or an eclipse is easy."""
        return self.max_peers - self.max_peers // 8
