"""What a node does about proof that somebody on an ordered ledger lied, or that its own replica is wrong."""

from collections import OrderedDict

from actors.world import World
from chain.errors import MalformedError
from chain.ledger import Disagreed, Diverged, Equivocated
from chain.ledgers.ordered.values import decode_seal
from chain.values import Account, Block
from net.overlay import Overlay
from net.peer import PeerId

MAX_PROVEN = 1_024
"""Pairs of a height and who signed a second block there that are remembered."""

Alarm = Equivocated | Disagreed | Diverged


class Alarms:
    """Journal, and those who are blamed."""

    def __init__(self, world: World, name: str, overlay: Overlay) -> None:
        self._world, self._name, self._overlay = world, name, overlay
        self._proven: OrderedDict[tuple[int, tuple[Account, ...]], None] = OrderedDict()

    def told(self, block: Block) -> bool:
        """Whether it is known already that those who signed this second block of its height lied: one proof suffices."""
        return (block.header.height, _signers(block)) in self._proven

    def sound(self, alarm: Alarm, ours: Block | None) -> None:
        """`ours` is the block that this node has at the alarm's height."""
        journal, name_of = self._world.journal, self._world.name_of
        match alarm:
            case Equivocated(height, _, other, signers):
                if (height, signers) in self._proven:
                    return
                self._proven[height, signers] = None
                if len(self._proven) > MAX_PROVEN:
                    self._proven.popitem(last=False)
                # Who signed one of the two alone may be honest, and the other one's signers not.
                both = [account for account in signers if ours is not None and account in _signers(ours)]
                journal.record(
                    self._name,
                    "equivocated",
                    height=height,
                    who=[name_of(account) for account in both or signers],
                    twice=bool(both),
                    other=other.hex()[:16],
                )
                for account in both:
                    peer = PeerId.from_public_key(account)
                    if peer != self._overlay.peer_id:
                        self._overlay.complain(peer)
            case Disagreed(height, account):
                journal.record(self._name, "disagreed", height=height, who=name_of(account))
            case Diverged(height, reason):
                journal.record(self._name, "diverged", height=height, reason=reason)
                self._world.fail(self._name, f"the replica diverged at height {height}: {reason}")


def _signers(block: Block) -> tuple[Account, ...]:
    try:
        return tuple(Account(signed.certificate.account) for signed in decode_seal(block.seal))
    except MalformedError:
        return ()
