"""Ledger nodes of distinct organisations that a phone keeps links with, for their words make an outcome final.

They are learned from a gateway, with their certificates, which the channel's organisations signed.
"""

from collections.abc import Awaitable, Callable, Sequence
from random import Random

from actors.ledger import GatewayError
from actors.remote_ledger import RemoteLedger
from chain.errors import Refused
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.msp import Certificate, identities
from chain.ledgers.ordered.policy import Policy, Principal
from chain.values import Account
from net.peer import PeerId
from net.transport import NotConnectedError

PEER = "peer"


class Vouchers:
    """Has `reach` bring up links with members that together satisfy the channel's default endorsement policy.

    `linked` says who is linked. On proof of work nobody is wanted.
    """

    def __init__(
        self,
        ledger: RemoteLedger,
        *,
        reach: Callable[[PeerId], Awaitable[None]],
        linked: Callable[[], Sequence[PeerId]],
        now_ms: Callable[[], int],
        rng: Random,
    ) -> None:
        self._ledger, self._reach, self._linked, self._now_ms, self._rng = ledger, reach, linked, now_ms, rng
        self._members: dict[PeerId, Principal] = {}

    @property
    def linked(self) -> Sequence[PeerId]:
        """Those that are linked, sorted."""
        there = self._linked()
        return [peer for peer in sorted(self._members) if peer in there]

    async def link_up(self) -> bool:
        """Dial those who are missing. Whether enough are there now."""
        config = self._ledger.channel
        if config is None or self._suffices(config):
            return True
        try:
            self._learn(config, await self._ledger.members())
        except (GatewayError, Refused):
            return False
        there = self._linked()
        order = [peer for peer in self._members if peer in there]
        fresh = [peer for peer in sorted(self._members) if peer not in there]
        self._rng.shuffle(fresh)
        order += fresh
        policy = Policy.parse(config.policies.endorsement)
        for place in next(policy.choices([self._members[peer] for peer in order]), ()):
            try:
                await self._reach(order[place])
            except NotConnectedError:
                # The next round learns anew whom there is, and draws others.
                del self._members[order[place]]
        return self._suffices(config)

    def _suffices(self, config: ChannelConfig) -> bool:
        policy = Policy.parse(config.policies.endorsement)
        return policy.satisfied([self._members[peer] for peer in self.linked])

    def _learn(self, config: ChannelConfig, certificates: Sequence[Certificate]) -> None:
        """Take over who is told of; they are at most as many as an answer holds."""
        known = identities(config)
        found: dict[PeerId, Principal] = {}
        for certificate in certificates:
            if certificate.role != PEER:
                continue
            account = Account(certificate.account)
            try:
                found[PeerId.from_public_key(account)] = known.principal(certificate, account, self._now_ms())
            except (Refused, ValueError):
                continue
        there = self._linked()
        self._members = {
            peer: one for peer, one in self._members.items() if peer in there and peer not in found
        } | found
