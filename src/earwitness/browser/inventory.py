"""What a payment page delivers to its customers: every script, with what it is and who loaded it, and the security headers.

The hashes of external scripts are of their bodies as they came over the network, those of inline scripts of their text in the page.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import regex
from playwright.async_api import Error as BrowserError

from earwitness.browser.pages import PageInventory, PageScript
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
_PATIENCE = 5.0  # seconds for bodies that are still under way
_NONCE = re.compile(r"'nonce-[^']+'")  # is another in every answer
_READ = """() => ({
  scripts: Array.from(document.scripts, s => ({
    source: s.src, integrity: s.integrity, type: s.type, text: s.src ? '' : s.textContent})),
  policies: Array.from(document.querySelectorAll('meta[http-equiv]'), m => [m.httpEquiv.toLowerCase(), m.content]),
})"""
_DATA = ("application/json", "application/ld+json", "speculationrules")  # in script elements, but never executed


@dataclass(slots=True)
class _Loaded:
    """A script that came over the network."""

    url: str
    frame: str
    sha256: str = ""


@dataclass(eq=False)  # without slots: Playwright keeps its handlers on whoever handles
class PageWatcher:
    """Listens to a page from before it loads, and takes its inventory when asked."""

    context: "BrowserContext"
    page: "Page"
    ignore: Sequence["regex.Pattern[str]"] = ()
    _loaded: list[_Loaded] = field(default_factory=list)
    _reading: set[asyncio.Task[None]] = field(default_factory=set)
    _initiators: dict[str, str] = field(default_factory=dict)  # URL -> who loaded it
    _documents: "list[Response]" = field(default_factory=list)
    _session: "CDPSession | None" = None

    async def listen(self) -> None:
        self.page.on("response", self._answered)
        self._session = await self.context.new_cdp_session(self.page)
        self._session.on("Network.requestWillBeSent", self._initiated)
        await self._session.send("Network.enable")

    def _answered(self, response: "Response") -> None:
        request = response.request
        if request.resource_type == "script":
            loaded = _Loaded(request.url, _frame_url(request))
            self._loaded.append(loaded)
            task = asyncio.create_task(self._read_body(response, loaded))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        elif request.is_navigation_request() and self._is_page(request):
            self._documents.append(response)
            self._loaded = []

    def _is_page(self, request: "Request") -> bool:
        try:
            return request.frame == self.page.main_frame
        except BrowserError:
            return False  # of a frame that is only just opening

    @staticmethod
    async def _read_body(response: "Response", loaded: _Loaded) -> None:
        try:
            loaded.sha256 = hashlib.sha256(await response.body()).hexdigest()
        except BrowserError:
            loaded.sha256 = ""  # the page was left meanwhile, or the script did not come whole

    def _initiated(self, event: dict[str, Any]) -> None:
        if event.get("type") != "Script":
            return
        initiator = event.get("initiator", {})
        frames = initiator.get("stack", {}).get("callFrames", [])
        by = initiator.get("url") or (frames[0].get("url") if frames else "") or event.get("documentURL", "")
        self._initiators[event["request"]["url"]] = by

    async def take(self, probe: str, now: float) -> PageInventory:
        """Return what the page holds now. Raises Playwright's Error if the page does not answer, TimeoutError if bodies do not come."""
        async with asyncio.timeout(_PATIENCE):
            while self._reading:
                await asyncio.gather(*self._reading)
            scripts: list[PageScript] = []
            policies: dict[str, str] = {}
            for frame in self.page.frames:
                found = await frame.evaluate(_READ)
                scripts += self._of_frame(frame, found["scripts"])
                if frame == self.page.main_frame:
                    policies = {f"{name} (meta)": text for name, text in found["policies"] if name in SECURITY_HEADERS}
            headers = await self._headers()
        kept = {s.key: s for s in [*scripts, *self._loaded_by_scripts(scripts)]}
        return PageInventory(
            probe=probe,
            page=mask_url(self.page.url),
            taken_at=now,
            scripts=tuple(sorted(kept.values(), key=lambda s: s.key)),
            headers={**headers, **{name: _NONCE.sub("'nonce-*'", text) for name, text in policies.items()}},
        )

    def _of_frame(self, frame: "Frame", found: list[dict[str, str]]) -> list[PageScript]:
        hashes = {loaded.url: loaded.sha256 for loaded in self._loaded}
        where = _place(frame.url)
        scripts = []
        for script in found:
            if script["type"] in _DATA or self._ignored(script["source"] or script["text"]):
                continue
            source = script["source"]
            sha256 = hashes.get(source, "") if source else hashlib.sha256(script["text"].encode()).hexdigest()
            by = _place(self._initiators.get(source, frame.url)) if source else where
            scripts.append(PageScript(where, mask_url(source) if source else "", script["integrity"], sha256, by))
        return scripts

    def _loaded_by_scripts(self, listed: Sequence[PageScript]) -> list[PageScript]:
        """Return what came over the network and stands in no script element: imports, workers, scripts that removed themselves."""
        known = {script.source for script in listed}
        return [
            PageScript(
                _place(one.frame), mask_url(one.url), "", one.sha256, _place(self._initiators.get(one.url, one.frame))
            )
            for one in self._loaded
            if mask_url(one.url) not in known and not self._ignored(one.url)
        ]

    def _ignored(self, text: str) -> bool:
        """Whether a pattern names the script; one that cannot be searched for in time names nothing."""
        return any(isinstance(search(pattern, text), regex.Match) for pattern in self.ignore)

    async def _headers(self) -> dict[str, str]:
        if not self._documents:
            return {}
        found = await self._documents[-1].all_headers()
        return {name: _NONCE.sub("'nonce-*'", found[name]) for name in SECURITY_HEADERS if name in found}


def _frame_url(request: "Request") -> str:
    try:
        return request.frame.url
    except BrowserError:
        return ""  # a worker's, which belongs to no frame


def _place(url: str) -> str:
    """Return where something is without what differs from visit to visit."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}" if parts.netloc else parts.scheme or "unknown"
