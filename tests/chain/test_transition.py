"""Blocks: what they must hold, and that all replicas get the same from them."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from msgspec.structs import replace

from chain.codec import block_id, encode, transaction_id
from chain.contract import Context, Registry, call, encode_args, event_fields
from chain.contracts import accounts
from chain.contracts.accounts import balance_of, nonce_of, supply
from chain.errors import InvalidBlockError
from chain.genesis import Network
from chain.keys import sign_transaction
from chain.merkle import EMPTY_ROOT, receipts_root, transactions_root
from chain.transition import APPLIED, BEGINNINGS, apply_block, assemble
from chain.values import Block, BlockId
from tests.chain import lab
from tests.chain.town import Town
from tests.strategies import EPOCH_MS, account, genesis, key, pow_rules

NETWORK = Network.found(genesis(balances=((1, 100), (2, 50))), Registry({"accounts": accounts, "lab": lab}))
PRODUCER = account(9)


@pytest.fixture(autouse=True)
def _fresh_memory():
    APPLIED.clear()
    BEGINNINGS.clear()
    yield
    APPLIED.enabled = True
    APPLIED.clear()
    BEGINNINGS.clear()


def none_final(_):
    return None


def signed(who, nonce, method, *args, contract="lab", chain=NETWORK.id):
    return sign_transaction(key(who), chain, nonce, contract, method, encode_args(*args))


def make(*transactions, network=NETWORK, producer=PRODUCER, time_ms=EPOCH_MS + 1):
    return assemble(
        network,
        network.block.header,
        network.id,
        network.state,
        transactions,
        time_ms=time_ms,
        producer=producer,
        difficulty=7,
        final_ids=none_final,
    )


def apply(block, network=NETWORK):
    return apply_block(network, network.state, block, final_ids=none_final)


def invalid(block):
    with pytest.raises(InvalidBlockError) as error:
        apply(block)
    return str(error.value)


def with_body(block, transactions):
    """Another body under a header that commits to it."""
    header = replace(block.header, transactions_root=transactions_root(transactions))
    return Block(header, tuple(transactions), (), b"")


GOOD = (
    signed(1, 0, "put", b"k", 1),
    signed(1, 1, "transfer", account(2), 30, contract="accounts"),
    signed(2, 0, "put_and_refuse", b"k"),
    signed(2, 1, "transfer", account(3), 80, contract="accounts"),
)


def test_a_block_does_the_same_when_made_and_when_checked():
    block, made = make(*GOOD)
    APPLIED.enabled = False
    checked = apply(block)
    assert checked.receipts == made.receipts
    assert checked.state.root == made.state.root == block.header.state_root
    assert [receipt.ok for receipt in made.receipts] == [True, True, False, True]
    assert receipts_root(made.receipts) == block.header.receipts_root
    assert [balance_of(made.state, account(n)) for n in (1, 2, 3)] == [70, 0, 80]
    assert balance_of(made.state, PRODUCER) == NETWORK.genesis.ledger.block_reward
    assert supply(made.state) == 150 + NETWORK.genesis.ledger.block_reward


def test_memory_changes_nothing():
    block, made = make(*GOOD)
    mined = replace(block, header=replace(block.header, nonce=12_345))
    assert apply(mined) is made
    APPLIED.enabled = False
    anew = apply(mined)
    assert anew is not made
    assert (anew.receipts, anew.state.root) == (made.receipts, made.state.root)
    assert dict(anew.state.scan(b"")) == dict(made.state.scan(b""))


def test_blocks_that_begin_alike_are_what_each_would_be_alone():
    """Other producers, more transactions, another order, another time: shared work shows in none of them."""
    cases = [
        {"transactions": GOOD},
        {"transactions": GOOD, "producer": account(8)},
        {"transactions": (*GOOD[:2], GOOD[2]), "producer": account(8)},
        {"transactions": (GOOD[2], *GOOD[:2])},
        {"transactions": GOOD, "time_ms": EPOCH_MS + 2},
    ]
    shared = [make(*case.pop("transactions"), **case) for case in map(dict, cases)]
    assert len(BEGINNINGS) == 4 + 0 + 0 + 3 + 4
    APPLIED.enabled = False
    alone = [make(*case.pop("transactions"), **case) for case in cases]
    for (block, made), (same_block, same) in zip(shared, alone, strict=True):
        assert block == same_block
        assert made.receipts == same.receipts
        assert dict(made.state.scan(b"")) == dict(same.state.scan(b""))


def test_memory_is_bounded():
    block, _ = make()
    for nonce in range(300):
        header = replace(block.header, time_ms=EPOCH_MS + 1 + nonce)
        apply(replace(block, header=header))
    first = replace(block, header=replace(block.header, time_ms=EPOCH_MS + 2))
    assert APPLIED.get(first.header, NETWORK.state.root, NETWORK.registry) is None


def test_a_refused_call_uses_its_nonce_alone():
    block, made = make(signed(2, 0, "put_and_refuse", b"k"))
    (receipt,) = made.receipts
    assert (receipt.ok, receipt.reason, len(receipt.detail), receipt.events) == (False, "changed_my_mind", 200, ())
    changed = dict(made.state.scan(b"")).keys() ^ dict(NETWORK.state.scan(b"")).keys()
    assert changed == {b"accounts/nonce/" + account(2), b"accounts/balance/" + PRODUCER}
    assert nonce_of(made.state, account(2)) == 1
    assert apply(block).receipts == (receipt,)


def test_a_crash_in_a_contract_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        make(signed(1, 0, "crash"))


def test_assembly_leaves_out_what_cannot_follow():
    later, now = signed(1, 1, "put", b"k", 1), signed(1, 0, "put", b"k", 2)
    block, _ = make(later, now, now, signed(1, 3, "put", b"k", 3))
    assert block.transactions == (now,)


def test_assembly_keeps_to_the_limits():
    few = Network.found(genesis(work=pow_rules(max_block_transactions=3)), NETWORK.registry)
    block, _ = make(*(signed(1, n, "put", b"k", n, chain=few.id) for n in range(5)), network=few)
    assert len(block.transactions) == 3
    apply(block, few)
    small = Network.found(genesis(work=pow_rules(max_block_bytes=32_768)), NETWORK.registry)
    block, _ = make(*(signed(1, n, "put", b"k" * 9_000, n, chain=small.id) for n in range(5)), network=small)
    assert len(block.transactions) == 3 and len(encode(block)) <= 32_768
    apply(block, small)


@pytest.mark.parametrize(
    "transactions,why",
    [
        ([replace(GOOD[0], signature=bytes(64))], "transaction 0: bad_signature"),
        ([GOOD[0], replace(GOOD[1], args=encode_args(account(3), 30))], "transaction 1: bad_signature"),
        ([signed(1, 0, "put", b"k", 1, chain=BlockId(bytes(32)))], "transaction 0: wrong_chain"),
        ([GOOD[1]], "nonce 1, expected 0"),
        ([GOOD[0], GOOD[0]], "nonce 0, expected 1"),
        ([*GOOD, signed(1, 3, "put", b"k", 1)], "nonce 3, expected 2"),
        (GOOD[:3], "receipts_root"),
    ],
)
def test_bodies__reject(transactions, why):
    block, _ = make(*GOOD)
    assert why in invalid(with_body(block, transactions))


@pytest.mark.parametrize("field", ["transactions_root", "receipts_root", "state_root"])
def test_headers__reject_wrong_roots(field):
    block, _ = make(*GOOD)
    bad = replace(block, header=replace(block.header, **{field: EMPTY_ROOT}))
    assert field in invalid(bad)


def test_headers__reject_another_producer():
    """Nobody can take another miner's block and its reward: the state root holds who was paid."""
    block, _ = make(*GOOD)
    assert "state_root" in invalid(replace(block, header=replace(block.header, producer=account(3))))


def test_a_swapped_signature_is_not_the_same_block():
    """The block id commits to signatures, so a spoiled copy cannot make honest nodes remember a good id as bad."""
    block, _ = make(*GOOD)
    spoiled = (replace(GOOD[0], signature=bytes(64)), *GOOD[1:])
    assert transaction_id(spoiled[0]) == transaction_id(GOOD[0])
    assert "transactions_root" in invalid(replace(block, transactions=spoiled))
    assert block_id(with_body(block, spoiled).header) != block_id(block.header)


def test_too_many_transactions__reject():
    few = Network.found(genesis(work=pow_rules(max_block_transactions=1)), NETWORK.registry)
    block, _ = make(signed(1, 0, "put", b"k", 1, chain=few.id), network=few)
    two = with_body(block, [*block.transactions, signed(1, 1, "put", b"k", 1, chain=few.id)])
    with pytest.raises(InvalidBlockError, match="2 transactions"):
        apply(two, few)


def test_transfers_conserve_and_refuse():
    town = Town(genesis(balances=((1, 100),)))
    town.call(1, "transfer", account(2), 40, contract="accounts")
    cases = [
        (1, 2, 0, "zero_amount"),
        (1, 1, 5, "to_oneself"),
        (1, 2, 61, "insufficient_balance"),
        (3, 1, 1, "insufficient_balance"),
    ]
    for who, to, amount, reason in cases:
        assert town.refusal(who, "transfer", account(to), amount, contract="accounts") == reason
    assert town.query("balance", account(2), contract="accounts") == 40
    assert town.query("nonce", account(1), contract="accounts") == 4
    assert [event_fields(event) for event in town.events] == [{"sender": account(1), "to": account(2), "amount": 40}]


SCRIPT = """
from tests.chain.town import Town
town = Town(reward="paper")
for n in range(3):
    town.decide(town.submit(70, (352_271_000 + 90_000 * n, -808_431_000)), list(range(1, 9)), 2)
print(town.state.root.hex(), town.blocks[-1].header.parent.hex())
"""


def test_chains_do_not_depend_on_hash_seeds():
    root = Path(__file__).parents[2]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_networks_with_other_contracts_share_nothing():
    """A header commits to no code: what a block did under one contract says nothing about another."""
    lax = ModuleType("lax")
    lax.__dict__.update(vars(lab))

    @call
    def put(ctx: Context, name: str, value: int) -> None:
        ctx.put(name.encode(), value + 1)

    lax.put = put
    other = Network.found(genesis(balances=((1, 100), (2, 50))), Registry({"accounts": accounts, "lab": lax}))
    assert other.id == NETWORK.id
    transaction = signed(1, 0, "put", "a", 1)
    (block, _), (altered, _) = make(transaction), make(transaction, network=other)
    assert block.header.state_root != altered.header.state_root
    with pytest.raises(InvalidBlockError, match="_root does not fit"):
        apply_block(other, other.state, block, final_ids=none_final)
    apply_block(NETWORK, NETWORK.state, block, final_ids=none_final)
