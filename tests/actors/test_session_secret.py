"""The secret of sessions."""

import stat

import pytest

from actors.keyfile import SECRET_BYTES, SECRET_FILE, session_secret


def test_a_secret_is_kept_with_the_data_and_nobody_else_reads_it(tmp_path):
    folder = tmp_path / "new" / "data"
    secret = session_secret(folder)
    assert len(secret) == SECRET_BYTES
    assert session_secret(folder) == secret
    assert stat.S_IMODE((folder / SECRET_FILE).stat().st_mode) == 0o600


def test_without_data_each_start_has_its_own():
    assert session_secret(None) != session_secret(None)


@pytest.mark.parametrize("damaged", [b"", b"short", b"x" * 33])
def test_a_damaged_one_is_replaced(tmp_path, damaged):
    (tmp_path / SECRET_FILE).write_bytes(damaged)
    (tmp_path / SECRET_FILE).chmod(0o644)
    secret = session_secret(tmp_path)
    assert secret != damaged and session_secret(tmp_path) == secret
    assert stat.S_IMODE((tmp_path / SECRET_FILE).stat().st_mode) == 0o600


def test_a_data_directory_that_takes_nothing_is_no_reason_to_fail(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert len(session_secret(tmp_path / "file")) == SECRET_BYTES
