"""Who is at the other end of a QUIC connection: certificates as in libp2p's TLS specification.

A certificate is signed by itself alone and carries in an extension the peer's key and that key's signature over the
certificate's own key. TLS proves that the peer holds the certificate's key (CertificateVerify; aioquic refuses a
handshake where it is wrong), the extension that the peer's key vouches for it. Both are needed, and so is a
certificate: to a server TLS gives a client without one as a client like any other.

Source: libp2p specs, tls/tls.md.
"""

import ssl
from typing import Any

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtensionOID
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID
from libp2p.security.tls.certificate import (
    LIBP2P_EXTENSION_OID,
    create_cert_template,
    generate_certificate,
    verify_certificate_chain,
)

from net.libp2p_stream import LinkBrokenError, libp2p_errors
from net.peer import PeerId

APPLICATION_PROTOCOL = "libp2p"
"""As agreed in the handshake (ALPN)."""
STREAM_WINDOW = 1 << 18
"""Bytes that a peer may send on a stream beyond what was read; as Yamux has it."""
CONNECTION_WINDOW = 1 << 20
"""The first such bound for all streams together; aioquic raises it as bytes come, so the streams' are what holds."""
DATAGRAM_BYTES = 1350
"""Of UDP payload; leaves room for tunnels within Ethernet's 1,500."""
IDLE_TIMEOUT = 60.0
"""Seconds after which aioquic gives a connection up; links notice silence sooner."""
_UNDERSTOOD = (LIBP2P_EXTENSION_OID, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE)


class TlsIdentity:
    """A certificate for a host's key, made anew in each process."""

    def __init__(self, keys: KeyPair) -> None:
        certificate, key = generate_certificate(keys.private_key, create_cert_template())
        self.certificate: x509.Certificate | None = x509.load_pem_x509_certificate(certificate.encode())
        self.key: Any = load_pem_private_key(key.encode(), password=None)

    def configuration(self, *, is_client: bool) -> QuicConfiguration:
        """How connections of this identity are set up."""
        return QuicConfiguration(
            is_client=is_client,
            alpn_protocols=[APPLICATION_PROTOCOL],
            certificate=self.certificate,
            private_key=self.key,
            verify_mode=ssl.CERT_NONE,  # no authority signs these; `verified_peer` decides
            supported_versions=[QuicProtocolVersion.VERSION_1],
            max_data=CONNECTION_WINDOW,
            max_stream_data=STREAM_WINDOW,
            max_datagram_size=DATAGRAM_BYTES,
            idle_timeout=IDLE_TIMEOUT,
        )


def verified_peer(certificates: list[x509.Certificate]) -> PeerId:
    """Tell whose these are that a peer presented in its handshake. Raises LinkBrokenError, saying what is wrong."""
    if not certificates:
        raise LinkBrokenError("the peer presented no certificate")
    with libp2p_errors("certificate"):
        key = verify_certificate_chain(certificates)  # one, within its time, signed by itself and by the peer's key
        for extension in certificates[0].extensions:
            if extension.critical and extension.oid not in _UNDERSTOOD:
                raise LinkBrokenError(f"certificate: critical extension {extension.oid.dotted_string} not understood")
        return PeerId.parse(ID.from_pubkey(key).to_bytes())  # ValueError: not Ed25519
