"""What attacks on an ordered ledger have in common: a small consortium, and envelopes made past all honest gateways."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from actors.consortium_clients import Clients
from actors.consortium_trial import Member, Shape, Trial, organisations
from chain.codec import encode
from chain.contract import encode_args
from chain.keys import account_of, sign_transaction
from chain.ledger import Equivocated
from chain.ledgers.ordered.assemble import Agreement, prepare, sign_envelope
from chain.ledgers.ordered.channel import Policies, default_policies
from chain.ledgers.ordered.endorse import endorse
from chain.ledgers.ordered.ledger import OrderedConfig
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.policy import any_of, majority
from chain.ledgers.ordered.values import Endorsed, Envelope, Proposal, nonce_at
from chain.values import Account

ATTACKER, ACCOMPLICE, VICTIM = "customer0", "customer1", "customer2"
NAMES = tuple(organisations(3))
ONE_PEER = any_of(NAMES, "peer")
ONE_ORDERER = any_of(NAMES, "orderer")
MOST_PEERS = majority(NAMES, "peer")
MOST_ORDERERS = majority(NAMES, "orderer")
CONFIG = OrderedConfig(status_interval_ms=400, snapshot_interval=4)


def policies(**changes: Any) -> Policies:
    """The default ones of three organisations, with changes."""
    return replace(default_policies({name: Account(bytes(32)) for name in NAMES}), **changes)


def stage(
    seed: int,
    make: Callable[[Trial, str, str, str], Member] = Member,
    *,
    creators: Mapping[str, Certificate] | None = None,
    config: OrderedConfig = CONFIG,
    **shape: Any,
) -> tuple[Trial, Clients]:
    """Three organisations with three orderers that have elected a leader, four peers, six customers."""
    trial = Trial(seed, Shape(customers=6, **{"policies": policies()} | shape), make=make, config=config)
    if not trial.run_until(lambda: trial.leader is not None, trial.now_ms + 10_000):
        raise TimeoutError("no leader was elected")
    return trial, Clients(trial, attempts=20, creators=creators)


def leader_of(trial: Trial) -> Member:
    """The one that leads. Raises LookupError when none does."""
    if trial.leader is None:
        raise LookupError("nobody leads")
    return trial.leader


def pay(clients: Clients, sender: str, to: str, amount: int, trial: Trial, **more: Any) -> Any:
    """An honest call."""
    return clients.call(sender, "accounts", "transfer", account_of(trial.keys[to]), amount, **more)


def forge(
    trial: Trial, client: str, to: str, amount: int, endorsers: Sequence[Member], creator: Certificate | None = None
) -> Envelope:
    """A payment with the first endorser's response, signed by all of them whatever the others would say.

    Raises Refused when an endorser does not go along.
    """
    key = trial.keys[client]
    nonce = nonce_at(trial.now_ms, trial.rng.getrandbits(20))
    args = encode_args(account_of(trial.keys[to]), amount)
    proposal = Proposal(
        sign_transaction(key, trial.network.id, nonce, "accounts", "transfer", args), creator, trial.now_ms
    )
    answers = [endorser.endorse(proposal) for endorser in endorsers]
    response = answers[0].response
    signed = [endorse(endorser.signer, response) for endorser in endorsers]
    signed.sort(key=lambda one: one.certificate.account)
    return sign_envelope(key, prepare(proposal, Agreement(response, tuple(signed), ())))


def inject(trial: Trial, envelope: Envelope) -> None:
    """Publish it past every gateway, as a member that helps the attacker can."""
    trial.peers[0].publish("tx", encode(envelope))


class BlindEndorser(Member):
    """Endorses whatever its contract allows, whoever asks."""

    def endorse(self, proposal: Proposal) -> Endorsed:
        response = self.ledger.simulate(proposal)
        return Endorsed(response, endorse(self.signer, response), self.ledger.head.height)


def accusers(trial: Trial, liar: Member) -> int:
    """How many others have seen two blocks of one height, one signed by `liar`."""
    return sum(
        any(isinstance(seen, Equivocated) and liar.account in seen.signers for seen in member.seen)
        for member in trial.others(liar)
    )
