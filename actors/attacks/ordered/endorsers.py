"""Lying endorsers: they sign a response that no honest peer would give.

Attacked: the state. The liars' response to their accomplice's payment has the payer's balance higher by a prize, and the
accomplice sends it past all honest gateways. Committing peers do not execute (Fabric): what enough endorsers signed is
written. So all depends on the endorsement policy.
Budget: the peers of one organisation, or of two; a client.
Success: money was made: an honest peer's balances sum up to more than at genesis.
Defence: a policy that asks more organisations than lie. Signatures are counted as the policy says, so several peers of one
organisation do not make up for another's. Off: a policy that the liars satisfy by themselves.
Honest clients are safe anyway, if they ask one honest endorser: answers that differ are not ordered, and the client is told
who differs.
"""

from msgspec.structs import replace

from actors.attacks.case import Case, Measured, Size
from actors.attacks.ordered.stage import ACCOMPLICE, ATTACKER, MOST_PEERS, ONE_PEER, forge, inject, policies, stage
from actors.consortium_trial import Member, Trial
from chain.codec import decode_own, encode
from chain.contract import balance_key
from chain.contracts.accounts import supply
from chain.ledgers.ordered.endorse import endorse
from chain.ledgers.ordered.values import Endorsed, Proposal, WriteItem

PRIZE = 1_000_000
"""Micro-credits."""
ANY_TWO_PEERS = "OutOf(2, 'org1.peer', 'org1.peer', 'org2.peer', 'org3.peer')"
ALL_PEERS = "AND('org1.peer', 'org2.peer', 'org3.peer')"


class LyingEndorser(Member):
    """Has whoever pays become richer."""

    def endorse(self, proposal: Proposal) -> Endorsed:
        honest = super().endorse(proposal)
        rich = balance_key(proposal.transaction.sender)
        writes = tuple(_more(write) if write.key == rich else write for write in honest.response.writes)
        response = replace(honest.response, writes=writes)
        return Endorsed(response, endorse(self.signer, response), honest.height)


def _more(write: WriteItem) -> WriteItem:
    return WriteItem(write.key, encode(decode_own(int, write.value or b"\x00") + PRIZE))


def liars(*names: str) -> type[Member]:
    """Members of whom the peers with these names lie."""

    class Peer(LyingEndorser):
        def endorse(self, proposal: Proposal) -> Endorsed:
            return super().endorse(proposal) if self.name in names else Member.endorse(self, proposal)

    return Peer


def run_lie(seed: int, names: tuple[str, ...], policy: str, tries: int) -> tuple[Trial, int]:
    """The liars try so often. Returns the trial after it, and how much money there is too much, in prizes."""
    trial, _ = stage(seed, liars(*names), policies=policies(endorsement=policy))
    for _ in range(tries):
        inject(trial, forge(trial, ATTACKER, ACCOMPLICE, 1, [peer for peer in trial.peers if peer.name in names]))
        trial.run_for(100)
    made = supply(trial.peers[2].ledger.state) - supply(trial.network.state)
    return trial, made // PRIZE


def _case(name: str, names: tuple[str, ...], budget: str, safe: str, unsafe: str, defence: str) -> Case:
    def run(defended: bool, seed: int, size: Size) -> Measured:
        tries = size.payments
        trial, won = run_lie(seed, names, safe if defended else unsafe, tries)
        refused = trial.peers[2].ledger.statistics().codes.get("ENDORSEMENT_POLICY_FAILURE", 0)
        return Measured(won, tries, {"refused by the policy": refused / tries})

    return Case(
        name=name,
        family="ordered",
        goal="money was made: a payment raised its payer's balance",
        budget=budget,
        defence=defence,
        source="malicious endorser: wrong writes",
        run=run,
    )


ENDORSERS = (
    _case(
        "lying-endorser",
        ("peer1",),
        "one peer, and a client",
        MOST_PEERS,
        ONE_PEER,
        "a majority of organisations must endorse; off: any peer",
    ),
    _case(
        "colluding-endorsers",
        ("peer1", "peer4"),
        "both peers of one organisation, and a client",
        MOST_PEERS,
        ANY_TWO_PEERS,
        "a majority of organisations must endorse; off: any two peers",
    ),
    _case(
        "colluding-majority",
        ("peer1", "peer2"),
        "the peers of two organisations of three, and a client",
        ALL_PEERS,
        MOST_PEERS,
        "all organisations must endorse; off: a majority of them",
    ),
)
