"""Raft as a consenter: what it takes for committed, and whom it lets join."""

from collections.abc import Sequence
from random import Random

from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.ledgers.ordered.channel import OrderedRules
from chain.ledgers.ordered.consenter import Raft
from chain.ledgers.ordered.raft.events import BecameLeader, Commit, Effect, Send, SteppedDown
from chain.ledgers.ordered.raft.messages import (
    Append,
    Appended,
    Entry,
    Forgot,
    HardState,
    HeartbeatReply,
    RequestVote,
    Vote,
    decode_message,
    encode_message,
)
from chain.ledgers.ordered.raft.store import Stored
from tests.chain.ordered.membership import channel
from tests.strategies import account

RULES = OrderedRules(
    consensus="raft",
    channel=channel(),
    max_skew_ms=5_000,
    proposal_ttl_ms=60_000,
    max_transaction_gas=MAX_TRANSACTION_GAS,
    max_block_gas=MAX_BLOCK_GAS,
    tick_ms=20,
    election_ticks=10,
    heartbeat_ticks=1,
)
ME, SECOND, THIRD = RULES.channel.orderers


def raft(stored: Stored | None = None, applied: int = 0) -> Raft:
    return Raft(ME, RULES, stored=stored, applied=applied, rng=Random(1), now_ms=0)


def leading() -> tuple[Raft, int]:
    """One that leads, with an entry of its term committed; and the time."""
    node = raft()
    node.start(0)
    now_ms = node.next_deadline_ms()
    node.tick(now_ms)
    node.receive(SECOND, encode_message(Vote(1, True, granted=True)), now_ms)
    effects = node.receive(SECOND, encode_message(Vote(1, False, granted=True)), now_ms)
    assert any(isinstance(effect, BecameLeader) for effect in effects)
    assert not node.leads
    node.receive(SECOND, encode_message(Appended(1, 1)), now_ms)
    assert node.leads
    return node, now_ms


def test_a_block_from_others_does_not_make_an_entry_of_the_own_log_committed():
    """It proposed one that got lost, and took the block of another with that index over from a peer before it stopped."""
    node = raft(Stored(HardState(1, ME), None, (Entry(1, 0, b"lost"),)), applied=1)
    node.start(0)
    effects = node.receive(SECOND, encode_message(Append(2, 0, 0, 1, (Entry(2, 0, b"true"),))), 1)
    assert [effect.data for effect in effects if isinstance(effect, Commit)] == [b"true"]


def test_a_newcomer_counts_only_once_it_has_answered():
    node, now_ms = leading()
    fourth = account(724)
    orderers = [*RULES.channel.orderers, fourth]
    assert node.align(orderers, now_ms)
    node.receive(SECOND, encode_message(Appended(1, 2)), now_ms)
    assert not node.align(orderers, now_ms)
    node.receive(fourth, encode_message(Appended(1, 2)), now_ms)
    assert node.align(orderers, now_ms)


def test_who_is_down_does_not_keep_others_from_joining_or_leaving():
    node, now_ms = leading()
    down, up = account(724), account(725)
    node.align([ME, SECOND, down], now_ms)
    node.receive(SECOND, encode_message(Appended(1, 2)), now_ms)
    node.align([ME, SECOND, down, up], now_ms)
    node.receive(SECOND, encode_message(Appended(1, 3)), now_ms)
    node.receive(up, encode_message(Appended(1, 3)), now_ms)
    assert node.align([ME, SECOND, down, up], now_ms)
    assert up in node._node.configuration.voters
    assert down in node._node.configuration.learners


def test_hand_over_lets_another_of_the_orderers_lead():
    node, now_ms = leading()
    node.receive(SECOND, encode_message(HeartbeatReply(1)), now_ms)
    sent = [decode_message(effect.message, limit=1_000) for effect in node.hand_over([ME, SECOND], now_ms)]
    assert [type(message).__name__ for message in sent] == ["TimeoutNow"]
    assert not node.hand_over([ME, SECOND], now_ms)
    effects = node.receive(SECOND, encode_message(Append(2, 1, 1, 1, ())), now_ms)
    assert [effect.reason for effect in effects if isinstance(effect, SteppedDown)] == ["transferred"]


def test_who_is_alone_hands_over_to_nobody():
    node, now_ms = leading()
    assert not node.hand_over([ME], now_ms)


def said(effects: Sequence[Effect]) -> list[tuple[bytes, object]]:
    sent = [effect for effect in effects if isinstance(effect, Send)]
    return [(effect.peer, decode_message(effect.message, limit=100_000)) for effect in sent]


def forgetful() -> Raft:
    node = Raft(SECOND, RULES, stored=None, applied=0, rng=Random(2), now_ms=0)
    node.distrust()
    node.start(0)
    return node


def test_who_lost_its_votes_grants_none_until_it_has_what_a_leader_committed():
    node = forgetful()
    ask = encode_message(RequestVote(2, False, False, 0, 0))
    entries = (Entry(1, 0, b"one"), Entry(1, 0, b"two"))
    assert said(node.receive(THIRD, ask, 1)) == []
    node.receive(ME, encode_message(Append(1, 0, 0, 2, entries[:1])), 2)
    assert said(node.receive(THIRD, ask, 1_000)) == []
    node.receive(ME, encode_message(Append(1, 1, 1, 2, entries[1:])), 1_001)
    up = encode_message(RequestVote(2, False, False, 2, 1))
    assert [word.granted for _, word in said(node.receive(THIRD, up, 3_000))] == [True]


def test_a_leader_looks_anew_at_who_forgot_and_neither_blames_the_other():
    """The leader led before; that it counts on what was acknowledged then is no fault of its."""
    leader, now_ms = leading()
    for number in range(2, 12):
        leader.propose(b"entry", now_ms)
        leader.receive(SECOND, encode_message(Appended(1, number)), now_ms)
    again = forgetful()
    heard: list[object] = []
    got: list[Commit] = []

    def talk(effects: Sequence[Effect]) -> None:
        words = [word for to, word in said(effects) if to == SECOND]
        while words:
            effects = again.receive(ME, encode_message(words.pop(0)), now_ms)
            got.extend(effect for effect in effects if isinstance(effect, Commit))
            for _, answer in said(effects):
                heard.append(answer)
                assert len(heard) < 20, "they talk without pause"
                answered = leader.receive(SECOND, encode_message(answer), now_ms)
                words += [word for to, word in said(answered) if to == SECOND]

    for _ in range(3):
        talk(leader.propose(b"new", now_ms))
    assert heard and not any(isinstance(answer, Appended | Forgot) for answer in heard)
    now_ms = leader.next_deadline_ms()
    talk(leader.tick(now_ms))
    assert Forgot(1) in heard and heard[-1] == Appended(1, 14)
    assert [effect.data for effect in got] == [b"entry"] * 10 + [b"new"] * 3
    # What arrives late changes nothing for who is level again, but that it is looked at once more.
    words = said(leader.receive(SECOND, encode_message(Forgot(1)), now_ms))
    assert [word.previous_index for to, word in words if to == SECOND] == [14]
