"""A channel's configuration changes while it is in use: nodes and phones go by the new one, whoever says so must be enough."""

import pytest
import trio

from actors.ledger import OutcomeUnknownError
from actors.node import FullNode
from chain.codec import encode
from chain.errors import Refused
from chain.ledgers.ordered.update import revoke, sign_update, with_policies
from chain.ledgers.ordered.values import decode_evidence
from tests.actors.consortium import certificate, consortium, identity, policies

SHOP = identity("shop").account
RENEWED_S = 61.0


async def change(it, config):
    """Have two of three admins sign it, and a phone submit it."""
    signatures = tuple(
        sign_update(
            identity(f"admin-{name}").key, certificate(f"admin-{name}", name, "admin"), it.world.network.id, config
        )
        for name in ("org1", "org2")
    )
    await (await it.light("client-5")).call("channel", "update", config, signatures)


def pay(ledger, **how):
    return ledger.call("accounts", "transfer", SHOP, 5, **how)


async def test_a_revoked_endorser_counts_no_more(autojump_clock):
    async with consortium() as it:
        phone = await it.light("client-0", gateways=(2, 3))
        await pay(phone)
        core = it.peer(1).core
        await change(it, revoke(core.channel, core.signer.certificate))
        with pytest.raises(Refused, match="certificate_revoked"):
            await pay(it.local(1))
        assert phone.channel.sequence == 0
        await trio.sleep(RENEWED_S)
        assert (await pay(phone)).receipt.ok
        assert phone.channel.sequence == 1
        endorsers = {signed.certificate.account for signed in evidence_of(it, 3).endorsements}
        assert endorsers == {identity("peer-org2").account, identity("peer-org3").account}


def evidence_of(it, height):
    return decode_evidence(it.peer(2).core.block(height).evidence[0])


async def test_writers_that_were_let_in_show_who_they_are(autojump_clock):
    async with consortium() as it:
        phone = await it.light("client-0", shown=certificate("client-0", "org3", "client"))
        await pay(phone)
        assert evidence_of(it, 1).creator is None  # where anyone may write, nobody need know
        await change(it, with_policies(it.peer(1).core.channel, policies(writers="'org3.client'")))
        await pay(phone)  # though it has not heard of the change yet
        assert evidence_of(it, 3).creator.organisation == "org3"
        with pytest.raises(Refused, match="certificate_required"):
            await pay(await it.light("client-1"))


class Usurper(FullNode):
    """Says that the channel is its own by now."""

    def answer_query(self, contract, method, args, *, final):
        if (contract, method) != ("channel", "config"):
            return super().answer_query(contract, method, args, final=final)
        mine = with_policies(self.core.channel, policies(endorsement="'org1.peer'"))
        return encode(mine)


async def test_one_gateway_cannot_change_what_is_believed(autojump_clock):
    async with consortium(nodes={1: Usurper}) as it:
        for gateways in ((1,), (1, 2, 3)):
            phone = await it.light(f"client-{len(gateways)}", gateways=gateways)
            await trio.sleep(RENEWED_S)
            await pay(phone)
            assert phone.channel == it.peer(2).core.channel and phone.channel.sequence == 0


async def test_what_is_not_taken_is_handed_over_again(autojump_clock):
    """The orderer is cut off when an envelope is published, and hears of it later."""
    async with consortium(ordering=False) as it:
        with pytest.raises(OutcomeUnknownError):
            await pay(it.local(1), patience_s=16)
        published = [each for each in it.said("published", "peer-org1") if each["topic"].endswith("/tx")]
        assert len(published) == 3  # at once, and after 5 and 15 s
        assert len(it.orderer.core.pool) == 1
