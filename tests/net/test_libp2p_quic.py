"""The libp2p transport over real QUIC on loopback: that nobody is let in or believed without a proof of who it is."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from aioquic import tls
from aioquic.buffer import Buffer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.secp256k1 import create_new_key_pair as create_secp256k1_key_pair
from libp2p.security.tls.certificate import LIBP2P_EXTENSION_OID, create_cert_template

from net.libp2p_host import Libp2pTransport
from net.libp2p_tls import TlsIdentity
from net.peer import Address
from net.transport import LinkUp, NotConnectedError
from tests.net.test_libp2p_host import PATIENCE, next_event, seed
from tests.net.transport_conformance import CHECKS, Check, MakeTransport, check_backpressure, check_name, eventually

QUIC = Address("/ip4/127.0.0.1/udp/0/quic-v1")


@asynccontextmanager
async def site() -> AsyncGenerator[MakeTransport, None]:
    yield lambda number: Libp2pTransport(seed(number + 1), listen=[QUIC])


def _timed(check: Check) -> Any:
    # It moves 35 MB through Python's QUIC; of a reader that falls behind there is a smaller test beside this one.
    marks = pytest.mark.slow if check is check_backpressure else ()
    return pytest.param(check, marks=marks, id=check_name(check))


@pytest.mark.parametrize("check", [_timed(check) for check in CHECKS])
async def test_conformance(check: Check) -> None:
    await check(site)


@asynccontextmanager
async def running(*numbers: int, **options: Any) -> AsyncIterator[list[Libp2pTransport]]:
    async with trio.open_nursery() as nursery:
        hosts = [Libp2pTransport(seed(number), listen=[QUIC], **options) for number in numbers]
        for host in hosts:
            await nursery.start(host.run)
        yield hosts
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Libp2pTransport, Libp2pTransport]]:
    async with running(1, 2) as (one, two):
        with trio.fail_after(PATIENCE):
            await one.dial(two.peer_id, two.addresses)
        assert await next_event(one) == LinkUp(two.peer_id, outbound=True)
        assert await next_event(two) == LinkUp(one.peer_id, outbound=False)
        yield one, two


# Who is let in. -----------------------------------------------------------------------------------------------


def certified(keys: Any, **changes: Any) -> TlsIdentity:
    """An identity with a certificate that is right but for `changes`."""
    identity = TlsIdentity(keys)
    assert identity.certificate is not None
    extension: Any = identity.certificate.extensions.get_extension_for_oid(LIBP2P_EXTENSION_OID).value
    if "key" in changes:
        identity.key = changes["key"]
    builder = changes.get("template", create_cert_template()).public_key(identity.key.public_key())
    if changes.get("extension", True):
        builder = builder.add_extension(extension, critical=False)
    identity.certificate = builder.sign(changes.get("signer", identity.key), hashes.SHA256())
    return identity


def forged(what: str) -> TlsIdentity:
    """What somebody may present who has not the key of peer 9, or not in order."""
    victim = create_new_key_pair(seed(9))
    another = ec.generate_private_key(ec.SECP256R1())
    match what:
        case "none":
            identity = TlsIdentity(victim)
            identity.certificate = identity.key = None
            return identity
        case "without the extension":
            return certified(victim, extension=False)
        case "with a stolen extension":
            return certified(victim, key=another)
        case "stolen":
            identity = TlsIdentity(victim)
            identity.key = another
            return identity
        case "not signed by itself":
            return certified(victim, signer=another)
        case "of yesterday":
            day = datetime(2020, 1, 1, tzinfo=UTC)
            builder = x509.CertificateBuilder().serial_number(1).not_valid_before(day)
            name = create_cert_template()._subject_name
            assert name is not None
            return certified(
                victim,
                template=builder.not_valid_after(day + timedelta(days=1)).subject_name(name).issuer_name(name),
            )
        case "with a critical extension":
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.53594.9.9")
            strange = x509.UnrecognizedExtension(oid, b"?")
            return certified(victim, template=create_cert_template().add_extension(strange, critical=True))
        case "of a secp256k1 key":
            return TlsIdentity(create_secp256k1_key_pair(seed(9)))
    raise ValueError(what)


FORGERIES = {
    "none": "presented no certificate",
    "without the extension": "MissingLibp2pExtensionError",
    "with a stolen extension": "signature invalid",
    "stolen": "closed",  # aioquic finds that the handshake was not signed with the certificate's key
    "not signed by itself": "certificate verification failed",
    "of yesterday": "expired",
    "with a critical extension": "critical extension",
    "of a secp256k1 key": "not an Ed25519 peer id",
}


@pytest.mark.parametrize("what", FORGERIES)
async def test_certificate_of_a_dialler__reject(what: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "net.libp2p_host")
    async with running(1, 2) as (host, friend):
        impostor = Libp2pTransport(seed(9), listen=())
        impostor._tls = forged(what)
        async with trio.open_nursery() as nursery:
            await nursery.start(impostor.run)
            with trio.fail_after(PATIENCE), pytest.raises(NotConnectedError):
                await impostor.dial(host.peer_id, host.addresses)
            nursery.cancel_scope.cancel()
        await eventually(lambda: host.counts["handshakes failed"] == 1)
        assert FORGERIES[what] in caplog.text
        assert host.peers() == []
        assert not host._links
        with trio.fail_after(PATIENCE):
            await friend.dial(host.peer_id, host.addresses)
        assert await next_event(host) == LinkUp(friend.peer_id, outbound=False)  # nothing before that


@pytest.mark.parametrize("what", [what for what in FORGERIES if what != "none"])
async def test_certificate_of_who_is_dialled__reject(what: str) -> None:
    async with running(1) as (host,), trio.open_nursery() as nursery:
        impostor = Libp2pTransport(seed(9), listen=[QUIC])
        impostor._tls = forged(what)
        await nursery.start(impostor.run)
        with trio.fail_after(PATIENCE), pytest.raises(NotConnectedError, match=FORGERIES[what]):
            await host.dial(impostor.peer_id, impostor.addresses)
        await eventually(lambda: impostor.counts["handshakes failed"] == 1)
        assert host.peers() == impostor.peers() == []
        with pytest.raises(trio.WouldBlock):
            host.events.receive_nowait()
        nursery.cancel_scope.cancel()


async def test_no_certificate_of_who_is_dialled__reject(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS lets no server do without; what aioquic makes of one that tries must not be a link."""

    def push_none(buffer: Buffer, _certificate: tls.Certificate) -> None:
        push(buffer, tls.Certificate(request_context=b"", certificates=[]))

    push = tls.push_certificate
    monkeypatch.setattr(tls, "push_certificate", push_none)
    async with running(1, 2) as (host, impostor):
        with trio.fail_after(PATIENCE), pytest.raises(NotConnectedError):
            await host.dial(impostor.peer_id, impostor.addresses)
        await eventually(lambda: impostor.counts["handshakes failed"] == 1)
        assert host.peers() == impostor.peers() == []


async def test_certificate_of_another_peer__reject() -> None:
    """A sound certificate, of somebody else than was dialled."""
    async with running(1, 2) as (host, other):
        victim = Libp2pTransport(seed(9)).peer_id
        with trio.fail_after(PATIENCE), pytest.raises(NotConnectedError, match="PeerIDMismatch"):
            await host.dial(victim, other.addresses)
        await eventually(lambda: other.counts["handshakes failed"] == 1)
        assert host.peers() == other.peers() == []


async def test_own_id__reject() -> None:
    async with running(1) as (host,), trio.open_nursery() as nursery:
        twin = Libp2pTransport(seed(9), listen=())
        twin._tls = TlsIdentity(create_new_key_pair(seed(1)))
        await nursery.start(twin.run)
        with trio.fail_after(PATIENCE), pytest.raises(NotConnectedError):
            await twin.dial(host.peer_id, host.addresses)
        assert host.peers() == []
        nursery.cancel_scope.cancel()
