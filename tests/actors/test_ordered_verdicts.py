"""What is passed on of an ordered ledger's transactions: rejected is what is provably wrong, ignored what may be bad luck."""

import random

import pytest
from msgspec.structs import replace

from actors.clock import SIMULATION_EPOCH_MS
from actors.verdicts import judge_envelope
from chain.codec import encode
from chain.contract import encode_args
from chain.gas import MAX_TRANSACTION_GAS
from chain.keys import sign_transaction
from chain.ledgers.ordered.assemble import agree, prepare, sign_envelope
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.values import Proposal, nonce_at
from net.gossip.events import Message, MessageId, Verdict
from tests.actors.consortium import certificate, identity, network, signer

NOW = SIMULATION_EPOCH_MS
ME = identity("client-0")
NETWORK = network(writers="OR('org1.client', 'org2.client')")
CORE = OrderedLedger(NETWORK)
PEERS = [OrderedLedger(NETWORK, signer=signer(f"peer-{name}", name, "peer")) for name in ("org1", "org2")]


def envelope(*, chain=NETWORK.id, shown=None, now=NOW):
    nonce = nonce_at(now, random.Random(1).getrandbits(20))
    args = encode_args(identity("shop").account, 5)
    transaction = sign_transaction(ME.key, NETWORK.id, nonce, "accounts", "transfer", args)
    proposal = Proposal(transaction, shown or certificate("client-0", "org1", "client"), now)
    answers = [peer.endorse(proposal, now) for peer in PEERS]
    return sign_envelope(ME.key, prepare(proposal, agree(CORE.channel, CORE.state, proposal, answers, now)))


def judged(data, now=NOW, core=CORE):
    if not isinstance(data, bytes):
        data = encode(data)
    message = Message(MessageId(b"1"), ME.peer_id, "/consortium/tx", data, 1, b"")
    return judge_envelope(message, core, now)


GOOD = envelope()


def resigned(changed):
    return sign_envelope(ME.key, changed)


def test_envelope__accept():
    assert judged(GOOD) == (Verdict.ACCEPT, "")


def with_evidence(**changes):
    return replace(GOOD, evidence=replace(GOOD.evidence, **changes))


def foreign():
    transaction = GOOD.transaction
    args = (bytes(32), transaction.nonce, transaction.contract, transaction.method, transaction.args)
    return resigned(replace(GOOD, transaction=sign_transaction(ME.key, *args)))


WRONG = {
    "no bytes": (lambda: b"", "malformed envelope"),
    "trailing bytes": (lambda: encode(GOOD) + b"\0", "malformed envelope"),
    "too long": (lambda: bytes(200_000), "malformed envelope"),
    "another network": (foreign, "wrong_chain"),
    "an altered call": (lambda: replace(GOOD, transaction=replace(GOOD.transaction, args=b"\x90")), "bad_signature"),
    "an unsigned envelope": (lambda: with_evidence(signature=bytes(64)), "bad_signature"),
    "altered writes": (
        lambda: with_evidence(response=replace(GOOD.evidence.response, writes=())),
        "bad_signature",
    ),
    "another proposal": (lambda: resigned(with_evidence(time_ms=NOW + 1)), "other_proposal"),
    "one endorsement twice": (
        lambda: resigned(with_evidence(endorsements=GOOD.evidence.endorsements[:1] * 2)),
        "signed_twice",
    ),
    "more gas than there can be": (
        lambda: resigned(with_evidence(response=replace(GOOD.evidence.response, gas=MAX_TRANSACTION_GAS + 1))),
        "too_much_gas",
    ),
    "a false endorsement": (
        lambda: resigned(with_evidence(endorsements=(replace(GOOD.evidence.endorsements[0], signature=bytes(64)),))),
        "bad_signature",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_envelope__reject(name):
    make, reason = WRONG[name]
    verdict, said = judged(make())
    assert verdict is Verdict.REJECT
    assert said.startswith(reason)


def test_envelope__ignore_what_time_may_mend():
    assert judged(GOOD, NOW + 61_000) == (Verdict.IGNORE, "proposal_expired")
    assert judged(GOOD, NOW - 5_000) == (Verdict.IGNORE, "proposal_expired")


def test_envelope__ignore_what_depends_on_the_configuration():
    unendorsed = resigned(with_evidence(endorsements=()))
    assert judged(unendorsed) == (Verdict.IGNORE, "not_endorsed")
    expired = certificate("client-0", "org1", "client", until_ms=NOW + 10)
    assert judged(envelope(shown=expired), NOW + 11) == (Verdict.IGNORE, "certificate_expired")
