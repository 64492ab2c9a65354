"""libcurl's multi interface on the asyncio loop: its sockets by a selector of ours, time by one timer.

The loop watches the selector, which is ready when one of its sockets is: to have the loop watch each socket takes three
times as long, and a connection comes and goes with every check. libcurl must not be called from its own callbacks. So
the callbacks here only take note, and keep what went wrong in them for the next turn instead of raising into C.
"""

import asyncio
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

import pycurl

Done = Callable[[int, str], None]
"""Called with libcurl's code (0: all went well) and its text, outside of any curl call."""

_KEPT_CONNECTIONS = 100
_EVENTS = {
    pycurl.POLL_IN: EVENT_READ,
    pycurl.POLL_OUT: EVENT_WRITE,
    pycurl.POLL_INOUT: EVENT_READ | EVENT_WRITE,
}
_SELECTED = {
    EVENT_READ: pycurl.CSELECT_IN,
    EVENT_WRITE: pycurl.CSELECT_OUT,
    EVENT_READ | EVENT_WRITE: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}


class MultiDriver:
    """Runs any number of easy handles on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: dict[pycurl.Curl, Done] = {}
        self._selector = DefaultSelector()
        self._watched: set[int] = set()  # sockets
        self._due: float | None = None  # when libcurl wants to be called, on the loop's clock
        self._timer: asyncio.TimerHandle | None = None  # may come too early, never too late
        self._starting = False  # whether a handle is being added, and is seen to at once
        self._fault: Exception | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _KEPT_CONNECTIONS)
        self._loop.add_reader(self._selector, self._on_ready)

    @property
    def busy(self) -> int:
        """How many handles are under way."""
        return len(self._running)

    @property
    def watched(self) -> int:
        """How many sockets are waited for."""
        return len(self._watched)

    def add(self, handle: pycurl.Curl, done: Done) -> None:
        """Start the handle at once: `done` may be called before this returns."""
        self._running[handle] = done
        self._starting = True
        self._multi.add_handle(handle)
        self._starting = False
        self._act(pycurl.SOCKET_TIMEOUT, 0)  # what libcurl has just asked the timer for
        self._arm()

    def remove(self, handle: pycurl.Curl) -> None:
        """Take the handle out, finished or not. Its socket is closed unless another request may use it."""
        if self._running.pop(handle, None) is not None:
            self._multi.remove_handle(handle)

    def close(self) -> None:
        for handle, done in tuple(self._running.items()):
            self.remove(handle)
            done(pycurl.E_ABORTED_BY_CALLBACK, "the monitor is closing")
        self._multi.close()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._selector)
        self._selector.close()
        self._watched.clear()

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        try:
            if what == pycurl.POLL_REMOVE:
                self._forget(fd)
            elif fd in self._watched:
                self._selector.modify(fd, _EVENTS[what])
            else:
                self._selector.register(fd, _EVENTS[what])
                self._watched.add(fd)
        except Exception as error:  # noqa: BLE001  # It must not reach C; the next turn fails every handle with it.
            self._fault = error

    def _forget(self, fd: int) -> None:
        if fd in self._watched:
            self._watched.remove(fd)
            self._selector.unregister(fd)

    def _on_ready(self) -> None:
        for key, events in self._selector.select(0):
            if key.fd in self._watched:  # and was not closed for what another one said
                self._act(key.fd, _SELECTED[events])

    def _on_timer(self, milliseconds: int) -> None:
        """Take note of when libcurl wants to be called."""
        self._due = None if milliseconds < 0 else self._loop.time() + milliseconds / 1000
        if not self._starting:
            self._arm()

    def _arm(self) -> None:
        """Set the loop's timer anew only if it would come too late: libcurl changes its mind at every step of a transfer."""
        if self._due is None or (self._timer is not None and self._timer.when() <= self._due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        if self._due is not None and self._due <= self._loop.time():
            self._due = None
            self._act(pycurl.SOCKET_TIMEOUT, 0)
        self._arm()

    def _act(self, fd: int, mask: int) -> None:
        try:
            self._multi.socket_action(fd, mask)
        except pycurl.error as error:
            self._fault = error
        if self._fault is not None:
            self._fail_all(self._fault)
        self._collect()

    def _collect(self) -> None:
        queued = 1
        while queued:
            queued, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                self._finish(handle, 0, "")
            for handle, code, text in failed:
                self._finish(handle, code, text)

    def _finish(self, handle: pycurl.Curl, code: int, text: str) -> None:
        done = self._running.get(handle)
        if done is not None:
            done(code, text)

    def _fail_all(self, fault: Exception) -> None:
        self._fault = None
        for done in tuple(self._running.values()):
            done(pycurl.E_ABORTED_BY_CALLBACK, f"{type(fault).__name__}: {fault}")
