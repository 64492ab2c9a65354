"""What a payment page delivers to its customers: every script, with what it is and who loaded it, and the security headers.

A script is what the JavaScript engine executed, what stands in attributes, or what came over the network and was not executed yet.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import regex
from playwright.async_api import Error as BrowserError

from earwitness.browser.markup import Markup, hash_of, markup_of
from earwitness.browser.pages import THE_PAGE, PageInventory, PageScript
from earwitness.browser.patience import within
from earwitness.browser.scripts import MOST, ScriptListener
from earwitness.browser.workers import MOST as MOST_WORKERS
from earwitness.browser.workers import WorkerListener
from earwitness.probes.http_checks import search
from earwitness.transport.redaction import mask_url

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession, Frame, Page, Request, Response

SECURITY_HEADERS = (
    "content-security-policy",
    "content-security-policy-report-only",
    "strict-transport-security",
    "x-frame-options",
    "x-content-type-options",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "cross-origin-embedder-policy",
    "cross-origin-resource-policy",
)
_PATIENCE = 5.0  # seconds for a frame to answer, and for scripts that are still under way
_LARGEST = 1024 * 1024  # bytes, as sent, of a script that is read because nothing executed it
_NONCE = re.compile(r"'nonce-[^']+'")  # is another in every answer
_NO_OWN_PROCESS = "does not have a separate CDP session"
_LONGEST = 500  # characters of an address that are kept


@dataclass(eq=False)  # without slots: Playwright keeps its handlers on whoever handles
class PageWatcher:
    """Listens to a page from before it loads, and takes its inventory when asked. `names`: frames by their address."""

    context: "BrowserContext"
    page: "Page"
    ignore: Sequence["regex.Pattern[str]"] = ()
    names: Mapping[str, "regex.Pattern[str]"] = field(default_factory=dict)
    _loaded: "dict[str, Response]" = field(default_factory=dict)
    _under_way: "set[Request]" = field(default_factory=set)
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)  # set while no script is under way
    _initiators: dict[str, str] = field(default_factory=dict)  # URL -> who loaded it
    _document: "Response | None" = None
    _sessions: "dict[Frame, asyncio.Task[CDPSession | None]]" = field(default_factory=dict)

    async def listen(self) -> None:
        """Begin, while the page is empty."""
        self._quiet.set()
        self._listener = ScriptListener(wants_text=bool(self.ignore))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", self._ended)
        self.page.on("requestfinished", self._ended)
        self.page.on("response", self._answered)
        session = await self.context.new_cdp_session(self.page)
        session.on("Network.requestWillBeSent", self._initiated)
        await session.send("Network.enable")
        await self._listener.attach(session, main=True)
        self._workers = WorkerListener(self._listener)
        await self._workers.attach(session, self._listener.main)
        await self.page.evaluate("1")
        self._listener.learned()
        self._session = session
        self.page.on("framenavigated", self._framed)
        self.context.on("page", self._opened)

    # --- events ------------------------------------------------------------------------------------------------------

    def _framed(self, frame: "Frame") -> None:
        if frame.parent_frame is not None:
            self._attach(frame, frame)

    def _opened(self, window: "Page") -> None:
        """Listen to another window that a page opened: the card may be asked for there."""
        window.on("framenavigated", self._framed)
        self._attach(window.main_frame, window)

    def _attach(self, frame: "Frame", to: "Frame | Page") -> None:
        task = asyncio.create_task(self._attached(frame, to))
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())  # asked for later, if ever
        self._sessions[frame] = task

    async def _attached(self, frame: "Frame", to: "Frame | Page") -> "CDPSession | None":
        """Listen to a window, or a frame that has a process of its own; return None where it has not, or has gone."""
        try:
            session = await self.context.new_cdp_session(to)
            await self._workers.attach(session, await self._listener.attach(session, main=False))
        except BrowserError as error:
            if _NO_OWN_PROCESS in str(error) or _has_gone(frame):
                return None
            raise
        return session

    def _asked(self, request: "Request") -> None:
        if request.resource_type == "script":
            self._under_way.add(request)
            self._quiet.clear()

    def _ended(self, request: "Request") -> None:
        self._under_way.discard(request)
        if not self._under_way:
            self._quiet.set()

    def _answered(self, response: "Response") -> None:
        request = response.request
        if request.resource_type == "script":
            if len(self._loaded) < MOST:
                self._loaded[request.url] = response
        elif request.is_navigation_request() and self._is_page(request):
            self._document = response
            self._loaded.clear()
            self._initiators.clear()

    def _is_page(self, request: "Request") -> bool:
        try:
            return request.frame == self.page.main_frame
        except BrowserError:
            return False  # of a frame that is only just opening

    def _initiated(self, event: dict[str, Any]) -> None:
        if event.get("type") == "Script" and len(self._initiators) < MOST:
            initiator = event.get("initiator", {})
            frames = initiator.get("stack", {}).get("callFrames", [])
            by = initiator.get("url") or (frames[0].get("url") if frames else "") or event.get("documentURL", "")
            self._initiators[event["request"]["url"]] = by

    # --- the inventory -----------------------------------------------------------------------------------------------

    async def take(self, probe: str, now: float) -> tuple[PageInventory, list[str]]:
        """Return what the page holds now, and a sentence for each thing that could not be looked at.

        Raises Playwright's Error or TimeoutError if the page itself does not answer.
        """
        await self._scripts_have_come()
        missing: list[str] = []
        main = await within(_PATIENCE, self._snapshot(self._session))
        documents = [*main, *await self._of_frames(missing)]
        missing += await self._of_workers()
        try:
            await within(_PATIENCE, self._listener.settled())
        finally:
            await within(_PATIENCE, self._workers.release())
        if self._listener.left_out:
            missing.append(f"the page executed more than {MOST} scripts; the rest is not listed")
        scripts = {*self._executed(documents), *self._in_attributes(documents)}
        scripts |= {script async for script in self._only_loaded(documents)}
        policies = next((d.policies for d in documents if d.frame == self._listener.main), {})
        headers = await within(_PATIENCE, self._headers())
        headers |= {f"{name} (meta)": text for name, text in policies.items() if name in SECURITY_HEADERS}
        inventory = PageInventory(
            probe=probe,
            page=_shown(self.page.url),
            taken_at=now,
            scripts=tuple(sorted(scripts, key=lambda s: (s.key, s.sha256, s.integrity))),
            headers={name: _NONCE.sub("'nonce-*'", text) for name, text in headers.items()},
        )
        return inventory, missing

    async def _scripts_have_come(self) -> None:
        """Give scripts that are under way their time; a page may load some for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._quiet.wait()

    @staticmethod
    async def _snapshot(session: "CDPSession") -> list[Markup]:
        return list(markup_of(await session.send("DOMSnapshot.captureSnapshot", {"computedStyles": []})))

    async def _of_frames(self, missing: list[str]) -> list[Markup]:
        """Return the documents of frames with processes of their own; one that does not answer holds up no other."""
        frames = [f for window in self.context.pages for f in window.frames if f in self._sessions]
        found = await asyncio.gather(*(within(_PATIENCE, self._of_frame(f)) for f in frames), return_exceptions=True)
        documents: list[Markup] = []
        for frame, result in zip(frames, found, strict=True):
            if isinstance(result, BrowserError | TimeoutError):
                if not _has_gone(frame):
                    what = "frame" if frame.parent_frame else "window"
                    missing.append(f"the {what} {self._frame('', frame.url)} did not answer")
            elif isinstance(result, BaseException):
                raise result
            else:
                documents += result
        return documents

    async def _of_frame(self, frame: "Frame") -> list[Markup]:
        session = await asyncio.shield(self._sessions[frame])
        return [] if session is None else await self._snapshot(session)

    async def _of_workers(self) -> list[str]:
        """Wait for the workers' scripts; return a sentence for each that could not be looked at."""
        missing = []
        try:
            await within(_PATIENCE, self._workers.find_shared(self.context, self._session))
        except (BrowserError, TimeoutError):
            missing.append("the browser did not tell of shared workers")
        with suppress(TimeoutError):  # who did not answer is named below
            await within(_PATIENCE, self._workers.hear())
        missing += [
            f"the worker {self._place(address) or 'of a text'} did not answer" for address in self._workers.silent
        ]
        if self._workers.left_out:
            missing.append(f"the page made more than {MOST_WORKERS} workers; the rest is not listened to")
        return missing

    def _executed(self, documents: Sequence[Markup]) -> Iterator[PageScript]:
        integrity = {address: text for document in documents for address, text in document.scripts.items()}
        for script in self._listener.scripts.values():
            inline = not self._is_address(script.address)
            if self._ignored((script.text or "") if inline else script.address):
                continue
            frame = self._worker(script.frame) if script.in_worker else self._frame(script.frame)
            by = script.made_by if inline else self._initiators.get(script.address, "")
            yield PageScript(
                frame=frame,
                source="" if inline else _shown(script.address),
                integrity="" if inline else integrity.get(script.address, ""),
                sha256=script.sha256,
                loaded_by=self._place(by) if by else frame,
            )

    def _is_address(self, address: str) -> bool:
        """Whether a script came from there, and does not stand in the document of that address, or in the address itself."""
        return (
            bool(address)
            and address.partition("#")[0] not in self._listener.documents
            and ":" in address
            and not (address.startswith(("data:", "blob:", "about:", "javascript:")))
        )

    def _in_attributes(self, documents: Sequence[Markup]) -> Iterator[PageScript]:
        for document in documents:
            frame = self._frame(document.frame)
            for code in document.code:
                if not self._ignored(code):
                    yield PageScript(frame, "", "", hash_of(code), frame)

    async def _only_loaded(self, documents: Sequence[Markup]) -> Any:
        """Yield what came over the network, or stands in a script element, and was not executed (yet): also what workers load."""
        executed = {script.address for script in self._listener.scripts.values()}
        elements = {address: (d.frame, text) for d in documents for address, text in d.scripts.items()}
        for address in {*self._loaded, *elements} - executed:
            if self._is_address(address) and not self._ignored(address):
                frame, integrity = elements.get(address, ("", ""))
                by = self._place(self._initiators.get(address, ""))
                where = self._frame(frame) if frame else self._frame("", _frame_url(self._loaded[address].request))
                yield PageScript(where, _shown(address), integrity, await self._body_hash(address), by or where)

    async def _body_hash(self, address: str) -> str:
        """Return the SHA-256 of what came, empty if nothing good did or it is too large."""
        response = self._loaded.get(address)
        try:
            if response is None or not response.ok:
                return ""
            sizes = await within(_PATIENCE, response.request.sizes())
            if sizes["responseBodySize"] > _LARGEST:
                return ""
            return hashlib.sha256(await within(_PATIENCE, response.body())).hexdigest()
        except (BrowserError, TimeoutError):
            return ""

    def _ignored(self, text: str) -> bool:
        """Whether a pattern names the script; one that cannot be searched for in time names nothing."""
        return any(isinstance(search(pattern, text), regex.Match) for pattern in self.ignore)

    def _frame(self, frame: str, url: str = "") -> str:
        """Return what a frame is called: by the configuration, else by its address without what differs from visit to visit."""
        if frame and frame == self._listener.main:
            return THE_PAGE
        url = url or self._listener.frames.get(frame, "")
        named = (name for name, pattern in self.names.items() if isinstance(search(pattern, url), regex.Match))
        return next(named, "") or self._place(url) or "a frame without an address"

    def _worker(self, frame: str) -> str:
        """Return what the workers of a frame are called: they may be made from texts, and have addresses that differ each time."""
        return f"a worker of {self._frame(frame)}" if frame else "a shared worker"

    def _place(self, url: str) -> str:
        """Return where something is: without what differs from visit to visit."""
        if not url:
            return ""
        if url.partition("#")[0] == self._listener.frames.get(self._listener.main):
            return THE_PAGE
        try:
            parts = urlsplit(url)
        except ValueError:
            return url[:_LONGEST]
        return f"{parts.scheme}://{parts.netloc}{parts.path}"[:_LONGEST] if parts.netloc else parts.scheme

    async def _headers(self) -> dict[str, str]:
        if self._document is None:
            return {}
        found = await self._document.all_headers()
        return {name: found[name] for name in SECURITY_HEADERS if name in found}


def _has_gone(frame: "Frame") -> bool:
    return frame.is_detached() or frame.page.is_closed()


def _shown(url: str) -> str:
    return mask_url(url)[:_LONGEST]


def _frame_url(request: "Request") -> str:
    try:
        return request.frame.url
    except BrowserError:
        return ""  # a worker's, which belongs to no frame
