"""A key file is read by who may, and never half: damaged, planted or unreadable ones are refused with a way out."""

import os
import stat
from contextlib import suppress

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl import pwhash

from actors import keyfile
from actors.identity import Identity
from actors.keyfile import KeyFileError

IDENTITY = Identity(bytes(range(32)))
PLAIN = {"v": 1, "kdf": "none", "salt": b"", "ops": 0, "mem": 0, "key": IDENTITY.secret}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "me.key"


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    """A file under the passphrase ``correct horse``, made once: Argon2id is slow on purpose."""
    path = tmp_path_factory.mktemp("encrypted") / "me.key"
    keyfile.write(path, IDENTITY, "correct horse")
    return path


def plant(path, raw):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw if isinstance(raw, bytes) else msgspec.msgpack.encode(raw))
    path.chmod(0o600)


def test_a_new_key_is_read_back_and_only_its_owners(path):
    made = keyfile.create(path)
    assert keyfile.read(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keyfile.create(path.with_name("other")) != made


def test_the_mode_does_not_depend_on_the_umask(path):
    before = os.umask(0)
    try:
        keyfile.create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_passphrase_hides_the_secret(encrypted):
    assert IDENTITY.secret not in encrypted.read_bytes()
    assert keyfile.read(encrypted, "correct horse") == IDENTITY


def test_read__reject_wrong_passphrase(encrypted):
    with pytest.raises(KeyFileError, match="passphrase is wrong"):
        keyfile.read(encrypted, "battery staple")


def test_read__reject_no_passphrase(encrypted):
    with pytest.raises(KeyFileError, match="CROWDMESH_PASSPHRASE"):
        keyfile.read(encrypted)


def test_write__reject_existing(path):
    made = keyfile.create(path)
    with pytest.raises(KeyFileError, match="exists already"):
        keyfile.create(path)
    assert keyfile.read(path) == made


def test_read__reject_missing(path):
    with pytest.raises(KeyFileError, match="does not exist; make a key"):
        keyfile.read(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_read__reject_plain_key_that_others_can_read(path, mode):
    keyfile.create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        keyfile.read(path)


def test_read__reject_plain_key_that_others_can_read_also_with_a_passphrase(path):
    keyfile.create(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="can be read by others"):
        keyfile.read(path, "which the file does not need")


def test_an_encrypted_key_may_be_read_by_others(encrypted, path):
    plant(path, encrypted.read_bytes())
    path.chmod(0o644)
    assert keyfile.read(path, "correct horse") == IDENTITY


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=5_000))
def test_read__reject_any_bytes(path, raw):
    plant(path, raw)
    with pytest.raises(KeyFileError, match="not a crowdmesh key file"):
        keyfile.read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_altered_plain_file_is_refused_or_another_key(path, data):
    """Without a passphrase nothing vouches for the key itself; whatever else is altered is noticed."""
    raw = bytearray(msgspec.msgpack.encode(PLAIN))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    plant(path, bytes(raw))
    with suppress(KeyFileError):
        assert len(keyfile.read(path).secret) == 32


# Each attempt costs an Argon2id of 256 MiB, so the salt and the box are sampled, not exhausted.
@pytest.mark.parametrize("field, position", [("salt", 0), ("key", 0), ("key", 24), ("key", -1)])
def test_read__reject_altered_secret(encrypted, path, field, position):
    content = msgspec.msgpack.decode(encrypted.read_bytes())
    altered = bytearray(content[field])
    altered[position] ^= 1
    plant(path, content | {field: bytes(altered)})
    with pytest.raises(KeyFileError, match="wrong, or the file was altered"):
        keyfile.read(path, "correct horse")


HOSTILE = {
    "memory": {"mem": 2**63},
    "a little more memory": {"mem": pwhash.argon2id.MEMLIMIT_SENSITIVE + 1},
    "passes": {"ops": 2**32},
    "a few more passes": {"ops": pwhash.argon2id.OPSLIMIT_SENSITIVE + 1},
    "negative memory": {"mem": -1},
    "negative passes": {"ops": -(2**40)},
    "no memory": {"mem": 0},
    "no passes": {"ops": 0},
    "no salt": {"salt": b""},
    "long salt": {"salt": bytes(1_000)},
    "no box": {"key": b""},
    "short box": {"key": bytes(39)},
    "kdf": {"kdf": "scrypt"},
    "version": {"v": 2},
    "unknown field": {"pepper": b""},
    "short plain key": {"kdf": "none", "key": bytes(31)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_read__reject_hostile_file(path, name):
    """A planted file makes nobody spend more than the sensitive limits, and raises nothing but KeyFileError."""
    salt = bytes(pwhash.argon2id.SALTBYTES)
    ops, mem = pwhash.argon2id.OPSLIMIT_MIN, pwhash.argon2id.MEMLIMIT_MIN
    plant(path, {"v": 1, "kdf": "argon2id", "salt": salt, "ops": ops, "mem": mem, "key": bytes(72)} | HOSTILE[name])
    with pytest.raises(KeyFileError, match=str(path)):
        keyfile.read(path, "anything")


def test_read__reject_directory(tmp_path):
    with pytest.raises(KeyFileError, match=str(tmp_path)):
        keyfile.read(tmp_path)
