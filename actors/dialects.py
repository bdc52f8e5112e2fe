"""What a ledger node does differently on different ledgers, chosen by the type of its core."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from actors.alarms import Alarms
from actors.endorsing import EndorsementDesk
from actors.local_answers import NodeCore
from actors.messages import ENDORSE
from actors.verdicts import ACCEPTED, Judgement, judge_block, judge_envelope, judge_transaction
from actors.world import World
from chain.codec import decode_block, decode_transaction, encode, transaction_id
from chain.errors import Refused
from chain.ledger import Broadcast, HeaderStatus, LedgerEffect
from chain.ledgers.ordered.endorse import seen_key
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.values import Envelope, decode_envelope, made_ms
from chain.ledgers.pow.ledger import PowLedger
from chain.values import Account, Block, Transaction, TxId
from net.gossip.events import Message, Verdict
from net.overlay import Overlay
from net.peer import PeerId
from net.requests import Handler

CONSORTIUM = 64
"""Ledger nodes of an ordered network that each one keeps links with, as far as there are so many."""


class Dialect(Protocol):
    """A core's part in its node."""

    services: Mapping[str, Handler]
    """Protocols that it answers beside those that all ledger nodes answer."""
    anchors: Sequence[PeerId]
    """Peers that a link is always wanted with."""
    degree: int
    """Links with ledger nodes that are wanted at least, as far as the scenario does not want more."""

    def judge_transaction(self, message: Message, now_ms: int) -> Judgement:
        """Judge what came on the topic ``tx``."""

    def judge_block(self, message: Message, now_ms: int) -> Judgement:
        """Judge what came on the topic ``blocks``."""

    def take(self, data: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        """Take in what came on the topic ``tx`` and was judged good. Raises Refused."""

    def submit(self, transaction: Transaction, now_ms: int) -> Sequence[LedgerEffect]:
        """Take a transaction of an own client, where those need no endorsement. Raises Refused."""

    def submit_envelope(self, envelope: Envelope, now_ms: int) -> Sequence[LedgerEffect]:
        """Take an endorsed transaction of an own client, where those are. Raises Refused."""

    async def prepare(self, transaction: Transaction, creator: Certificate | None) -> Envelope:
        """Have a transaction endorsed, where that is done. Raises Refused."""

    async def words(self, tx: TxId) -> Sequence[bytes]:
        """See `actors.gateway.LedgerNode`."""

    def next_nonce(self, account: Account) -> int:
        """See `actors.gateway.LedgerNode`. Raises Refused."""

    def is_gone(self, dropped: Transaction) -> bool:
        """Whether a transaction that was dropped from the pool can be in no block any more."""

    def ordering(self) -> tuple[int, bytes]:
        """How many orderers are heard of, and who of them leads: see `actors.gateway.LedgerNode`."""

    def members(self) -> Sequence[Certificate]:
        """Certificates of this ledger node and of linked ones."""


class PowDialect:
    """Transactions go into mempools as they are."""

    services: Mapping[str, Handler] = {}
    anchors: Sequence[PeerId] = ()
    degree = 0

    def __init__(self, core: PowLedger) -> None:
        self._core = core

    def judge_transaction(self, message: Message, now_ms: int) -> Judgement:  # noqa: ARG002 - a signature has no time
        """See `Dialect`."""
        return judge_transaction(message, self._core.chain)

    def judge_block(self, message: Message, now_ms: int) -> Judgement:
        """See `Dialect`."""
        return judge_block(message, self._core, now_ms)

    def take(self, data: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        """See `Dialect`."""
        return self._core.receive_transaction(decode_transaction(data), now_ms)

    def submit(self, transaction: Transaction, now_ms: int) -> Sequence[LedgerEffect]:
        """See `Dialect`."""
        return self._core.submit(transaction, now_ms)

    def submit_envelope(self, envelope: Envelope, now_ms: int) -> Sequence[LedgerEffect]:  # noqa: ARG002
        """See `Dialect`."""
        raise Refused("other_ledger", "transactions of this network are not endorsed")

    async def prepare(self, transaction: Transaction, creator: Certificate | None) -> Envelope:  # noqa: ARG002
        """See `Dialect`."""
        raise Refused("other_ledger", "transactions of this network are not endorsed")

    async def words(self, tx: TxId) -> Sequence[bytes]:  # noqa: ARG002
        """See `Dialect`. Work speaks for itself."""
        return ()

    def next_nonce(self, account: Account) -> int:
        """See `Dialect`."""
        return self._core.next_nonce(account)

    def is_gone(self, dropped: Transaction) -> bool:  # noqa: ARG002
        """See `Dialect`. A mempool drops what can never follow the account's other transactions."""
        return True

    def ordering(self) -> tuple[int, bytes]:
        """See `Dialect`. Nobody orders."""
        return 0, b""

    def members(self) -> Sequence[Certificate]:
        """See `Dialect`."""
        return ()


class OrderedDialect:
    """Transactions are endorsed, then ordered."""

    degree = CONSORTIUM

    def __init__(self, core: OrderedLedger, desk: EndorsementDesk, alarms: Alarms) -> None:
        self._core, self._desk, self._alarms = core, desk, alarms
        self.services: Mapping[str, Handler] = {ENDORSE: desk.serve} if desk.endorses else {}
        # Of genesis: who orders later is found like every other ledger node.
        orderers = core.network.ordered.channel.orderers
        self.anchors: Sequence[PeerId] = [PeerId.from_public_key(account) for account in orderers]

    def judge_transaction(self, message: Message, now_ms: int) -> Judgement:
        """See `Dialect`."""
        return judge_envelope(message, self._core, now_ms)

    def judge_block(self, message: Message, now_ms: int) -> Judgement:
        """See `Dialect`. One proof that an orderer signed two blocks of a height is news; further ones could be a flood."""
        judgement = judge_block(message, self._core, now_ms)
        if judgement == ACCEPTED:
            block = decode_block(message.data)
            if self._alarms.told(block) and self._forks(block, now_ms):
                return Verdict.IGNORE, "told already"
        return judgement

    def _forks(self, block: Block, now_ms: int) -> bool:
        return self._core.check_block(block, now_ms) is HeaderStatus.FORKED

    def take(self, data: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        """See `Dialect`."""
        return self._core.receive_transaction(decode_envelope(data), now_ms)

    def submit(self, transaction: Transaction, now_ms: int) -> Sequence[LedgerEffect]:  # noqa: ARG002
        """See `Dialect`."""
        raise Refused("not_endorsed", "transactions of this network are endorsed first")

    def submit_envelope(self, envelope: Envelope, now_ms: int) -> Sequence[LedgerEffect]:
        """See `Dialect`. One that waits here already is published again: it may not have reached the orderers."""
        try:
            return self._core.submit(envelope, now_ms)
        except Refused as refused:
            if refused.reason != "already_pending":
                raise
            return [Broadcast("tx", encode(envelope))]

    async def prepare(self, transaction: Transaction, creator: Certificate | None) -> Envelope:
        """See `Dialect`."""
        return await self._desk.prepare(transaction, creator)

    async def words(self, tx: TxId) -> Sequence[bytes]:
        """See `Dialect`."""
        return await self._desk.words(tx)

    def next_nonce(self, account: Account) -> int:  # noqa: ARG002
        """See `Dialect`."""
        raise Refused("other_ledger", "transactions of this network do not follow each other")

    def is_gone(self, dropped: Transaction) -> bool:
        """See `Dialect`. Our clock says that it is too late; whether it is, only a block's time tells.

        One whose id is used up is in a block already, one that never was here if we do not know it.
        """
        if seen_key(dropped.nonce, transaction_id(dropped)) in self._core.state:
            return True
        return self._core.head.time_ms > made_ms(dropped) + self._core.network.ordered.proposal_ttl_ms

    def ordering(self) -> tuple[int, bytes]:
        """See `Dialect`."""
        core = self._core
        own = core.signer is not None and core.signer.certificate.account in core.channel.orderers
        heard = [status.leader for status in core.members().values() if status.orders]
        heard += [core.leader] if own else []
        return len(heard), next((leader for leader in heard if leader), b"")

    def members(self) -> Sequence[Certificate]:
        """See `Dialect`."""
        own = [self._core.signer.certificate] if self._core.signer is not None else []
        others = [status.certificate for status in self._core.members().values() if status.certificate is not None]
        return (own + others)[:CONSORTIUM]


def dialect_of(
    core: NodeCore,
    *,
    world: World,
    name: str,
    overlay: Overlay,
    alarms: Alarms,
    blame: Callable[[PeerId, str], None],
) -> Dialect:
    """The one for a core; the rest is its node's."""
    match core:
        case PowLedger():
            return PowDialect(core)
        case OrderedLedger():
            return OrderedDialect(core, EndorsementDesk(world, name, core, overlay, blame), alarms)
