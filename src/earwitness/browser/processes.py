"""Processes of this machine that are ours: found, measured, and ended to the last."""

import contextlib
import os
import time
from collections.abc import Sequence

import psutil

_LOOK = 0.02  # seconds
_PATIENCE = 3.0  # seconds for what was killed to be gone


def is_root() -> bool:
    """Whether we run as root, under which Chromium refuses its own sandbox."""
    return os.geteuid() == 0


def children_with(argument: str) -> list[psutil.Process]:
    """Return our child processes, however far down, that were started with this argument; the outermost first."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if argument in process.cmdline():
                found.append(process)
    return found


def tree_of(root: psutil.Process) -> list[psutil.Process]:
    """Return the process and all below it; empty when it is gone."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def resident(root: psutil.Process) -> int:
    """Return the bytes that the process and all below it hold resident. What they share is counted as often as they hold it."""
    size = 0
    for process in tree_of(root):
        with contextlib.suppress(psutil.Error):
            size += process.memory_info().rss
    return size


def end_largest(root: psutil.Process, kind: str, most: int, least: int) -> int:
    """Kill the largest of the processes below `root` that were started with `kind`, if all together hold more than `most` bytes.

    Returns the bytes that it held resident; 0 where nothing was killed, as one that holds less than `least` is not.
    """
    sizes: list[tuple[int, psutil.Process]] = []
    total = 0
    for process in tree_of(root):
        with contextlib.suppress(psutil.Error):
            size = process.memory_info().rss
            total += size
            if any(kind in word for word in process.cmdline()):  # Chromium's own children have all in one word
                sizes.append((size, process))
    size, largest = max(sizes, key=lambda found: found[0], default=(0, root))
    if total <= most or size < least:
        return 0
    with contextlib.suppress(psutil.Error):
        largest.kill()
    return size


def end_all(processes: Sequence[psutil.Process]) -> None:
    """Kill those that still run, and wait until they are gone. A process id that was given to somebody else is left alone.

    Not for a process that asyncio started and so waits for itself.
    """
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    until = time.monotonic() + _PATIENCE
    while any(_there(process) for process in processes) and time.monotonic() < until:
        time.sleep(_LOOK)


def _there(process: psutil.Process) -> bool:
    try:
        if not process.is_running():
            return False
        if process.status() == psutil.STATUS_ZOMBIE and process.ppid() == os.getpid():
            os.waitpid(
                process.pid, os.WNOHANG
            )  # an orphan that is ours to bury: we are the first process of a container
    except (psutil.Error, ChildProcessError):
        return False
    return True
