"""Whatever is proposed on stale states and cut into whatever blocks: the state is that of executing, one after another and
on the newest state, exactly those whose reads were still current.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.codec import encode
from chain.contract import Context, encode_args
from chain.keys import remember_signatures
from chain.ledgers.ordered.assemble import agree, prepare, sign_envelope
from chain.ledgers.ordered.values import Proposal
from chain.transition import APPLIED
from tests.chain.ordered.lab import REGISTRY, Consortium, key

KEYS = [b"a", b"b", b"s/1", b"s/2", b"s/3"]
a_key = st.sampled_from(KEYS)
number = st.integers(0, 5)
calls = st.one_of(
    st.tuples(st.just("put"), a_key, number),
    st.tuples(st.just("replace"), a_key, number),
    st.tuples(st.just("delete"), a_key),
    st.tuples(st.just("copy"), a_key, a_key),
    st.tuples(st.just("increment"), a_key),
    st.tuples(st.just("increment_twice"), a_key),
    st.tuples(st.just("transfer"), a_key, a_key, number),
    st.tuples(st.just("total_to"), st.sampled_from([b"", b"s/", b"t"]), a_key),
    st.tuples(st.just("first_to"), st.sampled_from([b"", b"s/"]), st.integers(1, 3), a_key),
    st.tuples(st.just("put_then_total"), a_key, number, st.sampled_from([b"", b"s/"])),
)
proposals = st.tuples(calls, st.permutations(["org1", "org2", "org3"]), st.integers(2, 3), st.integers(0, 2))
"""A call, whom to ask for endorsements, how many of them, and how many blocks it comes late."""
rounds = st.lists(
    st.tuples(
        st.lists(proposals, min_size=2, max_size=8),
        st.lists(st.integers(0, 100), max_size=2),  # which of those that were made before come once more
        st.randoms(use_true_random=False),  # in which order the orderer has them
    ),
    min_size=2,
    max_size=5,
)


@dataclass
class Model:
    """The slow, obvious ledger: values by key, a counter that grows with every write, and what was seen."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    written: dict[bytes, int] = field(default_factory=dict)
    writes: int = 0
    done: set[bytes] = field(default_factory=set)

    def glance(self, call):
        """What a call depends on: each key and range that it looks at, with what was there and when it was written."""
        method, *args = call
        reads: list[tuple[bytes, ...]] = {
            "replace": lambda k, _: [k],
            "copy": lambda source, _: [source],
            "increment": lambda k: [k],
            "increment_twice": lambda k: [k],
            "transfer": lambda source, target, _: [source, target],
        }.get(method, lambda *_: [])(*args)
        scanned = {
            "total_to": lambda prefix, _: self.under(prefix),
            "put_then_total": lambda _key, _value, prefix: self.under(prefix),
            "first_to": lambda prefix, count, _: self.under(prefix)[:count],
        }.get(method, lambda *_: [])(*args)
        # A range is what is between where it begins and where it ended: that far, all must be the same again.
        ended = scanned[-1] if method == "first_to" and len(scanned) == args[1] else None
        prefix = {"total_to": args[0], "put_then_total": args[-1], "first_to": args[0]}.get(method)
        return (
            tuple((k, self.written.get(k) if k in self.values else None) for k in reads),
            (prefix, ended),
        )

    def under(self, prefix):
        return sorted(k for k in self.values if k.startswith(prefix))

    def sight(self, seen):
        """What is now where a call looked."""
        reads, (prefix, ended) = seen
        now = tuple((k, self.written.get(k) if k in self.values else None) for k, _ in reads)
        found = () if prefix is None else tuple(k for k in self.under(prefix) if ended is None or k <= ended)
        return now, tuple((k, self.written[k]) for k in found)

    def run(self, call):
        """Execute it now. Raises KeyError when it is refused."""
        method, *args = call
        value = lambda k: self.values.get(k, 0)  # noqa: E731
        match method, *args:
            case "put" | "replace", k, new:
                self.write(k, new)
            case "put_then_total", k, new, _:
                self.write(k, new)
            case "delete", k:
                self.values.pop(k, None)
            case "copy", source, target:
                self.write(target, value(source))
            case "increment", k:
                self.write(k, value(k) + 1)
            case "increment_twice", k:
                self.write(k, value(k) + 2)
            case "transfer", source, target, amount:
                if value(source) < amount:
                    raise KeyError(source)
                self.write(source, value(source) - amount)
                self.write(target, value(target) + amount)
            case "total_to", prefix, target:
                self.write(target, sum(self.values[k] for k in self.under(prefix)))
            case "first_to", prefix, count, target:
                self.write(target, len(self.under(prefix)[:count]))

    def write(self, k, new):
        self.writes += 1
        self.values[k] = new
        self.written[k] = self.writes


def contents(ledger):
    prefix = b"cabinet/"
    return {k.removeprefix(prefix): entry.value for k, entry in ledger.state.scan(prefix)}


def propose(lab, call, by, count):
    """Endorsed, in whatever order endorsers answer; None when the contract refuses."""
    method, *args = call
    proposal = lab.propose(lab.transaction(method, *args))
    context = Context(lab.one.state, "cabinet", sender=bytes(32), tx=bytes(32), time_ms=0, block_id_at=lambda _: None)
    try:
        REGISTRY.run(context, "cabinet", method, encode_args(*args))
    except Exception:  # noqa: BLE001 - too little to transfer
        return None
    agreed = agree(lab.one.channel, lab.one.state, proposal, lab.ask(proposal, by[:count]), lab.now)
    assert agreed is not None and not agreed.differing
    return sign_envelope(key("client 0"), prepare(proposal, agreed))


@settings(max_examples=100)
@given(rounds)
def test_state_is_that_of_serial_execution(rounds):
    lab = Consortium()
    alone = lab.ledger()  # works everything out for itself
    model = Model()
    made, due = [], {}
    for height, (proposals, repeated, chance) in enumerate(rounds, 1):
        lab.now += 5
        for call, by, count, late in proposals:
            envelope = propose(lab, call, by, count)
            if envelope is not None:
                looked = model.glance(call)
                made.append((envelope, call, looked, model.sight(looked)))
                due.setdefault(height + late, []).append(made[-1])
        waiting = due.pop(height, []) + [made[place % len(made)] for place in repeated if made]
        chance.shuffle(waiting)
        codes = lab.commit(*(one for one, *_ in waiting))
        assert [code == "VALID" for code in codes] == [judge(model, one) for one in waiting]
        assert contents(lab.one) == {k: encode(v) for k, v in model.values.items()}
    APPLIED.enabled = False
    remember_signatures(False)
    try:
        for height in range(1, lab.one.head.height + 1):
            alone.receive_block(b"x", lab.one.block(height), lab.now)
    finally:
        APPLIED.enabled = True
        remember_signatures(True)
    for peer in (*lab.peers.values(), alone):
        assert (peer.head_id, peer.state.root) == (lab.one.head_id, lab.root)
        for height in range(lab.one.head.height + 1):
            assert peer.receipts(height) == lab.one.receipts(height)


def judge(model, one):
    """Whether the model takes it; if so it is carried out."""
    envelope, call, looked, saw = one
    first = id(envelope) not in model.done
    model.done.add(id(envelope))  # an id serves once, whatever comes of it
    if not first or model.sight(looked) != saw:
        return False
    model.run(call)
    return True


def test_order_of_endorsements_does_not_matter():
    """Neither for what the client assembles, nor for who checks an envelope whose endorsements come in another order."""
    lab = Consortium()
    proposal = Proposal(lab.transaction("increment", b"a"), None, lab.now)
    answers = lab.ask(proposal, ["org1", "org2", "org3"])
    one = agree(lab.one.channel, lab.one.state, proposal, answers, lab.now)
    two = agree(lab.one.channel, lab.one.state, proposal, answers[::-1], lab.now)
    assert one == two
    envelope = prepare(proposal, one)
    turned = replace(envelope.evidence, endorsements=envelope.evidence.endorsements[::-1])
    assert lab.commit(sign_envelope(key("client 0"), replace(envelope, evidence=turned))) == ["VALID"]
