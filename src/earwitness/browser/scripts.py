"""Every script that a page's processes executed, as the JavaScript engine itself tells of it: also of scripts that removed themselves.

The page cannot hide from it: it is the debugger's list (`Debugger.scriptParsed` of the DevTools protocol), not the document's. The
engine gives a script's SHA-256, so that no text has to be fetched, however long it is.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from playwright.async_api import Error as BrowserError

if TYPE_CHECKING:
    from playwright.async_api import CDPSession

MOST = 2000  # scripts of one page that are listed
_KEPT = 16 * 1024 * 1024  # bytes of scripts that have gone and whose text the engine keeps for us
_LONGEST = 256 * 1024  # characters of an inline script whose text is fetched


class Speaks(Protocol):
    """A session of the DevTools protocol, as far as it is spoken to. Raises Playwright's Error where the other end says no, or has gone."""

    async def send(self, method: str, params: dict[str, Any] | None = None) -> Any: ...


@dataclass(slots=True)
class Executed:
    """One script. `address` is that of its document where it is inline, empty where a script made it from a text."""

    frame: str  # the DevTools protocol's id
    address: str
    sha256: str
    made_by: str  # address of the script that made it; empty if none did
    in_worker: bool = False  # of that frame; of the run, where no frame is named
    text: str | None = None


@dataclass(eq=False)  # without slots: Playwright keeps its handlers on whoever handles
class ScriptListener:
    """Listens to the processes of one page. `wants_text`: inline scripts are told apart by their text."""

    wants_text: bool = False
    scripts: dict[tuple[str, str, str, bool], Executed] = field(default_factory=dict)
    documents: set[str] = field(default_factory=set)  # addresses of the documents since the page's own came
    frames: dict[str, str] = field(default_factory=dict)  # id -> address of the document in it
    main: str = ""  # id of the page's own frame
    left_out: bool = False  # whether there were more than are listed
    _ours: set[str] | None = None  # hashes of what Playwright runs in pages; None while they are learned
    _fetching: set[asyncio.Task[None]] = field(default_factory=set)
    _learned: set[str] = field(default_factory=set)

    async def attach(self, session: "CDPSession", *, main: bool) -> str:
        """Listen to a process: the page's, before it loads anything, or one of a frame or another window. Returns its frame's id."""
        session.on("Debugger.scriptParsed", partial(self._parsed, session))
        session.on("Debugger.paused", lambda _event: self._soon(self._resume(session)))
        session.on("Page.frameNavigated", partial(self._navigated, main))
        session.on("Page.navigatedWithinDocument", lambda event: self._address(event["frameId"], event["url"]))
        await session.send("Page.enable")
        tree = await session.send("Page.getFrameTree")
        self._tree(tree["frameTree"])
        if main:
            self.main = tree["frameTree"]["frame"]["id"]
        await session.send("Debugger.enable", {"maxScriptsCacheSize": _KEPT})
        await session.send("Debugger.setSkipAllPauses", {"skip": True})  # or a `debugger` statement stops the page
        return str(tree["frameTree"]["frame"]["id"])

    def learned(self) -> None:
        """Take what was executed until now for Playwright's own."""
        self._ours = self._learned
        self.scripts.clear()

    async def settled(self) -> None:
        """Wait for the texts that are under way."""
        await asyncio.gather(*self._fetching)

    # --- events ------------------------------------------------------------------------------------------------------

    def _tree(self, tree: dict[str, Any]) -> None:
        self._address(tree["frame"]["id"], tree["frame"]["url"])
        for child in tree.get("childFrames", ()):
            self._tree(child)

    def _navigated(self, main: bool, event: dict[str, Any]) -> None:
        frame = event["frame"]
        if main and "parentId" not in frame:  # another page, which begins anew
            self.scripts.clear()
            self.documents.clear()
            self.left_out = False
        self._address(frame["id"], frame["url"])

    def _address(self, frame: str, url: str) -> None:
        address = url.partition("#")[0]
        if frame in self.frames or len(self.frames) < MOST:
            self.frames[frame] = address
        if len(self.documents) < MOST:
            self.documents.add(address)

    def _parsed(self, session: "CDPSession", event: dict[str, Any]) -> None:
        context = event.get("executionContextAuxData") or {}
        if context.get("type") != "default" or not event.get("length"):  # other worlds are Playwright's
            return
        stack = [place.get("url", "") for place in (event.get("stackTrace") or {}).get("callFrames", ())]
        address = event.get("embedderName") or ""
        if not address and self._is_ours(event["hash"], stack):
            return
        self._note(
            session, event, Executed(context.get("frameId", ""), address, event["hash"], next(filter(None, stack), ""))
        )

    def parsed_by_worker(self, session: Speaks, frame: str, event: dict[str, Any]) -> None:
        """Take note of a script that a worker of the frame executed."""
        if event.get("length"):
            stack = [place.get("url", "") for place in (event.get("stackTrace") or {}).get("callFrames", ())]
            made_by = next(filter(None, stack), "")
            self._note(session, event, Executed(frame, event.get("embedderName") or "", event["hash"], made_by, True))

    def _is_ours(self, sha256: str, stack: list[str]) -> bool:
        """Whether Playwright executed it: its wrapper, which nothing called, or what the wrapper was given."""
        if stack:
            return not any(stack)
        if self._ours is None:
            self._learned.add(sha256)
            return True
        return sha256 in self._ours

    def _note(self, session: Speaks, event: dict[str, Any], script: Executed) -> None:
        key = script.frame, script.address, script.sha256, script.in_worker
        if key in self.scripts:
            return
        if len(self.scripts) >= MOST:
            self.left_out = True
            return
        self.scripts[key] = script
        if self.wants_text and event["length"] <= _LONGEST:
            self._soon(self._fetch(session, event["scriptId"], script))

    def _soon(self, doing: Any) -> None:
        task = asyncio.ensure_future(doing)
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)

    @staticmethod
    async def _fetch(session: Speaks, script_id: str, script: Executed) -> None:
        try:
            script.text = (await session.send("Debugger.getScriptSource", {"scriptId": script_id}))["scriptSource"]
        except BrowserError:
            script.text = None  # the page was left meanwhile

    @staticmethod
    async def _resume(session: "CDPSession") -> None:
        try:
            await session.send("Debugger.resume")
        except BrowserError:
            return  # it goes on already
