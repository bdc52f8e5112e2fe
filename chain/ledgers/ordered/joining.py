"""Catching up by a state, when too many blocks are missing, or nobody has the next one any more.

    idle ──a peer keeps a state far ahead──▶ what had all of you there? ──enough attest one──▶ chunks ──▶ headers ──▶ jump

No header of an ordered ledger has a state's root. A state is believed when members that satisfy the default endorsement
policy attest its root, its block and its height, under the channel's configuration *that this replica has*: genesis', or
that after its own head. What that implies: members of organisations that joined since are not heeded, and those that were
revoked since are; and who slept through a change after which too few of the old members are left must be given a genesis
of today, by hand. Whoever the old policy believed may lie to us, as it could have when they endorsed.

Headers are pulled from the attested block down, each being the parent that the one above names, so each answer is
checked when it comes, and whose it is if it is wrong. Chunks say nothing about each other (`chain.snapshot`). They come
from one peer after the other, as long as each answers; when they do not add up to the attested root and more than one
gave them, all are taken from one peer alone, then from the next, so that whoever lies is found. At most
MAX_SNAPSHOT_CHUNKS of MAX_CHUNK_BYTES are held.

An offer of a state costs one question to each peer at most, and counts once, until the next status: liars cannot keep
others' offers from their turn, nor a replica busy. Meanwhile blocks are pulled as ever, until a state is attested.
"""

from collections import Counter
from dataclasses import dataclass, field

from chain.codec import block_id, encode
from chain.errors import MalformedError, Refused
from chain.ledger import Ask, Penalise
from chain.ledgers.ordered.agreement import attester
from chain.ledgers.ordered.catchup import CatchUp
from chain.ledgers.ordered.deliver import GetHeaders, GetSnapshot, GetState, Headers, Request, Snapshot, State
from chain.ledgers.ordered.policy import Policy, Principal
from chain.ledgers.ordered.replica import Replica
from chain.snapshot import state_of
from chain.state import WorldState
from chain.sync import MAX_HEADERS
from chain.values import Account, BlockId, Header

_PATIENCE_MS = 5_000
"""How long members have to attest a state that somebody offers."""
_STALL_MS = 2_000
"""After this somebody else is asked as well; the first answer counts."""
_FAILURES = 3
"""After so many unanswered requests a peer is not asked any more for this state."""

JoinEffect = Ask | Penalise


@dataclass(slots=True)
class _Gathering:
    """Asking all what state they had after one block."""

    height: int
    until_ms: int
    asked: set[bytes]
    """Peers that have not answered."""
    words: dict[tuple[BlockId, bytes], dict[Account, Principal]] = field(default_factory=dict)
    """By block id and root: who attests them."""
    peers: dict[bytes, tuple[BlockId, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class _Target:
    """A state that is attested, and what of it is here."""

    height: int
    id: BlockId
    root: bytes
    attesting: frozenset[bytes]
    """Peers that attest it: these have it, or had."""
    chunks: list[bytes] = field(default_factory=list)
    count: int = 0
    """Chunks in all, as said with the first."""
    givers: set[bytes] = field(default_factory=set)
    """Of the chunks."""
    alone: bytes | None = None
    """The only peer whose chunks are taken, after those of several did not add up."""
    state: WorldState | None = None
    headers: list[Header] = field(default_factory=list)
    """Highest first."""
    asked: dict[bytes, Request] = field(default_factory=dict)
    asked_ms: int = 0
    """When somebody was last asked."""
    failures: Counter[bytes] = field(default_factory=Counter)
    slow: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Jump:
    """A state that is attested after the last of `headers`, which lead there from this replica's height, lowest first."""

    headers: tuple[Header, ...]
    state: WorldState


class Joining:
    """Finds a state to go on from, and gets it. Knows linked peers from `catchup`."""

    def __init__(self, replica: Replica, catchup: CatchUp, gap: int) -> None:
        """`gap`: blocks that must be missing at least, as long as these can be had."""
        self._replica = replica
        self._catchup = catchup
        self._gap = gap
        self._offers: dict[bytes, int] = {}
        """Heights of the states that peers keep."""
        self._shunned: set[bytes] = set()
        """Peers that lied, until they come up anew."""
        self._gathering: _Gathering | None = None
        self._target: _Target | None = None
        self._jump: Jump | None = None

    @property
    def active(self) -> bool:
        """Whether a state is being fetched: blocks below need not be, then."""
        return self._target is not None

    # --- events ---------------------------------------------------------------------------------------------------

    def offered(self, peer: bytes, height: int) -> None:
        """`peer` says that it keeps the state after the block of that height; 0: none."""
        self._offers.pop(peer, None)
        if height > self._replica.head.height and peer not in self._shunned and peer in self._catchup.peers:
            self._offers[peer] = height

    def peer_down(self, peer: bytes) -> None:
        self._offers.pop(peer, None)
        self._shunned.discard(peer)
        if self._gathering is not None:
            self._gathering.asked.discard(peer)
        if self._target is not None:
            self._target.asked.pop(peer, None)
            if self._target.alone == peer:
                self._alone(self._target)

    def heard(self, peer: bytes, said: State, now_ms: int) -> None:
        """`peer` answered what state it had after a block."""
        gathering = self._gathering
        if gathering is None or said.height != gathering.height or peer not in gathering.asked:
            return
        gathering.asked.discard(peer)
        if said.attestation is None:
            return
        found = BlockId(said.head), said.state_root
        try:
            member = attester(self._replica.channel, said.height, *found, said.attestation, now_ms)
        except Refused:
            return  # of an organisation that joined later, maybe
        gathering.words.setdefault(found, {})[Account(said.attestation.certificate.account)] = member
        gathering.peers[peer] = found

    def failed(self, peer: bytes, request: Request) -> None:
        """`peer` did not answer."""
        if self._gathering is not None and request == GetState(self._gathering.height):
            self._gathering.asked.discard(peer)
        target = self._target
        if target is not None and target.asked.get(peer) == request:
            del target.asked[peer]
            self._count_failure(target, peer, 1)

    def took(self, peer: bytes, request: Request, answer: Headers | Snapshot) -> list[JoinEffect]:
        """`peer` gave headers, or a chunk."""
        target = self._target
        if target is None or target.asked.get(peer) != request:
            return []
        del target.asked[peer]
        if request != self._wanted(target):
            return []  # somebody else was faster
        try:
            if isinstance(answer, Headers):
                self._take_headers(target, peer, answer)
            else:
                self._take_chunk(target, peer, answer)
        except MalformedError as error:
            return self.lied(peer, str(error))
        return []

    def lied(self, peer: bytes, reason: str) -> list[JoinEffect]:
        """`peer` sent what is provably wrong: it is asked no more until it comes up anew."""
        self._shunned.add(peer)
        self._offers.pop(peer, None)
        if self._target is not None:
            self._target.asked.pop(peer, None)
            if self._target.alone == peer:
                self._alone(self._target)
        return [Penalise(peer, reason)]

    def proceed(self, now_ms: int) -> list[JoinEffect]:
        """Ask what is to be asked next."""
        if self._target is None:
            self._settle(now_ms)
        if self._target is not None:
            asked = self._fetch(self._target, now_ms)
            if self.active or self._jump is not None:
                return asked
        return self._begin(now_ms) if self._gathering is None else []

    def take_jump(self) -> Jump | None:
        """Hand a verified state over, once."""
        jump, self._jump = self._jump, None
        return jump

    def next_deadline_ms(self) -> int | None:
        if self._target is not None:
            return self._target.asked_ms + _STALL_MS
        return self._gathering.until_ms if self._gathering is not None else None

    # --- which state ----------------------------------------------------------------------------------------------

    def _worth(self, height: int) -> bool:
        """Whether the state after the block of that height is worth fetching."""
        head = self._replica.head.height
        return height > head + (self._gap if self._catchup.obtainable(head + 1) else 0)

    def _begin(self, now_ms: int) -> list[JoinEffect]:
        """Ask all what they attest at the height that most offer, of these the highest."""
        heights = Counter(height for height in self._offers.values() if self._worth(height))
        if not heights:
            return []
        height = max(heights, key=lambda one: (heights[one], one))
        self._offers = {peer: offer for peer, offer in self._offers.items() if offer != height}
        peers = [peer for peer in self._catchup.peers if peer not in self._shunned]
        self._gathering = _Gathering(height, now_ms + _PATIENCE_MS, set(peers))
        return [Ask(peer, encode(GetState(height))) for peer in peers]

    def _settle(self, now_ms: int) -> None:
        """Believe what enough members attest; give up when they do not."""
        gathering = self._gathering
        if gathering is None:
            return
        enough = Policy.parse(self._replica.channel.policies.endorsement)
        for found, members in gathering.words.items():
            if enough.satisfied(tuple(members.values())):
                self._gathering = None
                if self._worth(gathering.height):  # by now more peers may have said what blocks they have
                    attesting = frozenset(peer for peer, said in gathering.peers.items() if said == found)
                    self._target = _Target(gathering.height, *found, attesting)
                return
        if not gathering.asked or now_ms >= gathering.until_ms:
            self._gathering = None

    # --- its chunks, and the headers before -----------------------------------------------------------------------

    def _wanted(self, target: _Target) -> Request | None:
        """What is missing next; None when all is here."""
        if target.state is None:
            return GetSnapshot(target.height, len(target.chunks))
        bottom = self._replica.head.height + 1
        top = target.headers[-1].height - 1 if target.headers else target.height
        return GetHeaders(max(bottom, top - MAX_HEADERS + 1)) if top >= bottom else None

    def _fetch(self, target: _Target, now_ms: int) -> list[JoinEffect]:
        if self._replica.head.height >= target.height:
            self._target = None  # the blocks have come
            return []
        wanted = self._wanted(target)
        if wanted is None and target.state is not None:
            self._target = None
            head = self._replica.head.height
            self._jump = Jump(tuple(one for one in reversed(target.headers) if one.height > head), target.state)
            return []
        if wanted in target.asked.values() and now_ms < target.asked_ms + _STALL_MS:
            return []
        if wanted is not None and (source := self._next(target)) is not None:
            target.slow.update(target.asked)
            target.asked[source] = wanted
            target.asked_ms = now_ms
            return [Ask(source, encode(wanted))]
        target.asked_ms = now_ms
        if not target.asked:
            self._target = None  # nobody is left to ask: again when somebody says what it keeps
        return []

    def _usable(self, target: _Target) -> list[bytes]:
        """Who may be asked, those first who are likely to answer."""
        peers = [
            peer
            for peer in self._catchup.peers
            if peer not in self._shunned and target.failures[peer] < _FAILURES
        ]  # fmt: skip
        failures, slow, attesting = target.failures, target.slow, target.attesting
        return sorted(peers, key=lambda peer: (peer in slow, failures[peer], peer not in attesting, peer))

    def _next(self, target: _Target) -> bytes | None:
        if target.alone is not None and target.state is None:
            return target.alone if target.alone not in target.asked else None
        return next((peer for peer in self._usable(target) if peer not in target.asked), None)

    def _count_failure(self, target: _Target, peer: bytes, failures: int) -> None:
        target.failures[peer] += failures
        if target.alone == peer and target.failures[peer] >= _FAILURES:
            self._alone(target)

    def _alone(self, target: _Target) -> None:
        """Take all chunks anew, from one peer; when there is none, the state is given up."""
        usable = self._usable(target)
        target.chunks, target.count, target.givers = [], 0, set()
        target.alone = usable[0] if usable else None
        if target.alone is None:
            self._target = None

    def _take_chunk(self, target: _Target, peer: bytes, answer: Snapshot) -> None:
        """Raises MalformedError for what cannot be, when only `peer` can have to do with it."""
        if answer.count == 0:
            self._count_failure(target, peer, _FAILURES)  # not kept here, or not any more
            return
        target.givers.add(peer)
        target.count = target.count or answer.count
        target.chunks.append(answer.data)
        if answer.count != target.count or len(target.chunks) > target.count:
            self._wrong(target, "bad_snapshot: the number of chunks changed")
        elif len(target.chunks) == target.count:
            self._put_together(target)

    def _put_together(self, target: _Target) -> None:
        try:
            state = state_of(target.chunks)
        except MalformedError as error:
            self._wrong(target, f"bad_snapshot: {error}")
            return
        if state.root != target.root:
            self._wrong(target, "bad_snapshot: the state is not the attested one")
            return
        target.state, target.chunks, target.alone = state, [], None
        target.failures.clear()  # who had no chunks may have headers

    def _wrong(self, target: _Target, reason: str) -> None:
        """The chunks are not the attested state's. Raises MalformedError when there is one culprit."""
        givers = target.givers
        if len(givers) > 1:
            self._alone(target)
            return
        target.chunks, target.count, target.givers = [], 0, set()
        raise MalformedError(reason)

    def _take_headers(self, target: _Target, peer: bytes, answer: Headers) -> None:
        """Raises MalformedError when they do not lead to the attested block."""
        wanted = self._wanted(target)
        top = target.headers[-1].height - 1 if target.headers else target.height
        start = wanted.start if isinstance(wanted, GetHeaders) else top + 1
        headers = answer.headers[: top - start + 1]
        if len(headers) < top - start + 1:
            self._count_failure(target, peer, _FAILURES)  # it is behind
            return
        expected = target.headers[-1].parent if target.headers else target.id
        for height, header in zip(range(top, start - 1, -1), reversed(headers), strict=True):
            if header.height != height or block_id(header) != expected:
                raise MalformedError("bad_headers: they do not lead to the attested block")
            expected = header.parent
        target.headers += reversed(headers)
