"""Each rule of each judge: what is provably wrong is rejected, what nobody can be blamed for ignored."""

import pytest
from msgspec.structs import replace

from actors.identity import Identity
from actors.messages import Notice, cell_topic
from actors.sensing.mobility import Point
from actors.verdicts import judge_block, judge_notice, judge_transaction
from chain.codec import encode
from chain.errors import InvalidBlockError
from chain.ledgers.pow.ledger import PowLedger
from chain.values import MAX_BLOCK_BYTES, MAX_TRANSACTION_BYTES
from net.gossip.events import Message, MessageId, Verdict
from tests.chain.pow.founding import GENESIS_MS, account, found, transfer

SOURCE = Identity.derive(1, "mec").peer_id
NETWORK = found()
PAYMENT = transfer(NETWORK, 2, 0)


def message(data, source=SOURCE, topic="/t"):
    return Message(MessageId(b"id"), source, topic, data, 1, b"")


# Transactions. -------------------------------------------------------------------------------------------------------


def judged(data, chain=NETWORK.id):
    return judge_transaction(message(data), chain)


def test_transaction__accept():
    assert judged(encode(PAYMENT)) == (Verdict.ACCEPT, "")


TRANSACTIONS = {
    "malformed transaction: Expected": b"\x01",
    "malformed transaction: Input data was truncated": encode(PAYMENT)[:-1],
    "malformed transaction: .*trailing": encode(PAYMENT) + b"\0",
    f"malformed transaction: {MAX_TRANSACTION_BYTES + 1} bytes": bytes(MAX_TRANSACTION_BYTES + 1),
    "wrong_chain": encode(transfer(found(name="other"), 2, 0)),
    "bad_signature": encode(replace(PAYMENT, nonce=1)),
}


@pytest.mark.parametrize("reason", TRANSACTIONS)
def test_transaction__reject(reason):
    import re

    verdict, said = judged(TRANSACTIONS[reason])
    assert verdict is Verdict.REJECT
    assert re.match(reason, said)


# Blocks. -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mined():
    """A ledger with five blocks, and another that has none of them."""
    network = found(finality_depth=2)
    miner = PowLedger(network, producer=account(1))
    now = GENESIS_MS
    while miner.head.height < 5:
        height, now = miner.head.height, now + 10_000
        while miner.head.height == height:
            miner.mine(1, now)
    return miner, PowLedger(network), now


def judged_block(data, ledger, now):
    return judge_block(message(data), ledger, now)


def test_block__accept_the_next(mined):
    miner, fresh, now = mined
    assert judged_block(encode(miner.block(1)), fresh, now) == (Verdict.ACCEPT, "")


def test_block__accept_with_work_whose_parent_is_missing(mined):
    miner, fresh, now = mined
    assert judged_block(encode(miner.block(4)), fresh, now)[0] is Verdict.ACCEPT


def test_block__ignore_known(mined):
    miner, _, now = mined
    assert judged_block(encode(miner.block(5)), miner, now) == (Verdict.IGNORE, "known")


def test_block__ignore_too_early(mined):
    miner, fresh, _ = mined
    limit = miner.network.genesis.ledger.max_future_ms
    time = miner.block(1).header.time_ms
    assert judged_block(encode(miner.block(1)), fresh, time - limit - 1) == (Verdict.IGNORE, "too early")
    assert judged_block(encode(miner.block(1)), fresh, time - limit)[0] is Verdict.ACCEPT


def test_block__ignore_stale(mined):
    """A fork below what is final: it came too late, but was no lie."""
    miner, _, now = mined
    rival = PowLedger(miner.network, producer=account(2))
    while rival.head.height < 1:
        rival.mine(1, now)
    assert judged_block(encode(rival.block(1)), miner, now) == (Verdict.IGNORE, "stale")


def changed(block, **changes):
    return encode(replace(block, header=replace(block.header, **changes)))


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda b: b"\xc0", "malformed block: Expected"),
        (lambda b: bytes(MAX_BLOCK_BYTES + 1), f"malformed block: {MAX_BLOCK_BYTES + 1} bytes"),
        (lambda b: encode(b) + b"\0", "malformed block: "),
        (lambda b: changed(b, difficulty=2**60), "bad_work"),
        (lambda b: changed(b, version=99), "bad_version"),
    ],
)
def test_block__reject(mined, make, reason):
    miner, fresh, now = mined
    verdict, said = judged_block(make(miner.block(1)), fresh, now)
    assert verdict is Verdict.REJECT
    assert said.startswith(reason)


def test_block__reject_what_the_ledger_says():
    class Strict:
        def check_block(self, block, now_ms):
            raise InvalidBlockError("bad_quota: enough")

    block = PowLedger(NETWORK).block(0)
    assert judged_block(encode(block), Strict(), 0) == (Verdict.REJECT, "bad_quota: enough")


# Notices. ------------------------------------------------------------------------------------------------------------

HERE = Point(44.5, 11.3)
TOPIC = cell_topic("net", HERE)
NOTICE = Notice(bytes(32), "pending", "fire", *HERE.e7, 3)


def judged_notice(data, *, topic=TOPIC, known=(SOURCE.public_key,), source=SOURCE):
    return judge_notice(
        message(data, source, topic), topic, known, lambda lat, lon: cell_topic("net", Point.from_e7(lat, lon))
    )


def test_notice__accept():
    assert judged_notice(encode(NOTICE)) == (Verdict.ACCEPT, "")


def test_notice__ignore_unknown_publisher():
    stranger = Identity.derive(1, "stranger").peer_id
    assert judged_notice(encode(NOTICE), source=stranger) == (Verdict.IGNORE, "not published by a known MEC node")
    assert judged_notice(encode(NOTICE), known=())[0] is Verdict.IGNORE


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "malformed notice"),
        (encode(NOTICE) + b"\0", "malformed notice"),
        (encode(replace(NOTICE, lat_e7=0)), "a notice of another cell"),
        (encode(replace(NOTICE, lat_e7=900_000_001)), "a notice of nowhere: "),
        (encode(replace(NOTICE, lon_e7=-(2**63))), "a notice of nowhere: "),
    ],
)
def test_notice__reject(data, reason):
    verdict, said = judged_notice(data)
    assert verdict is Verdict.REJECT
    assert said.startswith(reason)


def test_notice__reject_before_it_asks_who():
    """What is provably wrong is rejected, whoever published it."""
    assert judged_notice(b"", known=())[0] is Verdict.REJECT
