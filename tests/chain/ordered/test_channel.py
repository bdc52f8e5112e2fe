"""A channel is what can work, and becomes what enough of its admins signed, once, in sequence, on their own network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from chain.codec import decode, encode
from chain.contract import Context, Registry, encode_args, event_fields, state_key
from chain.contracts import channel as contract
from chain.errors import GenesisError, Refused
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS, MIN_TRANSACTION_GAS
from chain.ledgers.ordered.channel import (
    ANYONE,
    CHANNEL_KEY,
    DEFAULT_BATCH,
    MAX_CHANNEL_BYTES,
    MAX_ORGANISATIONS,
    MAX_UPDATE_SIGNATURES,
    BatchLimits,
    ContractPolicy,
    OrderedRules,
    Organisation,
    Revoked,
    channel_entries,
    check_channel,
    check_ordered_rules,
    config_of,
    contract_policy,
    found_channel,
)
from chain.ledgers.ordered.msp import Certificate, Signed
from chain.ledgers.ordered.policy import Policy
from chain.ledgers.ordered.update import (
    check_update,
    revoke,
    sign_update,
    update_message,
    with_batch,
    with_orderers,
    with_organisation,
    with_policies,
    without_organisation,
)
from chain.state import Version, WorldState
from chain.values import MAX_ARGS_BYTES, MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, MAX_INT, BlockId, TxId
from tests.chain.ordered.membership import (
    ADMINS,
    BATCH,
    NOT_AFTER_MS,
    NOT_BEFORE_MS,
    NOW_MS,
    ORDERERS,
    admin,
    certificate,
    channel,
    roots,
)
from tests.strategies import account, key

CHAIN = BlockId(b"\x07" * 32)
OTHER_CHAIN = BlockId(b"\x08" * 32)
CONFIG = channel()
NEXT = with_batch(CONFIG, replace(BATCH, max_count=20))
RULES = OrderedRules("raft", CONFIG, 2_000, 60_000, MAX_TRANSACTION_GAS, MAX_BLOCK_GAS, 10, 10, 1)
REGISTRY = Registry({"channel": contract})


def consents(config, *organisations, chain=CHAIN):
    return tuple(sign_update(*admin(name), chain, config) for name in organisations)


def reason(old, new, signatures, chain=CHAIN, at_ms=NOW_MS):
    with pytest.raises(Refused) as refusal:
        check_update(old, new, signatures, chain, at_ms)
    return refusal.value.reason


def with_policy(**texts):
    return replace(CONFIG, policies=replace(CONFIG.policies, **texts))


def test_the_defaults_are_those_of_fabric():
    policies = CONFIG.policies
    assert policies.endorsement == "OutOf(2, 'Ash.peer', 'Elm.peer', 'Oak.peer')"
    assert policies.admins == "OutOf(2, 'Ash.admin', 'Elm.admin', 'Oak.admin')"
    assert policies.blocks == "OR('Ash.orderer', 'Elm.orderer', 'Oak.orderer')"
    assert policies.writers == ANYONE and policies.contracts == ()
    assert CONFIG.sequence == 0 and CONFIG.revoked == ()
    assert [organisation.name for organisation in CONFIG.organisations] == ["Ash", "Elm", "Oak"]
    assert CONFIG.orderers == tuple(sorted(account(number) for number in ORDERERS))
    assert (DEFAULT_BATCH.max_count, DEFAULT_BATCH.timeout_ms, DEFAULT_BATCH.idle_ms) == (500, 2_000, 0)


def test_the_order_in_which_a_channel_is_founded_does_not_matter():
    backwards = dict(reversed(roots().items()))
    assert found_channel(backwards, [account(n) for n in reversed(ORDERERS)], BATCH) == CONFIG


def test_as_many_organisations_as_there_may_be():
    """Their names must be short, for the default policies name them all."""
    many = found_channel({f"O{i:02}": account(i + 1) for i in range(MAX_ORGANISATIONS)}, [account(1)])
    assert Policy.parse(many.policies.admins).fewest() == MAX_UPDATE_SIGNATURES
    with pytest.raises(GenesisError, match=r"policies.endorsement: a policy of 2,249 characters"):
        found_channel({f"{'O' * 24}{i:02}": account(i + 1) for i in range(MAX_ORGANISATIONS)}, [account(1)])


def test_a_configuration_is_found_in_the_state():
    state = WorldState.empty().apply(channel_entries(CONFIG), Version(0, 0))
    assert config_of(state) == CONFIG
    assert config_of(state) is config_of(state.apply({b"x": b"y"}, Version(1, 0)))
    assert state_key("channel", contract.CONFIG_KEY) == CHANNEL_KEY
    with pytest.raises(LookupError):
        config_of(WorldState.empty())


def test_a_contract_has_its_own_policy_or_the_default():
    special = with_policy(contracts=(ContractPolicy("accounts", "AND('Ash.peer','Elm.peer','Oak.peer')"),))
    assert contract_policy(special, "accounts") == Policy.parse("AND('Ash.peer', 'Elm.peer', 'Oak.peer')")
    assert contract_policy(special, "spatial") is Policy.parse(CONFIG.policies.endorsement)
    assert contract_policy(CONFIG, "accounts") == contract_policy(CONFIG, "spatial")


BAD_CHANNELS = {
    "organisations is 0": {"organisations": ()},
    "organisations is 65": {"organisations": tuple(Organisation(f"O{i:02}", account(i + 1)) for i in range(65))},
    "organisations is not sorted": {"organisations": CONFIG.organisations[::-1]},
    "organisations is not sorted, or one of them twice": {"organisations": CONFIG.organisations[:1] * 2},
    "organisations is two with one root": {
        "organisations": tuple(replace(one, root=account(1)) for one in CONFIG.organisations)
    },
    "revoked is not sorted": {"revoked": (Revoked("Oak", 2), Revoked("Oak", 1))},
    "revoked is not sorted, or": {"revoked": (Revoked("Oak", 2), Revoked("Oak", 2))},
    "revoked is 257": {"revoked": tuple(Revoked("O", i) for i in range(257))},
    "orderers is 0": {"orderers": ()},
    "orderers is not sorted, or one of them twice": {"orderers": CONFIG.orderers[:1] * 2},
    "orderers is not sorted": {"orderers": CONFIG.orderers[::-1]},
    "orderers is 17": {"orderers": tuple(sorted(account(i) for i in range(1, 18)))},
    "batch.max_count is 0": {"batch": replace(BATCH, max_count=0)},
    "batch.max_count is 1001": {"batch": replace(BATCH, max_count=MAX_BLOCK_TRANSACTIONS + 1)},
    "batch.preferred_bytes is 0": {"batch": replace(BATCH, preferred_bytes=0)},
    "batch.preferred_bytes is 131073": {"batch": replace(BATCH, preferred_bytes=131_073)},
    "batch.absolute_bytes is 524289": {"batch": replace(BATCH, absolute_bytes=MAX_BLOCK_BYTES + 1)},
    "batch.absolute_bytes is 65535": {"batch": replace(BATCH, absolute_bytes=65_535, preferred_bytes=1)},
    "batch.timeout_ms is 0": {"batch": replace(BATCH, timeout_ms=0)},
    "batch.timeout_ms is 60001": {"batch": replace(BATCH, timeout_ms=60_001)},
    "batch.idle_ms is 3600001": {"batch": replace(BATCH, idle_ms=3_600_001)},
    "is no configuration: Expected `str` matching regex": {
        "revoked": (Revoked("not a name", 1),),
    },
    "is no configuration: Expected `int` >= 0": {"sequence": -1},
    "is no configuration: Expected `bytes` of length >= 32": {"orderers": (b"short",)},
    "is no configuration: 10643 bytes where at most 8192": {
        "revoked": tuple(Revoked("O" * 30, MAX_INT - 256 + i) for i in range(250))
    },
}


@pytest.mark.parametrize("message", BAD_CHANNELS)
def test_what_cannot_be__is_refused_by_field(message):
    with pytest.raises(GenesisError) as error:
        check_channel(replace(CONFIG, **BAD_CHANNELS[message]))
    assert str(error.value).removeprefix("channel").lstrip(". ").startswith(message)


@pytest.mark.parametrize(
    "texts, message",
    [
        ({"endorsement": "AND('Oak.peer'"}, "policies.endorsement: expected ',' or ')' at character 15, found the end"),
        ({"endorsement": "AND('Oak.peer', 'Yew.peer', 'Fir.peer')"}, "policies.endorsement names Fir, Yew, no"),
        ({"admins": "'Yew.admin'"}, "policies.admins names Yew, no organisation of the channel"),
        ({"writers": "everyone"}, "policies.writers: expected AND"),
        ({"writers": "'Yew.client'"}, "policies.writers names Yew"),
        ({"writers": "AND('Oak.client', 'Elm.client')"}, "policies.writers can never be satisfied: it needs 2 sig"),
        ({"blocks": "'Oak.peer'"}, "policies.blocks can never be satisfied: it needs others than orderers"),
        ({"blocks": "AND('Oak.orderer','Oak.orderer','Elm.member','Ash.orderer')"}, "policies.blocks can never be"),
        ({"contracts": (ContractPolicy("spatial", "'Yew.peer'"),)}, "policies.contracts.spatial names Yew"),
        ({"contracts": (ContractPolicy("spatial", "'Oak.peer"),)}, "policies.contracts.spatial: expected AND"),
        (
            {"contracts": (ContractPolicy("spatial", "'Oak.peer'"), ContractPolicy("accounts", "'Oak.peer'"))},
            "policies.contracts is not sorted, or one of them twice",
        ),
        ({"contracts": (ContractPolicy("No Name", "'Oak.peer'"),)}, "is no configuration: Expected `str` matching"),
        (
            {"admins": "AND(" + ",".join(["'Oak.admin'"] * 34) + ")"},
            "policies.admins can never be satisfied: it needs 34 signatures, an update may have 33",
        ),
    ],
)
def test_policies_that_nobody_can_satisfy__are_refused(texts, message):
    with pytest.raises(GenesisError) as error:
        check_channel(with_policy(**texts))
    assert str(error.value).removeprefix("channel").lstrip(". ").startswith(message)


def test_policies_at_their_bounds_are_taken():
    check_channel(with_policy(blocks="AND('Oak.orderer', 'Elm.member', 'Ash.orderer')"))
    check_channel(with_policy(writers="OR('Oak.client', AND('Elm.client', 'Ash.client'))"))
    check_channel(with_policy(admins="AND(" + ",".join(["'Oak.admin'"] * 33) + ")"))
    check_channel(replace(CONFIG, batch=BatchLimits(1_000, MAX_BLOCK_BYTES, MAX_BLOCK_BYTES, 60_000, 3_600_000)))


@pytest.mark.parametrize(
    "change",
    [
        {"consensus": "bft"},
        {"max_skew_ms": 600_001},
        {"proposal_ttl_ms": 0},
        {"proposal_ttl_ms": 86_400_001},
        {"max_transaction_gas": MIN_TRANSACTION_GAS - 1},
        {"max_block_gas": MAX_TRANSACTION_GAS - 1},
        {"tick_ms": 0},
        {"tick_ms": 60_001},
        {"heartbeat_ticks": 0},
        {"heartbeat_ticks": 10},
        {"election_ticks": 1_001},
        {"channel": NEXT},
        {"consensus": "solo"},
    ],
    ids=str,
)
def test_rules_that_cannot_be__are_refused_by_field(change):
    check_ordered_rules(RULES)
    with pytest.raises(GenesisError, match=r"^ordered\."):
        check_ordered_rules(replace(RULES, **change))


def test_rules_answer_what_every_ledger_is_asked():
    assert (RULES.finality_depth, RULES.block_reward, RULES.block_interval_ms) == (0, 0, 20)
    assert (RULES.max_block_bytes, RULES.max_block_transactions, RULES.max_future_ms) == (131_072, 10, 2_000)
    idle = replace(RULES, channel=with_batch(CONFIG, replace(BATCH, idle_ms=500)))
    assert idle.block_interval_ms == 500
    solo = replace(RULES, consensus="solo", channel=channel(orderers=[account(721)]))
    check_ordered_rules(solo)
    assert decode(OrderedRules, encode(solo), limit=MAX_CHANNEL_BYTES) == solo


def test_every_builder_makes_the_next_configuration():
    peer = certificate("Oak", "peer", 4)
    made = {
        "batch": NEXT,
        "orderers": with_orderers(CONFIG, [account(3), account(2)]),
        "revoked": revoke(CONFIG, peer),
        "organisations policies": with_organisation(CONFIG, "Yew", account(5)),
        "policies": with_policies(CONFIG, replace(CONFIG.policies, writers="'Oak.client'")),
    }
    for changed, config in made.items():
        check_channel(config)
        differing = {
            field.name for field in fields(CONFIG) if getattr(config, field.name) != getattr(CONFIG, field.name)
        }
        assert differing == {"sequence", *changed.split()}
        assert config.sequence == 1
    assert made["revoked"].revoked == (Revoked("Oak", 4),)
    assert made["orderers"].orderers == tuple(sorted([account(2), account(3)]))


def test_default_policies_follow_the_organisations_and_others_stay():
    four = with_organisation(CONFIG, "Yew", account(5))
    assert four.policies.endorsement == "OutOf(3, 'Ash.peer', 'Elm.peer', 'Oak.peer', 'Yew.peer')"
    assert four.policies.blocks == "OR('Ash.orderer', 'Elm.orderer', 'Oak.orderer', 'Yew.orderer')"
    assert without_organisation(four, "Yew") == replace(CONFIG, sequence=2)
    own = with_policies(CONFIG, replace(CONFIG.policies, endorsement="OR('Oak.peer', 'Elm.peer')"))
    assert with_organisation(own, "Yew", account(5)).policies.endorsement == "OR('Oak.peer', 'Elm.peer')"
    with pytest.raises(GenesisError, match="endorsement names Oak"):
        without_organisation(own, "Oak")


def test_builders_make_nothing_that_cannot_be():
    peer = certificate("Oak", "peer", 4)
    for attempt in (
        lambda: with_orderers(CONFIG, []),
        lambda: with_batch(CONFIG, replace(BATCH, max_count=0)),
        lambda: revoke(revoke(CONFIG, peer), peer),
        lambda: without_organisation(CONFIG, "Yew"),
        lambda: without_organisation(channel("Oak"), "Oak"),
        lambda: with_organisation(CONFIG, "no name", account(5)),
        lambda: found_channel({}, [account(1)], BATCH),
    ):
        with pytest.raises(GenesisError):
            attempt()


def test_a_majority_of_admins_changes_the_channel():
    for signers in (("Oak", "Elm"), ("Ash", "Oak"), ("Oak", "Elm", "Ash")):
        check_update(CONFIG, NEXT, consents(NEXT, *signers), CHAIN, NOW_MS)


def test_too_few_admins__are_refused():
    assert reason(CONFIG, NEXT, ()) == "admins_policy"
    assert reason(CONFIG, NEXT, consents(NEXT, "Oak")) == "admins_policy"
    second = sign_update(key(750), certificate("Oak", "admin", 750), CHAIN, NEXT)
    assert reason(CONFIG, NEXT, (*consents(NEXT, "Oak"), second)) == "admins_policy"
    peer = sign_update(key(1), certificate("Elm", "peer", 1), CHAIN, NEXT)
    assert reason(CONFIG, NEXT, (*consents(NEXT, "Oak"), peer)) == "admins_policy"
    check_update(CONFIG, NEXT, (peer, *consents(NEXT, "Oak", "Ash")), CHAIN, NOW_MS)


def test_one_admin_does_not_sign_twice():
    assert reason(CONFIG, NEXT, consents(NEXT, "Oak", "Oak")) == "signed_twice"
    both = certificate("Elm", "admin", ADMINS["Oak"])
    twice = sign_update(key(ADMINS["Oak"]), both, CHAIN, NEXT)
    assert reason(CONFIG, NEXT, (*consents(NEXT, "Oak"), twice)) == "signed_twice"


def test_what_was_signed_for_another_network_or_configuration__is_refused():
    assert reason(CONFIG, NEXT, consents(NEXT, "Oak", "Elm"), chain=OTHER_CHAIN) == "bad_signature"
    other = with_orderers(CONFIG, [account(1)])
    assert reason(CONFIG, NEXT, consents(other, "Oak", "Elm")) == "bad_signature"
    forged = tuple(replace(signed, signature=bytes(64)) for signed in consents(NEXT, "Oak", "Elm"))
    assert reason(CONFIG, NEXT, forged) == "bad_signature"


def test_a_replayed_or_stale_or_hasty_update__is_refused():
    signatures = consents(NEXT, "Oak", "Elm")
    check_update(CONFIG, NEXT, signatures, CHAIN, NOW_MS)
    assert reason(NEXT, NEXT, signatures) == "bad_sequence"
    later = with_orderers(NEXT, [account(1)])
    assert reason(later, NEXT, signatures) == "bad_sequence"
    assert reason(CONFIG, later, consents(later, "Oak", "Elm")) == "bad_sequence"
    rebased = with_batch(later, NEXT.batch)
    assert reason(later, rebased, signatures) == "bad_signature"


def test_certificates_count_as_the_old_configuration_has_them():
    oak_key, oak = admin("Oak")
    without_oak = revoke(CONFIG, oak)
    after = with_batch(without_oak, NEXT.batch)
    assert reason(without_oak, after, consents(after, "Oak", "Elm")) == "certificate_revoked"
    check_update(without_oak, after, consents(after, "Ash", "Elm"), CHAIN, NOW_MS)
    # Who is revoked by an update may still sign it, and who is taken in by it may not yet.
    check_update(CONFIG, without_oak, consents(without_oak, "Oak", "Elm"), CHAIN, NOW_MS)
    taken_in = with_organisation(CONFIG, "Yew", account(ADMINS["Ash"]))
    stranger = replace(oak, organisation="Yew")
    signed = sign_update(oak_key, stranger, CHAIN, taken_in)
    assert reason(CONFIG, taken_in, (signed, *consents(taken_in, "Elm"))) == "unknown_organisation"


def test_admins_sign_while_their_certificates_are_valid():
    signatures = consents(NEXT, "Oak", "Elm")
    for at_ms in (NOT_BEFORE_MS, NOT_AFTER_MS):
        check_update(CONFIG, NEXT, signatures, CHAIN, at_ms)
    assert reason(CONFIG, NEXT, signatures, at_ms=NOT_AFTER_MS + 1) == "certificate_expired"
    assert reason(CONFIG, NEXT, signatures, at_ms=NOT_BEFORE_MS - 1) == "certificate_not_yet_valid"


def test_what_admins_signed_must_be_able_to_work():
    broken = replace(NEXT, orderers=())
    assert reason(CONFIG, broken, consents(broken, "Oak", "Elm")) == "invalid_channel"


def test_signatures_are_bounded():
    many = tuple(
        Signed(certificate("Oak", "admin", 1_000 + i), bytes(64)) for i in range(MAX_UPDATE_SIGNATURES + 1)
    )  # fmt: skip
    assert reason(CONFIG, NEXT, many) == "too_many_signatures"
    assert reason(CONFIG, NEXT, many[1:]) == "bad_signature"


def test_the_largest_update_fits_into_a_call():
    longest = Certificate("x" * 32, "x" * 16, account(1), MAX_INT, MAX_INT, MAX_INT, bytes(64))
    signatures = (Signed(longest, bytes(64)),) * MAX_UPDATE_SIGNATURES
    assert MAX_CHANNEL_BYTES + len(encode_args(signatures)) <= MAX_ARGS_BYTES


def test_what_admins_sign():
    """Golden: the domain, the network, and the digest of the whole configuration."""
    message = update_message(CHAIN, NEXT)
    assert message[:52] == b"crowdmesh:channel:1:" + CHAIN
    assert message[52:].hex() == "2b0d170532281eefe286e6f87f88c43aef6201bdf868b694eab4cb8d127eecb8"


STATE = WorldState.empty().apply(channel_entries(CONFIG), Version(0, 0))


def context(state=STATE, *, chain=CHAIN, time_ms=NOW_MS):
    ids = {0: chain}
    return Context(state, "channel", sender=account(9), tx=TxId(bytes(32)), time_ms=time_ms, block_id_at=ids.get)


def test_anybody_brings_what_admins_signed():
    ctx = context()
    REGISTRY.run(ctx, "channel", "update", encode_args(NEXT, consents(NEXT, "Oak", "Elm")))
    assert ctx.writes == {CHANNEL_KEY: encode(NEXT)}
    assert ctx.reads == {CHANNEL_KEY: Version(0, 0)}
    assert [(event.name, event_fields(event)) for event in ctx.events] == [("updated", {"sequence": 1})]
    after = STATE.apply(ctx.writes, Version(1, 0))
    assert config_of(after) == NEXT
    data = REGISTRY.query(after, "channel", "config", encode_args(), time_ms=NOW_MS)
    assert REGISTRY.result("channel", "config", data) == NEXT


@pytest.mark.parametrize(
    "ctx, args, expected",
    [
        ({}, (NEXT, consents(NEXT, "Oak")), "admins_policy"),
        ({"chain": OTHER_CHAIN}, (NEXT, consents(NEXT, "Oak", "Elm")), "bad_signature"),
        ({"time_ms": NOT_AFTER_MS + 1}, (NEXT, consents(NEXT, "Oak", "Elm")), "certificate_expired"),
        ({}, (CONFIG, consents(CONFIG, "Oak", "Elm")), "bad_sequence"),
        ({"state": WorldState.empty()}, (NEXT, consents(NEXT, "Oak", "Elm")), "no_channel"),
        ({}, (NEXT, consents(NEXT, "Oak") * 34), "malformed_arguments"),
        ({}, (NEXT,), "malformed_arguments"),
        ({}, (replace(NEXT, orderers=()), ()), "malformed_arguments"),
    ],
)
def test_a_bad_update__is_refused_and_changes_nothing(ctx, args, expected):
    attempt = context(**ctx)
    with pytest.raises(Refused) as refusal:
        REGISTRY.run(attempt, "channel", "update", encode_args(*args))
    assert refusal.value.reason == expected
    assert attempt.writes == {} and attempt.events == []


GOOD = encode_args(NEXT, consents(NEXT, "Oak", "Elm"))


@given(place=st.integers(0, len(GOOD) - 1), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_updates__are_refused_and_change_nothing(place, flip, cut):
    damaged = GOOD[:place] if cut else GOOD[:place] + bytes([GOOD[place] ^ flip]) + GOOD[place + 1 :]
    attempt = context()
    with pytest.raises(Refused):
        REGISTRY.run(attempt, "channel", "update", damaged)
    assert attempt.writes == {} and attempt.events == []


def test_an_update_is_not_applied_twice():
    ctx = context()
    REGISTRY.run(ctx, "channel", "update", GOOD)
    with pytest.raises(Refused, match="bad_sequence"):
        REGISTRY.run(context(STATE.apply(ctx.writes, Version(1, 0))), "channel", "update", GOOD)


def test_a_network_without_a_channel_has_no_configuration():
    with pytest.raises(Refused, match="no_channel"):
        REGISTRY.query(WorldState.empty(), "channel", "config", encode_args(), time_ms=NOW_MS)
