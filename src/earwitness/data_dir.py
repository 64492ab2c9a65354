"""The daemon's data directory: one process at a time, and the database in it."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sqlalchemy.exc import DBAPIError

from earwitness.store.store import Store
from earwitness.store.versions import MigrationError


class AlreadyRunningError(Exception):
    """Another daemon uses this data directory."""


class UnusableStoreError(Exception):
    """The database in the data directory cannot be opened."""


def open_store(path: Path) -> Store:
    try:
        return Store.open(path)
    except (DBAPIError, MigrationError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        advice = "restore a backup, or move it away to begin anew"
        if "locked" in str(cause):
            advice = "another program holds it, such as a backup or a database browser; end that, and start again"
        raise UnusableStoreError(f"{path} cannot be opened: {cause}; {advice}") from error


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this process alone."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock: IO[str]
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunningError(
                f"another daemon runs in {data_dir}; stop it, or give another --data-dir"
            ) from error
        yield
