"""What people are shown of blocks, transactions and the channel of a real ordered ledger."""

from dataclasses import dataclass, replace

import pytest

from actors.ledger import FoundBlock
from actors.membership import admins, signer_of
from actors.ordered_views import certificate_view, channel_view, endorsers_of, leader_of, ordered_core
from actors.views import actor_id, block_view, transaction_view
from chain.errors import Refused
from chain.genesis import Genesis, Network
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.update import revoke, sign_update
from tests.actors.ordered_chain import START_MS, OrderedChain, solo


@dataclass
class Rules:
    """As much of a world as views look at."""

    genesis: Genesis
    network: Network


@pytest.fixture
def town():
    return OrderedChain()


@pytest.fixture
def world(town):
    return Rules(town.network.genesis, town.network)


def shown(town, world, height):
    core = town.peers[0]
    return block_view(world, FoundBlock(core.block(height), core.receipts(height), final=True))


def test_a_block_shows_its_orderer_and_its_seals(town, world):
    town.cut(town.report("requester-01"))
    view = shown(town, world, 1)
    orderer = actor_id(town.orderer.identity.account)
    assert view.summary.producer == orderer and view.summary.final
    assert [(seal.organisation, seal.role, seal.account) for seal in view.seals] == [("org1", "orderer", orderer)]
    assert view.rewards == []
    assert shown(town, world, 0).seals == []


def test_transactions_show_their_code_and_their_endorsers(town, world):
    town.cut(town.report("requester-01"), town.report("requester-02"))
    good, bad = shown(town, world, 1).transactions
    assert (good.ok, good.code, good.reason) == (True, "VALID", "")
    assert not bad.ok and bad.code in {"MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT"}
    assert bad.reason == bad.code.lower()
    assert good.made_ms == START_MS
    peers = [actor_id(peer.signer.certificate.account) for peer in town.peers]
    for view in (good, bad):
        assert len({one.organisation for one in view.endorsers}) >= 2
        assert all(one.role == "peer" and one.account in peers for one in view.endorsers)
    assert endorsers_of(b"\xc1 no evidence") == []


def test_what_waits_has_no_code_yet(town, world):
    envelope = town.report("requester-01")
    view = transaction_view(world, envelope.transaction, None)
    assert (view.ok, view.code, view.endorsers, view.made_ms) == (None, "", (), START_MS)


def test_the_channel_is_shown_as_it_is_now(town):
    rules = town.network.ordered
    founded = channel_view(rules, [])
    assert (founded.sequence, founded.consensus, founded.leader, founded.codes) == (0, "solo", None, [])
    town.cut(town.report("requester-01"))
    assert channel_view(rules, town.peers).codes == [("VALID", 1)]
    member = town.member("endorser-02")
    changed = revoke(town.peers[0].channel, member.certificate)
    consent = [
        sign_update(signer.key, signer.certificate, town.network.id, changed)
        for signer in list(admins(solo(), START_MS).values())[:2]
    ]
    town.cut(town.call("requester-01", "channel", "update", changed, tuple(consent)))
    now = channel_view(rules, town.peers)
    serial = member.certificate.serial
    assert (now.sequence, now.revoked) == (1, [(member.certificate.organisation, serial)])
    assert [name for name, _ in now.organisations] == ["org1", "org2", "org3"]
    assert dict(now.batch)["transactions"] == 500 and dict(now.policies)["writers"] == "anyone"
    assert certificate_view(member.certificate, town.peers[0].channel).revoked
    assert not certificate_view(town.member("endorser-01").certificate, town.peers[0].channel).revoked
    assert certificate_view(None, None) is None


def test_admins_of_one_organisation_cannot_change_the_channel(town):
    changed = revoke(town.peers[0].channel, town.member("endorser-02").certificate)
    signer = admins(solo(), START_MS)["org1"]
    consent = (sign_update(signer.key, signer.certificate, town.network.id, changed),)
    with pytest.raises(Refused, match="admins_policy"):
        town.call("requester-01", "channel", "update", changed, consent)


def test_the_leader_is_whom_a_node_follows(town):
    assert leader_of(town.peers) is None
    account = town.orderer.identity.account
    town.peers[1].leader = account
    assert leader_of(town.peers) == actor_id(account)


def test_only_an_ordered_ledger_has_such_a_core(town):
    assert ordered_core(town.peers[0]) is town.peers[0]
    assert ordered_core(object()) is None
    joined = OrderedLedger(town.network, signer=signer_of(replace(town.member("mec-01"), certificate=None)))
    assert joined.signer is None
