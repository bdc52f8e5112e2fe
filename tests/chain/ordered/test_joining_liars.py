"""Joining by a state, among peers that lie: they are found, cost little, and nobody honest is blamed."""

import pytest
from msgspec.structs import replace

from chain.codec import encode
from chain.errors import MalformedError
from chain.ledger import Diverged
from chain.ledgers.ordered.agreement import attest
from chain.ledgers.ordered.deliver import (
    Blocks,
    GetBlocks,
    GetHeaders,
    GetSnapshot,
    GetState,
    GetStatus,
    Headers,
    Snapshot,
    State,
    decode_request,
    decode_response,
)
from tests.chain.ordered.joining import PRUNED, check_joined, jumps, long_chain, meeting, replica
from tests.chain.ordered.wire import Honest


@pytest.fixture
def history():
    return long_chain()


# --- liars ----------------------------------------------------------------------------------------------------------


class WrongValue(Honest):
    """Gives a state in which somebody is rich."""

    def answer(self, request):
        answer = super().answer(request)
        asked = decode_request(request)
        if isinstance(asked, GetSnapshot):
            given = decode_response(asked, answer)
            if asked.chunk == 1:
                return encode(replace(given, data=given.data.replace(b"x" * 250, b"x" * 249 + b"y", 1)))
        return answer


class WrongThenSilent(Honest):
    """Leaves it to others to complete a state that its first chunk has spoiled."""

    def answer(self, request):
        asked = decode_request(request)
        if not isinstance(asked, GetSnapshot):
            return super().answer(request)
        return encode(Snapshot(4, b"no chunk")) if asked.chunk == 0 else None


class NoChunk(Honest):
    def answer(self, request):
        asked = decode_request(request)
        if isinstance(asked, GetSnapshot) and asked.chunk == 1:
            return encode(Snapshot(2, b"no chunk"))
        return super().answer(request)


class FewerChunks(Honest):
    """Says that there are fewer, and gives the first ones."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        return encode(replace(decode_response(asked, answer), count=2)) if isinstance(asked, GetSnapshot) else answer


class EndlessChunks(Honest):
    """Gives the same again and again."""

    def answer(self, request):
        asked = decode_request(request)
        if isinstance(asked, GetSnapshot):
            good = decode_response(asked, super().answer(encode(GetSnapshot(asked.height, 0))))
            return encode(replace(good, count=4_096))
        return super().answer(request)


class ChangingCount(Honest):
    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        if isinstance(asked, GetSnapshot):
            return encode(replace(decode_response(asked, answer), count=4 + asked.chunk))
        return answer


class NoLonger(Honest):
    """Attests the state and does not keep it."""

    def answer(self, request):
        return encode(Snapshot(0, b"")) if isinstance(decode_request(request), GetSnapshot) else super().answer(request)


class SilentOnStates(Honest):
    def answer(self, request):
        return None if isinstance(decode_request(request), GetSnapshot | GetHeaders) else super().answer(request)


class Babbler(Honest):
    def answer(self, request):
        return b"\x93what?" if isinstance(decode_request(request), GetSnapshot) else super().answer(request)


class WrongHeaders(Honest):
    """Changes one in the middle."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        if isinstance(asked, GetHeaders):
            headers = list(decode_response(asked, answer).headers)
            headers[40] = replace(headers[40], time_ms=headers[40].time_ms + 1)
            return encode(Headers(tuple(headers)))
        return answer


class OtherHeaders(Honest):
    """Gives those of other heights, and too few."""

    def answer(self, request):
        asked = decode_request(request)
        return super().answer(encode(GetHeaders(asked.start + 20)) if isinstance(asked, GetHeaders) else request)


class WrongRoot(Honest):
    """Attests a state that is not, and gives that one."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        if isinstance(asked, GetState):
            said = decode_response(asked, answer)
            root, signs = bytes(32), self.ledger.signer
            return encode(State(said.height, said.head, root, attest(signs, said.height, said.head, root)))
        return answer


class Boaster(Honest):
    """Says that it keeps a state far ahead, and attests that there."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        if isinstance(asked, GetStatus):
            return encode(replace(decode_response(asked, answer), height=10**6, snapshot=10**6, attestation=None))
        if isinstance(asked, GetState) and asked.height == 10**6:
            head = root = bytes(32)
            return encode(State(asked.height, head, root, attest(self.ledger.signer, asked.height, head, root)))
        return encode(Blocks(())) if isinstance(asked, GetBlocks) else answer


PROVEN = {WrongValue, NoChunk, FewerChunks, ChangingCount, Babbler, WrongHeaders}
UNPROVEN = {WrongThenSilent, NoLonger, SilentOnStates, OtherHeaders, WrongRoot, Boaster}


@pytest.mark.parametrize("kind", sorted(PROVEN | UNPROVEN, key=lambda kind: kind.__name__))
def test_liars_are_found_and_cost_little(history, kind):
    """Two of one organisation, asked first. Whose lie is proven is penalised; nobody honest ever is."""
    lab, _ = history
    wire = meeting(history, [(kind, "org3"), (kind, "org3"), (Honest, "org1"), (Honest, "org2")])
    wire.run(lab.now + 30_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96]
    assert not wire.penalised[3] and not wire.penalised[4]
    assert bool(wire.penalised) is (kind in PROVEN)
    assert wire.asked[0, "GetSnapshot"] <= 4 + 4 * 4
    assert wire.asked[0, "GetState"] <= 4 * 6 + 2 * 60  # a boaster costs a round each time it boasts


def test_state_that_never_ends_is_given_up_at_the_bound(history, monkeypatch):
    """The bound is 4,096 chunks; here 64 will do, for none of this depends on how many."""
    monkeypatch.setattr(EndlessChunks, "answer", _few_endless(EndlessChunks.answer))
    lab, _ = history
    wire = meeting(history, [(EndlessChunks, "org3"), (Honest, "org1"), (Honest, "org2")], late_ms=5)
    wire.run(lab.now + 30_000)
    check_joined(wire, lab)
    assert wire.penalised[1] == 1 and not wire.penalised[2] and not wire.penalised[3]
    with pytest.raises(MalformedError):
        decode_response(GetSnapshot(96, 0), encode((4, 4_097, b"")))


def _few_endless(answer):
    def given(self, request):
        asked, found = decode_request(request), answer(self, request)
        return encode(replace(decode_response(asked, found), count=64)) if isinstance(asked, GetSnapshot) else found

    return given


def test_liar_whose_chunk_is_among_others_is_found(history):
    """Its first answers are good ones of a peer that then goes away. Who is asked next depends on who spoke first."""
    lab, _ = history
    found = 0
    for seed in range(6):
        servers = [(Honest, "org1"), (WrongValue, "org3"), (Honest, "org2")]
        wire = meeting(history, servers, seed=seed, late_ms=100)
        while wire.asked[0, "GetSnapshot"] < 2:
            wire.run(wire.now + 5)
        wire.carry(0, wire.nodes[0].ledger.peer_down(b"\1", wire.now))
        wire.run(lab.now + 20_000)
        check_joined(wire, lab)
        assert jumps(wire) == [96]
        assert wire.penalised[2] <= 1 and not wire.penalised[1] and not wire.penalised[3]
        found += wire.penalised[2]
    assert found


def test_too_few_who_attest_are_not_believed(history):
    """One honest member and two liars of one organisation: blocks that were let go cannot be had, and none is made up."""
    lab, _ = history
    wire = meeting(history, [(Honest, "org2"), (WrongRoot, "org3"), (WrongRoot, "org3")])
    wire.run(lab.now + 20_000)
    assert wire.nodes[0].ledger.head.height == 0 and jumps(wire) == []
    assert wire.asked[0, "GetSnapshot"] == wire.asked[0, "GetHeaders"] == 0
    assert wire.asked[0, "GetState"] <= 3 * (2 * 20 + 3)
    wire.nodes[3] = Honest(replica(lab, "org1", history[1], PRUNED))
    wire.run(wire.now + 10_000)
    check_joined(wire, lab)


def test_who_followed_a_lying_orderer_says_so(history):
    """Its head is not on the way to the attested block; it does not believe itself any more, and does not jump."""
    lab, blocks = history
    forked = replica(lab, "org1", blocks[:20])
    other = lab.cut(time_ms=forked.head.time_ms + 7, on=forked)
    forked.receive_block(b"\xff", other, lab.now)
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], joiner=forked)
    wire.run(lab.now + 10_000)
    assert any(isinstance(effect, Diverged) for effect in wire.effects[0])
    assert forked.diverged and forked.head.height == 21 and jumps(wire) == []


class Forgotten(Honest):
    """Says that it has all blocks, and has not."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        return encode(replace(decode_response(asked, answer), oldest=1)) if isinstance(asked, GetStatus) else answer


def test_blocks_that_nobody_turns_out_to_have_are_not_waited_for(history):
    lab, blocks = history
    joiner = replica(lab, "org1", blocks[: len(blocks) - 20])
    wire = meeting(history, [(Forgotten, "org2"), (Forgotten, "org3")], joiner=joiner)
    wire.run(lab.now + 20_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96]
    assert wire.asked[0, "GetBlocks"] <= 10
