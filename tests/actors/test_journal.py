"""What a journal tells is what it hashes, and what its listeners hear."""

import json
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from actors.journal import Journal

values = st.recursive(
    st.text(max_size=20)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
records = st.lists(
    st.tuples(
        st.integers(0, 10**9),
        st.text(max_size=20),
        st.text(max_size=20),
        st.dictionaries(st.text("abcdefgh", min_size=3, max_size=8), values, max_size=4),
    ),
    max_size=10,
)


@given(records)
def test_the_hash_is_that_of_the_file(tmp_path_factory, said):
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    now = [0]
    with Journal(lambda: now[0] + 500, 500, path) as journal, Journal(lambda: now[0], 0) as in_memory:
        for t, actor, kind, fields in said:
            now[0] = t
            journal.record(actor, kind, **fields)
            in_memory.record(actor, kind, **fields)
    raw = path.read_bytes()
    assert journal.sha256 == in_memory.sha256 == sha256(raw).hexdigest()
    assert journal.records == len(said)
    lines = [json.loads(line) for line in raw.splitlines()]
    assert lines == [{"t": t, "a": actor, "k": kind, **fields} for t, actor, kind, fields in said]


def test_listeners_hear_each_record_once_from_when_they_listen():
    journal = Journal(lambda: 5_000, 1_000)
    first, second = [], []
    journal.listen(lambda *said: first.append(said))
    journal.record("a", "one", n=1)
    journal.listen(lambda *said: second.append(said))
    journal.record("b", "two")
    assert first == [(4_000, "a", "one", {"n": 1}), (4_000, "b", "two", {})]
    assert second == first[1:]


def test_closing_twice_is_closing_once(tmp_path):
    journal = Journal(lambda: 0, 0, tmp_path / "j")
    journal.record("a", "b")
    journal.close()
    journal.close()
    journal.record("a", "c")  # the swarm's last words: hashed, not written
    assert journal.records == 2
