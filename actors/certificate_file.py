"""A certificate on disk: its canonical encoding, which is public, in a file of its own."""

from pathlib import Path

from actors.keyfile import KeyFileError
from chain.codec import decode, encode
from chain.errors import MalformedError
from chain.ledgers.ordered.msp import MAX_CERTIFICATE_BYTES, Certificate


def write(path: Path, certificate: Certificate) -> None:
    """Write it to `path`, which must not exist. Raises KeyFileError."""
    try:
        with path.open("xb") as file:
            file.write(encode(certificate))
    except FileExistsError:
        raise KeyFileError(f"{path} exists already; choose another file or remove it first") from None
    except OSError as error:
        raise KeyFileError(f"cannot write certificate {path}: {error.strerror}") from None


def read(path: Path) -> Certificate:
    """Read what `write` wrote; who signed it is not looked at. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            return decode(Certificate, file.read(MAX_CERTIFICATE_BYTES + 1), limit=MAX_CERTIFICATE_BYTES)
    except OSError as error:
        raise KeyFileError(f"cannot read certificate {path}: {error.strerror}") from None
    except MalformedError as error:
        raise KeyFileError(f"{path} is no certificate: {error}") from None
