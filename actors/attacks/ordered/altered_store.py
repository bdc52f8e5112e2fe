"""A peer with an altered store: somebody with access to its machine made a customer rich in its saved state.

Attacked: the state, through the endorsements of that peer, which is honest but for what it believes. The customer then
spends what it does not have.
Budget: the file of one peer, and a client.
Success: money was made: an honest peer's balances sum up to more than at genesis.
Defence: a majority of organisations must endorse, so another peer's word is needed. Off: any peer's. Either way peers sign
what state they have and compare (`Diverged`): this one finds out that others disagree, says so, and endorses no more.
"""

from dataclasses import replace

from actors.attacks.case import Case, Measured, Size
from actors.attacks.ordered.stage import (
    ACCOMPLICE,
    ATTACKER,
    MOST_PEERS,
    ONE_PEER,
    VICTIM,
    forge,
    inject,
    pay,
    policies,
    stage,
)
from actors.chain_trial import CREDITS
from actors.consortium_trial import Member, Trial
from chain.codec import encode
from chain.contract import balance_key
from chain.contracts.accounts import supply
from chain.errors import Refused
from chain.keys import account_of
from chain.ledger import Diverged
from chain.store import Loaded, MemoryStore

RICH = 10 * CREDITS


class AlteredStore(MemoryStore):
    """Gives the state that somebody wrote into it."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self._key = key

    def load(self) -> Loaded | None:
        loaded = super().load()
        if loaded is None or loaded.snapshot is None:
            return loaded
        version = loaded.snapshot.version(self._key)
        if version is None:
            return loaded
        return replace(loaded, snapshot=loaded.snapshot.apply({self._key: encode(RICH)}, version))


class AlteredPeer(Member):
    """peer1 has such a store."""

    def __init__(self, trial: Trial, name: str, organisation: str, role: str) -> None:
        super().__init__(trial, name, organisation, role)
        if name == "peer1":
            self.store = AlteredStore(balance_key(account_of(trial.keys[ATTACKER])))


def run_altered(seed: int, policy: str, tries: int) -> tuple[Trial, Member]:
    """Returns the trial after it, and the peer."""
    trial, clients = stage(seed, AlteredPeer, policies=policies(endorsement=policy))
    for number in range(12):  # until there is a saved state
        pay(clients, VICTIM, ACCOMPLICE, 1 + number, trial)
        trial.run_for(50)
    peer = trial.peers[0]
    peer.crash()
    peer.start()
    for _ in range(tries):
        try:
            inject(trial, forge(trial, ATTACKER, ACCOMPLICE, 2 * CREDITS, [peer]))
        except Refused:
            break  # it has found out
        trial.run_for(100)
    trial.run_for(4_000)
    return trial, peer


def _alter(defended: bool, seed: int, size: Size) -> Measured:
    trial, peer = run_altered(seed, MOST_PEERS if defended else ONE_PEER, size.payments)
    made = supply(trial.peers[1].ledger.state) > supply(trial.network.state)
    return Measured(int(made), 1, {"the peer found out": float(any(isinstance(one, Diverged) for one in peer.seen))})


ALTERED_STORE = Case(
    name="altered-store",
    family="ordered",
    goal="money was made",
    budget="the store of one peer, and a client",
    defence="a majority of organisations must endorse; off: any peer",
    source="a peer with an altered store",
    run=_alter,
)
