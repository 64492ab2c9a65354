"""Cleaning up after a flow or journey that a stopping daemon cuts off: nobody else would."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

S = TypeVar("S")

LEAVING = 5.0  # seconds that all clean-up steps of a run have together


async def leave(steps: Iterable[S], take: Callable[[S], Awaitable[str]], on_failed: Callable[[S, str], None]) -> None:
    """Take the steps in `LEAVING` seconds. `take` returns why one failed, empty if it did not; `on_failed` is told of each that did."""
    left = list(steps)
    try:
        async with asyncio.timeout(LEAVING):
            while left:
                why = await take(left[0])
                step = left.pop(0)
                if why:
                    on_failed(step, why)
    except TimeoutError:
        for step in left:
            on_failed(step, f"there was no time left of {LEAVING:g} s")
