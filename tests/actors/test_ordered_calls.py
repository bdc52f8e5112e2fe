"""Calls on an ordered ledger end with a definite answer, from a ledger node and from a phone alike."""

import pytest
import trio
from msgspec.structs import replace

from actors.ledger import OutcomeUnknownError
from actors.local_ledger import LocalLedger
from chain.codec import transaction_id
from chain.contracts.accounts import balance_of
from chain.errors import Refused
from chain.ledger import Dropped
from tests.actors.consortium import RICH, certificate, consortium, identity, mute, network

SHOP = identity("shop").account


def pay(ledger, amount=5, to=SHOP, **how):
    return ledger.call("accounts", "transfer", to, amount, **how)


async def test_a_ledger_node_calls(autojump_clock):
    async with consortium() as it:
        outcome = await pay(it.local(1))
        assert outcome.stage == "final" and outcome.receipt.ok
        assert await it.local(1).query("accounts", "balance", SHOP) == 5
        await trio.sleep(1)
        roots = {node.core.state.root for node in it.nodes.values()}
        assert len(roots) == 1 and {node.core.head.height for node in it.nodes.values()} == {1}


async def test_a_phone_calls(autojump_clock):
    async with consortium() as it:
        phone = await it.light("client-0")
        outcome = await pay(phone)
        assert outcome.stage == "final" and outcome.receipt.ok
        assert await phone.query("accounts", "balance", SHOP) == 5
        assert (await phone.outcome(outcome.transaction)).receipt == outcome.receipt


async def test_calls_that_conflict_are_made_again(autojump_clock):
    """All pay into one account at once: whatever the first one of a block writes, the others had read."""
    async with consortium() as it:
        phones = [await it.light(f"client-{number}") for number in range(8)]
        async with trio.open_nursery() as nursery:
            for phone in phones:
                nursery.start_soon(pay, phone)
        assert await phones[0].query("accounts", "balance", SHOP) == 8 * 5
        retried = it.said("conflict_retried")
        assert {record["reason"] for record in retried} == {"mvcc_read_conflict"}
        core = it.peer(1).core
        codes = core.statistics().codes
        assert codes["VALID"] == 8 and codes["MVCC_READ_CONFLICT"] == len(retried)


async def test_calls_that_keep_conflicting_end(autojump_clock, monkeypatch):
    monkeypatch.setattr("actors.calls.MAX_ATTEMPTS", 1)
    async with consortium() as it:
        told = []

        async def one(phone):
            try:
                await pay(phone)
            except Refused as refused:
                told.append(str(refused))

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(one, await it.light(f"client-{number}"))
        assert told
        assert all("mvcc_read_conflict" in each and "the last of 1 attempts" in each for each in told)


async def test_nothing_is_made_again_after_it_was_accepted(autojump_clock):
    async with consortium() as it:
        phones = [await it.light(f"client-{number}") for number in range(4)]
        async with trio.open_nursery() as nursery:
            for phone in phones:
                nursery.start_soon(lambda phone=phone: pay(phone, stage="accepted"))
        await trio.sleep(3)
        assert it.said("conflict_retried") == []
        assert sum(it.peer(1).core.statistics().codes.values()) == 4


@pytest.mark.parametrize("where", ["local", "phone"])
async def test_a_call__reject_what_its_contract_refuses(autojump_clock, where):
    async with consortium() as it:
        ledger = it.local(1) if where == "local" else await it.light("client-0")
        with pytest.raises(Refused) as refused:
            await pay(ledger, 2 * RICH)
        assert refused.value.reason == "insufficient_balance"
        await trio.sleep(1)
        assert {node.core.head.height for node in it.nodes.values()} == {0}


WRITERS = "OR('org1.client', 'org2.client')"
OUTSIDERS = {
    "no certificate": (lambda: None, "certificate_required"),
    "another role": (lambda: certificate("client-0", "org1", "admin"), "not_a_writer"),
    "another organisation": (lambda: certificate("client-0", "org3", "client"), "not_a_writer"),
    "another's certificate": (lambda: certificate("client-1", "org1", "client"), "certificate_of_another"),
    "an expired one": (lambda: certificate("client-0", "org1", "client", until_ms=1_000), "certificate_expired"),
    "an unknown organisation": (lambda: certificate("client-0", "org9", "client"), "unknown_organisation"),
}


@pytest.mark.parametrize("name", OUTSIDERS)
async def test_a_client_outside_the_policy__reject(autojump_clock, name):
    show, reason = OUTSIDERS[name]
    async with consortium(network(writers=WRITERS)) as it:
        phone = await it.light("client-0", shown=show())
        with pytest.raises(Refused) as refused:
            await pay(phone)
        assert refused.value.reason == reason
        assert it.peer(1).core.head.height == 0


async def test_a_client_inside_the_policy_writes(autojump_clock):
    async with consortium(network(writers=WRITERS)) as it:
        phone = await it.light("client-0", shown=certificate("client-0", "org2", "client"))
        assert (await pay(phone)).receipt.ok
        with pytest.raises(Refused, match=r"not_a_writer: org1\.peer does not satisfy"):
            await pay(it.local(1))


async def test_the_outcome_is_unknown_when_nobody_orders(autojump_clock):
    """The answer says what is not known, and why probably."""
    async with consortium(ordering=False) as it:
        for ledger in (it.local(1), await it.light("client-0")):
            with pytest.raises(OutcomeUnknownError, match=r"accounts\.transfer is not final after 5 s") as unknown:
                await pay(ledger, patience_s=5)
            assert "no orderer leads, as far as 1 of them say" in str(unknown.value)
            assert it.peer(1).core.pending_transaction(unknown.value.transaction) is not None


async def test_a_call_that_expired_is_unknown_until_a_block_shows_it(autojump_clock):
    """A pool drops it by its own clock; only a block's time says that no block will have it."""
    async with consortium(network(proposal_ttl_ms=2_000), ordering=False) as it:
        with pytest.raises(OutcomeUnknownError, match="no orderer leads"):
            await pay(it.local(1), patience_s=20)
        assert [record["reason"] for record in it.said("dropped", "peer-org1")] == ["proposal_expired"]


async def test_a_deadline_before_anything_was_ordered__reject(autojump_clock):
    everybody = "AND('org1.peer', 'org2.peer', 'org3.peer')"
    async with consortium(network(endorsement=everybody)) as it:
        mute(it, 1, 2)
        with pytest.raises(Refused, match=r"deadline_exceeded: .* was not endorsed in 2 s; nothing was submitted"):
            await pay(it.local(1), patience_s=2)
        with pytest.raises(Refused, match="not_enough_endorsers") as refused:
            await pay(it.local(1))
        assert everybody in str(refused.value) and "peer-org2 (org2.peer): " in str(refused.value)
        assert balance_of(it.peer(1).core.state, SHOP) == 0


async def test_many_calls_at_once_are_not_too_many(autojump_clock):
    """A gateway asks an endorser no more at a time than that one takes."""
    everybody = "AND('org1.peer', 'org2.peer', 'org3.peer')"
    async with consortium(network(endorsement=everybody)) as it:
        users = [LocalLedger(it.peer(1), identity(f"client-{number}")) for number in range(40)]
        async with trio.open_nursery() as nursery:
            for number, user in enumerate(users):
                nursery.start_soon(lambda user=user, to=number: pay(user, to=identity(f"shop-{to}").account))
        assert it.peer(1).core.statistics().codes == {"VALID": 40}
        assert [node.overlay.requests_turned_away for node in it.nodes.values()] == [0] * 4


async def test_a_phone_may_call_often_at_once(autojump_clock):
    async with consortium() as it:
        phone = await it.light("client-0", gateways=(1,))
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(lambda: pay(phone, stage="accepted"))
        await trio.sleep(2)
        assert sum(it.peer(1).core.statistics().codes.values()) == 30


async def test_a_call_in_a_block_that_never_was_here_has_no_known_outcome(autojump_clock):
    """The replica jumped over it: that is no refusal, for it may have been carried out."""
    async with consortium() as it:
        node = it.peer(1)
        node.find = lambda _: None
        told = []

        async def one():
            try:
                await pay(it.local(1))
            except OutcomeUnknownError as error:
                told.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            with trio.fail_after(5):
                while not node.core.head.height:  # noqa: ASYNC110 - a test's
                    await trio.sleep(0.01)
            (transaction,) = node.core.block(1).transactions
            assert node.dialect.is_gone(transaction)
            assert not node.dialect.is_gone(replace(transaction, nonce=transaction.nonce + 1))
            node.feed([Dropped(transaction, "outcome_unknown")])
        (error,) = told
        assert "never had" in str(error) and error.transaction == transaction_id(transaction)
