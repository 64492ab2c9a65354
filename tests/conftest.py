"""What a test that hangs was waiting for: pytest's own time-out (see pyproject.toml) shows threads, but no task of asyncio.

And the signals that every process of the tests starts with, wherever they are started.
"""

import asyncio
import os
import signal
import threading

import pytest

_BEFORE_THE_END = 10  # seconds
_STDERR = pytest.StashKey[int]()


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background; what tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_STDERR] = os.dup(2)  # before the output of tests is captured


def pytest_unconfigure(config):
    os.close(config.stash[_STDERR])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    patience = float(item.config.getini("faulthandler_timeout")) - _BEFORE_THE_END
    timer = threading.Timer(max(0.0, patience), _tell, (item.nodeid, item.config.stash[_STDERR]))
    timer.daemon = True
    timer.start()
    try:
        return (yield)
    finally:
        timer.cancel()
        timer.join()


def _tell(test, stderr):
    with os.fdopen(stderr, "w", closefd=False) as told:
        print(f"\n{test} hangs; its tasks:", file=told)
        known = tuple(asyncio.tasks._all_tasks)  # of every loop; all_tasks() tells those of a loop in this thread
        for task in (task for task in known if not task.done()):
            print(repr(task), *_waits_at(task.get_coro()), sep="\n  ", file=told)


def _waits_at(awaited):
    """Yield where a coroutine waits, from the outermost in; a task's own stack ends at its first await."""
    while (frame := getattr(awaited, "cr_frame", getattr(awaited, "ag_frame", None))) is not None:
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        awaited = getattr(awaited, "cr_await", getattr(awaited, "ag_await", None))
