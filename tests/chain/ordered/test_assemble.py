"""The client's part: answers compared, liars and laggards named, an envelope that cannot be ordered refused."""

import itertools

import pytest
from msgspec.structs import replace

from chain.codec import encode
from chain.errors import Refused
from chain.ledgers.ordered.assemble import (
    Agreement,
    agree,
    check_endorsed,
    differences,
    is_signed,
    prepare,
    sign_envelope,
)
from chain.ledgers.ordered.channel import ContractPolicy
from chain.ledgers.ordered.endorse import endorse
from chain.ledgers.ordered.values import (
    MAX_ENDORSEMENTS,
    Endorsed,
    WriteItem,
    decode_envelope,
    decode_evidence,
)
from chain.values import MAX_EVIDENCE_BYTES
from tests.chain.ordered.lab import Consortium, account, key, peer_signer, policies, signer

ALL = ("org1", "org2", "org3")


@pytest.fixture
def lab():
    return Consortium()


def assembled(lab, proposal, answers):
    return agree(lab.one.channel, lab.one.state, proposal, answers, lab.now)


def test_lying_endorser_is_named_with_what_differs(lab):
    lab.run("put", b"a", 1)
    proposal = lab.propose(lab.transaction("increment", b"a"))
    answers = lab.ask(proposal, ALL)
    lies = {
        "writes": {"writes": (WriteItem(b"cabinet/a", encode(10**6)),)},
        "result": {"result": encode(7)},
        "gas": {"gas": 1},
        "reads": {"reads": ()},
        "events": {"events": lab.ask(lab.propose(lab.transaction("say", b"x")), ["org1"])[0].response.events},
    }
    for what, changes in lies.items():
        lie = lab.endorse_falsely(answers[1], "org2", **changes)
        check_endorsed(lab.one.channel, proposal, lie, lab.now)  # it is well signed
        for order in itertools.permutations([answers[0], lie, answers[2]]):
            agreed = assembled(lab, proposal, order)
            assert agreed.response == answers[0].response
            assert {one.certificate.account for one in agreed.endorsements} == {
                account("peer of org1"),
                account("peer of org3"),
            }
            (difference,) = agreed.differing
            assert difference.accounts == (account("peer of org2"),)
            assert (difference.what, difference.height) == (what, 1)
    assert lab.commit(sign_envelope(key("client 0"), prepare(proposal, agreed))) == ["VALID"]


def test_lagging_endorser_is_told_by_its_height(lab):
    lab.run("put", b"a", 1)
    late = lab.ledger(signer("org3", "peer", "late peer"))
    proposal = lab.propose(lab.transaction("increment", b"a"))
    answers = [*lab.ask(proposal), late.endorse(proposal, lab.now)]
    (difference,) = assembled(lab, proposal, answers).differing
    assert (difference.what, difference.height) == ("reads", 0)
    scan = lab.propose(lab.transaction("total_to", b"", b"t"))
    (difference,) = assembled(lab, scan, [*lab.ask(scan), late.endorse(scan, lab.now)]).differing
    assert difference.what == "reads"


def test_disagreement_leaves_nothing_to_sign(lab):
    proposal = lab.propose(lab.transaction("put", b"a", 1))
    one, two = lab.ask(proposal)
    lie = lab.endorse_falsely(two, "org2", gas=1)
    assert assembled(lab, proposal, [one, lie]) is None
    assert assembled(lab, proposal, []) is None
    (difference,) = differences([one, lie])
    assert difference.accounts == (account("peer of org2"),) and difference.what == "gas"


def test_answering_twice_makes_no_majority(lab):
    proposal = lab.propose(lab.transaction("put", b"a", 1))
    one, two, three = lab.ask(proposal, ALL)
    lie = lab.endorse_falsely(two, "org2", gas=1)
    agreed = assembled(lab, proposal, [lie, lie, lie, one, three])
    assert agreed.response == one.response
    assert assembled(lab, proposal, [lie, lie, one]) is None


def test_all_written_contracts_policies_are_asked_for():
    rules = policies(contracts=(ContractPolicy("accounts", "'org3.peer'"), ContractPolicy("cabinet", "'org1.peer'")))
    lab = Consortium(rules=rules)
    proposal = lab.propose(lab.transaction("mint", account("client 1"), 5))
    answers = dict(zip(ALL, lab.ask(proposal, ALL), strict=True))
    assert assembled(lab, proposal, [answers["org1"], answers["org2"]]) is None
    assert assembled(lab, proposal, [answers["org3"], answers["org2"]]) is None
    agreed = assembled(lab, proposal, [answers["org1"], answers["org3"]])
    assert lab.commit(sign_envelope(key("client 0"), prepare(proposal, agreed))) == ["VALID"]


def test_answer_to_another_proposal_is_refused(lab):
    one, two = (lab.propose(lab.transaction("put", b"a", 1)) for _ in range(2))
    (answer,) = lab.ask(one, ["org1"])
    with pytest.raises(Refused, match="other_proposal"):
        check_endorsed(lab.one.channel, two, answer, lab.now)


def test_answer_must_be_signed_by_a_member(lab):
    proposal = lab.propose(lab.transaction("put", b"a", 1))
    (answer,) = lab.ask(proposal, ["org1"])
    changed = Endorsed(replace(answer.response, gas=1), answer.endorsement, answer.height)
    stolen = Endorsed(
        answer.response, replace(answer.endorsement, certificate=peer_signer("org2").certificate), answer.height
    )
    stranger = Endorsed(answer.response, endorse(signer("org9", "peer", "stranger"), answer.response), 0)
    old = Endorsed(answer.response, endorse(signer("org1", "peer", "old", until_ms=1), answer.response), 0)
    for bad, reason in (
        (changed, "bad_signature"),
        (stolen, "bad_signature"),
        (stranger, "unknown_organisation"),
        (old, "certificate_expired"),
    ):
        with pytest.raises(Refused) as caught:
            check_endorsed(lab.one.channel, proposal, bad, lab.now)
        assert caught.value.reason == reason


def test_envelope_that_no_block_can_hold_is_not_made(lab):
    proposal = lab.propose(lab.transaction("put", b"a", 1))
    (answer,) = lab.ask(proposal, ["org1"])
    large = replace(answer.response, result=bytes(MAX_EVIDENCE_BYTES - 300))
    with pytest.raises(Refused, match="envelope_too_large"):
        prepare(proposal, Agreement(large, (answer.endorsement,), ()))
    with pytest.raises(Refused, match="too_many_endorsements"):
        prepare(proposal, Agreement(answer.response, (answer.endorsement,) * (MAX_ENDORSEMENTS + 1), ()))


def test_only_the_sender_signs_and_what_it_signed_cannot_be_changed(lab):
    envelope = lab.call("put", b"a", 1)
    assert is_signed(envelope)
    assert decode_envelope(encode(envelope)) == envelope
    assert decode_evidence(encode(envelope.evidence)) == envelope.evidence
    with pytest.raises(ValueError, match="sender"):
        sign_envelope(key("client 1"), envelope)
    evidence = envelope.evidence
    for changed in (
        replace(evidence, time_ms=evidence.time_ms + 1),
        replace(evidence, endorsements=evidence.endorsements[:1]),
        replace(evidence, endorsements=evidence.endorsements[::-1]),
        replace(evidence, response=replace(evidence.response, gas=0)),
        replace(evidence, creator=peer_signer("org1").certificate),
        replace(evidence, signature=bytes(64)),
    ):
        assert not is_signed(replace(envelope, evidence=changed))


def test_of_two_responses_that_suffice_the_one_of_more_endorsers_is_taken():
    lab = Consortium(rules=policies(endorsement="OR('org1.peer', 'org2.peer', 'org3.peer')"))
    proposal = lab.propose(lab.transaction("put", b"a", 1))
    one, two, three = lab.ask(proposal, ALL)
    lie = lab.endorse_falsely(two, "org2", gas=1)
    assert assembled(lab, proposal, [lie, lie, lie, one, three]).response == one.response
