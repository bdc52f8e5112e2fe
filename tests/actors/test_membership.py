"""Who belongs to which organisation of an ordered ledger, and that a population can satisfy its own policies."""

import pytest

from actors.founding import found
from actors.membership import admins, certified, root_of, signer_of
from actors.population import build_city, build_members
from actors.scenario import Scenario, ScenarioError, convert
from chain.genesis import Network
from chain.ledgers.ordered.channel import ANYONE
from chain.ledgers.ordered.msp import check_certificate
from chain.ledgers.ordered.policy import Policy, Principal

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def ordered(**changes):
    population = changes.pop("population", {})
    return convert({"seed": 4, "population": population, "ledger": {"kind": "ordered", "ordered": changes}})


def people(scenario, at_ms=NOW_MS):
    city = build_city(scenario, None)
    members = build_members(scenario, city)
    return certified(scenario, members, at_ms), found(scenario, city, members, at_ms)


def test_every_organisation_has_peers_and_orderers_and_all_certificates_are_good():
    members, genesis = people(ordered())
    channel = genesis.ledger.channel
    assert {o.name: o.root for o in channel.organisations} == {
        name: root_of(4, name).account for name in ("org1", "org2", "org3")
    }
    held = {}
    for member in members:
        expected = {"orderer": "orderer", "mec": "peer", "endorser": "peer", "facility": "peer"}.get(member.role)
        if expected is None:
            assert member.certificate is None and signer_of(member) is None
            continue
        account = member.identity.account
        principal = check_certificate(channel, member.certificate, account, NOW_MS)
        assert principal.role == expected
        held.setdefault(principal.role, []).append(principal)
        assert signer_of(member).key.verify_key.encode() == account
    for role in ("orderer", "peer"):
        assert {principal.organisation for principal in held[role]} == {"org1", "org2", "org3"}
    assert len({m.certificate.serial for m in members if m.certificate}) == len(held["peer"]) + len(held["orderer"])
    assert {*channel.orderers} == {m.identity.account for m in members if m.role == "orderer"}


def test_genesis_follows_from_the_scenario_and_says_what_it_says():
    scenario = ordered(batch={"timeout_ms": 20, "idle_ms": 0}, endorsement="OR('org1.peer', 'org3.peer')", tick_ms=50)
    genesis = people(scenario)[1]
    assert genesis == people(scenario)[1]
    assert Network.found(genesis).id == Network.found(people(scenario)[1]).id
    rules = genesis.ledger
    assert (rules.consensus, rules.tick_ms, rules.max_skew_ms) == ("raft", 50, 5_000)
    assert (rules.max_transaction_gas, rules.max_block_gas) == (2**24, 30_000_000)
    assert (rules.channel.batch.timeout_ms, rules.channel.batch.idle_ms) == (20, 0)
    assert Policy.parse(rules.channel.policies.endorsement).satisfied([Principal("org3", "peer")])
    assert rules.channel.policies.writers == ANYONE
    assert Network.found(people(ordered(tick_ms=51))[1]).id != Network.found(genesis).id


def test_solo_has_one_orderer():
    members, genesis = people(ordered(consensus="solo"))
    assert len(genesis.ledger.channel.orderers) == 1 == sum(m.role == "orderer" for m in members)


def test_a_restart_renews_certificates_under_the_same_keys_and_serials():
    scenario = ordered(certificate_days=10)
    first, genesis = people(scenario)
    later = certified(scenario, first, NOW_MS + 11 * DAY_MS)
    for before, after in zip(first, later, strict=True):
        if before.certificate is None:
            continue
        assert before.certificate.serial == after.certificate.serial
        account = after.identity.account
        check_certificate(genesis.ledger.channel, after.certificate, account, NOW_MS + 20 * DAY_MS)
        with pytest.raises(Exception, match="certificate_expired"):
            check_certificate(genesis.ledger.channel, before.certificate, account, NOW_MS + 11 * DAY_MS)


def test_clients_get_certificates_where_not_everybody_may_write():
    scenario = ordered(writers="OR('org2.client', 'org1.peer', 'org2.peer', 'org3.peer')")
    members, genesis = people(scenario)
    clients = [m for m in members if m.role in ("requester", "worker")]
    for member in clients:
        principal = check_certificate(genesis.ledger.channel, member.certificate, member.identity.account, NOW_MS)
        assert principal == Principal("org2", "client")
    everywhere, _ = people(ordered(writers=""))
    assert {m.certificate.organisation for m in everywhere if m.role == "worker"} == {"org1", "org2", "org3"}


def test_admins_can_change_the_channel():
    scenario = ordered()
    genesis = people(scenario)[1]
    channel = genesis.ledger.channel
    signers = admins(scenario, NOW_MS)
    assert [*signers] == ["org1", "org2", "org3"]
    for name, signer in signers.items():
        account = signer.certificate.account
        assert check_certificate(channel, signer.certificate, account, NOW_MS) == Principal(name, "admin")
    assert Policy.parse(channel.policies.admins).satisfied([Principal(name, "admin") for name in ("org1", "org3")])


HOPELESS = {
    "ledger.ordered.endorsement: all 7 peers .* cannot satisfy": {
        "endorsement": "OutOf(8, " + ", ".join(["'org1.peer'"] * 8) + ")"
    },
    "ledger.ordered.blocks: all 3 orderers": {"blocks": "AND('org1.orderer', 'org1.orderer')"},
    "blocks can never be satisfied: it needs 4": {
        "blocks": "OutOf(4, 'org1.orderer', 'org2.orderer', 'org3.orderer', 'org1.orderer')"
    },
    "ledger.ordered.admins: all 3 admins": {"admins": "AND('org1.admin', 'org1.admin')"},
    "ledger.ordered.writers: mec-02 could not write, as a peer of org2": {"writers": "'org1.member'"},
    "ledger.ordered.writers: requester-01 could not write": {"writers": "OR('org1.peer', 'org2.peer', 'org3.peer')"},
}


@pytest.mark.parametrize("message", HOPELESS)
def test_policies_that_the_population_cannot_satisfy__reject_by_key(message):
    with pytest.raises(ScenarioError, match=message):
        people(ordered(**HOPELESS[message]))


def test_few_peers_still_satisfy_the_default_policy():
    few = {"mec": {"count": 1}, "endorser": {"count": 0}, "facility": {"count": 1}}
    genesis = people(ordered(population=few))[1]
    assert len(genesis.ledger.channel.organisations) == 3
    with pytest.raises(ScenarioError, match="all 1 peers"):
        people(ordered(population=few | {"facility": {"count": 0}}))


def test_proof_of_work_knows_no_certificates():
    members, genesis = people(Scenario())
    assert not any(member.certificate for member in members)
    assert genesis.ledger.block_reward == 1_000_000
