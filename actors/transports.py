"""Which transport each actor of a process gets: memory, libp2p, or both."""

from collections.abc import Mapping, Sequence

from actors.population import Member
from actors.scenario import ScenarioError
from actors.world import World
from net.composite import MEMORY, TCP, CompositeTransport, Part
from net.memory import LinkConditions, MemoryNetwork
from net.peer import Address
from net.transport import Transport



class Transports:
    """Makes transports. `doors` are where to listen for other processes: none in virtual time.

    In a network of kind memory the MEC nodes alone listen there. `ports` are those that each actor (by name) had last
    time: where a door leaves the choice, they are taken again if they are free, so that who knew us finds us.
    Raises ScenarioError when virtual time is to run over libp2p.
    """

    def __init__(self, world: World, doors: Sequence[Address], ports: Mapping[str, tuple[int, ...]]) -> None:
        config, virtual = world.scenario.network, not world.may_use_threads
        if virtual and config.kind == "libp2p":
            msg = "network.kind: libp2p needs real time; simulate runs over memory"
            raise ScenarioError(msg)
        self._doors = tuple(doors)
        self._ports = ports
        self._listening: dict[str, Transport] = {}
        self.memory: MemoryNetwork | None = None
        if config.kind == "memory":
            conditions = LinkConditions(
                latency_s=config.latency_ms / 1000, jitter_s=config.jitter_ms / 1000, loss=config.loss
            )
            self.memory = MemoryNetwork(
                rng=world.rng("network", "links"),
                conditions=conditions,
                quantum_s=config.quantum_ms / 1000 if virtual else 0.0,
            )

    def make(self, member: Member) -> Transport:
        """A fresh transport."""
        if self.memory is None:
            return self._libp2p(member)
        attached = self.memory.attach(member.identity.peer_id)
        if self._doors and member.role == "mec":
            return CompositeTransport([Part(attached, MEMORY), Part(self._libp2p(member), TCP)])
        return attached

    def ports(self) -> dict[str, tuple[int, ...]]:
        """The ports on which each actor listens now, one a door; actors whose doors share ports are left out."""
        found = {}
        for name, transport in self._listening.items():
            ports = tuple(dict.fromkeys(int(address.rpartition("/")[2]) for address in transport.addresses))
            if len(ports) == len(self._doors):
                found[name] = ports
        return found

    def _libp2p(self, member: Member) -> Transport:
        # Importing libp2p costs 1.2 s, which only runs that use it should pay.
        from net.libp2p_host import Libp2pTransport  # noqa: PLC0415

        last = self.ports().get(member.name) or self._ports.get(member.name, ())
        transport = Libp2pTransport(member.identity.secret, listen=self._doors, ports=last)
        self._listening[member.name] = transport
        return transport
