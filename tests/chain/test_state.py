"""The world state against a plain dict."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from chain.state import Entry, Version, WorldState

keys = st.binary(max_size=3)
values = st.one_of(st.none(), st.binary(max_size=4))
versions = st.builds(Version, st.integers(0, 5), st.integers(0, 5))
write_sets = st.dictionaries(keys, values, max_size=8)


class StateMachine(RuleBasedStateMachine):
    """Every fork of the state holds exactly what a dict would, whatever happened to other forks."""

    forks = Bundle("forks")

    def __init__(self):
        super().__init__()
        self.latest = (WorldState.empty(), {})

    @rule(target=forks)
    def empty(self):
        return WorldState.empty(), {}

    @rule(target=forks, fork=forks, writes=write_sets, version=versions)
    def apply(self, fork, writes, version):
        state, model = fork
        changed = dict(model)
        for key, value in writes.items():
            if value is None:
                changed.pop(key, None)
            else:
                changed[key] = Entry(value, version)
        self.latest = (state.apply(writes, version), changed)
        return self.latest

    @rule(target=forks, fork=forks, first=st.integers(0, 200), count=st.integers(1, 700), version=versions)
    def apply_many(self, fork, first, count, version):
        """Enough keys to split chunks, and to crumble them."""
        state, model = fork
        names = [b"many/" + number.to_bytes(2, "big") for number in range(first, first + count)]
        gone = names[0] in model
        changed = {key: entry for key, entry in model.items() if not gone or key not in names}
        if not gone:
            changed |= {name: Entry(b"x", version) for name in names}
        self.latest = (state.apply(dict.fromkeys(names, None if gone else b"x"), version), changed)
        return self.latest

    @rule(fork=forks)
    def ask_root(self, fork):
        state, model = fork
        assert state.root == WorldState.of(model.items()).root

    @rule(fork=forks, prefix=st.binary(max_size=2), start=keys)
    def scan(self, fork, prefix, start):
        state, model = fork
        expected = [(k, e) for k, e in sorted(model.items()) if k.startswith(prefix) and k >= start]
        assert list(state.scan(prefix, start=start)) == expected

    @invariant()
    def same_as_dict(self):
        state, model = self.latest
        assert len(state) == len(model)
        assert dict(state.scan(b"")) == model
        for key in [*list(model)[:5], b"never"]:
            entry = model.get(key)
            assert state.entry(key) == entry
            assert (key in state) == (entry is not None)
            assert state.get(key) == (entry and entry.value)
            assert state.version(key) == (entry and entry.version)


TestState = StateMachine.TestCase


@given(model=st.dictionaries(keys, st.binary(max_size=4), max_size=6), data=st.data())
def test_root_does_not_depend_on_order(model, data):
    order = data.draw(st.permutations(sorted(model)))
    state = WorldState.empty()
    for key in order:
        state = state.apply({key: model[key]}, Version(1, 0))
        if data.draw(st.booleans()):
            assert state.root  # summing up in between changes nothing
    assert state.root == WorldState.empty().apply(model, Version(1, 0)).root


def test_root_commits_to_key_value_and_version():
    entries = [
        (b"ab", b"c", Version(1, 2)),
        (b"a", b"bc", Version(1, 2)),
        (b"ab", b"c", Version(2, 1)),
        (b"ab", b"", Version(1, 2)),
    ]
    roots = {WorldState.of([(key, Entry(value, version))]).root for key, value, version in entries}
    assert len(roots) == len(entries)
    assert WorldState.empty().root not in roots


def test_deleting_restores_the_root():
    before = WorldState.empty().apply({b"a": b"1"}, Version(1, 0))
    assert before.apply({b"b": b"2"}, Version(2, 0)).apply({b"b": None}, Version(3, 0)).root == before.root


def test_root_vector():
    """The root of a small state is part of the protocol: a change here splits every network."""
    state = WorldState.of([(b"key", Entry(b"value", Version(7, 3)))])
    assert state.root.hex() == "3c089fd4bfb6433d21e44c00863d3aa3965c345b1cdf709a81c4d0a5f70c3f30"
