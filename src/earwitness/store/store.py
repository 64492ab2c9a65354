"""The database: opened, migrated, written by one thread, read by others."""

import asyncio
import fcntl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine

from earwitness.store.engine import engine_of
from earwitness.store.versions import bring_up_to_date
from earwitness.store.writer import Writer

T = TypeVar("T")
_READERS = 4


class Store:
    """Reads and writes. Functions given to it get a connection and use nothing else."""

    def __init__(self, writing: Engine, reading: Engine) -> None:
        self._writing = writing
        self._reading = reading
        self._writer = Writer(writing)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        with writing.begin():  # a database that cannot be written is told at start
            pass

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the embedded database at this path, made or migrated as needed: by one process, while others wait for it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{path}"
        with path.with_name(f"{path.name}.migrating").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go with the file
            engine = engine_of(url, "BEGIN IMMEDIATE")
            try:
                bring_up_to_date(engine)
            finally:
                engine.dispose()
        return cls(engine_of(url, "BEGIN IMMEDIATE"), engine_of(url, "BEGIN"))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, once it is committed together with whatever else was waiting."""
        return await self._writer.write(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns from a snapshot of what is committed."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._reading.begin() as connection:
            return work(connection)

    def close(self) -> None:
        self._writer.close()
        self._readers.shutdown()
        self._writing.dispose()
        self._reading.dispose()
