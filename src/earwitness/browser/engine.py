"""The browser's process: one for all runs, started when the first needs it, started anew when it is old, large, hung or dead.

Each run has a context of its own: cookies, storage and cache begin empty and end with it. What the browser itself does wrong is
the monitor's fault.
"""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psutil
import structlog

from earwitness.browser.authorities import Home, mark_of
from earwitness.browser.executable import NoBrowserError, find_browser
from earwitness.browser.gateway import Gateway, Pass
from earwitness.browser.patience import within
from earwitness.browser.processes import children_with, end_all, end_largest, is_root, resident, tree_of
from earwitness.config.browser import BrowserProcessSpec
from earwitness.transport.client import WebClient
from earwitness.transport.exchange import Network, Proxy

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Playwright

_START = 30.0  # seconds for the browser to start
_OPEN = 10.0  # seconds for a window to open
_CLOSE = 3.0  # seconds for a context or the browser to close; then it is killed
_LOOK = 0.5  # seconds between looks at what the browser holds while it has runs
_TIMES = 2  # times `browser.memory`: at one, the process is retired after its run; at two, its largest page is ended
_PAGE = "--type=renderer"  # what the processes of pages are started with
_SMALL = 256 * 1024**2  # bytes; a page that holds less is not what makes the browser large
_MIB = 1024**2
_ANSWER = 3.0  # seconds in which a browser that is well answers anything
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",  # which is UDP, and so would not pass the gateway
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",  # what Chromium and Chrome read,
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # and what Playwright's headless shell does
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the second check: it can look up nothing by itself
)
_KEPT = ["--disable-ipc-flooding-protection"]
"""What Playwright would switch off, and no customer has switched off: without it, a page that writes its history in a loop hangs all of the browser."""
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
"""What the browser gets of our environment, in which there are secrets."""
_DRIVER = "run-driver"  # what Playwright's own process is started with
_NO_SANDBOX = ("No usable sandbox", "Failed to move to new namespace")  # Chromium's own words
_INSIDE = re.compile(r"^(file|chrome|devtools|view-source):")
_log = structlog.get_logger(__name__)


class Publish(Protocol):
    """Is told what the browser's processes hold resident, in bytes, and whether it was only just started."""

    def __call__(self, memory: int, *, started: bool) -> None: ...


def _nobody(memory: int, *, started: bool) -> None:
    """Tell nobody."""


class BrowserFailedError(Exception):
    """The browser itself failed: it is missing, did not start, hung or died. Never the target's fault."""


@dataclass(slots=True, eq=False)
class _Process:
    """A browser that runs."""

    browser: "Browser"
    root: psutil.Process
    home: Home
    runs: int = 0
    open: int = 0  # contexts
    retired: bool = False
    ended: str = ""  # why the process of a page was ended, the last time one was
    watching: "asyncio.Task[None] | None" = None

    @property
    def usable(self) -> bool:
        return not self.retired and self.browser.is_connected()


@dataclass(slots=True)
class Visit:
    """A context for one run, and the pass by which the gateway knows it."""

    context: "BrowserContext"
    guest: Pass
    process: _Process = field(repr=False)
    _ended_before: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._ended_before = self.process.ended

    @property
    def cut_short(self) -> str:
        """Why the process of a page was ended during this visit; empty if none was."""
        return self.process.ended if self.process.ended != self._ended_before else ""

    @property
    def version(self) -> str:
        return self.process.browser.version

    async def browser_answers(self) -> bool:
        """Whether the browser is well, so that what does not answer is the page alone."""
        try:
            alive = await within(_ANSWER, self._answer())
        except Exception:  # noqa: BLE001  Whatever it says: it is not well.
            return False
        return alive

    async def _answer(self) -> bool:
        page = await self.context.new_page()
        alive: bool = await page.evaluate("true")
        await page.close()
        return alive


class BrowserEngine:
    """Owns the browser. Use it on one event loop, and aclose() it. Nothing starts before the first visit."""

    def __init__(
        self,
        web: Callable[[], WebClient],
        spec: BrowserProcessSpec | None = None,
        publish: "Publish | None" = None,
    ) -> None:
        self._publish = publish or _nobody
        self._spec = spec or BrowserProcessSpec()
        self._web = web
        self._gateway = Gateway(web)
        self._starting = asyncio.Lock()
        self._playwright: Playwright | None = None
        self._driver: list[psutil.Process] = []
        self._current: _Process | None = None
        self._running: set[_Process] = set()
        self.starts = 0
        self._killed = 0  # pages

    def configure(self, spec: BrowserProcessSpec) -> None:
        """Take up a changed configuration: by a new process, from the next run on."""
        if spec != self._spec and self._current is not None:
            self._current.retired = True
        self._spec = spec

    @contextlib.asynccontextmanager
    async def visit(
        self, allow: Sequence[Network] = (), proxy: Proxy | None = None, **options: Any
    ) -> AsyncIterator[Visit]:
        """Yield a context of its own for one run; `options` are Playwright's for a context. Raises BrowserFailedError."""
        process = await self._process()
        process.open += 1
        process.runs += 1
        if process.watching is None or process.watching.done():
            process.watching = asyncio.create_task(self._watch(process))
        guest = self._gateway.admit(allow, proxy)
        try:
            context = await self._context(process, guest, options)
            try:
                yield Visit(context, guest, process)
            finally:
                await self._close_context(process, context)
        finally:
            process.open -= 1
            await asyncio.shield(self._after(process, guest))

    @property
    def memory(self) -> int:
        """Bytes that the browser's processes hold resident; 0 while none runs."""
        return sum(resident(process.root) for process in self._running)

    @property
    def roots(self) -> Iterator[int]:
        """The process ids of the browsers that run."""
        return (process.root.pid for process in self._running)

    async def aclose(self) -> None:
        """End everything that was started; nothing of it is left when this returns."""
        for process in tuple(self._running):
            await self._end(process)
        if self._playwright is not None:
            with contextlib.suppress(Exception):
                await within(_CLOSE, self._playwright.stop())
            for driver in self._driver:  # asyncio started it, and takes note of its end
                with contextlib.suppress(psutil.Error):
                    driver.kill()
            self._playwright = None
        await self._gateway.aclose()

    # --- the process -------------------------------------------------------------------------------------------------

    async def _process(self) -> _Process:
        """Return the browser for the next run. Raises BrowserFailedError."""
        async with self._starting:
            try:
                trusts = mark_of(self._web())
                if self._current is not None and self._current.home.trusts != trusts:
                    self._current.retired = True
                if self._current is None or not self._current.usable:
                    self._current = await self._start(await asyncio.to_thread(Home, trusts))
                    await self._end_the_retired()
            except NoBrowserError as error:
                raise BrowserFailedError(str(error)) from error
            return self._current

    async def _end_the_retired(self) -> None:
        """End what nobody uses any more, and so nobody ends when they leave."""
        for process in tuple(self._running):
            if process.retired and not process.open:
                await self._end(process)

    async def _start(self, home: Home) -> _Process:
        """Return a browser that has just been started. Raises BrowserFailedError, NoBrowserError."""
        try:
            return await self._started(home)
        except BaseException:
            home.close()
            raise

    async def _started(self, home: Home) -> _Process:
        mark = f"--earwitness={secrets.token_hex(8)}"  # by which we find its process, and no other
        try:
            executable = find_browser(self._spec.executable)
            browser = await within(_START, self._launched(executable, mark, home))
        except NoBrowserError:
            raise
        except TimeoutError as error:
            await self._start_from_nothing()
            raise BrowserFailedError(f"the browser did not start within {_START:g} s") from error
        except Exception as error:  # Playwright raises its own Error, and a plain Exception when its driver has died.
            await self._start_from_nothing()
            raise BrowserFailedError(
                f"the browser did not start: {_first_line(error)}{_sandbox_advice(str(error))}"
            ) from error
        found = children_with(mark)
        if not found:
            raise BrowserFailedError("the browser ended as soon as it was started")
        process = _Process(browser, found[0], home)
        self._running.add(process)
        self.starts += 1
        self._publish(self.memory, started=True)
        _log.info("browser_started", version=browser.version, pid=process.root.pid)
        return process

    async def _launched(self, executable: Path, mark: str, home: Home) -> "Browser":
        from playwright.async_api import async_playwright  # noqa: PLC0415  An extra, and slow to load.

        if self._playwright is None:
            await self._gateway.start()
            before = children_with(_DRIVER)
            self._playwright = await async_playwright().start()
            self._driver = [process for process in children_with(_DRIVER) if process not in before]
        return await self._playwright.chromium.launch(
            executable_path=executable,
            ignore_default_args=_KEPT,
            args=[*_FLAGS, f"--js-flags=--max-old-space-size={self._spec.memory // _MIB}", mark],
            chromium_sandbox=not is_root(),
            env={**{name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}, **home.environment},
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
            proxy={"server": self._gateway.url, "bypass": "<-loopback>"},
            timeout=_START * 1000,
        )

    async def _start_from_nothing(self) -> None:
        """Let the next start begin anew, driver and all: it may be the driver that is broken. What still runs well is left alone."""
        for process in tuple(self._running):
            if not process.browser.is_connected():
                await self._end(process, gently=False)
        if not self._running:
            await self.aclose()

    async def _context(self, process: _Process, guest: Pass, options: dict[str, Any]) -> "BrowserContext":
        """Return a context of a browser; one that opens none is ended. Raises BrowserFailedError."""
        try:
            return await within(_OPEN, self._opened(process, guest, options))
        except Exception as error:
            await self._end(process, gently=False)
            await self._start_from_nothing()
            raise BrowserFailedError(f"the browser opened no window: {_first_line(error)}") from error

    async def _opened(self, process: _Process, guest: Pass, options: dict[str, Any]) -> "BrowserContext":
        context = await process.browser.new_context(
            proxy={
                "server": self._gateway.url,
                "username": guest.user,
                "password": guest.password,
                "bypass": "<-loopback>",  # by itself, Chromium goes to this machine without a proxy
            },
            accept_downloads=False,
            service_workers="block",
            **options,
        )
        await context.route(_INSIDE, lambda route: route.abort("blockedbyclient"))
        return context

    async def _close_context(self, process: _Process, context: "BrowserContext") -> None:
        """Close the context; what does not close is hung, and goes with its process."""
        try:
            await within(_CLOSE, context.close())
        except Exception as error:  # noqa: BLE001  Whatever it says: what is left of the context has to go.
            if process in self._running:
                _log.warning("browser_hung", why=_first_line(error))
                await asyncio.shield(self._end(process))

    async def _after(self, process: _Process, guest: Pass) -> None:
        await self._gateway.dismiss(guest)
        if process not in self._running:
            return
        if process.runs >= self._spec.runs or not process.usable:
            process.retired = True
        elif await self._measured(process) > self._spec.memory:
            _log.warning("browser_too_large", limit=self._spec.memory)
            process.retired = True
        if process.retired and not process.open:
            await self._end(process)

    async def _measured(self, process: _Process) -> int:
        size = await asyncio.to_thread(resident, process.root)
        self._publish(size, started=False)
        return size

    async def _watch(self, process: _Process) -> None:
        """End the largest page while there are runs and all together hold twice what they may; a page can take it in seconds."""
        while process.open and process in self._running:
            most = _TIMES * self._spec.memory
            size = await asyncio.to_thread(end_largest, process.root, _PAGE, most, _SMALL)
            if size:
                self._killed += 1
                told = f"{size / _MIB:.0f} MiB, while the browser may hold {most / _MIB:.0f} MiB in all"
                process.ended = (
                    f"a page was ended, the {self._killed}. so far, since it held {told} (twice browser.memory)"
                )
                _log.warning("browser_page_too_large", bytes=size, limit=most)
            await asyncio.sleep(_LOOK)

    async def kill(self, visit: Visit) -> None:
        """End the browser of a visit at once: it hangs. Other runs that share it end as our fault too."""
        await self._end(visit.process, gently=False)

    async def _end(self, process: _Process, *, gently: bool = True) -> None:
        """End a browser and all its processes, and wait until they are gone."""
        if process not in self._running:
            return
        process.retired = True
        self._running.discard(process)
        if process.watching is not None:
            process.watching.cancel()
        tree = await asyncio.to_thread(tree_of, process.root)
        if gently:
            with contextlib.suppress(Exception):
                await within(_CLOSE, process.browser.close())
        await asyncio.to_thread(end_all, tree)
        await asyncio.to_thread(process.home.close)


def _sandbox_advice(text: str) -> str:
    if not any(words in text for words in _NO_SANDBOX):
        return ""
    return "; its sandbox needs user namespaces: allow them for this user (see docs/browser-probe.md)"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
