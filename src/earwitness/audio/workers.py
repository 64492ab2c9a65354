"""Threads for what would hold up the event loop: reading and judging sound."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Two: numpy lets go of the interpreter while it computes, and hearing must not take every core from the daemon.
_POOL = ThreadPoolExecutor(max_workers=2, thread_name_prefix="hearing")

_LIVE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="listening")


async def in_worker(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return `function(...)`, run in one of the threads."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, partial(function, *args, **kwargs))


async def at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return `function(...)`, run in a thread that only takes looks at live calls: they never wait for a recording that is judged."""
    return await asyncio.get_running_loop().run_in_executor(_LIVE, partial(function, *args, **kwargs))
