"""The one writer: whatever is waiting is written in one transaction, since beginning and flushing one is what costs."""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine

log = structlog.get_logger()
T = TypeVar("T")
_PACE = 0.02  # seconds from one commit to the next; who comes sooner waits that long at most, and for company
_MOST_IN_ONE = 200  # operations; bounds how much one failing operation makes the others repeat


@dataclass(slots=True)
class _Operation:
    work: Callable[[Connection], Any]
    done: asyncio.Future[Any]
    outcome: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        """Tell whoever waits; on the loop's thread."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.outcome)


class Writer:
    """Runs operations in order on its own thread. Operations touch the database and nothing else: they may be repeated."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None  # kept: to take one from the pool costs as much as a small commit
        self._waiting: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._committed_at = float("-inf")
        self._never = threading.Event()  # waited for in place of sleep(), which fails where the clock is faked
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, once it is committed. Raises what it raised, with nothing of it written."""
        operation = _Operation(work, asyncio.get_running_loop().create_future())
        self._waiting.put(operation)
        result: T = await operation.done
        return result

    def close(self) -> None:
        """Write what is waiting, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._take()
            batch = [operation for operation in batch if not operation.done.cancelled()]
            written = self._commit(batch)
            self._committed_at = time.monotonic()
            if not written and len(batch) > 1:
                for operation in batch:
                    self._commit([operation])
            _settle(batch)
        self._let_go()

    def _take(self) -> tuple[list[_Operation], bool]:
        batch: list[_Operation] = []
        operation = self._waiting.get()
        if operation is not None:
            self._never.wait(max(0.0, self._committed_at + _PACE - time.monotonic()))
        while operation is not None:
            batch.append(operation)
            if len(batch) >= _MOST_IN_ONE:
                return batch, True
            try:
                operation = self._waiting.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[_Operation]) -> bool:
        """Write all or nothing. A lone operation keeps its own error; in company each is to be tried alone."""
        try:
            connection = self._connection = self._connection or self._engine.connect()
            with connection.begin():
                results = [operation.work(connection) for operation in batch]
        except Exception as error:  # noqa: BLE001  Handed to whoever waits for the operation.
            self._let_go()
            for operation in batch:
                operation.error = error
            return False
        for operation, operation.outcome in zip(batch, results, strict=True):
            operation.error = None
        return True

    def _let_go(self) -> None:
        """Part with the connection: after an error nobody knows what state it is in."""
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except Exception:  # The operation has its own error, which matters more.
            log.exception("connection_not_closed")


def _settle(batch: list[_Operation]) -> None:
    """Wake each loop once for all of its operations: to be woken for each costs more than to write it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Operation]] = {}
    for operation in batch:
        by_loop.setdefault(operation.done.get_loop(), []).append(operation)
    for loop, operations in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(_settle_all, operations)


def _settle_all(operations: list[_Operation]) -> None:
    for operation in operations:
        operation.settle()
