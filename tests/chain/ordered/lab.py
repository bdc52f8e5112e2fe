"""A small consortium: organisations with a peer each, orderers' keys, clients, and a hand that cuts and seals blocks.

Nothing here decides anything: proposals go to real endorsers, blocks through `receive_block`. Liars have their own verbs
(`forge`, `endorse_falsely`), which use no key but the liar's.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256

from msgspec.structs import replace
from nacl.signing import SigningKey

from chain.codec import block_id, decode_own, encode
from chain.contract import Registry, encode_args
from chain.contracts import accounts, channel
from chain.genesis import Balance, Network
from chain.keys import account_of, sign_transaction
from chain.ledgers.ordered.assemble import Agreement, check_endorsed, prepare, sign_envelope
from chain.ledgers.ordered.blocks import build_block, sealed
from chain.ledgers.ordered.channel import BatchLimits, OrderedRules, Policies, default_policies, found_channel
from chain.ledgers.ordered.endorse import Signer, endorse
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.msp import issue
from chain.ledgers.ordered.update import sign_update
from chain.ledgers.ordered.values import SEAL, Batch, Endorsed, Envelope, Proposal, nonce_at
from chain.state import WorldState
from chain.transition import APPLIED
from chain.values import MAX_INT
from tests.chain.ordered import cabinet
from tests.strategies import EPOCH_MS, genesis

YEAR_MS = 31_536_000_000
TTL_MS = 60_000
SKEW_MS = 2_000
GAS, BLOCK_GAS = 10**8, 10**9
"""So much that other bounds are met first, unless told."""
BATCH = BatchLimits(max_count=500, preferred_bytes=131_072, absolute_bytes=524_288, timeout_ms=100, idle_ms=0)
REGISTRY = Registry({"accounts": accounts, "cabinet": cabinet, "other": cabinet, "channel": channel})
ORGANISATIONS = ("org1", "org2", "org3")


@cache
def key(name: str) -> SigningKey:
    """The same key for the same name, always."""
    return SigningKey(sha256(name.encode()).digest())


def account(name: str):
    return account_of(key(name))


@cache
def signer(organisation: str, role: str, name: str, *, until_ms: int = EPOCH_MS + YEAR_MS) -> Signer:
    """A member's key and certificate; its serial follows from its name."""
    serial = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    root = key(f"root of {organisation}")
    return Signer(issue(root, organisation, role, account(name), serial, 0, until_ms), key(name))


def peer_signer(organisation: str) -> Signer:
    return signer(organisation, "peer", f"peer of {organisation}")


def orderer_signer(number: int) -> Signer:
    """One in each organisation, in turn."""
    return signer(ORGANISATIONS[number % 3], "orderer", f"orderer {number}", until_ms=MAX_INT)


def admin_signer(organisation: str) -> Signer:
    return signer(organisation, "admin", f"admin of {organisation}")


def policies(**changes) -> Policies:
    roots = {name: account(f"root of {name}") for name in ORGANISATIONS}
    return replace(default_policies(roots), **changes)


@cache
def found(
    orderers: int = 1,
    rules: Policies | None = None,
    batch: BatchLimits = BATCH,
    ttl_ms: int = TTL_MS,
    gas: int = GAS,
    block_gas: int = BLOCK_GAS,
) -> Network:
    roots = {name: account(f"root of {name}") for name in ORGANISATIONS}
    ordering = [orderer_signer(number).certificate.account for number in range(orderers)]
    ordered = OrderedRules(
        consensus="solo" if orderers == 1 else "raft",
        channel=found_channel(roots, ordering, batch, rules),
        max_skew_ms=SKEW_MS,
        proposal_ttl_ms=ttl_ms,
        max_transaction_gas=gas,
        max_block_gas=block_gas,
        tick_ms=100,
        election_ticks=10,
        heartbeat_ticks=1,
    )
    balances = tuple(sorted((Balance(account(f"client {n}"), 1_000) for n in range(8)), key=lambda one: one.account))
    return Network.found(replace(genesis(), ledger=ordered, balances=balances), REGISTRY)


def contents_root(ledger: OrderedLedger) -> bytes:
    """Root of the state without the ids that are used up: those of invalid transactions are, too."""
    return WorldState.of((k, e) for k, e in ledger.state.scan(b"") if not k.startswith(b"seen/")).root


class Consortium:
    """Three organisations' peers on one channel, and whoever wants to lie to them."""

    def __init__(
        self,
        *,
        orderers: int = 1,
        rules: Policies | None = None,
        batch: BatchLimits = BATCH,
        now_ms: int = 0,
        gas: int = GAS,
        block_gas: int = BLOCK_GAS,
    ):
        APPLIED.clear()
        self.network = found(orderers, rules, batch, gas=gas, block_gas=block_gas)
        self.now = now_ms or EPOCH_MS + 1_000
        self.peers = {name: self.ledger(peer_signer(name)) for name in ORGANISATIONS}
        self._chance = 0

    def ledger(self, signs: Signer | None = None, **options) -> OrderedLedger:
        """One more replica at genesis, or where `options` say; it is not among `peers`."""
        return OrderedLedger(self.network, signer=signs, **options)

    @property
    def one(self) -> OrderedLedger:
        """The first organisation's peer."""
        return self.peers["org1"]

    @property
    def root(self) -> bytes:
        return self.one.state.root

    @property
    def contents(self) -> bytes:
        return contents_root(self.one)

    # --- clients ----------------------------------------------------------------------------------------------

    def transaction(self, method: str, *args, who: str = "client 0", contract: str = "cabinet", made_ms=None):
        self._chance += 1
        nonce = nonce_at(self.now if made_ms is None else made_ms, self._chance)
        return sign_transaction(key(who), self.network.id, nonce, contract, method, encode_args(*args))

    def propose(self, transaction, *, time_ms=None, creator=None) -> Proposal:
        return Proposal(transaction, creator, self.now if time_ms is None else time_ms)

    def ask(self, proposal: Proposal, by: Iterable[str] = ("org1", "org2")) -> list[Endorsed]:
        answers = [self.peers[name].endorse(proposal, self.now) for name in by]
        for answer in answers:
            check_endorsed(self.one.channel, proposal, answer, self.now)
        return answers

    def sign(self, proposal: Proposal, answers: Iterable[Endorsed], *, who: str = "client 0") -> Envelope:
        """What a client that trusts its endorsers makes of answers, whatever policies say."""
        answers = list(answers)
        endorsements = tuple(sorted((one.endorsement for one in answers), key=lambda one: one.certificate.account))
        return sign_envelope(key(who), prepare(proposal, Agreement(answers[0].response, endorsements, ())))

    def call(self, method: str, *args, by: Iterable[str] = ("org1", "org2"), who: str = "client 0", **options):
        """An envelope for a call, endorsed by these organisations' peers and signed."""
        proposal = self.propose(self.transaction(method, *args, who=who, **options))
        return self.sign(proposal, self.ask(proposal, by), who=who)

    # --- liars ------------------------------------------------------------------------------------------------

    def endorse_falsely(self, endorsed: Endorsed, by: str, **changes) -> Endorsed:
        """The same answer with a changed response, signed by the liar's own key."""
        response = replace(endorsed.response, **changes)
        return Endorsed(response, endorse(peer_signer(by), response), endorsed.height)

    def forge(self, envelope: Envelope, *, by: Iterable[str] = ("org1", "org2"), who="client 0", **changes) -> Envelope:
        """The envelope with another response that these peers, who lie, endorse, and that the client signs too."""
        response = replace(envelope.evidence.response, **changes)
        signed = sorted((endorse(peer_signer(name), response) for name in by), key=lambda one: one.certificate.account)
        evidence = replace(envelope.evidence, response=response, endorsements=tuple(signed))
        return sign_envelope(key(who), Envelope(envelope.transaction, evidence))

    # --- the orderer's hand -----------------------------------------------------------------------------------

    def cut(self, *envelopes: Envelope, time_ms=None, by: Sequence[int] = (0,), on: OrderedLedger | None = None):
        """A block after the head, sealed by these orderers; the first made it."""
        return self.cut_raw(
            [one.transaction for one in envelopes],
            [encode(one.evidence) for one in envelopes],
            time_ms=time_ms,
            by=by,
            on=on,
        )

    def cut_raw(self, transactions, evidence, *, time_ms=None, by: Sequence[int] = (0,), on=None):
        parent = on or self.one
        time_ms = max(self.now, parent.head.time_ms + 1) if time_ms is None else time_ms
        producer = orderer_signer(by[0] if by else 0).certificate.account
        batch = Batch(time_ms, producer, tuple(transactions), tuple(evidence))
        return self.sealed_by(build_block(parent.head, parent.head_id, batch, parent.head.nonce + 1), by)

    def sealed_by(self, block, by: Sequence[int]):
        return sealed(block, [orderer_signer(number).sign(SEAL, block_id(block.header)) for number in by])

    def commit(self, *envelopes: Envelope, time_ms=None, to=None) -> list[str]:
        """Cut a block of these and give it to all peers; returns the codes, upper case, of which all know the same."""
        return self.deliver(self.cut(*envelopes, time_ms=time_ms), to)

    def deliver(self, block, to=None) -> list[str]:
        now = max(self.now, block.header.time_ms)
        for ledger in to or self.peers.values():
            ledger.receive_block(b"gossip", block, now)
            assert ledger.head == block.header
        return self.codes()

    def codes(self, ledger: OrderedLedger | None = None) -> list[str]:
        """What became of the transactions of the head."""
        ledger = ledger or self.one
        receipts = ledger.receipts(ledger.head.height)
        return [receipt.reason.upper() or "VALID" for receipt in receipts]

    def run(self, method: str, *args, **options) -> str:
        """Endorse, order and commit one call in a block of its own; returns its code."""
        (code,) = self.commit(self.call(method, *args, **options))
        self.now += 10
        return code

    def value(self, name: bytes):
        """What is in a drawer."""
        data = self.one.state.get(b"cabinet/" + name)
        return None if data is None else decode_own(int, data)

    # --- the channel ------------------------------------------------------------------------------------------

    def update(self, config, *, admins: Iterable[str] = ("org1", "org2")):
        """A transaction that changes the channel to `config`, signed by these organisations' admins."""
        signers = [admin_signer(name) for name in admins]
        signed = tuple(sign_update(one.key, one.certificate, self.network.id, config) for one in signers)
        return self.transaction("update", config, signed, contract="channel")

    def reconfigure(self, config, **options) -> str:
        proposal = self.propose(self.update(config, **options))
        (code,) = self.commit(self.sign(proposal, self.ask(proposal)))
        self.now += 10
        return code
