"""A phone believes its gateway what is proven, asks the next one when one fails, and says when it cannot know.

The gateways are a real overlay's peers on the memory network; behind the honest ones is a real ledger, the others lie.
"""

import random
from contextlib import asynccontextmanager

import pytest
import trio
from msgspec.structs import replace

from actors import gateway_messages as m
from actors.identity import Identity
from actors.ledger import GatewayError, OutcomeUnknownError
from actors.messages import GATEWAY
from actors.remote_ledger import RemoteLedger
from chain.codec import block_id, decode_transaction, encode, transaction_id
from chain.errors import Refused
from chain.ledgers.pow.ledger import PowLedger
from chain.ledgers.pow.mining import has_work
from chain.light import decode_proof
from net.gossip.config import GossipConfig
from net.memory import LinkConditions, MemoryNetwork
from net.overlay import Overlay
from net.requests import RequestRefused
from net.signing import verify_once
from tests.chain.pow.founding import GENESIS_MS, account, found, key, transfer

DEPTH = 3
NETWORK = found(finality_depth=DEPTH, initial_difficulty=1_600)
ME = Identity(bytes(key(2)._seed))


class Chain:
    """A ledger that mines a block whenever it is told to."""

    def __init__(self):
        self.core = PowLedger(NETWORK, producer=account(1))
        self.now = GENESIS_MS

    def block(self, count=1):
        for _ in range(count):
            height, self.now = self.core.head.height, self.now + 10_000
            while self.core.head.height == height:
                self.core.mine(200, self.now)

    def answer(self, request):
        match request:
            case m.NextNonce(who):
                return m.Number(self.core.next_nonce(who))
            case m.Submit(raw):
                try:
                    self.core.submit(decode_transaction(raw), self.now)
                except Refused as refused:
                    return m.Refusal(refused.reason, refused.detail)
                return m.Accepted()
            case m.Wait(tx, final, _):
                return self.wait(tx, final)
            case m.AskHeads():
                return m.HeadsAnswer(self.core.head, self.core.final)
        raise AssertionError(request)

    def wait(self, tx, final):
        self.block(DEPTH + 1 if final else 1)
        block, receipt, _ = self.core.receipt(tx)
        if not final:
            return m.Found("included", receipt, block.header, b"")
        return m.Found("final", receipt, block.header, encode(self.core.proof(tx)))


class World:
    """As much of a world as a remote ledger looks at."""

    network, genesis = NETWORK, NETWORK.genesis


def overlay(network, identity):
    return Overlay(
        network.attach(identity.peer_id),
        sign=identity.sign,
        verify=verify_once,
        config=GossipConfig(),
        rng=random.Random(1),
    )


def handler(behaviour):
    async def handle(peer, body):
        answer = behaviour(m.decode_request(body))
        if answer is None:
            await trio.sleep_forever()
        return answer if isinstance(answer, bytes) else m.encode_message(answer)

    return handle


@asynccontextmanager
async def asking(*behaviours):
    """A remote ledger with a gateway for each behaviour: from a request to an answer, bytes, or None for silence."""
    network = MemoryNetwork(rng=random.Random(1), conditions=LinkConditions(latency_s=0.01))
    gateways = [Identity.derive(1, f"gateway-{n}") for n in range(len(behaviours))]
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        mine = overlay(network, ME)
        await nursery.start(mine.run)
        for identity, behaviour in zip(gateways, behaviours, strict=True):
            theirs = overlay(network, identity)
            await nursery.start(theirs.run)
            nursery.start_soon(_serve, theirs, handler(behaviour))
            await mine.connect(identity.peer_id, theirs.addresses)
        yield RemoteLedger(ME, mine, lambda: [identity.peer_id for identity in gateways], World())
        nursery.cancel_scope.cancel()


async def _serve(theirs, handle):
    async with theirs.serve(GATEWAY, handle):
        await trio.sleep_forever()


def pay(ledger, **how):
    return ledger.call("accounts", "transfer", account(9), 5, **how)


@pytest.fixture
def chain():
    return Chain()


async def test_a_final_outcome_comes_with_its_proof(autojump_clock, chain):
    async with asking(chain.answer) as ledger:
        outcome = await pay(ledger)
    assert outcome.stage == "final" and outcome.receipt.ok
    block, receipt, _ = chain.core.receipt(outcome.transaction)
    assert (outcome.receipt, outcome.header) == (receipt, block.header)


async def test_calls_follow_each_other(autojump_clock, chain):
    async with asking(chain.answer) as ledger:
        for _ in range(3):
            await pay(ledger)
        assert (await pay(ledger, stage="included")).stage == "included"
        assert (await pay(ledger, stage="accepted")).receipt is None
    assert chain.core.next_nonce(ME.account) == 5


async def test_call__reject_what_the_rules_do_not_allow(autojump_clock, chain):
    async with asking(chain.answer) as ledger:
        with pytest.raises(Refused) as refused:
            await ledger.call("accounts", "transfer", account(9), 10**15)
    assert refused.value.reason == "insufficient_balance"
    assert chain.core.pending() == ()


async def test_a_call_that_its_block_refuses_is_refused(autojump_clock, chain):
    def taken_meanwhile(request):
        answer = chain.answer(request)
        if isinstance(answer, m.Found):
            return replace(answer, receipt=replace(answer.receipt, ok=False, reason="too_late"))
        return answer

    async with asking(taken_meanwhile) as ledger:
        with pytest.raises(Refused, match="too_late"):
            await pay(ledger, stage="included")


def lie(chain, change):
    """A gateway that alters its final answers."""

    def behaviour(request):
        answer = chain.answer(request)
        return change(answer) if isinstance(answer, m.Found) and answer.stage == "final" else answer

    return behaviour


def with_proof(change):
    def altered(found):
        return replace(found, proof=encode(change(decode_proof(found.proof))))

    return altered


def another_transaction(chain):
    """The proof is good, but of somebody else's payment."""
    other = transfer(NETWORK, 3, 0)

    def altered(found):
        if chain.core.receipt(transaction_id(other)) is None:
            chain.core.submit(other, chain.now)
            chain.block(DEPTH + 1)
        return replace(found, proof=encode(chain.core.proof(transaction_id(other))))

    return altered


def cheap_headers(proof):
    """Headers on top that are linked, but cost next to nothing."""
    above, parent = [], proof.header
    for _ in range(DEPTH):
        parent = replace(parent, parent=block_id(parent), height=parent.height + 1, difficulty=1)
        above.append(parent)
    return replace(proof, above=tuple(above))


LIES = {
    "no proof": lambda c: lambda f: replace(f, proof=b""),
    "garbage": lambda c: lambda f: replace(f, proof=b"\xc1" * 100),
    "a proof cut short": lambda c: lambda f: replace(f, proof=f.proof[:-1]),
    "a false receipt": lambda c: with_proof(lambda p: replace(p, receipt=replace(p.receipt, ok=False))),
    "too few headers": lambda c: with_proof(lambda p: replace(p, above=p.above[:-1])),
    "no headers": lambda c: with_proof(lambda p: replace(p, above=())),
    "headers without work": lambda c: with_proof(cheap_headers),
    "headers of elsewhere": lambda c: with_proof(lambda p: replace(p, above=p.above[::-1])),
    "another transaction": another_transaction,
}


@pytest.mark.parametrize("name", LIES)
async def test_a_lying_gateway_is_not_believed(autojump_clock, chain, name):
    """However often it says so: the call ends as unknown, never as done."""
    async with asking(lie(chain, LIES[name](chain))) as ledger:
        with pytest.raises(OutcomeUnknownError) as unknown:
            await pay(ledger, patience_s=30)
    assert chain.core.receipt(unknown.value.transaction) is not None  # it was done, which nobody proved


@pytest.mark.parametrize("name", LIES)
async def test_outcome__reject_lies(autojump_clock, chain, name):
    payment = transfer(NETWORK, 2, 0)
    chain.core.submit(payment, chain.now)
    asked = m.Wait(transaction_id(payment), final=True, for_ms=0)
    told = LIES[name](chain)(chain.answer(asked))
    async with asking(lambda request: told) as ledger:
        with pytest.raises(GatewayError, match=r"proof does not hold|proved another"):
            await ledger.outcome(transaction_id(payment))
    async with asking(lambda request: told, lambda request: chain.answer(asked)) as ledger:
        assert (await ledger.outcome(transaction_id(payment))).stage == "final"


@pytest.mark.parametrize("name", LIES)
async def test_after_a_liar_the_next_gateway_is_believed(autojump_clock, chain, name):
    async with asking(lie(chain, LIES[name](chain)), chain.answer) as ledger:
        outcome = await pay(ledger, patience_s=60)
    assert outcome.stage == "final" and outcome.receipt.ok


async def test_one_cheap_block_does_not_make_the_next_lie_free(autojump_clock, chain):
    """The block under a proof says what it likes of its own difficulty; the work on top of it is what counts."""

    def cheap_block(request):
        """The transaction in a block of no difficulty, with three real ones mined on top."""
        answer = chain.answer(request)
        if not (isinstance(answer, m.Found) and answer.stage == "final"):
            return answer
        proof = decode_proof(answer.proof)
        header = parent = replace(proof.header, difficulty=1)
        above = []
        for child in proof.above:
            parent = ground(replace(child, parent=block_id(parent), height=parent.height + 1, difficulty=200))
            above.append(parent)
        return replace(answer, header=header, proof=encode(replace(proof, header=header, above=tuple(above))))

    async with asking(cheap_block) as ledger:
        await pay(ledger)  # an eighth of the work that genesis asks for: as much as was paid
    assert ledger._belief.work_per_block == 100
    async with asking(lie(chain, with_proof(cheap_headers))) as liar:
        liar._belief.work_per_block = ledger._belief.work_per_block
        with pytest.raises(OutcomeUnknownError):
            await pay(liar, patience_s=20)


def ground(header):
    nonce = 0
    while not has_work(block_id(tried := replace(header, nonce=nonce)), header.difficulty):
        nonce += 1
    return tried


FAILURES = {
    "silent": lambda request: None,
    "garbage": lambda request: b"\xc1",
    "oversized": lambda request: bytes(m.MAX_ANSWER_BYTES + 1),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_gateway_that_fails_is_passed_over(autojump_clock, chain, name):
    async with asking(FAILURES[name], chain.answer) as ledger:
        assert (await ledger.heads()).head == chain.core.head
        assert (await pay(ledger)).stage == "final"


@pytest.mark.parametrize("name", FAILURES)
async def test_nobody_to_ask__reject(autojump_clock, name):
    async with asking(FAILURES[name]) as ledger:
        with pytest.raises(GatewayError, match="no gateway answers: "):
            await ledger.heads()
        with pytest.raises(GatewayError, match="no gateway answers: "):
            await pay(ledger)


async def test_no_gateway__reject(autojump_clock):
    async with asking() as ledger:
        with pytest.raises(GatewayError, match="no link to any"):
            await ledger.query("spatial", "reports", "pending", 1, None)


async def test_a_gateway_that_refuses_the_request_is_passed_over(autojump_clock, chain):
    def refuse(request):
        raise RequestRefused("not today")

    async with asking(refuse, chain.answer) as ledger:
        assert (await ledger.heads()).final == chain.core.final
    async with asking(refuse) as ledger:
        with pytest.raises(GatewayError, match="not today"):
            await ledger.heads()


@pytest.mark.parametrize(
    "ask",
    [
        lambda ledger: ledger.heads(),
        lambda ledger: ledger.block(3),
        lambda ledger: ledger.headers(None, 3),
        lambda ledger: ledger.waiting(3),
        lambda ledger: ledger.query("spatial", "rules"),
        lambda ledger: ledger.outcome(bytes(32)),
        pay,
    ],
)
async def test_an_answer_to_another_question__reject(autojump_clock, ask):
    async with asking(lambda request: m.Accepted() if not isinstance(request, m.Submit) else m.Number(1)) as ledger:
        with pytest.raises(GatewayError, match="the gateway answered"):
            await ask(ledger)


async def test_a_query_result_of_another_kind__reject(autojump_clock):
    async with asking(lambda request: m.Result(b"\xc1garbage")) as ledger:
        with pytest.raises(GatewayError):
            await ledger.query("spatial", "rules")


async def test_the_outcome_is_unknown_when_nobody_tells_in_time(autojump_clock, chain):
    def forgetful(request):
        return m.Unknown() if isinstance(request, m.Wait) else chain.answer(request)

    async with asking(forgetful) as ledger:
        began = trio.current_time()
        with pytest.raises(OutcomeUnknownError, match=r"accounts\.transfer is not final after 30 s") as unknown:
            await pay(ledger, patience_s=30)
        assert trio.current_time() - began == pytest.approx(30, abs=1)
        assert chain.core.pending_transaction(unknown.value.transaction) is not None
        assert await ledger.outcome(unknown.value.transaction) is None


async def test_a_dropped_transaction_is_told(autojump_clock, chain):
    def dropped(request):
        return m.Refusal("expired", "") if isinstance(request, m.Wait) else chain.answer(request)

    async with asking(dropped) as ledger:
        with pytest.raises(Refused, match="expired"):
            await pay(ledger)
