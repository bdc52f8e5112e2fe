"""An endorser that refuses, or does not answer.

Attacked: a client's service. One of the peers that its gateway asks says no to whatever it is asked, or nothing.
Budget: one peer.
Success: a call is not committed within 10 s.
Defence: the gateway asks another organisation's peer instead; a refusal counts when two organisations say the same. Off: the
client always asks the same two.
"""

from actors.attacks.case import Case, Measured, Size
from actors.attacks.ordered.stage import ACCOMPLICE, VICTIM, pay, stage
from actors.consortium_trial import Member
from chain.errors import Refused
from chain.ledgers.ordered.values import Endorsed, Proposal

PATIENCE_MS = 10_000


class RefusingEndorser(Member):
    """peer2 says no."""

    def endorse(self, proposal: Proposal) -> Endorsed:
        if self.name == "peer2":
            raise Refused("insufficient_balance", "or so it says")
        return super().endorse(proposal)


class SilentEndorser(Member):
    """peer2 hears no proposal."""

    def ask_endorsement(self, proposal: Proposal) -> Endorsed | Refused | None:
        return None if self.name == "peer2" else super().ask_endorsement(proposal)


def _case(name: str, make: type[Member], budget: str) -> Case:
    def run(defended: bool, seed: int, size: Size) -> Measured:
        trial, clients = stage(seed, make)
        endorsers = () if defended else trial.peers[:2]
        calls = [pay(clients, VICTIM, ACCOMPLICE, 1, trial, endorsers=endorsers) for _ in range(size.payments)]
        trial.run_for(PATIENCE_MS)
        late = sum(call.outcome != "valid" for call in calls)
        took = sorted(call.ended_ms - call.began_ms for call in calls if call.ended_ms is not None)
        return Measured(late, len(calls), {"longest call, ms": took[-1] if took else PATIENCE_MS})

    return Case(
        name=name,
        family="ordered",
        goal=f"a call is not committed within {PATIENCE_MS / 1000:.0f} s",
        budget=budget,
        defence="the gateway asks another; off: the client asks the same two for ever",
        source="malicious endorser: refusing or delaying",
        run=run,
    )


LAZY = (
    _case("refusing-endorser", RefusingEndorser, "one of the peers that are asked first, which refuses all"),
    _case("silent-endorser", SilentEndorser, "one of the peers that are asked first, which does not answer"),
)
