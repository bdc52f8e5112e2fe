"""UDP sockets with QUIC connections on them: one that listens for many, one of its own for each that is dialled.

A dialled connection has a connected socket, so that the system tells when nobody listens there.
"""

import os
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast

import trio
from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicHeader,
    QuicPacketType,
    QuicProtocolVersion,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.retry import QuicRetryTokenHandler

from net.libp2p_quic import QuicConnection, SocketAddress
from net.libp2p_stream import LinkBrokenError
from net.libp2p_tls import TlsIdentity
from net.peer import PeerId

ID_BYTES = 8
"""Of a connection id of ours."""
FIRST_DATAGRAM_BYTES = 1200
"""Least size of a datagram that may begin a connection (RFC 9000 section 14.1): an answer is never much bigger."""
BATCH = 64
"""Datagrams that are read before the connections they are for are served."""
SOCKET_BUFFER_BYTES = 1 << 20
"""Asked of the system each way; it may grant less."""
MAX_RESOLVED = 4
"""Addresses of a name that are tried."""


class _UdpSocket:
    """A socket that is read in batches and never waited for when it is full: QUIC sends again what was dropped."""

    def __init__(self, family: int, counts: Counter[str]) -> None:
        self.raw = socket.socket(family, socket.SOCK_DGRAM)
        self.raw.setblocking(False)
        self._connected = False
        self._counts = counts
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with suppress(OSError):
                self.raw.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        if family == socket.AF_INET6:
            self.raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)

    async def receive(self) -> list[tuple[bytes, SocketAddress]]:
        """Wait for datagrams; at most `BATCH`. Raises OSError, as when a connected one's peer does not listen."""
        await trio.lowlevel.wait_readable(self.raw)
        got: list[tuple[bytes, SocketAddress]] = []
        while len(got) < BATCH:
            try:
                got.append(self.raw.recvfrom(65_536))
            except BlockingIOError:
                break
            except OSError:
                if got:
                    break
                raise
        return got

    def connect(self, address: SocketAddress) -> SocketAddress:
        """Speak with this address alone from now on; returns it as received datagrams have it. Raises OSError."""
        self.raw.connect(address)
        self._connected = True
        return cast("SocketAddress", self.raw.getpeername())

    def send(self, datagram: bytes, address: SocketAddress) -> None:
        """Send to `address`."""
        try:
            if self._connected:  # some systems refuse an address then
                self.raw.send(datagram)
            else:
                self.raw.sendto(datagram, address)
        except OSError:
            self._counts["datagrams dropped"] += 1

    def close(self) -> None:
        """Close; idempotent."""
        if self.raw.fileno() != -1:
            trio.lowlevel.notify_closing(self.raw)
            self.raw.close()


async def dial_quic(
    host: str, port: int, peer: PeerId, identity: TlsIdentity, nursery: trio.Nursery, counts: Counter[str]
) -> QuicConnection:
    """Connect to `peer`, with tasks in `nursery` that end with the connection. Raises LinkBrokenError."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise LinkBrokenError(str(error)) from error
    failure = LinkBrokenError("no address")
    for family, _, _, _, address in found[:MAX_RESOLVED]:
        udp = _UdpSocket(family, counts)
        try:
            remote = udp.connect(address)
        except OSError as error:
            udp.close()
            failure = LinkBrokenError(str(error))
            continue
        connection = QuicConnection(identity, udp.send, counts, remote=remote, expected=peer)
        nursery.start_soon(_serve_alone, udp, connection)
        try:
            await connection.secured()
        except LinkBrokenError as error:
            failure = error
        except BaseException:
            connection.close_now()
            raise
        else:
            return connection
    raise failure


async def _serve_alone(udp: _UdpSocket, connection: QuicConnection) -> None:
    """Carry the datagrams of the one connection that a socket is for, until it ends."""

    async def receive() -> None:
        while True:
            try:
                connection.receive(await udp.receive())
            except OSError as error:
                # Anybody could have sent this; once the peer has proven to be there, its silence decides.
                if not connection.is_secured:
                    connection.fail(f"nobody answers: {error}")

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await connection.drive()
            nursery.cancel_scope.cancel()
    finally:
        connection.close_now()
        udp.close()


class QuicListener:
    """A socket where others dial us.

    `admit` is asked before a connection is begun, and told apart from other reasons by the peer if it says no.
    `is_busy` says whether a peer must first prove to be where its datagrams claim to come from, at the cost of a round
    trip. `let_in` gets each new connection, still in its handshake.
    """

    def __init__(
        self,
        address: tuple[int, SocketAddress],
        identity: TlsIdentity,
        counts: Counter[str],
        *,
        admit: Callable[[], bool],
        is_busy: Callable[[], bool],
        let_in: Callable[[QuicConnection], None],
    ) -> None:
        family, where = address
        self._udp = _UdpSocket(family, counts)
        try:
            self._udp.raw.bind(where)
        except OSError:
            self._udp.close()
            raise
        self._identity = identity
        self._counts = counts
        self._admit, self._is_busy, self._let_in = admit, is_busy, let_in
        self._connections: dict[bytes, QuicConnection] = {}
        """By each id that a peer may use for it, and the one with which it began."""
        self._tokens = QuicRetryTokenHandler()
        self._nursery: trio.Nursery | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The numeric host and port that are bound."""
        host, port = self._udp.raw.getsockname()[:2]
        return str(host), int(port)

    async def serve(self) -> None:
        """Let connections in and carry their datagrams until cancelled; then close them all, and the socket."""
        try:
            async with trio.open_nursery() as self._nursery:
                while True:
                    with suppress(ConnectionError):  # Windows tells here that some peer is gone
                        self._distribute(await self._udp.receive())
        finally:
            self._nursery = None
            for connection in list(self._connections.values()):
                connection.close_now()
            self.close()

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._udp.close()

    def _distribute(self, datagrams: list[tuple[bytes, SocketAddress]]) -> None:
        batches: dict[QuicConnection, list[tuple[bytes, SocketAddress]]] = {}
        for datagram, sender in datagrams:
            if datagram and not datagram[0] & 0x80:  # a short header, which has the id at once (RFC 9000 section 17.3)
                connection = self._connections.get(datagram[1 : 1 + ID_BYTES])
            else:
                connection = self._by_long_header(datagram, sender)
            if connection is None:
                self._counts["datagrams of no connection"] += 1
            else:
                batches.setdefault(connection, []).append((datagram, sender))
        for connection, batch in batches.items():
            connection.receive(batch)

    def _by_long_header(self, datagram: bytes, sender: SocketAddress) -> QuicConnection | None:
        try:
            header = pull_quic_header(Buffer(data=datagram), host_cid_length=ID_BYTES)
        except ValueError:
            return None
        if (known := self._connections.get(header.destination_cid)) is not None:
            return known
        if len(datagram) < FIRST_DATAGRAM_BYTES or len(header.destination_cid) < ID_BYTES:  # RFC 9000 section 7.2
            return None
        if header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
            return None
        if header.version != QuicProtocolVersion.VERSION_1:
            self._udp.send(
                encode_quic_version_negotiation(
                    source_cid=header.destination_cid,
                    destination_cid=header.source_cid,
                    supported_versions=[QuicProtocolVersion.VERSION_1],
                ),
                sender,
            )
            return None
        return self._begin(header, sender) if header.packet_type == QuicPacketType.INITIAL else None

    def _begin(self, header: QuicHeader, sender: SocketAddress) -> QuicConnection | None:
        if self._nursery is None or not self._admit():
            self._counts["connections refused"] += 1
            self._udp.send(_refusal(header), sender)
            return None
        original = header.destination_cid
        retried: bytes | None = None
        with suppress(ValueError):  # not one of ours, or old: as if there were none
            original = self._tokens.validate_token(
                address=sender[:2],
                destination_cid=header.destination_cid,
                token=header.token,
                now=trio.current_time(),
            )
            retried = header.destination_cid
        if retried is None and self._is_busy():
            self._udp.send(self._retry(header, sender), sender)
            return None
        connection = QuicConnection(
            self._identity,
            self._udp.send,
            self._counts,
            remote=sender,
            expected=None,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        self._connections[header.destination_cid] = self._connections[connection.first_id] = connection
        connection.on_id = partial(self._name, connection)
        self._nursery.start_soon(self._drive, connection)
        self._let_in(connection)
        return connection

    def _name(self, connection: QuicConnection, number: bytes, valid: bool) -> None:
        if valid:
            self._connections[number] = connection
        else:
            self._connections.pop(number, None)

    async def _drive(self, connection: QuicConnection) -> None:
        try:
            await connection.drive()
        finally:
            connection.close_now()
            for number in [number for number, each in self._connections.items() if each is connection]:
                del self._connections[number]

    def _retry(self, header: QuicHeader, sender: SocketAddress) -> bytes:
        """Ask the sender to come again with a token, which only who can read at its address gets."""
        source = os.urandom(ID_BYTES)
        token = self._tokens.create_token(
            address=sender[:2],
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=trio.current_time(),
        )
        return encode_quic_retry(
            version=QuicProtocolVersion.VERSION_1,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )


def _refusal(header: QuicHeader) -> bytes:
    """A packet that closes what a peer would begin, without beginning it: CONNECTION_REFUSED (RFC 9000 section 20.1)."""
    crypto = CryptoPair()
    crypto.setup_initial(cid=header.destination_cid, is_client=False, version=QuicProtocolVersion.VERSION_1)
    builder = QuicPacketBuilder(
        host_cid=header.destination_cid,
        is_client=False,
        max_datagram_size=FIRST_DATAGRAM_BYTES,
        peer_cid=header.source_cid,
        version=QuicProtocolVersion.VERSION_1,
    )
    builder.start_packet(QuicPacketType.INITIAL, crypto)
    reason = b"no more connections"
    frame = builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, capacity=64)
    frame.push_uint_var(QuicErrorCode.CONNECTION_REFUSED)
    frame.push_uint_var(QuicFrameType.PADDING)
    frame.push_uint_var(len(reason))
    frame.push_bytes(reason)
    return builder.flush()[0][0]
