"""The checkers over the journal find what they are for, and excuse what a fault made impossible."""

import pytest

from actors.checkers import (
    Bounds,
    check,
    invalid_messages,
    mesh_degrees,
    messages_from_nowhere,
    mistrust,
    outlasted_finality,
    stragglers,
    undelivered,
)

BOUNDS = Bounds(delivery_ms=1_000, join_ms=2_000, settle_ms=10_000)
END = {"t": 500_000, "a": "swarm", "k": "end"}


def record(t, actor, kind, **fields):
    return {"t": t, "a": actor, "k": kind, **fields}


def subscribed(*actors, t=0):
    return [record(t, actor, "subscribed", topic="tx") for actor in actors]


def published(t, actor="a", id_="m1"):
    return record(t, actor, "published", topic="tx", id=id_)


def delivered(t, actor="b", id_="m1"):
    return record(t, actor, "delivered", topic="tx", id=id_)


def journal(*records):
    return [*sorted(records, key=lambda r: r["t"]), END]


def test_nothing_is_wrong_with_nothing():
    assert check([], BOUNDS) == []


def test_all_in_time():
    assert undelivered(journal(*subscribed("a", "b"), published(50_000), delivered(50_900)), BOUNDS) == []


@pytest.mark.parametrize("arrives, told", [(None, "never reached b"), (51_200, "took 1200 ms to b")])
def test_late_or_lost(arrives, told):
    records = [*subscribed("a", "b"), published(50_000)]
    if arrives is not None:
        records.append(delivered(arrives))
    assert [wrong for wrong in undelivered(journal(*records), BOUNDS) if told in wrong]
    assert undelivered(journal(*records), BOUNDS, dishonest={"a"}) == []
    assert undelivered(journal(*records), BOUNDS, dishonest={"b"}) == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([record(49_000, "b", "subscribed", topic="tx")], id="it has just subscribed"),
        pytest.param([*subscribed("b"), record(50_500, "b", "unsubscribed", topic="tx")], id="it leaves"),
        pytest.param([record(0, "b", "subscribed", topic="blocks")], id="it wants other things"),
    ],
)
def test_nothing_owed(changes):
    assert undelivered(journal(*subscribed("a"), published(50_000), *changes), BOUNDS) == []


def test_what_is_published_at_the_end_may_be_under_way():
    assert undelivered([*subscribed("a", "b"), published(499_500), END], BOUNDS) == []


def fault(t, phase, *groups, number=0, kind="partition"):
    return record(
        t, "faults", "fault", number=number, fault=kind, phase=phase, **({"groups": groups} if groups else {})
    )


@pytest.mark.parametrize(
    "at, groups, excused",
    [
        (98_000, (["a"], ["b"]), False),  # delivered before the cut, if anybody tried
        (99_500, (["a"], ["b"]), True),  # it may have been under way
        (150_000, (["a"], ["b"]), True),
        (205_000, (["a"], ["b"]), True),  # meshes are not back yet
        (211_000, (["a"], ["b"]), False),
        (105_000, (["a", "b"], ["c"]), True),  # the mesh of that half is torn
        (150_000, (["a", "b"], ["c"]), False),
        (150_000, (["a"], ["c"]), False),  # b is in no group, so nothing is cut
        (150_000, (["c"], ["d"]), False),
        (105_000, (["c"], ["d"]), False),
    ],
)
def test_what_a_partition_excuses(at, groups, excused):
    records = [*subscribed("a", "b"), published(at), fault(100_000, "begin", *groups), fault(200_000, "end")]
    assert bool(undelivered(journal(*records), BOUNDS)) is not excused


def test_a_clog_of_actors_excuses_all_their_links():
    faults = [fault(100_000, "begin", ["b"], kind="clog"), fault(200_000, "end", kind="clog")]
    records = [*subscribed("a", "b", "c"), published(150_000)]
    assert undelivered(journal(*records, *faults), BOUNDS) == ["m1 of a at 150000 ms on tx never reached c"]


def test_a_partition_that_never_ends_excuses_to_the_end():
    records = [*subscribed("a", "b"), published(450_000), fault(100_000, "begin", ["a"], ["b"])]
    assert undelivered(journal(*records), BOUNDS) == []


@pytest.mark.parametrize(
    "at, excused", [(98_000, False), (99_500, True), (150_000, True), (201_000, True), (203_000, False)]
)
@pytest.mark.parametrize("who", ["a", "b"])
def test_what_being_down_excuses(who, at, excused):
    records = [*subscribed("a", "b"), record(1, who, "up"), published(at)]
    life = [record(100_000, who, "down"), record(200_000, who, "up"), record(400_000, who, "down")]
    assert bool(undelivered(journal(*records, *life), BOUNDS)) is not excused


def test_twice_or_unknown_or_own():
    good = [published(1), delivered(2), delivered(3, "c")]
    assert messages_from_nowhere(good) == []
    assert "twice" in messages_from_nowhere([*good, delivered(4)])[0]
    assert "nobody published" in messages_from_nowhere([*good, delivered(4, id_="m2")])[0]
    assert "its own" in messages_from_nowhere([*good, delivered(4, "a")])[0]
    # Who was restarted has forgotten; who does not play by the rules is not asked.
    assert messages_from_nowhere([*good, record(4, "b", "down"), delivered(5)]) == []
    assert messages_from_nowhere([*good, delivered(4)], dishonest={"b"}) == []


def test_invalid_messages():
    records = [published(1), record(1, "a", "invalid", id="m1"), delivered(2)]
    assert invalid_messages(records) == ["b was delivered m1, which is invalid"]
    assert invalid_messages(records, dishonest={"b"}) == []
    assert invalid_messages([published(1), delivered(2)]) == []


def look(t, actor="a", meshes=None, **below):
    return record(t, actor, "look", meshes=meshes or {}, below=below)


@pytest.mark.parametrize(
    "degree, known, good", [(6, 20, True), (3, 20, False), (3, 3, True), (13, 20, False), (0, 0, True), (0, 1, False)]
)
def test_mesh_degrees(degree, known, good):
    cut = [fault(100_000, "begin", ["a"], ["b"]), fault(200_000, "end")]
    seen = look(210_000, meshes={"tx": [degree, known]})
    assert (mesh_degrees([*cut, seen], BOUNDS) == []) is good
    assert mesh_degrees([*cut, seen], BOUNDS, dishonest={"a"}) == []
    assert mesh_degrees([seen], BOUNDS) == []  # without a fault, no promise


@pytest.mark.parametrize("before, good", [(3, True), (4, False), (20, False)])
def test_whom_an_actor_has_just_met_need_not_be_a_member_yet(before, good):
    cut = [fault(100_000, "begin", ["a"], ["b"]), fault(200_000, "end")]
    looks = [look(205_000, meshes={"tx": [3, before]}), look(215_000, meshes={"tx": [3, 20]})]
    assert (mesh_degrees([*cut, *looks], BOUNDS) == []) is good
    assert mesh_degrees([*cut, *looks, look(225_000, meshes={"tx": [3, 20]})], BOUNDS) != []


@pytest.mark.parametrize(
    "at, between, counts",
    [
        (99_000, [], False),
        (150_000, [], False),
        (209_000, [], False),
        (210_000, [], True),
        (400_000, [], True),
        (211_000, [record(205_000, "c", "down")], False),
        (216_000, [record(205_000, "c", "down")], True),
        (211_000, [record(205_000, "c", "subscribed", topic="tx")], False),
        (211_000, [record(205_000, "c", "subscribed", topic="blocks")], True),
        (216_000, [record(205_000, "c", "unsubscribed", topic="tx")], True),
        (211_000, [fault(205_000, "begin", ["a"], number=1, kind="hold")], False),
        (400_000, [fault(205_000, "begin", ["a"], number=1, kind="hold")], False),
    ],
)
def test_when_meshes_are_to_be_whole(at, between, counts):
    records = [fault(100_000, "begin", ["a"], ["b"]), fault(200_000, "end"), *between, look(at, meshes={"tx": [0, 9]})]
    assert bool(mesh_degrees(journal(*records), BOUNDS)) is counts


def test_mistrust():
    records = [
        look(10, "a", b=-499.9),
        look(20, "a", b=-500.0, c=-1.0),
        look(30, "a", b=-501.0),
        look(40, "a", b=-500.5),
    ]
    assert mistrust(records, BOUNDS) == ["a scores b -501 at 30 ms"]
    assert mistrust(records, BOUNDS, dishonest={"a"}) == mistrust(records, BOUNDS, dishonest={"b"}) == []
    assert mistrust(records, Bounds(score=0.0)) == ["a scores b -501 at 30 ms", "a scores c -1 at 20 ms"]
    assert mistrust([record(1, "a", "look", meshes={})], BOUNDS) == []  # nobody is scored


@pytest.mark.parametrize(
    "finals, told",
    [
        ([("a", "x", 150), ("b", "y", 151)], "height 7: the partition of 100 s outlasted finality of 4 blocks"),
        ([("b", "y", 250), ("a", "x", 251)], "height 7: the partition of 100 s outlasted"),  # it comes out later
        ([("a", "x", 150), ("b", "x", 151)], None),
        ([("a", "x", 150), ("c", "y", 151)], None),  # of one group: a worse evil, and another checker's
        ([("a", "x", 50), ("b", "y", 51)], None),
    ],
)
def test_outlasted_finality(finals, told):
    cut = [fault(100_000, "begin", ["a", "c"], ["b"]), fault(200_000, "end")]
    blocks = [record(t * 1000, who, "final", height=7, id=id_) for who, id_, t in finals]
    start = record(0, "swarm", "start", actors=3, network="n", finality_depth=4)
    wrong = outlasted_finality(journal(start, *cut, *blocks))
    assert [told in line for line in wrong] == [True] * (told is not None)
    assert outlasted_finality(journal(start, *cut, *blocks), dishonest={"a", "b"}) == []
    assert len(outlasted_finality(journal(start, cut[0], *blocks))) == len(wrong)  # still on at the end


def test_stragglers():
    far = [record(1, "a", "final", height=100, id="x"), record(1, "b", "final", height=50, id="y")]
    assert stragglers(far, BOUNDS) == ["b is at final block 50, another node at 100"]
    assert stragglers([*far, record(2, "b", "jumped", height=99)], BOUNDS) == []
    assert stragglers([*far, record(2, "b", "down")], BOUNDS) == []
    assert stragglers([*far, record(2, "b", "down"), record(3, "b", "up")], BOUNDS) != []
