"""Whether peers have one state: each signs what it has, and who disagrees with enough members is wrong.

Orderers sign blocks, not what comes of them, so a peer whose store was altered, or that runs another contract, is found
by comparing states after one block. Peers are asked in turn, mostly after different blocks; so whoever hears of another
state asks all what they had after that very block (`Agreement.to_ask`). Liars who each tell another lie thus never add up.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from chain.codec import encode
from chain.errors import Refused
from chain.ledger import Disagreed, Diverged, LedgerEffect
from chain.ledgers.ordered.access import signers
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.msp import Signed
from chain.ledgers.ordered.policy import Policy, Principal
from chain.values import Account, BlockId

STATE = b"crowdmesh:state:1:"
"""Stands before the digest of (height, block id, state root) under a member's signature."""

MAX_STATES = 64
"""States other than ours that are remembered, with who attests them."""

StateAt = Callable[[int], tuple[BlockId | None, bytes | None]]
"""Block id and state root at a height; None for what is not known any more."""


def attest(signer: Signer, height: int, head: BlockId, root: bytes) -> Signed:
    """A member's word that it has that state after that block."""
    return signer.sign(STATE, _digest(height, head, root))


def attester(config: ChannelConfig, height: int, head: BlockId, root: bytes, signed: Signed, now_ms: int) -> Principal:
    """Who attests that state. Raises Refused (``bad_attestation``) when it is no member's word under `config`."""
    try:
        (member,) = signers(config, [signed], STATE, _digest(height, head, root), now_ms)
    except Refused as refused:
        raise Refused("bad_attestation", str(refused)) from None
    return member


class Agreement:
    """Who of those that were heard has another state than this replica."""

    def __init__(self, state_at: StateAt) -> None:
        self._state_at = state_at
        self._others: OrderedDict[tuple[int, BlockId, bytes], dict[Account, Principal]] = OrderedDict()
        """By height, block and root: who attests that, and not ours."""
        self._asked = 0
        self.diverged = ""
        """Why this replica must not be believed any more; empty while it may."""

    def hear(
        self, config: ChannelConfig, height: int, head: BlockId, root: bytes, signed: Signed, now_ms: int
    ) -> list[LedgerEffect]:
        """Compare a member's attestation with our own state. Raises Refused (``bad_attestation``) when it is none.

        Members that satisfy the channel's default endorsement policy and all have one other state outvote us.
        """
        member = attester(config, height, head, root, signed, now_ms)
        account = Account(signed.certificate.account)
        ours, our_root = self._state_at(height)
        if our_root is None:
            return []
        if (ours, our_root) == (head, root):
            return []
        others = self._others.setdefault((height, head, root), {})
        others[account] = member
        if len(self._others) > MAX_STATES:
            self._others.popitem(last=False)
        effects: list[LedgerEffect] = [Disagreed(height, account)]
        enough = Policy.parse(config.policies.endorsement)
        if enough.satisfied(tuple(others.values())):
            effects += self.outvoted(height, f"{len(others)} members attest another state after block {height}")
        return effects

    def outvoted(self, height: int, reason: str) -> list[LedgerEffect]:
        """Enough members attest what cannot be if this replica is right."""
        if self.diverged:
            return []
        self.diverged = reason
        return [Diverged(height, reason)]

    def to_ask(self, height: int) -> bool:
        """Whether all peers are to be asked what they had after that block: a member disagrees, and nobody was yet."""
        new = not self.diverged and height != self._asked
        self._asked = height
        return new


def _digest(height: int, head: BlockId, root: bytes) -> bytes:
    return sha256(encode((height, head, root))).digest()
