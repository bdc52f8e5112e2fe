"""Keys on disk: encrypted with a passphrase, or readable by their owner alone.

Format: MessagePack map ``{"v": 1, "kdf": "argon2id" | "none", "salt", "ops", "mem", "key"}``. With a passphrase the
32-byte secret is in a libsodium secret box (XSalsa20-Poly1305) under an Argon2id key (moderate limits).
"""

import os
from pathlib import Path

import msgspec
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from actors.identity import SEED_BYTES, Identity

MAX_KEY_FILE_BYTES = 4_096
SECRET_BYTES = 32
SECRET_FILE = "web-secret"  # noqa: S105 - the name of a file


class KeyFileError(Exception):
    """The key file cannot be used; the message names the file and the way out."""


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    kdf: str
    salt: bytes
    ops: int
    mem: int
    key: bytes


def create(path: Path, passphrase: str | None = None) -> Identity:
    """Make a new random identity and write it to `path` (mode 0600), which must not exist. Raises KeyFileError."""
    identity = Identity(os.urandom(SEED_BYTES))
    write(path, identity, passphrase)
    return identity


def write(path: Path, identity: Identity, passphrase: str | None = None) -> None:
    """Write an identity's secret durably to a new file of mode 0600. Raises KeyFileError when `path` exists."""
    if passphrase is None:
        content = _KeyFile(1, "none", b"", 0, 0, identity.secret)
    else:
        salt = os.urandom(pwhash.argon2id.SALTBYTES)
        ops, mem = pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE
        content = _KeyFile(
            1, "argon2id", salt, ops, mem, bytes(_box(passphrase, salt, ops, mem).encrypt(identity.secret))
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        msg = f"{path} exists already; choose another file or remove it first"
        raise KeyFileError(msg) from None
    except OSError as error:
        msg = f"cannot write key file {path}: {error.strerror}"
        raise KeyFileError(msg) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.msgpack.encode(content))
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, passphrase: str | None = None) -> Identity:
    """Read an identity. Raises KeyFileError: missing, damaged, readable by others, or the wrong passphrase."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = _decode(path, file.read(MAX_KEY_FILE_BYTES + 1))
    except FileNotFoundError:
        msg = f"{path} does not exist; make a key with: python launch.py keys new {path}"
        raise KeyFileError(msg) from None
    except OSError as error:
        msg = f"cannot read key file {path}: {error.strerror}"
        raise KeyFileError(msg) from None
    if content.kdf == "none" and mode & 0o077:
        # An unencrypted key that others can read is no secret; ssh refuses such a file too.
        msg = f"{path} can be read by others; run: chmod 600 {path}"
        raise KeyFileError(msg)
    if content.kdf == "none":
        return Identity(content.key)
    if passphrase is None:
        msg = f"{path} is encrypted; give its passphrase in CROWDMESH_PASSPHRASE"
        raise KeyFileError(msg)
    try:
        return Identity(_box(passphrase, content.salt, content.ops, content.mem).decrypt(content.key))
    except (CryptoError, ValueError):
        msg = f"{path}: the passphrase is wrong, or the file was altered"
        raise KeyFileError(msg) from None


def _decode(path: Path, raw: bytes) -> _KeyFile:
    try:
        content = msgspec.msgpack.decode(raw, type=_KeyFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        content = None
    # The limits of the key derivation come from the file: bound what a planted file can make us spend.
    if (
        content is None
        or content.v != 1
        or content.kdf not in {"none", "argon2id"}
        or (content.kdf == "none" and len(content.key) != SEED_BYTES)
        or content.mem > pwhash.argon2id.MEMLIMIT_SENSITIVE
        or content.ops > pwhash.argon2id.OPSLIMIT_SENSITIVE
    ):
        msg = f"{path} is not a crowdmesh key file"
        raise KeyFileError(msg)
    return content


def _box(passphrase: str, salt: bytes, ops: int, mem: int) -> SecretBox:
    return SecretBox(pwhash.argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), salt, opslimit=ops, memlimit=mem))


def session_secret(folder: Path | None) -> bytes:
    """What signs browsers' sessions: kept in ``web-secret`` for its owner alone, so that forms outlive a restart.

    Random without a folder. One that is damaged, unreadable or cannot be kept only costs open forms: it is replaced,
    or used for this once.
    """
    fresh = os.urandom(SECRET_BYTES)
    if folder is None:
        return fresh
    path = folder / SECRET_FILE
    try:
        known = path.read_bytes()
    except OSError:
        known = b""
    if len(known) == SECRET_BYTES:
        return known
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(fresh)
    except OSError:
        pass
    return fresh
