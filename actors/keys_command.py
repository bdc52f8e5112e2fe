"""``launch.py keys``: identities on disk, and certificates that organisations give to members of an ordered ledger."""

import os
from pathlib import Path

import click

from actors.command_line import errors

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW = click.Path(dir_okay=False, path_type=Path)


def passphrase() -> str | None:
    """What key files are encrypted with, if they are."""
    return os.environ.get("CROWDMESH_PASSPHRASE") or None


@click.group()
def keys() -> None:
    """Make and look at identities: an Ed25519 key is libp2p peer id, ledger account and signer at once.

    Files are encrypted if CROWDMESH_PASSPHRASE is set, and else readable by their owner alone.
    """


@keys.command("new")
@click.argument("path", type=NEW)
def new(path: Path) -> None:
    """Make a new random identity in PATH, which must not exist."""
    from actors import keyfile  # noqa: PLC0415 - --help must answer at once

    with errors():
        identity = keyfile.create(path, passphrase())
        click.echo(f"{identity.peer_id}  {path}")


@keys.command("show")
@click.argument("path", type=FILE)
def show(path: Path) -> None:
    """Print the peer id and the account of the identity in PATH; never its secret."""
    from actors import keyfile  # noqa: PLC0415 - --help must answer at once

    with errors():
        identity = keyfile.read(path, passphrase())
        click.echo(f"peer id  {identity.peer_id}\naccount  {identity.account.hex()}")


@keys.command("certify")
@click.argument("peer_id")
@click.argument("path", type=NEW)
@click.option("--organisation", required=True, metavar="NAME", help="Who certifies, e.g. org1.")
@click.option(
    "--role",
    type=click.Choice(["peer", "orderer", "client", "admin"]),
    default="peer",
    help="What its holder is there; a peer endorses.",
)
@click.option("--root", type=FILE, help="Key file of the organisation's root.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Instead of --root: of a swarm, whose keys follow from its seed."
)
@click.option("--days", type=click.IntRange(1, 36_500), default=365, help="How long it is valid.")
@click.option("--serial", type=click.IntRange(min=0), help="What it can be revoked by.  [default: the time in ms]")
def certify(
    peer_id: str,
    path: Path,
    organisation: str,
    role: str,
    root: Path | None,
    seed: int | None,
    days: int,
    serial: int | None,
) -> None:
    """Certify PEER_ID, as `keys show` prints it, as a member of an organisation of an ordered ledger, into PATH.

    With it, `node --certificate PATH` endorses or orders.
    """
    from actors import certificate_file, keyfile  # noqa: PLC0415 - --help must answer at once
    from actors.clock import wall_clock_ms  # noqa: PLC0415
    from actors.membership import DAY_MS, EARLY_MS, root_of  # noqa: PLC0415
    from chain.codec import decode, encode  # noqa: PLC0415
    from chain.errors import MalformedError  # noqa: PLC0415
    from chain.ledgers.ordered.msp import MAX_CERTIFICATE_BYTES, Certificate, issue  # noqa: PLC0415
    from chain.values import Account  # noqa: PLC0415
    from net.peer import PeerId  # noqa: PLC0415

    if (root is None) == (seed is None):
        raise click.UsageError("give either --root or --seed")
    try:
        account = Account(PeerId.from_text(peer_id).public_key)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="PEER_ID") from None
    with errors():
        signer = keyfile.read(root, passphrase()) if root is not None else root_of(seed or 0, organisation)
        now_ms = wall_clock_ms()
        certificate = issue(
            signer.key,
            organisation,
            role,
            account,
            now_ms if serial is None else serial,
            now_ms - EARLY_MS,
            now_ms + days * DAY_MS,
        )
        try:
            decode(Certificate, encode(certificate), limit=MAX_CERTIFICATE_BYTES)
        except MalformedError as error:
            raise click.BadParameter(str(error), param_hint="--organisation") from None
        certificate_file.write(path, certificate)
        click.echo(f"{organisation}.{role}  serial {certificate.serial}  {path}")
