"""Whether peers have one state: each signs what it has, and who disagrees with enough members is wrong.

Orderers sign blocks, not what comes of them, so a peer whose store was altered, or that runs another contract, is found
by comparing states after one block.
"""

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

StateAt = Callable[[int], tuple[BlockId | None, bytes | None]]
"""Block id and state root at a height; None for what is not known any more."""


def attest(signer: Signer, height: int, head: BlockId, root: bytes) -> Signed:
    """A member's word that it has that state after that block."""
    return signer.sign(STATE, _digest(height, head, root))


class Agreement:
    """Who of those that were heard has another state than this replica."""

    def __init__(self, state_at: StateAt) -> None:
        self._state_at = state_at
        self._against: dict[Account, Principal] = {}
        self.diverged = ""
        """Why this replica must not be believed any more; empty while it may."""

    def hear(
        self, config: ChannelConfig, height: int, head: BlockId, root: bytes, signed: Signed, now_ms: int
    ) -> list[LedgerEffect]:
        """Compare a member's attestation with our own state. Raises Refused when it is none.

        Members that satisfy the channel's default endorsement policy and have another state outvote us.
        """
        try:
            (member,) = signers(config, [signed], STATE, _digest(height, head, root), now_ms)
        except Refused as refused:
            raise Refused("bad_attestation", str(refused)) from None
        account = Account(signed.certificate.account)
        ours, our_root = self._state_at(height)
        if our_root is None:
            return []
        if (ours, our_root) == (head, root):
            self._against.pop(account, None)
            return []
        self._against[account] = member
        effects: list[LedgerEffect] = [Disagreed(height, account)]
        enough = Policy.parse(config.policies.endorsement)
        if not self.diverged and enough.satisfied(tuple(self._against.values())):
            self.diverged = f"{len(self._against)} members attest another state after block {height}"
            effects.append(Diverged(height, self.diverged))
        return effects


def _digest(height: int, head: BlockId, root: bytes) -> bytes:
    return sha256(encode((height, head, root))).digest()
