"""Waiting for the browser no longer than is worth it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, asked: Coroutine[Any, Any, T]) -> T:
    """Return what was asked for. Raises TimeoutError after so many seconds.

    What is late is left to end with the browser: to cancel a question leaves Playwright with an answer that nobody takes.
    """
    task = asyncio.ensure_future(asked)
    task.add_done_callback(
        lambda done: None if done.cancelled() else done.exception()
    )  # or asyncio says that nobody did
    done, _ = await asyncio.wait([task], timeout=seconds)
    if not done:
        raise TimeoutError
    return task.result()
