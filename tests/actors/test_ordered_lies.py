"""Who lies on an ordered ledger is not believed, and named: endorsers, gateways, orderers; who only lags is borne with."""

import pytest
import trio
from msgspec.structs import replace

from actors.ledger import GatewayError, OutcomeUnknownError
from actors.node import FullNode
from chain.codec import block_id, encode
from chain.contract import encode_args
from chain.errors import Refused
from chain.keys import sign_transaction
from chain.ledgers.ordered.blocks import build_block, seal
from chain.ledgers.ordered.endorse import endorse
from chain.ledgers.ordered.ledger import OrderedConfig, OrderedLedger
from chain.ledgers.ordered.proof import prove
from chain.ledgers.ordered.values import Batch, Endorsed, WriteItem
from net.gossip.events import Verdict
from tests.actors.consortium import FOREVER_MS, consortium, identity, mute, network, signer

SHOP = identity("shop").account
EVERYBODY = "AND('org1.peer', 'org2.peer', 'org3.peer')"


def pay(ledger, amount=5, **how):
    return ledger.call("accounts", "transfer", SHOP, amount, **how)


class Liar(OrderedLedger):
    """Endorses that everybody who is paid gets so much more."""

    bonus = 1

    def endorse(self, proposal, now_ms):
        honest = super().endorse(proposal, now_ms)
        writes = tuple(WriteItem(w.key, encode(10**9 + self.bonus)) for w in honest.response.writes)
        response = replace(honest.response, writes=writes)
        return Endorsed(response, endorse(self.signer, response), honest.height)


class OtherLiar(Liar):
    bonus = 2


def dishonest(core):
    def make(net, name, organisation):
        return core(net, signer=signer(name, organisation, "peer"), config=OrderedConfig(status_interval_ms=500))

    return make


async def test_a_lying_endorser_is_named_and_done_without(autojump_clock):
    async with consortium(peers={2: dishonest(Liar)}) as it:
        mine = it.local(1)
        for _ in range(4):
            assert (await pay(mine)).receipt.ok
        assert await mine.query("accounts", "balance", SHOP) == 20
        told = it.said("endorsement_differs", "peer-org1")
        assert told and all(each["who"] == ["peer-org2"] and each["what"] == "writes" for each in told)
        blamed = it.said("penalised", "peer-org1")
        assert {each["reason"] for each in blamed} == {"endorsed other writes than the others"}
        liar = it.peer(2).identity.peer_id
        scores = it.peer(1).overlay.scores()
        assert scores[liar] == min(scores.values()) < 0
        # Once it was seen to differ it is asked last: that is, not at all.
        assert len(told) == 1


async def test_endorsers_that_nobody_agrees_with__reject(autojump_clock):
    async with consortium(peers={2: dishonest(Liar), 3: dishonest(OtherLiar)}) as it:
        for ledger in (it.local(1), await it.light("client-0", gateways=(1,))):
            with pytest.raises(Refused) as refused:
                await pay(ledger)
            assert refused.value.reason == "endorsements_differ"
            for said in ("from peer-org1 at height 0", "peer-org2 in writes at height 0", "peer-org3 in writes"):
                assert said in refused.value.detail
        assert it.peer(1).core.head.height == 0


async def test_a_phone_asks_another_gateway_when_one_cannot_gather(autojump_clock):
    async with consortium() as it:
        mute(it, 1, 2)
        mute(it, 1, 3)
        assert (await pay(await it.light("client-0", gateways=(1, 2)))).receipt.ok
        with pytest.raises(Refused, match="not_enough_endorsers"):
            await pay(await it.light("client-1", gateways=(1,)))


class Sluggish(FullNode):
    """Takes blocks in a while after it has received them."""

    async def _later(self, peer, block, publisher):
        await trio.sleep(0.15)
        super()._receive_block(peer, block, publisher=publisher)

    def _receive_block(self, peer, block, *, publisher):
        self._nursery.start_soon(self._later, peer, block, publisher)


async def test_an_endorser_that_lags_is_waited_for(autojump_clock):
    async with consortium(network(endorsement=EVERYBODY), nodes={2: Sluggish}) as it:
        mine = it.local(1)
        for _ in range(3):
            assert (await pay(mine)).receipt.ok
        assert it.said("endorsement_differs") == [] and it.said("penalised") == []
        assert await mine.query("accounts", "balance", SHOP) == 15
        await trio.sleep(1)
        assert it.peer(2).core.state.root == it.peer(1).core.state.root


async def test_an_endorser_that_lags_is_done_without(autojump_clock):
    """Where others suffice nobody need wait."""
    async with consortium(nodes={2: Sluggish}) as it:
        mine = it.local(1)
        began = trio.current_time()
        for _ in range(6):
            assert (await pay(mine)).receipt.ok
        assert trio.current_time() - began < 6 * 0.15
        assert it.said("endorsement_differs") == []


async def test_a_gateway_without_a_certificate_gathers_from_others(autojump_clock):
    def plain(net, name, organisation):
        return OrderedLedger(net)

    async with consortium(peers={3: plain}) as it:
        phone = await it.light("client-0", gateways=(3, 1, 2))
        assert (await pay(phone)).receipt.ok
    async with consortium(network(endorsement=EVERYBODY), peers={3: plain}) as it:
        with pytest.raises(Refused, match="not_enough_endorsers") as refused:
            await pay(await it.light("client-0", gateways=(3,)))
        assert EVERYBODY in refused.value.detail
        assert "linked: peer-org" in refused.value.detail and "peer-org3" not in refused.value.detail


async def test_an_endorser_whose_certificate_has_expired_does_not_count(autojump_clock):
    def lapsed(net, name, organisation):
        return OrderedLedger(net, signer=signer(name, organisation, "peer", until_ms=net.genesis.time_ms))

    async with consortium(network(endorsement=EVERYBODY), peers={2: lapsed}) as it:
        with pytest.raises(Refused, match="not_enough_endorsers") as refused:
            await pay(it.local(1))
        assert "peer-org2" not in refused.value.detail
        with pytest.raises(Refused, match="certificate_expired"):
            await pay(it.local(2))


# Gateways. ----------------------------------------------------------------------------------------------------------


class Denier(FullNode):
    """Attests that what was done was refused."""

    def proof(self, transaction):
        block, receipt, index = self.core.receipt(transaction)
        receipts = list(self.core.receipts(block.header.height))
        receipts[index] = replace(receipt, ok=False, reason="mvcc_read_conflict")
        return prove(block, receipts, index, self.core.signer)


async def test_a_gateway_that_lies_of_an_outcome_is_outvoted(autojump_clock):
    async with consortium(nodes={1: Denier}) as it:
        outcome = await pay(await it.light("client-0"))
        assert outcome.receipt.ok and it.said("conflict_retried") == []


class Withholder(Denier):
    """And keeps to itself what others say."""

    async def words(self, transaction):
        return ()


async def test_a_gateway_that_lies_of_an_outcome__reject(autojump_clock):
    async with consortium(nodes={1: Withholder}) as it:
        with pytest.raises(
            OutcomeUnknownError, match=r"not enough gateways vouch for the outcome: org1\.peer, of "
        ) as one:
            await pay(await it.light("client-0", gateways=(1,)), patience_s=10)
        assert it.peer(2).core.receipt(one.value.transaction)[1].ok  # it was done, which nobody else told
    both = {1: Withholder, 2: Withholder}
    async with consortium(network(endorsement="AND('org1.peer', 'org3.peer')"), nodes=both) as it:
        phone = await it.light("client-1", gateways=(1, 2))
        with pytest.raises(OutcomeUnknownError, match=r"org1\.peer, org2\.peer, of AND"):
            await pay(phone, patience_s=10)


async def test_gateways_that_tell_different_outcomes__reject(autojump_clock):
    async with consortium(network(endorsement="AND('org1.peer', 'org2.peer')"), nodes={1: Withholder}) as it:
        phone = await it.light("client-1", gateways=(1, 2))
        with pytest.raises(OutcomeUnknownError, match=r"org1\.peer, org2\.peer, who tell 2 different outcomes"):
            await pay(phone, patience_s=10)


async def test_one_gateway_hands_over_the_words_of_others(autojump_clock):
    """Who must not be known by more than one gateway learns the outcome all the same."""
    async with consortium() as it:
        assert (await pay(await it.light("client-0", gateways=(2,)))).receipt.ok
    async with consortium(nodes={2: Withholder}) as it:
        with pytest.raises(
            OutcomeUnknownError, match=r"not enough gateways vouch for the outcome: org2\.peer, of OutOf"
        ):
            await pay(await it.light("client-0", gateways=(2,)), patience_s=10)
    async with consortium(network(endorsement="OR('org1.peer', 'org2.peer', 'org3.peer')")) as it:
        it.peer(2).words = None  # not even asked: one word is enough
        assert (await pay(await it.light("client-0", gateways=(2,)))).receipt.ok


class Naysayer(FullNode):
    """Says of everything that it will never be in a block."""

    async def wait_for(self, transaction, stage):
        raise Refused("proposal_expired")


async def test_one_gateways_denial_is_no_answer(autojump_clock):
    async with consortium(nodes={1: Naysayer}) as it:
        assert (await pay(await it.light("client-0", gateways=(1, 2)))).receipt.ok
        with pytest.raises(Refused, match="proposal_expired"):
            await pay(await it.light("client-1", gateways=(1,)))


class Forger(FullNode):
    """Has a payment of its own endorsed instead of what it was asked for."""

    async def prepare(self, transaction, creator):
        args = (transaction.chain, transaction.nonce, "accounts", "transfer", encode_args(SHOP, 7))
        return await super().prepare(sign_transaction(self.identity.key, *args), creator)


class Swapper(FullNode):
    """Shows the response to another proposal."""

    async def prepare(self, transaction, creator):
        envelope = await super().prepare(transaction, creator)
        response = replace(envelope.evidence.response, proposal=bytes(32))
        return replace(envelope, evidence=replace(envelope.evidence, response=response))


@pytest.mark.parametrize("forger", [Forger, Swapper])
async def test_what_a_gateway_prepared_is_checked_before_it_is_signed(autojump_clock, forger):
    async with consortium(nodes={1: forger}) as it:
        assert (await pay(await it.light("client-0"))).receipt.ok
        with pytest.raises(GatewayError, match="the gateway prepared"):
            await pay(await it.light("client-1", gateways=(1,)))


# Orderers. ----------------------------------------------------------------------------------------------------------


def another_block(it, time_ms=FOREVER_MS):
    """A second first block, with the orderer's good seal."""
    core = it.orderer.core
    batch = Batch(time_ms, core.signer.certificate.account, (), ())
    return seal(build_block(core.header(0), core.chain, batch, 1), core.signer)


async def test_an_orderer_that_signs_two_blocks_is_told_of(autojump_clock):
    async with consortium() as it:
        await pay(it.local(1))
        await trio.sleep(1)
        fork = another_block(it)
        await it.orderer.overlay.publish("/consortium/blocks", encode(fork))
        await trio.sleep(1)
        for number in (1, 2, 3):
            (record,) = it.said("equivocated", f"peer-org{number}")
            assert record["height"] == 1 and record["who"] == ["orderer"] and record["twice"]
            assert record["other"] == block_id(fork.header).hex()[:16]
            scores = it.peer(number).overlay.scores()
            assert scores[it.orderer.identity.peer_id] < 0
        assert len({node.core.head_id for node in it.nodes.values()}) == 1
        # One proof is enough: what else it signs of that height goes no further.
        peer = it.peer(1)
        message = type("Message", (), {"data": encode(another_block(it, FOREVER_MS - 1))})
        assert peer.dialect.judge_block(message, it.world.clock.now_ms()) == (Verdict.IGNORE, "told already")


async def test_a_block_that_no_orderer_signed__reject(autojump_clock):
    async with consortium() as it:
        intruder = signer("intruder", "org1", "orderer")
        core = it.peer(1).core
        batch = Batch(it.world.clock.now_ms(), intruder.certificate.account, (), ())
        block = seal(build_block(core.head, core.head_id, batch, 1), intruder)
        await it.peer(1).overlay.publish("/consortium/blocks", encode(block))
        await trio.sleep(1)
        assert any("is no orderer of the channel" in each["reason"] for each in it.said("rejected"))
        assert it.peer(2).core.head.height == 0


async def test_a_replica_with_another_state_says_so(autojump_clock):
    """Its store was altered: members attest another state, and it endorses no more."""
    async with consortium() as it:
        ill = it.peer(3)
        ill.core._replica.state = ill.core.state.apply({b"accounts/balance/" + SHOP: encode(7)}, (0, 0))
        for number in (1, 2):
            await pay(it.local(number))
        await trio.sleep(5)
        (record,) = it.said("diverged", "peer-org3")
        assert "members attest another state" in record["reason"]
        assert {each["who"] for each in it.said("disagreed", "peer-org1")} == {"peer-org3"}
        with pytest.raises(Refused, match="replica_diverged"):
            await pay(it.local(3))
        (mishap,) = it.world.errors
        assert "the replica diverged" in mishap
        it.mishaps.append(mishap)
