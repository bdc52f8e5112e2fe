"""Calls that were simulated beside one another do what they would have done one after the other, in the order of the blocks.

The oracle is the plain way: every valid call of the chain is executed anew on the state that those before it left, at the
time of its proposal. Results, events, gas and the state must be what endorsers signed.
"""

from collections import Counter
from collections.abc import Sequence

from hypothesis import event, given, settings
from hypothesis import strategies as st

from actors.consortium_trial import Links
from chain.codec import transaction_id
from chain.contract import Context, encode_args
from chain.contracts.accounts import supply
from chain.gas import Meter, intrinsic_gas
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.values import decode_evidence
from chain.state import Version, WorldState
from chain.values import Transaction
from tests.chain.conformance.founding import CREDIT, GAS, PEOPLE, Founding
from tests.chain.conformance.ledgers import Asked
from tests.chain.conformance.on_ordered import LEVEL, OnOrdered
from tests.chain.conformance.story import Story
from tests.chain.town import HERE
from tests.strategies import account

WHO = st.sampled_from(PEOPLE[:5])
KEY = st.sampled_from([b"a/1", b"a/2", b"a/3", b"b/1"])
PREFIX = st.sampled_from([b"a/", b"b/", b""])
PLACE = st.integers(0, 4).map(lambda step: (HERE[0] + step * 7_000, HERE[1]))
CALLS = st.one_of(
    st.builds(lambda who, key, value: Asked(who, "lab", "put", (key, value)), WHO, KEY, st.integers(0, 9)),
    st.builds(lambda who, key: Asked(who, "lab", "drop", (key,)), WHO, KEY),
    st.builds(lambda who, key: Asked(who, "lab", "is_there", (key,)), WHO, KEY),
    st.builds(lambda who, prefix: Asked(who, "lab", "count", (prefix,)), WHO, PREFIX),
    st.builds(
        lambda who, to, amount: Asked(who, "accounts", "transfer", (account(to), amount)),
        WHO,
        WHO,
        st.sampled_from([1, CREDIT // 2, CREDIT]),
    ),
    st.builds(lambda who, place: Asked(who, "spatial", "submit", ("fire", *place, 0)), WHO, PLACE),
)
ROUNDS = st.lists(st.lists(CALLS, min_size=2, max_size=8), min_size=2, max_size=5)


def carried_out(
    ledger: OrderedLedger, state: WorldState, call: Transaction, evidence: bytes
) -> tuple[Context, bytes, int]:
    """One call after a state, with its result and what it cost."""
    meter = Meter(GAS)
    meter.charge(intrinsic_gas(call.args))
    context = Context(
        state,
        call.contract,
        sender=call.sender,
        tx=transaction_id(call),
        time_ms=decode_evidence(evidence).time_ms,
        block_id_at=lambda _: None,
        gas=meter,
    )
    result = ledger.network.registry.run(context, call.contract, call.method, call.args)
    return context, result, meter.spent


def replayed(ledger: OrderedLedger) -> WorldState:
    """The state that one call after the other gives. Raises AssertionError for one that gives something else.

    What is written unread may have been something else for endorsers than it is now, and so its cost: it is that after one
    of the blocks before.
    """
    state = ledger.network.state
    after = [state]
    for height in range(1, ledger.head.height + 1):
        block, receipts = ledger.block(height), ledger.receipts(height)
        assert block is not None and receipts is not None
        for index, (call, evidence, receipt) in enumerate(
            zip(block.transactions, block.evidence, receipts, strict=True)
        ):
            if not receipt.ok:
                continue
            context, result, gas = carried_out(ledger, state, call, evidence)
            unread = [key for key in context.writes if key not in context.reads]
            others = [each for each in after if any(each.get(key) != state.get(key) for key in unread)]
            assert (result, tuple(context.events)) == (receipt.result, receipt.events)
            assert receipt.gas in {gas, *(carried_out(ledger, each, call, evidence)[2] for each in others)}
            state = state.apply(context.writes, Version(height, index))
        after.append(state)
    return state


def check(rounds: Sequence[Sequence[Asked]], links: Links) -> None:
    ledger = OnOrdered(Founding(), "raft", links=links)
    story = Story(ledger)
    wanted: Counter[tuple[bytes, str, bytes]] = Counter()
    for calls in rounds:
        story.time_ms = max(story.time_ms, ledger.now_ms)
        timed = [
            Asked(each.who, each.contract, each.method, (*each.args[:-1], story.time_ms))
            if each.method == "submit"
            else each
            for each in calls
        ]
        for each, outcome in zip(timed, story.at_once(*timed), strict=True):
            event(outcome.reason or "carried out")
            assert outcome.reason in ("", "insufficient_balance", "to_oneself", "duplicate_report")
            wanted[account(each.who), each.method, encode_args(*each.args)] += not outcome.reason
    state = ledger.final_state()
    plain = {key: entry for key, entry in state.scan(b"") if not key.startswith(b"seen/")}
    assert plain == dict(replayed(ledger.replica).scan(b""))
    assert supply(state) == supply(ledger.network.state)
    found: Counter[tuple[bytes, str, bytes]] = Counter()
    for height in range(1, ledger.replica.head.height + 1):
        block, receipts = ledger.replica.block(height), ledger.replica.receipts(height)
        assert block is not None and receipts is not None
        for each, receipt in zip(block.transactions, receipts, strict=True):
            found[each.sender, each.method, each.args] += receipt.ok
    assert +found == +wanted


@settings(max_examples=15)
@given(ROUNDS)
def test_calls_at_once_are_as_if_one_after_the_other(rounds):
    check(rounds, LEVEL)


@settings(max_examples=10)
@given(ROUNDS)
def test_the_same_over_bad_links(rounds):
    """A tenth of the messages is lost, a fifth comes twice, and they overtake one another."""
    check(rounds, Links(latency_ms=(1, 30), loss=0.1, duplication=0.2))
