"""Join a network that runs already: learn its genesis from a ledger node, and become one or more of its actors."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import trio
from nacl.utils import random as random_bytes

from actors import certificate_file, keyfile
from actors.data_directory import MAX_GENESIS_BYTES, DataDirectory
from actors.identity import SEED_BYTES, Identity
from actors.messages import GENESIS
from actors.population import Member
from actors.run import Joining
from actors.scenario import ABSENT, PLACELESS, ROLES, PlaceConfig, PopulationConfig, Scenario, ScenarioError
from actors.sensing.mobility import Point
from chain.codec import decode
from chain.errors import GenesisError, MalformedError
from chain.genesis import Genesis, check_genesis, kind_of
from chain.ledgers.ordered.msp import Certificate
from chain.values import Account
from net.libp2p_address import parse_bootstrap
from net.peer import Address, PeerId
from net.transport import TransportError

DIAL_TIMEOUT_S = 15.0
SECOND_DIAL_TIMEOUT_S = 5.0
"""For who knows the network already, and only makes sure that it is the same."""


class JoinError(Exception):
    """The network could not be joined; the message says at which address and why."""


def join(
    roles: Sequence[str],
    data: Path,
    bootstrap: Sequence[str],
    *,
    at: Point | None = None,
    passphrase: str | None = None,
    certificates: Sequence[Path] = (),
) -> Joining:
    """Prepare to join: identities from (or new ones in) `data`, genesis from there or from the bootstrap peers.

    `bootstrap` are multiaddresses that end in ``/p2p/…``. `at` is where actors with a place are (default: the middle
    of the network's box). `certificates` are files of `keys certify`, each for the key of one of the roles; a ledger node
    without one commits on an ordered ledger, but neither endorses nor orders. Makes an event loop of its own. Raises JoinError, ScenarioError, StoreError or KeyFileError.
    """
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        msg = f"--role {unknown[0] if unknown else '?'}: roles are {', '.join(ROLES)}"
        raise ScenarioError(msg)
    try:
        peers = [parse_bootstrap(text) for text in bootstrap]
    except ValueError as error:
        msg = f"--bootstrap: {error}"
        raise ScenarioError(msg) from None
    with DataDirectory(data) as directory:
        names = [f"{role}-{roles[: n + 1].count(role)}" for n, role in enumerate(roles)]
        identities = [_identity(data / f"{name}.key", passphrase) for name in names]
        genesis = _genesis(directory, peers)
        held = _certificates(certificates, identities)
    _check_roles(roles, [identity.account in held for identity in identities], genesis)
    box = genesis.spatial.box
    middle = Point.from_e7((box.lat_min_e7 + box.lat_max_e7) // 2, (box.lon_min_e7 + box.lon_max_e7) // 2)
    if at is not None and not box.contains(*at.e7):
        msg = f"--at {at.lat},{at.lon} is outside the network's box"
        raise ScenarioError(msg)
    members = tuple(
        Member(
            f"{role}-{str(identity.peer_id)[-6:]}",
            role,
            identity,
            None if role in PLACELESS else at or middle,
            held.get(identity.account),
        )
        for role, identity in zip(roles, identities, strict=True)
    )
    return Joining(genesis, members, tuple((peer, (address,)) for peer, address in peers))


def joined_scenario(scenario: Scenario, joining: Joining) -> Scenario:
    """The scenario with the network's place, the members' number, campaigns, libp2p, and chance of its own.

    Raises ScenarioError when a joining organizer would allow nobody to be an oracle, which a contract takes for everybody.
    """
    box = joining.genesis.spatial.box
    roles = [member.role for member in joining.members]
    if "organizer" in roles and scenario.campaign.allow_list and "oracle" not in roles:
        raise ScenarioError("campaign.allow_list: allows the oracles of this process alone: give --role oracle as well")
    population = msgspec.structs.replace(
        scenario.population,
        **{
            role: msgspec.structs.replace(getattr(scenario.population, role), count=roles.count(role)) for role in ROLES
        },
    )
    assert isinstance(population, PopulationConfig)  # noqa: S101 - replace() keeps the type
    return msgspec.structs.replace(
        scenario,
        # Whether others have campaigns is not in genesis but on the ledger: who joins looks there.
        systems=tuple(dict.fromkeys((*scenario.systems, "campaign"))),
        # Nobody must be able to foresee a real node's choices: they do not follow from the scenario's seed.
        seed=int.from_bytes(random_bytes(6), "big"),
        place=PlaceConfig(
            name=joining.genesis.network,
            lat_min=box.lat_min_e7 / 1e7,
            lat_max=box.lat_max_e7 / 1e7,
            lon_min=box.lon_min_e7 / 1e7,
            lon_max=box.lon_max_e7 / 1e7,
        ),
        population=population,
        ledger=msgspec.structs.replace(scenario.ledger, kind=kind_of(joining.genesis)),
        reports=msgspec.structs.replace(scenario.reports, per_minute=_rate(scenario, roles.count("requester"))),
        network=msgspec.structs.replace(scenario.network, kind="libp2p"),
    )


def _certificates(paths: Sequence[Path], identities: Sequence[Identity]) -> dict[Account, Certificate]:
    """By account. Raises ScenarioError for one that is nobody's here."""
    found = {}
    for path in paths:
        certificate = certificate_file.read(path)
        if all(certificate.account != identity.account for identity in identities):
            ours = ", ".join(str(identity.peer_id) for identity in identities)
            raise ScenarioError(
                f"--certificate {path}: of {PeerId.from_public_key(certificate.account)}, our keys are {ours}"
            )
        found[Account(certificate.account)] = certificate
    return found


def _check_roles(roles: Sequence[str], certified: Sequence[bool], genesis: Genesis) -> None:
    """Check that the network has a use for them. Raises ScenarioError."""
    kind = kind_of(genesis)
    for role, has_certificate in zip(roles, certified, strict=True):
        if role in ABSENT[kind]:
            takes = ", ".join(each for each in ROLES if each not in ABSENT[kind])
            raise ScenarioError(f"--role {role}: {genesis.network} has the ledger {kind}, whose roles are {takes}")
        if role == "orderer" and not has_certificate:
            raise ScenarioError(
                "--role orderer: needs a --certificate of an orderer, which admins put into the channel"
            )


def _rate(scenario: Scenario, requesters: int) -> float:
    """Reports a minute: as many a head as the scenario's own requesters make."""
    return scenario.reports.per_minute * max(1, requesters) / max(1, scenario.population.requester.count)


def _identity(path: Path, passphrase: str | None) -> Identity:
    return keyfile.read(path, passphrase) if path.exists() else keyfile.create(path, passphrase)


def _genesis(data: DataDirectory, peers: Sequence[tuple[PeerId, Address]]) -> Genesis:
    """The genesis that the directory has, or that the bootstrap peers give. Raises JoinError when these differ."""
    saved = data.genesis()
    if saved is None and not peers:
        msg = f"{data.path} knows no network yet: give --bootstrap the address of one of its ledger nodes"
        raise ScenarioError(msg)
    if not peers:
        assert saved is not None  # noqa: S101 - see above
        return saved
    try:
        given = trio.run(_fetch_genesis, peers, DIAL_TIMEOUT_S if saved is None else SECOND_DIAL_TIMEOUT_S)
    except JoinError:
        # Who was there before goes on with whom it knows, and with its bootstrap peers once they are back.
        if saved is None:
            raise
        return saved
    if saved is None:
        data.keep_genesis(given)
    elif given != saved:
        msg = (
            f"{data.path} is of network {saved.network}, the bootstrap peer is of {given.network}: "
            "choose another --data for that one"
        )
        raise ScenarioError(msg)
    return given


def _checked(raw: bytes) -> Genesis:
    genesis = decode(Genesis, raw, limit=MAX_GENESIS_BYTES)
    check_genesis(genesis)
    return genesis


async def _fetch_genesis(peers: Sequence[tuple[PeerId, Address]], timeout_s: float) -> Genesis:
    """Ask one bootstrap peer after the other, under an identity that is thrown away."""
    from net.libp2p_host import Libp2pTransport  # noqa: PLC0415 - importing libp2p costs 1.2 s

    failures = []
    async with trio.open_nursery() as nursery:
        transport = Libp2pTransport(random_bytes(SEED_BYTES))
        await nursery.start(transport.run)
        for peer, address in peers:
            try:
                with trio.fail_after(timeout_s):
                    await transport.dial(peer, [address])
                    answer = await transport.request(peer, GENESIS, b"", timeout=timeout_s)
                genesis = _checked(answer)
            except (TransportError, MalformedError, GenesisError, trio.TooSlowError) as error:
                failures.append(f"{address}: {str(error) or 'no answer'}")
            else:
                nursery.cancel_scope.cancel()
                return genesis
        nursery.cancel_scope.cancel()
    msg = "no bootstrap peer gave the network's genesis; " + "; ".join(failures)
    raise JoinError(msg)
