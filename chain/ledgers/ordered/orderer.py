"""`Orderer`: takes what waits in its ledger's pool, cuts batches, has them ordered, and makes and seals the blocks.

It stands beside an `OrderedLedger` of its own, which commits the blocks as any peer does. Any orderer keeps every
envelope until it is in a block, so that whoever leads next goes on where the last one stopped. What is proposed twice
comes out twice; committing peers call the second one a duplicate.

A batch becomes a block when it is committed, and is the same block at every orderer: its header follows from the chain
and the batch alone. So the next one is made when the ledger beside has committed the last, and not before: what may be in
it, and who may order, is the channel's configuration after the last. The header's nonce is the batch's index in the
orderers' log, so that a restarted orderer knows which entries are in blocks already.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from chain.codec import decode, encode
from chain.errors import InvalidBlockError, MalformedError, Refused
from chain.ledger import Ask, Broadcast, LedgerEffect, Save
from chain.ledgers.ordered.blocks import build_block, check_gas, seal
from chain.ledgers.ordered.consenter import Consenter, Raft, Solo
from chain.ledgers.ordered.cut import Cutter
from chain.ledgers.ordered.deliver import GetBlocks
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.msp import identities
from chain.ledgers.ordered.policy import Policy
from chain.ledgers.ordered.pool import Waiting
from chain.ledgers.ordered.raft.events import (
    BecameLeader,
    Commit,
    Effect,
    Install,
    LeaderIs,
    Persist,
    Send,
    SteppedDown,
)
from chain.ledgers.ordered.raft.store import Stored
from chain.ledgers.ordered.values import Batch, decode_batch
from chain.values import MAX_BLOCK_BYTES, MAX_SEAL_BYTES, Block

COMPACT_EVERY = 256
"""Blocks between two compactions of the orderers' log."""
KEPT_ENTRIES = 128
"""Blocks whose entries stay in the log, for followers that lack only those."""


@dataclass(frozen=True, slots=True)
class Leads:
    """Who leads the orderers, as far as this one knows, has changed."""

    leader: bytes
    """Its account; empty when nobody is known to lead."""
    reason: str = ""
    """When this one led until now: why it does not any more, e.g. ``no_quorum``."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """An entry of the log that no block can be made of: the orderer that proposed it does not keep to the rules."""

    index: int
    reason: str


OrderingEffect = LedgerEffect | Persist | Send | Leads | Unusable


class Orderer:
    """One orderer. All methods are synchronous; effects are to be carried out in order, `Persist` durably."""

    def __init__(self, ledger: OrderedLedger, *, rng: Random, now_ms: int, stored: Stored | None = None) -> None:
        """`ledger` is where its store was, and signs as an orderer; `stored` what its Raft store has.

        Raises ValueError for a ledger without a signer, StoreError when `stored` cannot be.
        """
        if ledger.signer is None:
            raise ValueError("an orderer needs a key and a certificate")
        rules = ledger.network.ordered
        self._ledger = ledger
        self._signer = ledger.signer
        self._me = ledger.signer.certificate.account
        self._consenter: Consenter
        if rules.consensus == "solo":
            self._consenter = Solo(self._me, ledger.head.nonce)
        else:
            self._consenter = Raft(self._me, rules, stored=stored, applied=ledger.head.nonce, rng=rng, now_ms=now_ms)
        self._rules = rules
        self._made: Block | None = None
        """The block after the ledger's head, when it was made here and the ledger cannot commit it yet: it lacks other
        orderers' signatures, or this one may not sign."""
        self._repeat_ms: int | None = None
        """When to do something about that, or about blocks that are missing."""
        self._turn = 0
        self._cutter = Cutter(ledger.channel.batch, rules.max_block_gas)
        self._cursor = 0
        """Serial of the last envelope that went to the cutter while this one leads."""
        self._stalled: deque[bytes] = deque()
        """Batches that the consenter has no room for."""
        self._until = 0
        """Height that the ledger must reach before `_late` can be made into blocks: the log before it is gone."""
        self._late: deque[Commit] = deque()
        """Committed entries that wait for that or for `_made`; they are in the log too, whose bounds are theirs."""
        self._may_order = True
        """Whether blocks of this one would be valid, when last looked at."""
        self._cut_ms = now_ms
        """When this one last proposed a batch, or saw a block made."""
        self._compacted = ledger.head.height

    @property
    def ledger(self) -> OrderedLedger:
        """The replica beside it."""
        return self._ledger

    @property
    def leader(self) -> bytes:
        """Account of the orderer that leads, as far as this one knows; empty when nobody does."""
        return self._consenter.leader or b""

    @property
    def leads(self) -> bool:
        """Whether this one leads and takes on work."""
        return self._consenter.leads

    def start(self, now_ms: int) -> Sequence[OrderingEffect]:
        """To be called once, before anything else."""
        return self._go_on(self._consenter.start(now_ms), now_ms)

    def distrust(self) -> None:
        """To be called before `start` by who lost its Raft store: it grants no votes until it has what a leader committed."""
        self._consenter.distrust()

    def offer(self, now_ms: int) -> Sequence[OrderingEffect]:
        """To be called when the ledger's pool or chain has changed."""
        return self._go_on((), now_ms)

    def receive(self, peer: bytes, message: bytes, now_ms: int) -> Sequence[OrderingEffect]:
        """Take a message of the orderer with the account `peer`. Raises MalformedError; nothing has changed then.

        Who is no orderer is not heeded, and not blamed: it may have been removed, or be a new one that others know of.
        """
        if peer not in self._ledger.channel.orderers and peer not in self._rules.channel.orderers:
            return ()
        return self._go_on(self._consenter.receive(peer, message, now_ms), now_ms)

    def tick(self, now_ms: int) -> Sequence[OrderingEffect]:
        """Do what is due."""
        orderers = self._ledger.channel.orderers
        effects = [*self._consenter.tick(now_ms)]
        if not self._may_seal(now_ms):
            effects += self._consenter.hand_over(orderers, now_ms)
        effects += self._consenter.align(orderers, now_ms)
        return self._go_on(effects, now_ms)

    def next_deadline_ms(self) -> int | None:
        """When to tick next; None when nothing is due."""
        times = [self._consenter.next_deadline_ms(), self._repeat_ms]
        if self.leads and self._may_order and not self._stalled:
            times.append(self._cutter.due_ms())
            times.append(self._idle_due_ms())
        return min((time for time in times if time is not None), default=None)

    # --- in: from the pool to the consenter -------------------------------------------------------------------

    def _go_on(self, effects: Iterable[Effect], now_ms: int) -> list[OrderingEffect]:
        """Carry on with what the consenter said, and give it what there is to order."""
        done = self._follow(effects, now_ms)
        self._catch_up(done, now_ms)
        self._may_order = self._may_seal(now_ms)
        if self.leads and self._may_order:
            for batch in self._batches(now_ms):
                self._stalled.append(self._encoded(batch, now_ms))
            while self._stalled:
                try:
                    proposed = self._consenter.propose(self._stalled[0], now_ms)
                except Refused:
                    break  # no room: again when something was committed
                self._stalled.popleft()
                self._cut_ms = now_ms
                done += self._follow(proposed, now_ms)
        return done

    def _may_seal(self, at_ms: int) -> bool:
        """Whether what this one signs at that time counts."""
        channel = self._ledger.channel
        if self._me not in channel.orderers:
            return False
        try:
            identities(channel).principal(self._signer.certificate, self._me, at_ms)
        except Refused:
            return False
        return True

    def _batches(self, now_ms: int) -> list[list[Waiting]]:
        """What is to be proposed now."""
        if self._stalled:
            return []
        self._cutter.limits = self._ledger.channel.batch
        batches: list[list[Waiting]] = []
        for waiting in self._ledger.pool.since(self._cursor):
            self._cursor = waiting.serial
            batches += self._cutter.add(waiting, now_ms)
        due = self._cutter.due_ms()
        if due is not None and now_ms >= due:
            batches.append(self._cutter.flush())
        idle = self._idle_due_ms()
        if not batches and idle is not None and now_ms >= idle:
            batches.append(self._cutter.flush())  # an empty one, unless something just came
        return batches

    def _idle_due_ms(self) -> int | None:
        idle_ms = self._ledger.channel.batch.idle_ms
        return self._cut_ms + idle_ms if idle_ms else None

    def _encoded(self, batch: list[Waiting], now_ms: int) -> bytes:
        return encode(
            Batch(
                time_ms=now_ms,
                producer=self._me,
                transactions=tuple(waiting.envelope.transaction for waiting in batch),
                evidence=tuple(waiting.evidence for waiting in batch),
            )
        )

    # --- out: from the consenter to blocks --------------------------------------------------------------------

    def _follow(self, effects: Iterable[Effect], now_ms: int) -> list[OrderingEffect]:
        done: list[OrderingEffect] = []
        for effect in effects:
            match effect:
                case Persist() | Send():
                    done.append(effect)
                case Commit():
                    self._late.append(effect)
                    self._make_blocks(done, now_ms)
                case Install(snapshot):
                    self._until = decode(int, snapshot.data, limit=16)
                    self._late.clear()
                case BecameLeader():
                    self._cursor, self._cut_ms = 0, now_ms
                    done += self._tell(self._me)
                    done += self._publish_again()
                case SteppedDown(reason):
                    self._cutter.flush()
                    self._stalled.clear()
                    done += self._tell(self._consenter.leader or b"", reason)
                case LeaderIs(peer):
                    done += self._tell(peer or b"")
                case _:
                    pass
        return done

    def _tell(self, leader: bytes, reason: str = "") -> list[OrderingEffect]:
        if leader == self._ledger.leader and not reason:
            return []
        self._ledger.leader = leader
        return [Leads(leader, reason)]

    def _publish_again(self) -> list[OrderingEffect]:
        """The leader before this one may have died before anybody heard of its last block."""
        head = self._ledger.head
        block = self._ledger.block(head.height) if head.height else None
        return [Broadcast("blocks", encode(block))] if block is not None else []

    def _catch_up(self, done: list[OrderingEffect], now_ms: int) -> None:
        """Go on when the ledger did, and see that it does."""
        self._make_blocks(done, now_ms)
        self._compact(done, now_ms)
        if self._made is None and not self._late:
            self._repeat_ms = None
        elif self._repeat_ms is None:
            self._repeat_ms = now_ms + self._rules.tick_ms * self._rules.election_ticks
        elif now_ms >= self._repeat_ms:
            self._repeat_ms = now_ms + self._rules.tick_ms * self._rules.election_ticks
            done += self._repeat()

    def _repeat(self) -> list[OrderingEffect]:
        """Messages were lost, or others have what is missing here: publish one's signature again, ask an orderer."""
        effects: list[OrderingEffect] = []
        if self._made is not None and self._made.seal:
            effects.append(Broadcast("blocks", encode(self._made)))
        orderers = [peer for peer, status in self._ledger.members().items() if status.orders]
        if orderers:
            self._turn += 1
            ask = encode(GetBlocks(self._ledger.head.height + 1))
            effects.append(Ask(orderers[self._turn % len(orderers)], ask))
        return effects

    def _make_blocks(self, done: list[OrderingEffect], now_ms: int) -> None:
        """Make blocks of what is committed, each once the ledger has the one before."""
        head = self._ledger.head
        self._consenter.carried_out(head.nonce)
        if self._made is not None and head.height >= self._made.header.height:
            self._made = None
        while self._late and self._made is None and self._ledger.head.height >= self._until:
            commit = self._late.popleft()
            if commit.index <= self._ledger.head.nonce:
                continue  # it is in a block that came from others, or from before a restart
            try:
                block = self._block_of(commit)
            except (MalformedError, InvalidBlockError) as error:
                done.append(Unusable(commit.index, str(error)))
                # If it was this one's, before it was told to stop: what was in it waits in the pool.
                self._cutter.flush()
                self._cursor = 0
                continue
            done += self._take(block, now_ms)

    def _block_of(self, commit: Commit) -> Block:
        """The block of an entry. Whether there is one must not depend on who asks, or orderers would part."""
        batch = decode_batch(commit.data)
        if len(batch.transactions) != len(batch.evidence):
            raise MalformedError(
                f"{len(batch.transactions)} transactions with {len(batch.evidence)} pieces of evidence"
            )
        if batch.producer not in self._ledger.channel.orderers:
            raise InvalidBlockError(f"{batch.producer.hex()[:16]} is no orderer any more")
        block = build_block(self._ledger.head, self._ledger.head_id, batch, commit.index)
        if len(encode(block)) > MAX_BLOCK_BYTES - MAX_SEAL_BYTES:
            raise InvalidBlockError("too long")
        check_gas(block, self._rules)
        return block

    def _take(self, block: Block, now_ms: int) -> list[OrderingEffect]:
        """Give a block to the ledger beside us, and to everybody when that is for us to do."""
        self._cut_ms = now_ms
        self._made = block
        channel = self._ledger.channel
        if not self._may_seal(block.header.time_ms):
            return []  # others make the same block, and may
        self._made = block = seal(block, self._signer)
        effects: list[OrderingEffect] = [*self._ledger.receive_block(self._me, block, now_ms)]
        many = (Policy.parse(channel.policies.blocks).fewest({"orderer"}) or 1) > 1
        if many or self._consenter.leader == self._me:
            saved = 1 if effects and isinstance(effects[0], Save) else 0
            effects.insert(saved, Broadcast("blocks", encode(block)))
        if self._ledger.head.height >= block.header.height:
            self._made = None
        return effects

    def _compact(self, done: list[OrderingEffect], now_ms: int) -> None:
        height = self._ledger.head.height
        if height < self._compacted + COMPACT_EVERY or height <= KEPT_ENTRIES:
            return
        kept = self._ledger.header(height - KEPT_ENTRIES)
        if kept is not None:
            self._compacted = height
            done += self._follow(self._consenter.compact(kept.nonce, encode(kept.height)), now_ms)
