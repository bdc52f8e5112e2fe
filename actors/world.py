"""What all actors of one process share: the clock, the journal, the rules, and the city around them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import trio

from actors.address_book import AddressBook
from actors.clock import Clock
from actors.gossip_meter import GossipMeter
from actors.journal import Journal
from actors.scenario import Scenario
from actors.sensing.city import City
from chain.genesis import Genesis, Network
from chain.ledgers.ordered.msp import Certificate
from net.gossip.config import GossipConfig
from net.peer import PeerId

MAX_ERRORS = 100


@dataclass(slots=True)
class World:
    """Made once a run; `may_use_threads` is False in virtual time, whose clock jumps while a thread runs."""

    scenario: Scenario
    genesis: Genesis
    network: Network
    clock: Clock
    journal: Journal
    meter: GossipMeter
    city: City
    gossip: GossipConfig
    may_use_threads: bool
    started_ms: int
    """When the run began; what is scheduled counts from here."""
    joined: bool = False
    """Whether this process joined a network that others founded."""
    addresses: AddressBook = field(default_factory=AddressBook)
    names: dict[bytes, str] = field(default_factory=dict)
    """Public key to the name of an actor of this run, also of those in other processes."""
    certificates: dict[bytes, Certificate] = field(default_factory=dict)
    """Account to certificate of the actors of this run that have one, also of those in other processes."""
    errors: list[str] = field(default_factory=list)
    """What must not happen and did: crashes and bugs, the first MAX_ERRORS."""
    on_error: Callable[[str], None] = lambda _: None
    begun: trio.Event = field(default_factory=trio.Event)
    """Set when the ledger nodes of all processes that run this population know each other; miners wait for it."""

    @property
    def topics(self) -> str:
        """First part of the name of every topic."""
        return self.genesis.network

    def rng(self, actor: str, purpose: str) -> Random:
        """A generator that depends on the run's seed, the actor and the purpose alone."""
        return Random(f"{self.scenario.seed}/{actor}/{purpose}")

    def name_of(self, key: bytes) -> str:
        """An actor's name, or a short form of a stranger's key."""
        return self.names.get(bytes(key)) or PeerId.from_public_key(bytes(key))[-8:].hex()

    def fail(self, actor: str, what: str) -> None:
        """Note something that must not happen."""
        self.journal.record(actor, "error", what=what)
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(f"{actor}: {what}")
        self.on_error(f"{actor}: {what}")
