"""A founded population's ordered ledger without its actors: real peers that endorse, one orderer that seals."""

from random import Random

from actors.founding import found
from actors.membership import certified, signer_of
from actors.population import build_city, build_members
from actors.scenario import Scenario, convert
from chain.codec import encode
from chain.contract import encode_args
from chain.genesis import Network
from chain.keys import sign_transaction
from chain.ledgers.ordered.assemble import agree, prepare, sign_envelope
from chain.ledgers.ordered.blocks import build_block, seal
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.values import Batch, Envelope, Proposal, nonce_at
from chain.values import Block

START_MS = 1_700_000_000_000


def solo(**changes):
    """A scenario with an ordered ledger of one orderer."""
    return convert({"seed": 4, "ledger": {"kind": "ordered", "ordered": {"consensus": "solo", **changes}}})


class OrderedChain:
    """`call` endorses, `cut` commits at all peers."""

    def __init__(self, scenario: Scenario | None = None) -> None:
        scenario = scenario or solo()
        city = build_city(scenario, None)
        self.members = certified(scenario, build_members(scenario, city), START_MS)
        self.network = Network.found(found(scenario, city, self.members, START_MS))
        peers = [m for m in self.members if m.certificate is not None and m.certificate.role == "peer"]
        self.peers = [OrderedLedger(self.network, signer=signer_of(member)) for member in peers]
        self.orderer = next(m for m in self.members if m.role == "orderer")
        self.now_ms = START_MS
        self._rng = Random(1)
        self._index = 0

    def member(self, name):
        return next(member for member in self.members if member.name == name)

    def call(self, name: str, contract: str, method: str, *args: object) -> Envelope:
        """What a member's call does now, endorsed by peers of all organisations. Raises Refused."""
        key = self.member(name).identity.key
        nonce = nonce_at(self.now_ms, self._rng.getrandbits(20))
        transaction = sign_transaction(key, self.network.id, nonce, contract, method, encode_args(*args))
        proposal = Proposal(transaction, None, self.now_ms)
        answers = [peer.endorse(proposal, self.now_ms) for peer in self.peers[:3]]
        first = self.peers[0]
        return sign_envelope(key, prepare(proposal, agree(first.channel, first.state, proposal, answers, self.now_ms)))

    def cut(self, *envelopes: Envelope) -> Block:
        """Commit a block of these, a second later."""
        self.now_ms += 1_000
        self._index += 1
        signer = signer_of(self.orderer)
        first = self.peers[0]
        batch = Batch(
            self.now_ms,
            signer.certificate.account,
            tuple(envelope.transaction for envelope in envelopes),
            tuple(encode(envelope.evidence) for envelope in envelopes),
        )
        block = seal(build_block(first.head, first.head_id, batch, self._index), signer)
        for peer in self.peers:
            peer.receive_block(b"x" * 32, block, self.now_ms)
        assert first.head.height == block.header.height
        return block

    def report(self, name: str, distance_e7: int = 0) -> Envelope:
        """A member reports something in the middle of the place."""
        box = self.network.genesis.spatial.box
        lat = (box.lat_min_e7 + box.lat_max_e7) // 2 + distance_e7
        return self.call(name, "spatial", "submit", "fire", lat, (box.lon_min_e7 + box.lon_max_e7) // 2, self.now_ms)
