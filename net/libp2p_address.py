"""Which addresses libp2p hosts are dialled at, as text: TCP, or QUIC over UDP. Costs no import of libp2p."""

import re
from typing import NamedTuple

from net.peer import Address, PeerId

_ADDRESS = re.compile(
    r"/(ip4|ip6|dns|dns4|dns6)/([^/]+)/(tcp/(?P<tcp>\d{1,5})|udp/(?P<udp>\d{1,5})/quic-v1)"
    r"(?:/p2p/(?P<peer>[1-9A-HJ-NP-Za-km-z]+))?",
    re.ASCII,
)


class HostAddress(NamedTuple):
    """A multiaddress, taken apart."""

    host: str
    """A name or a numeric address."""
    port: int
    """Of TCP, or of UDP with `quic`."""
    peer: PeerId | None
    """Of the ``/p2p/…`` at the end."""
    quic: bool


def parse_address(address: str) -> HostAddress:
    """Take apart ``/ip4/…/tcp/…`` or ``/ip4/…/udp/…/quic-v1``, with or without ``/p2p/…``; ip6, dns, dns4, dns6 too.

    Raises ValueError for any other kind of address, QUIC of drafts (``/quic``) among them.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"not an address of TCP or QUIC (/ip4/…/tcp/… or /ip4/…/udp/…/quic-v1): {address[:200]!r}")
    port = int(match["tcp"] or match["udp"])
    if port > 65_535:
        raise ValueError(f"there is no port {port}: {address[:200]!r}")
    peer = PeerId.from_text(match["peer"]) if match["peer"] else None
    return HostAddress(match[2], port, peer, quic=match["udp"] is not None)


def parse_bootstrap(text: str) -> tuple[PeerId, Address]:
    """Read ``/ip4/…/tcp/…/p2p/12D3…``; the address returned is without the peer. Raises ValueError."""
    peer = parse_address(text).peer
    if peer is None:
        raise ValueError(f"the address must end in /p2p/<peer id>: {text[:200]!r}")
    return peer, Address(text.rpartition("/p2p/")[0])


def with_port(address: Address, port: int) -> Address:
    """The same place but for the port. Raises ValueError."""
    parse_address(address)
    parts = address.split("/")
    parts[4] = str(port)
    return Address("/".join(parts))
