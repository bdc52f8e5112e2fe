"""A client outside the writers' policy.

Attacked: a channel on which only clients of its organisations may write. The outsider has a key and money, and no
certificate; or one of an organisation of its own making; or a member's certificate, of a role that may not write; or that of
a client, which speaks for another key.
Budget: a key, endorsers of two organisations who ask nothing, and a member that publishes what it is given.
Success: its payment is committed.
Defence: endorsers, gateways, relays and orderers refuse it; what a block has all the same, committing peers call invalid.
Off: the channel is open: everybody may write.
"""

from nacl.signing import SigningKey

from actors.attacks.case import Case, Measured, Size
from actors.attacks.ordered.stage import (
    ACCOMPLICE,
    ATTACKER,
    NAMES,
    VICTIM,
    BlindEndorser,
    forge,
    inject,
    policies,
    stage,
)
from actors.attacks.ordered.stale_certificates import client_certificate
from actors.chain_trial import key_of
from actors.clock import SIMULATION_EPOCH_MS
from actors.consortium_trial import YEARS_MS
from chain.codec import transaction_id
from chain.errors import Refused
from chain.keys import account_of
from chain.ledgers.ordered.channel import ANYONE
from chain.ledgers.ordered.msp import Certificate, issue
from chain.ledgers.ordered.policy import any_of


def certificates(seed: int) -> dict[str, Certificate | None]:
    """What the outsider shows, by what an honest peer says of it."""

    def made(root: SigningKey, organisation: str, role: str) -> Certificate:
        account = account_of(key_of(seed, ATTACKER))
        return issue(root, organisation, role, account, 900, 0, SIMULATION_EPOCH_MS + YEARS_MS)

    own = key_of(seed, "root/outsider")
    return {
        "certificate_required": None,
        "bad_certificate": made(own, NAMES[0], "client"),
        "unknown_organisation": made(own, "outsider", "client"),
        "not_a_writer": made(key_of(seed, f"root/{NAMES[0]}"), NAMES[0], "peer"),
        "certificate_of_another": client_certificate(seed, VICTIM),
    }


def run_outsider(seed: int, writers: str) -> dict[str, tuple[bool, str]]:
    """Whether each payment was committed, and why an honest peer refuses to endorse or relay it."""
    trial, _ = stage(seed, BlindEndorser, policies=policies(writers=writers))
    found = {}
    for name, certificate in certificates(seed).items():
        shown = certificate if writers != ANYONE else None
        envelope = forge(trial, ATTACKER, ACCOMPLICE, 1, trial.peers[:2], shown)
        ledger, reason = trial.peers[2].ledger, ""
        try:
            ledger.check_envelope(envelope, trial.now_ms)
        except Refused as refused:
            reason = refused.reason
        inject(trial, envelope)
        trial.run_for(200)
        receipt = ledger.receipt(transaction_id(envelope.transaction))
        found[name] = (receipt is not None and receipt[1].ok, reason)
    return found


def _enter(defended: bool, seed: int, size: Size) -> Measured:  # noqa: ARG001 - each way once
    found = run_outsider(seed, any_of(NAMES, "client") if defended else ANYONE)
    return Measured(sum(paid for paid, _ in found.values()), len(found))


OUTSIDER = Case(
    name="outsider",
    family="ordered",
    goal="its payment is committed",
    budget="a key without a member's certificate, and endorsers who ask nothing",
    defence="writers must be clients of an organisation; off: everybody may write",
    source="a client outside the policy",
    run=_enter,
)
"""What everybody may do needs no defence; where it does, this is it."""
