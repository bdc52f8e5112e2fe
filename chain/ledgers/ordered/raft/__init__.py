"""Raft as a state machine without I/O; `chain.ledgers.ordered.raft.node.RaftNode` is what its owner calls.

Theory of operation
-------------------
Sources: Ongaro, Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version; "paper"); Ongaro,
"Consensus: Bridging Theory and Practice" ("thesis"); and the behaviour of etcd's raft where they leave it open.

Nodes agree on a log of opaque entries. They may stop, forget what was not persisted, and start again; messages may be
lost, doubled, late and in any order. They do not lie: `judge` and `messages` refuse what no correct node can have sent,
which finds broken ones, and is no defence against a liar. Peers are known by the transport, as 32-byte accounts.

A node has a role. It begins as a follower, also after a restart:

    follower       ──no leader heard for a timeout, or `campaign`──▶ pre-candidate
    pre-candidate  ──a quorum would vote for it──▶ candidate       ──a quorum would not──▶ follower
    candidate      ──a quorum votes for it──▶ leader               ──a quorum does not──▶ follower
    follower       ──the leader says TimeoutNow──▶ candidate
    leader         ──no quorum heard for an election timeout, or removed──▶ follower
    any            ──a message of a later term, or of this term's leader──▶ follower

A pre-candidate asks without entering a new term, and whoever heard a leader within an election timeout answers nobody
(unless that leader chose the candidate): a node that was cut off cannot depose a leader who is heard by the others.

An entry is *appended* by the leader, *matched* at a follower that acknowledged it, *committed* when a quorum of the
configuration in force has it and it, or a later one, is of the leader's term; only then is it *applied*, given to the
owner as `Commit`. The first entry of every leader is a no-op, so that what earlier leaders left commits without waiting
for a proposal. `progress` has how a follower is brought level; `membership` has changes of configuration.

Who changes what: `core` alone changes term, vote, role and what is committed; `node` the log of a follower; `core` that
of a leader; `replication` only what is known of followers. Every call collects effects in `outbox`, which puts them in
order: what must be durable, then what depends on it. A leader's entries may leave before they are durable at the leader
(thesis 10.2.1): it commits nothing, in the order of effects, before its own `Persist`.

The *owner* carries out effects in order; makes `Persist` durable before it goes on; gives `applied` to a restarted node
so that what it applied does not come again; compacts, when it has a state of its own to show for it; and takes a
`Refused` proposal, or one that was not committed before `SteppedDown`, to the next leader. The same data may be committed
twice if it proposes it twice: finding that out is the owner's.

Time is milliseconds by argument. Only the role's own timer runs: a follower asks to be ticked when its timeout ends, a
leader at each heartbeat, and who cannot stand (a learner, a removed node) not at all.

Against the sources
-------------------
    configurations         as thesis 4.1 to 4.4: in force when appended (etcd: when applied), one change at a time, none
                           before an entry of the leader's term is committed. New voters are learners first, as in etcd
    who may stand          voters of the configuration in force, and those of one that is not known to be replaced for
                           good: thesis 4.2.2 lets everybody stand, etcd nobody who is not a voter
    check-quorum           the time since a quorum was heard, looked at with each heartbeat; etcd looks once a timeout
    election timeouts      drawn for each leader, from one to two; after an election without result from half to one. One
                           who refuses a pre-vote because it has more of the log stands soon after (neither has that)
    crossing pre-votes     of two that ask at the same time the one with less (log, then account) gives way, for a tick
    lateness               a node that is ticked later than it asked for first listens for a tick: it did not run
    commit index           told at once (`Advance`), beside heartbeats and entries (etcd: by an empty append)
    conflict hints         as etcd: the follower's last entry whose term is not above that of the leader's
    heartbeats             as etcd: apart from appends, and their answers find out what was lost
    flow control           as etcd: probe, replicate, snapshot. A follower that has no room answers nothing
    snapshots              one message, for they only name a state; sent again after an election timeout
    lost disks             a follower says so (`Forgot`) and is looked at anew; etcd's stops. Its owner keeps it from voting
    leader transfer        as thesis 3.10; given up after an election timeout; a leader that removed itself names an heir
    commit in hard state   not kept: the owner's `applied` says as much
    reads                  none: the owner reads its own state
"""
