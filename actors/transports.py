"""Which transport each actor of a process gets: memory, libp2p, or both."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from actors.population import LEDGER_ROLES, Member
from actors.scenario import ScenarioError
from actors.sensing.mobility import Point
from actors.world import World
from net.composite import MEMORY, TCP, CompositeTransport, Part
from net.libp2p_address import parse_address, with_port
from net.memory import LinkConditions, MemoryNetwork
from net.peer import Address, PeerId
from net.transport import Transport

MAX_PORT = 65_535


class Transports:
    """Makes transports. `doors` are where to listen for other processes: none in virtual time.

    In a network of kind memory the MEC nodes alone listen there; where a door names its port, the first actor to start
    listens on that one and each further one on the next, counted from `first_place`. With `between`, other processes run
    the rest of the population: all ledger nodes listen, and everybody else can dial. `ports` are those that each actor (by name) had last
    time: where a door leaves the choice, they are taken again if they are free, so that who knew us finds us.
    Raises ScenarioError when virtual time is to run over libp2p.
    """

    def __init__(
        self,
        world: World,
        doors: Sequence[Address],
        ports: Mapping[str, tuple[int, ...]],
        *,
        first_place: int = 0,
        between: bool = False,
    ) -> None:
        config, virtual = world.scenario.network, not world.may_use_threads
        if virtual and config.kind == "libp2p":
            msg = "network.kind: libp2p needs real time; simulate runs over memory"
            raise ScenarioError(msg)
        self._doors = tuple(doors)
        self._ports = ports
        self._listening: dict[str, Transport] = {}
        self._places: dict[str, int] = {}
        self._sites: dict[PeerId, Point] = {}
        self._handling_s = config.handling_ms / 1000
        self._first_place = first_place
        self._between = between
        self.memory: MemoryNetwork | None = None
        if config.kind == "memory":
            self.memory = MemoryNetwork(
                rng=world.rng("network", "links"),
                conditions=partial(_by_distance, config.conditions(), config.latency_per_km_ms, self._sites),
                quantum_s=config.quantum_ms / 1000 if virtual else 0.0,
                silence_s=config.silence_s,
            )

    def make(self, member: Member) -> Transport:
        """A fresh transport."""
        if self.memory is None:
            return self._libp2p(member)
        if member.place is not None:
            self._sites[member.identity.peer_id] = member.place
        attached = self.memory.attach(member.identity.peer_id, handling_s=self._handling_s)
        if self._doors and listens(member, everywhere=False, between=self._between):
            return CompositeTransport([Part(attached, MEMORY), Part(self._libp2p(member), TCP)])
        if self._between:
            return CompositeTransport([Part(attached, MEMORY), Part(_dialler(member), TCP)])
        return attached

    def ports(self) -> dict[str, tuple[int, ...]]:
        """The ports on which each actor listens now, one a door; actors whose doors share ports are left out."""
        found = {}
        for name, transport in self._listening.items():
            bound = dict.fromkeys((where.quic, where.port) for where in map(parse_address, transport.addresses))
            if len(bound) == len(self._doors):
                found[name] = tuple(port for _, port in bound)
        return found

    def _libp2p(self, member: Member) -> Transport:
        # Importing libp2p costs 1.2 s, which only runs that use it should pay.
        from net.libp2p_host import Libp2pTransport  # noqa: PLC0415

        last = self.ports().get(member.name) or self._ports.get(member.name, ())
        place = self._places.setdefault(member.name, self._first_place + len(self._places))
        doors = [_nth(door, place) for door in self._doors]
        transport = Libp2pTransport(member.identity.secret, listen=doors, ports=last)
        self._listening[member.name] = transport
        return transport


def listens(member: Member, *, everywhere: bool, between: bool) -> bool:
    """Whether an actor listens for other processes: all in a network of libp2p (`everywhere`), see `Transports`."""
    return everywhere or member.role == "mec" or (between and member.role in LEDGER_ROLES)


def _dialler(member: Member) -> Transport:
    from net.libp2p_host import Libp2pTransport  # noqa: PLC0415 - see above

    return Libp2pTransport(member.identity.secret, listen=())


def _nth(door: Address, place: int) -> Address:
    """The same address some ports on. Raises ScenarioError when there are no more."""
    port = parse_address(door).port
    if port == 0:
        return door
    if port + place > MAX_PORT:
        msg = f"--listen {door}: actor number {place + 1} would need port {port + place}"
        raise ScenarioError(msg)
    return with_port(door, port + place)


def _by_distance(
    base: LinkConditions, per_km_ms: float, sites: Mapping[PeerId, Point], source: PeerId, target: PeerId
) -> LinkConditions:
    """Make what lies between two actors' places take its time; who has no place is near everybody."""
    a, b = sites.get(source), sites.get(target)
    if not per_km_ms or a is None or b is None:
        return base
    return replace(base, latency_s=base.latency_s + a.distance_m(b) / 1e6 * per_km_ms)
