"""Links over TCP or QUIC, wire-compatible with other libp2p peers.

This uses py-libp2p's layers below its Host and Swarm: those identify every peer and verify a signed record for each
message, sleep 0.1 s for every connection they close, keep several connections per peer, and read the wall clock.

Which of two connections with one peer stays: both ends must choose the same one without asking. When both were
begun by the same end the older is dead, for nobody dials a peer it has a link to: the newer stays. When the ends
dialled each other at once, the one begun by the smaller peer id stays; if the existing one is older than a dial can
take, it was not at once: the other end restarted, and the newer stays.

A connection is TCP with Noise and Yamux (`net.libp2p_tcp`), or QUIC (`net.libp2p_quic`); an address says which.

Importing this module costs more than a second; import it where it is used.
"""

import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.peer.id import ID
from libp2p.utils.address_validation import expand_wildcard_address
from multiaddr import Multiaddr  # type: ignore[import-untyped]

from net.libp2p_address import HostAddress, parse_address
from net.libp2p_backoff import DialBackoff
from net.libp2p_link import GOSSIP_PROTOCOLS, IDENTIFY_PROTOCOL, PING_PROTOCOL, Link
from net.libp2p_quic import QuicConnection, SocketAddress
from net.libp2p_stream import Connection, LinkBrokenError
from net.libp2p_tcp import NoiseUpgrader
from net.libp2p_tls import TlsIdentity
from net.libp2p_udp import QuicListener, dial_quic
from net.peer import Address, PeerId
from net.transport import (
    MAX_FRAME_BYTES,
    MAX_REQUEST_BYTES,
    FrameTooLargeError,
    NotConnectedError,
    TransportEvent,
)

EVENTS = 1024
"""Events that wait for the reader before links stall."""
MAX_LINKS = 512
"""Links at once, one a peer; with so many, nobody is let in and nobody dialled."""
MAX_HANDSHAKES = 64
"""Inbound connections that may be under negotiation at once; later ones are closed."""
DIAL_TIMEOUT = 10.0
"""Seconds per address for the connection, its handshakes and the gossip stream together."""
LOOPBACK = Address("/ip4/127.0.0.1/tcp/0")

log = logging.getLogger(__name__)

# py-libp2p takes its handlers away on import, aioquic has none, and Python then prints to stderr what any hostile peer
# provokes. Whoever wants it adds a handler to these loggers.
for _name in ("libp2p", "quic"):
    logging.getLogger(_name).setLevel(logging.WARNING)
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Libp2pTransport:
    """A `net.transport.Transport` over py-libp2p.

    `secret_seed` is the 32-byte Ed25519 seed; the peer id is the one `PeerId.from_public_key` gives for it, and only
    peers with Ed25519 ids are let in. `ports` are to be preferred, in the order of `listen`, where that says port 0: a
    peer that restarts is found where it was. `counts` says how often what happened, including drops and refusals.
    One that listens nowhere can dial.
    """

    def __init__(
        self,
        secret_seed: bytes,
        *,
        listen: Sequence[Address] = (LOOPBACK,),
        ports: Sequence[int] = (),
        max_links: int = MAX_LINKS,
        max_handshakes: int = MAX_HANDSHAKES,
    ) -> None:
        if len(secret_seed) != 32:
            raise ValueError(f"an Ed25519 seed has 32 bytes, not {len(secret_seed)}")
        self._listen = [parse_address(address) for address in listen]
        self._preferred = [*ports, *[0] * (len(self._listen) - len(ports))]
        self._keys = create_new_key_pair(secret_seed)
        self._peer_id = PeerId.parse(ID.from_pubkey(self._keys.public_key).to_bytes())
        self._noise = NoiseUpgrader(self._keys)
        self._tls: TlsIdentity | None = None
        self._post, self._events = trio.open_memory_channel[TransportEvent](EVENTS)
        self._addresses: tuple[Address, ...] = ()
        self._identity = b""
        self._links: dict[PeerId, Link] = {}
        self._dialling: dict[PeerId, trio.Event] = {}
        self._handshakes = 0
        self._max_links, self._max_handshakes = max_links, max_handshakes
        self._backoff = DialBackoff()
        self._nursery: trio.Nursery | None = None
        self._started = False
        self.counts: Counter[str] = Counter()

    @property
    def peer_id(self) -> PeerId:
        """Who we are: the id of the seed's public key."""
        return self._peer_id

    @property
    def addresses(self) -> Sequence[Address]:
        """Where we listen, with the ports that were free; a wildcard address stands for each interface's."""
        return self._addresses

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        """What happened, in order per peer; ends when `run` does."""
        return self._events

    def peers(self) -> Sequence[PeerId]:
        """Peers with a link that is up, sorted."""
        return sorted(peer for peer, link in self._links.items() if link.is_up)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve until cancelled; once in a transport's life (else RuntimeError).

        Raises OSError when an address cannot be listened on. Closes every socket, without flushing what is queued.
        """
        if self._started:
            raise RuntimeError("this transport has run already; make another")
        self._started = True
        tcp: list[trio.SocketListener] = []
        quic: list[QuicListener] = []
        addresses: list[Address] = []
        try:
            for where, preferred in zip(self._listen, self._preferred, strict=False):
                if where.quic:
                    opened = await self._listen_quic(where, preferred)
                    quic += opened
                    addresses += _dialable([each.address for each in opened], "udp", "/quic-v1")
                else:
                    sockets = await _listen_tcp(where, preferred)
                    tcp += sockets
                    addresses += _dialable([each.socket.getsockname()[:2] for each in sockets], "tcp", "")
            self._addresses = tuple(addresses)
            self._identity = self._identify()
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                if tcp:
                    nursery.start_soon(partial(trio.serve_listeners, self._inbound_tcp, tcp, handler_nursery=nursery))
                for listener in quic:
                    nursery.start_soon(listener.serve)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            for each in tcp:
                each.socket.close()
            for listener in quic:
                listener.close()
            for settled in self._dialling.values():
                settled.set()
            self._post.close()

    async def dial(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Bring up a link unless there is one; tries the addresses in order, each for at most `DIAL_TIMEOUT` seconds.

        An address with another peer's ``/p2p/`` is skipped, and so is one that failed a moment ago. Raises NotConnectedError, saying why for each address.
        """
        await trio.lowlevel.checkpoint()
        if self._nursery is None:
            raise NotConnectedError("this transport is not running")
        if peer == self._peer_id:
            raise NotConnectedError("one does not dial oneself")
        while (settled := self._dialling.get(peer)) is not None and not self._is_up(peer):
            await settled.wait()  # another task is dialling it
        if self._is_up(peer):
            return
        self._dialling[peer] = trio.Event()
        failures: list[str] = []
        try:
            for address in addresses:
                if (wait_s := self._backoff.wait_s(peer, address, trio.current_time())) > 0:
                    failures.append(f"{address}: failed just now, not dialled for another {wait_s:.1f} s")
                    continue
                try:
                    await self._dial_address(peer, address)
                except LinkBrokenError as error:
                    self._backoff.failed(peer, address, trio.current_time())
                    failures.append(f"{address}: {error}")
                if self._is_up(peer):
                    return
        finally:
            self._dialling.pop(peer).set()
        raise NotConnectedError(f"{peer} does not answer: {'; '.join(failures) or 'no address known'}")

    async def hang_up(self, peer: PeerId) -> None:
        """Close the link to `peer`, if there is one; frames in the queue are lost."""
        await trio.lowlevel.checkpoint()
        if link := self._links.get(peer):
            link.close("we hung up")
            await link.closed.wait()

    async def send(self, peer: PeerId, frame: bytes) -> None:
        """Queue a frame; waits while the queue is full. Raises FrameTooLargeError or NotConnectedError."""
        await trio.lowlevel.checkpoint()
        _check_frame(frame)
        link = self._up(peer)
        if link.is_full:
            await link.wait_for_room()
            if not link.is_up:
                raise NotConnectedError(f"the link to {peer!r} went down: {link.reason}")
        link.queue(frame)

    def send_nowait(self, peer: PeerId, frame: bytes) -> bool:
        """Queue a frame; False, and counted, without a link or room. Raises FrameTooLargeError."""
        _check_frame(frame)
        link = self._links.get(peer)
        if link is None or not link.is_up or link.is_full:
            self.counts["frames dropped"] += 1
            return False
        link.queue(frame)
        return True

    async def request(self, peer: PeerId, protocol: str, body: bytes, *, timeout: float) -> bytes:
        """Ask on a stream of its own. Protocols of libp2p's own namespaces (``/ipfs/``, …) cannot be asked.

        Raises RequestFailedError, NotConnectedError or FrameTooLargeError.
        """
        await trio.lowlevel.checkpoint()
        if len(body) > MAX_REQUEST_BYTES:
            raise FrameTooLargeError(f"a request of {len(body)} bytes exceeds {MAX_REQUEST_BYTES}")
        return await self._up(peer).request(protocol, body, timeout)

    # Connections. ---------------------------------------------------------------------------------------------

    def _is_up(self, peer: PeerId) -> bool:
        link = self._links.get(peer)
        return link is not None and link.is_up

    def _up(self, peer: PeerId) -> Link:
        link = self._links.get(peer)
        if link is None or not link.is_up:
            raise NotConnectedError(f"no link to {peer!r}")
        return link

    async def _dial_address(self, peer: PeerId, address: Address) -> None:
        """Try one address until a link to `peer` is up, whoever brought it up. Raises LinkBrokenError."""
        try:
            where = parse_address(address)
        except ValueError as error:
            raise LinkBrokenError(str(error)) from None
        if where.peer not in (None, peer):
            raise LinkBrokenError("names another peer")
        if len(self._links) >= self._max_links:
            raise LinkBrokenError(f"there are {self._max_links} links already")
        with trio.move_on_after(DIAL_TIMEOUT):
            connection = await self._connect(peer, where)
            if self._nursery is None:
                connection.close_now()
                raise LinkBrokenError("this transport is not running")
            link = self._link(connection)
            self._nursery.start_soon(self._keep, link)
            await link.up.wait()
            if not link.is_up and not self._is_up(peer):
                # Dropped for the peer's own dial, which is on its way, or broken.
                other = self._links.get(peer)
                if other is None:
                    raise LinkBrokenError(link.reason or "closed by peer")
                await other.up.wait()
            return
        raise LinkBrokenError(f"no link within {DIAL_TIMEOUT:.0f} s")

    async def _connect(self, peer: PeerId, where: HostAddress) -> Connection:
        if not where.quic:
            return await self._noise.dial(where.host, where.port, peer)
        if self._nursery is None:
            raise LinkBrokenError("this transport is not running")
        return await dial_quic(where.host, where.port, peer, self._certified(), self._nursery, self.counts)

    def _link(self, connection: Connection) -> Link:
        return Link(connection, identity=self._identity, post=self._post.send, counts=self.counts)

    def _has_room(self) -> bool:
        return self._handshakes < self._max_handshakes and len(self._links) < self._max_links

    async def _inbound_tcp(self, stream: trio.SocketStream) -> None:
        if not self._has_room():
            self.counts["connections refused"] += 1
            stream.socket.close()
            return

        async def secure() -> Connection:
            return await self._noise.upgrade(stream, expected=None)

        self._handshakes += 1
        await self._inbound(secure, stream.socket.close)

    def _inbound_quic(self, connection: QuicConnection) -> None:
        async def secure() -> Connection:
            await connection.secured()
            return connection

        if self._nursery is None:
            connection.close_now()
            return
        self._handshakes += 1
        self._nursery.start_soon(self._inbound, secure, connection.close_now)

    async def _inbound(self, secure: Callable[[], Awaitable[Connection]], close: Callable[[], None]) -> None:
        link = None
        try:
            with trio.move_on_after(DIAL_TIMEOUT):
                connection = await secure()
                if connection.peer == self._peer_id:
                    raise LinkBrokenError("the peer claims our own id")
                link = self._link(connection)
                # When we are dialling each other, ours stays if our id is smaller: see whether it comes up.
                if self._peer_id < link.peer and (settled := self._dialling.get(link.peer)) is not None:
                    await settled.wait()
        except LinkBrokenError as error:
            log.debug("inbound connection: %s", error)
        except BaseException:
            close()
            raise
        finally:
            self._handshakes -= 1
        if link is None:
            self.counts["handshakes failed"] += 1
            close()
        else:
            await self._keep(link)

    async def _keep(self, link: Link) -> None:
        """Run a link, unless it loses against the one there is."""
        replaced = None
        if (rival := self._links.get(link.peer)) is not None:
            if self._stays(rival, link):
                link.close("there is a link already")
            else:
                rival.close("replaced by a newer connection")
                self._links[link.peer] = link
                replaced = rival
        elif len(self._links) >= self._max_links:  # others were faster
            self.counts["connections refused"] += 1
            link.close(f"there are {self._max_links} links already")
        else:
            self._links[link.peer] = link
        self._backoff.linked(link.peer)
        try:
            if replaced is not None:
                await replaced.gone.wait()
            await link.run()
        finally:
            link.drop()
            if self._links.get(link.peer) is link:
                del self._links[link.peer]
            self.counts["links ended"] += 1
            log.debug("link to %s ended: %s", link.peer, link.reason)

    def _stays(self, rival: Link, link: Link) -> bool:
        """Tell whether the link there is stays and the new one goes; see the module's docstring."""
        if rival.outbound == link.outbound or link.made_at - rival.made_at > DIAL_TIMEOUT:
            return False
        return rival.outbound == (self._peer_id < link.peer)

    def _certified(self) -> TlsIdentity:
        if self._tls is None:  # only who uses QUIC pays for it
            self._tls = TlsIdentity(self._keys)
        return self._tls

    async def _listen_quic(self, where: HostAddress, preferred: int) -> list[QuicListener]:
        """Raises OSError."""
        listeners: list[QuicListener] = []
        try:
            found = await trio.socket.getaddrinfo(
                where.host, where.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
            )
            for family, _, _, _, address in found:
                listeners.append(self._quic_listener(family, address, preferred))
        except OSError as error:
            for each in listeners:
                each.close()
            raise _cannot_listen(where, error) from None
        return listeners

    def _quic_listener(self, family: int, address: SocketAddress, preferred: int) -> QuicListener:
        make = partial(
            QuicListener,
            identity=self._certified(),
            counts=self.counts,
            admit=self._has_room,
            is_busy=lambda: self._handshakes > self._max_handshakes // 2,
            let_in=self._inbound_quic,
        )
        if address[1] == 0 and preferred != 0:
            with suppress(OSError):  # somebody else has it now
                return make((family, (address[0], preferred, *address[2:])))
        return make((family, address))

    def _identify(self) -> bytes:
        """What we tell other implementations that ask who we are (libp2p identify 1.0.0)."""
        return Identify(
            protocol_version="ipfs/0.1.0",
            agent_version="crowdmesh",
            public_key=self._keys.public_key.serialize(),
            listen_addrs=[Multiaddr(address).to_bytes() for address in self._addresses],
            protocols=[*GOSSIP_PROTOCOLS, IDENTIFY_PROTOCOL, PING_PROTOCOL],
        ).SerializeToString()


def _check_frame(frame: bytes) -> None:
    if len(frame) > MAX_FRAME_BYTES:
        raise FrameTooLargeError(f"a frame of {len(frame)} bytes exceeds {MAX_FRAME_BYTES}")


async def _listen_tcp(where: HostAddress, preferred: int) -> list[trio.SocketListener]:
    if where.port == 0 and preferred != 0:
        with suppress(OSError):  # somebody else has it now
            return list(await trio.open_tcp_listeners(preferred, host=where.host))
    try:
        return list(await trio.open_tcp_listeners(where.port, host=where.host))
    except OSError as error:
        raise _cannot_listen(where, error) from None


def _cannot_listen(where: HostAddress, error: OSError) -> OSError:
    return OSError(error.errno, f"cannot listen on {where.host} port {where.port}: {error.strerror or error}")


def _dialable(bound: Iterable[tuple[str, int]], protocol: str, rest: str) -> list[Address]:
    """Name what sockets listen on, a wildcard by each interface's address."""
    found: list[Address] = []
    for host, port in bound:
        # Of what follows the port, py-libp2p forgets all.
        where = Multiaddr(f"/ip{6 if ':' in host else 4}/{host}/{protocol}/{port}")
        found += sorted(Address(f"{each}{rest}") for each in expand_wildcard_address(where))
    return found
