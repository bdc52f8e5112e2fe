"""Keys of members that are members no more: their certificates have expired, or were revoked.

Attacked: the channel, by somebody who got hold of a former member's key: an endorser's, to sign a payment in its
organisation's stead; an orderer's, to seal a block of its own; a client's, to pay although only clients with certificates may
write. Endorsers go along; what counts is what committing peers do.
Budget: one such key.
Success: what was signed with it is committed.
Defence: certificates end, and admins revoke them: peers judge each block by its time and by the channel's configuration
before it. Off: the certificate is good for years, and nobody revokes it.
"""

from collections.abc import Callable
from typing import Literal

from actors.attacks.case import Case, Measured, Size
from actors.attacks.ordered.stage import (
    ACCOMPLICE,
    ATTACKER,
    NAMES,
    BlindEndorser,
    forge,
    inject,
    pay,
    policies,
    stage,
)
from actors.chain_trial import key_of
from actors.clock import SIMULATION_EPOCH_MS
from actors.consortium_trial import YEARS_MS, Member, Trial
from chain.codec import encode, transaction_id
from chain.errors import InvalidBlockError, Refused
from chain.keys import account_of
from chain.ledgers.ordered.blocks import build_block, seal
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.msp import Certificate, issue
from chain.ledgers.ordered.policy import any_of
from chain.ledgers.ordered.update import revoke
from chain.ledgers.ordered.values import Batch, Envelope

Who = Literal["endorser", "orderer", "client"]
LIFE_MS = 4_000
"""Of a certificate that expires, from the beginning on."""


def client_certificate(seed: int, client: str, until_ms: int = SIMULATION_EPOCH_MS + YEARS_MS) -> Certificate:
    """A client's, by the first organisation."""
    root = key_of(seed, f"root/{NAMES[0]}")
    serial = 500 + int(client.removeprefix("customer"))
    return issue(root, NAMES[0], "client", account_of(key_of(seed, client)), serial, 0, until_ms)


def expiring(name: str) -> Callable[[Trial, str, str, str], Member]:
    """Make members that endorse blindly, of whom one has a certificate of LIFE_MS."""

    def make(trial: Trial, mine: str, organisation: str, role: str) -> Member:
        member = BlindEndorser(trial, mine, organisation, role)
        if mine == name:
            root = key_of(trial.seed, f"root/{organisation}")
            serial = member.signer.certificate.serial
            until_ms = SIMULATION_EPOCH_MS + LIFE_MS
            short = issue(root, organisation, role, member.account, serial, 0, until_ms)
            member.signer = Signer(short, member.key)
        return member

    return make


def run_stale(seed: int, who: Who, how: Literal["expired", "revoked", "good"]) -> tuple[bool, str]:
    """Returns whether the attacker's work was committed, and why an honest peer refuses it, if it does."""
    name = {"endorser": "peer1", "orderer": "orderer1", "client": ATTACKER}[who]
    years_ms = SIMULATION_EPOCH_MS + YEARS_MS
    life_ms = SIMULATION_EPOCH_MS + LIFE_MS
    customers = [f"customer{number}" for number in range(6)]
    creators = {
        one: client_certificate(seed, one, life_ms if (one, how) == (name, "expired") else years_ms)
        for one in customers
    }
    make = expiring(name) if how == "expired" else BlindEndorser
    writers = any_of(NAMES, "client")
    trial, clients = stage(seed, make, creators=creators, policies=policies(writers=writers))
    members = {member.name: member for member in trial.members.values()}
    stale = members[name].signer.certificate if name in members else creators[name]
    if how == "revoked":
        config = revoke(trial.peers[1].ledger.channel, stale)
        endorsers = [members["peer2"], members["peer3"]]
        clients.call("customer5", "channel", "update", config, trial.consent(config), endorsers=endorsers)
    trial.run_for(LIFE_MS + 500)
    # A block that says that time has passed.
    pay(clients, "customer4", ACCOMPLICE, 1, trial, endorsers=[members["peer2"], members["peer3"]])
    trial.run_for(200)
    if who == "orderer":
        return _seal(trial, members[name])
    endorsers = [members["peer1"], members["peer2"]] if who == "endorser" else [members["peer2"], members["peer3"]]
    return _write(trial, forge(trial, ATTACKER, ACCOMPLICE, 1, endorsers, creators[ATTACKER]))


def _write(trial: Trial, envelope: Envelope) -> tuple[bool, str]:
    ledger, reason = trial.peers[2].ledger, ""
    try:
        ledger.check_envelope(envelope, trial.now_ms)
    except Refused as refused:
        reason = refused.reason
    inject(trial, envelope)
    trial.run_for(300)
    found = ledger.receipt(transaction_id(envelope.transaction))
    return found is not None and found[1].ok, reason


def _seal(trial: Trial, orderer: Member) -> tuple[bool, str]:
    ledger, reason = trial.peers[2].ledger, ""
    batch = Batch(trial.now_ms, orderer.account, (), ())
    block = seal(build_block(ledger.head, ledger.head_id, batch, ledger.head.nonce + 1_000), orderer.signer)
    try:
        ledger.check_block(block, trial.now_ms)
    except InvalidBlockError as error:
        reason = str(error)
    orderer.publish("blocks", encode(block))
    trial.run_for(300)
    return ledger.header(block.header.height) == block.header, reason


def _case(who: Who, budget: str) -> Case:
    def run(defended: bool, seed: int, size: Size) -> Measured:  # noqa: ARG001 - each way once
        hows: tuple[Literal["expired", "revoked", "good"], ...] = ("expired", "revoked") if defended else ("good",)
        won = [run_stale(seed, who, how)[0] for how in hows]
        return Measured(sum(won), len(won))

    return Case(
        name=f"stale-{who}",
        family="ordered",
        goal="what was signed with the key is committed",
        budget=budget,
        defence="its certificate has expired, or was revoked; off: neither",
        source="an expired or revoked certificate",
        run=run,
    )


STALE = (
    _case("endorser", "the key of a former endorser, and a client"),
    _case("orderer", "the key of a former orderer"),
    _case("client", "the key of a former client, and endorsers who ask nothing"),
)
