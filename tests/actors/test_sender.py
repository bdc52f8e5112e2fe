"""However many tasks call at once, an account's nonces follow each other, and a wrong one is mended."""

import pytest
import trio

from actors.identity import Identity
from actors.ledger import NONCE_ATTEMPTS, NONCE_REFUSALS, Sender
from chain.errors import Refused
from chain.values import BlockId

ME = Identity.derive(1, "me")
CHAIN = BlockId(bytes(32))


class Pool:
    """A ledger's view of one account: takes the next nonce, refuses others by name."""

    def __init__(self, nonce=0):
        self.nonce = nonce
        self.asked = 0
        self.taken = []
        self.trouble = []

    async def next_nonce(self):
        self.asked += 1
        await trio.sleep(0.01)
        return self.nonce

    async def submit(self, transaction):
        await trio.sleep(0.01)
        if self.trouble:
            raise self.trouble.pop(0)
        if transaction.nonce < self.nonce:
            raise Refused("nonce_too_low")
        if transaction.nonce > self.nonce:
            raise Refused("nonce_gap")
        self.nonce += 1
        self.taken.append(transaction)

    def sender(self):
        return Sender(ME, self.next_nonce, self.submit)


async def test_nonces_follow_each_other_under_concurrency(autojump_clock):
    pool = Pool(7)
    sender = pool.sender()
    sent = []

    async def call(n):
        sent.append(await sender.send(CHAIN, "accounts", "transfer", (n,)))

    async with trio.open_nursery() as nursery:
        for n in range(20):
            nursery.start_soon(call, n)
    assert [t.nonce for t in pool.taken] == list(range(7, 27))
    assert sorted(t.args for t in sent) == sorted({t.args for t in pool.taken})
    assert pool.asked == 1  # remembered, not asked again


async def test_a_wrong_nonce_is_corrected(autojump_clock):
    pool = Pool()
    sender = pool.sender()
    await sender.send(CHAIN, "a", "b", ())
    pool.nonce = 5  # another process of the same account
    assert (await sender.send(CHAIN, "a", "b", ())).nonce == 5
    pool.nonce = 3  # a reorganisation
    assert (await sender.send(CHAIN, "a", "b", ())).nonce == 3


@pytest.mark.parametrize("reason", sorted(NONCE_REFUSALS))
async def test_send__reject_nonces_that_never_fit(autojump_clock, reason):
    pool = Pool()
    pool.trouble = [Refused(reason)] * NONCE_ATTEMPTS
    with pytest.raises(Refused, match=reason):
        await pool.sender().send(CHAIN, "a", "b", ())
    assert pool.asked == NONCE_ATTEMPTS and not pool.trouble


async def test_send__reject_what_the_ledger_refuses_at_once(autojump_clock):
    pool = Pool()
    pool.trouble = [Refused("duplicate_report", "x")]
    sender = pool.sender()
    with pytest.raises(Refused, match="duplicate_report: x"):
        await sender.send(CHAIN, "a", "b", ())
    assert pool.asked == 1
    assert (await sender.send(CHAIN, "a", "b", ())).nonce == 0  # the refused one used none up


async def test_after_trouble_the_ledger_is_asked_again(autojump_clock):
    pool = Pool()
    sender = pool.sender()
    await sender.send(CHAIN, "a", "b", ())
    pool.trouble = [OSError("gone")]
    with pytest.raises(OSError, match="gone"):
        await sender.send(CHAIN, "a", "b", ())
    pool.nonce += 1  # it had arrived after all
    assert (await sender.send(CHAIN, "a", "b", ())).nonce == 2


async def test_a_cancelled_call_holds_nobody_up(autojump_clock):
    pool = Pool()
    sender = pool.sender()
    with trio.move_on_after(0.015):
        await sender.send(CHAIN, "a", "b", ())
    assert (await sender.send(CHAIN, "a", "b", ())).nonce == 0
