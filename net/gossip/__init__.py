"""GossipSub v1.1 and v1.2 as a state machine; `net.gossip.router` is what its owner calls.

Theory of operation
-------------------
Spec: libp2p pubsub/gossipsub/gossipsub-v1.0.md, -v1.1.md and -v1.2.md (protocols ``/meshsub/1.1.0`` and ``/meshsub/1.2.0``),
StrictSign of pubsub/README.md.

A *link* is up or down (`link_up`, `link_down`; the shell alone decides). Frames of a peer without link are dropped.

A *topic* is joined or not (`subscribe`, `unsubscribe`; the actor alone decides). A joined topic has a mesh, which GRAFT
and PRUNE of peers and the heartbeat change: `net.gossip.mesh` has the rules. All linked peers are told what is joined.

An *explicit* (or direct) peer is one that both ends' owners agreed upon. It is in no mesh and gets every message; no
score is kept of it, the router's bound on links does not turn it away, and it is neither grafted nor advertised to.

A *message* goes through these states, each left by one thing only:

    unknown ──receive──▶ pending ──verdict ACCEPT──▶ delivered, forwarded, held for IWANT ──heartbeats──▶ seen
                            └──verdict IGNORE, REJECT──▶ seen                        seen ──seen_ttl_s──▶ unknown

An own message starts as delivered (`publish`). A message that cannot become pending (topic not joined, too long, bad
signature, no room) stays unknown: nobody can spoil an id for others by sending rubbish under it first.

A long message is announced to mesh and explicit peers of v1.2 when it becomes pending; what they announce so, we do not
send them.

The *heartbeat* (`tick`) repairs meshes, advertises what is held (`net.gossip.lazy`), blames for broken promises, and
ages the cache. A heartbeat that would do none of it may be skipped: `next_deadline` is infinite then, and otherwise a
multiple of the heartbeat interval from this router's phase. Whatever only expires (seen ids, backoffs, fanout, limits
per heartbeat) or decays (scores) is decided by the time of the call. So a router at rest costs nothing, and one that is
ticked at every heartbeat nonetheless does the same, to the draw of the rng.

What a peer does is told to a `Score`, and what the score says is heeded at these places:

    below graylist_threshold   its frames are not read, but for subscriptions, which are said once a link
    below publish_threshold    it gets no own messages, nor a place among fanout peers
    below gossip_threshold     it gets no IHAVE, and its IHAVE and IWANT are not heeded
    below 0                    it leaves meshes at the heartbeat, is not grafted, and neither named nor told names in PRUNE
    below the mesh's median    opportunistic grafting puts others beside it
    accept_px_threshold        from there on, the peers it names in a PRUNE are suggested for dialling

A frame that is no RPC changes nothing and ends in `Penalise` and `Disconnect`.

Against the specs, and go-libp2p-pubsub where they leave it open
----------------------------------------------------------------
    explicit peering       as v1.1. IDONTWANT is heeded from and sent to explicit peers too (go: mesh peers alone)
    PRUNE backoff          as v1.1, both ends; the PRUNE says what is left of it. Refused without blame: the first GRAFT
                           that can have crossed our PRUNE, and the first on a link younger than the backoff, whose other
                           end may have been restarted and forgotten it (v1.1: "may" penalise; go: always)
    peer exchange          as v1.1, with signed records only: an id alone says nobody where to dial
    flood publishing       as v1.1
    fanout                 as v1.0, but refilled when we publish, not by the heartbeat
    gossip, its factor     as v1.1; nothing to explicit peers
    over-subscription      d_hi members or more, as a GRAFT finds it (v1.1, go); v1.0 prunes beyond d_hi, so that a mesh
                           which others filled to d_hi stays so for good
    outbound quota         as v1.1: when pruning, at a GRAFT to a full mesh, at the heartbeat
    opportunistic graft    as v1.1, with a margin: time in mesh alone must not stir a network at rest
    scores, P1 to P7       as v1.1 (`net.gossip.score`); P3 counts members alone, P4 copies of rejected messages too
    P5                     an opinion of the application and, decaying and capped, its complaints
    P6                     linked peers by the address of the link's other end, IPv6 by /64; private networks exempt
    retention              as go: frozen without the link; a positive score is not kept
    IWANT promises         as go: one id of each IWANT; forgiven when anybody sends it, or we had no room for it
    spam bounds            as go: IHAVE frames and ids per heartbeat, three copies of a message by IWANT, below the gossip
                           threshold neither is heeded. Besides: ids that one peer's IWANT gets answered per heartbeat
    IDONTWANT              as v1.2; heeded for some heartbeats, within a bound. An IWANT after it is the later wish, hence
                           answered (go: it is not)
    graylist               as go: subscriptions are read all the same
    a key in a message     is checked, and not forwarded
    peer gater             none: what it throttles is bounded in `net.gossip.pending` and by the transports
"""
