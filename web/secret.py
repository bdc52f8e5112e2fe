"""The secret that signs browsers' sessions: kept, so that a form opened before a restart still works after it."""

import os
import secrets
from pathlib import Path

SECRET_BYTES = 32
NAME = "web-secret"


def session_secret(folder: Path | None) -> bytes:
    """The secret of a data directory, made at the first start and readable by its owner alone; random without one.

    One that is damaged, unreadable or cannot be kept only costs open forms: it is replaced, or used for this once.
    """
    fresh = secrets.token_bytes(SECRET_BYTES)
    if folder is None:
        return fresh
    path = folder / NAME
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
