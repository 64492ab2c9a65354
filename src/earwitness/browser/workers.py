"""The workers of a page: each is held before its first line until its scripts are listened to, as those of the page are.

Playwright opens no session with a worker, so ours goes through that of its page (`Target.sendMessageToTarget`). Shared workers belong to
no page: they are found when the inventory is taken, with the scripts that they hold then.
"""

import asyncio
import itertools
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error as BrowserError

from earwitness.browser.scripts import ScriptListener, Speaks

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession

MOST = 200  # workers that are listened to
_LATE = 0.5  # seconds after a worker's end in which what it executed may still be told
_KINDS = (
    {"type": "worker"},
    {"type": "worklet"},
    {"exclude": True},
)  # what a page's session is told of: these, and no other
_HOLD = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": False, "filter": list(_KINDS)}
_AT_ONCE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Debugger.enable", {}),
    ("Debugger.setSkipAllPauses", {"skip": True}),
    ("Target.setAutoAttach", _HOLD),  # workers make workers
    ("Runtime.runIfWaitingForDebugger", {}),
)


@dataclass(eq=False)
class _Worker:
    """A session with a worker, by way of another session."""

    by_way_of: Speaks
    session: str  # the protocol's id
    frame: str  # the DevTools protocol's id of the frame that made it; empty for shared ones
    address: str
    listening: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)  # whether a script of it is known
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _waiting: "dict[int, asyncio.Future[dict[str, Any]]]" = field(default_factory=dict)

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the worker's answer. Raises Playwright's Error where it says no, or has gone."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        message = json.dumps({"id": number, "method": method, "params": params or {}})
        try:
            await self.by_way_of.send("Target.sendMessageToTarget", {"sessionId": self.session, "message": message})
            return await answer
        finally:
            del self._waiting[number]

    def answered(self, message: dict[str, Any]) -> None:
        answer = self._waiting.get(message["id"])
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(BrowserError(str(message["error"].get("message", "the worker says no"))))
        else:
            answer.set_result(message.get("result", {}))

    def gone(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BrowserError("the worker has gone"))


class WorkerListener:
    """Listens to the workers of one run's pages, and hands their scripts to `scripts`."""

    def __init__(self, scripts: ScriptListener) -> None:
        self._scripts = scripts
        self._workers: dict[str, _Worker] = {}
        self._gone: dict[str, _Worker] = {}  # what they executed last may be told after their end
        self._greeting: set[asyncio.Task[None]] = set()
        self.left_out = False  # whether there were more than are listened to
        self._browser: CDPSession | None = None
        self._shared: set[str] = set()  # ids of the shared ones that are known

    async def attach(self, session: "CDPSession", frame: str) -> None:
        """Listen to the workers that this page, or frame with a process of its own, makes from now on."""
        session.on("Target.attachedToTarget", partial(self._came, session, frame))
        session.on("Target.receivedMessageFromTarget", self._heard)
        session.on("Target.detachedFromTarget", self._went)
        await session.send("Target.setAutoAttach", _HOLD)

    @property
    def silent(self) -> Sequence[str]:
        """Addresses of the workers that run, or are to run, and have not let us listen."""
        return [worker.address for worker in self._workers.values() if not worker.listening]

    async def hear(self) -> None:
        """Wait for all that the workers executed until now: a busy one tells it with its next answer only."""
        await asyncio.gather(*self._greeting)
        await asyncio.gather(*(self._ask(worker) for worker in tuple(self._workers.values())))
        with suppress(TimeoutError):  # one whose script never came has nothing to tell
            async with asyncio.timeout(_LATE):
                await asyncio.gather(*(worker.told.wait() for worker in self._gone.values()))

    @staticmethod
    async def _ask(worker: _Worker) -> None:
        worker.listening = False
        with suppress(BrowserError):  # it is told as silent, unless it has gone
            await worker.send("Debugger.setSkipAllPauses", {"skip": True})
            worker.listening = True

    async def find_shared(self, context: "BrowserContext", page: "CDPSession") -> None:
        """Listen to the shared workers of the run, until release(). Raises Playwright's Error."""
        browser = context.browser
        if browser is None:
            return
        own = (await page.send("Target.getTargetInfo"))["targetInfo"].get("browserContextId")
        session = self._browser = await browser.new_browser_cdp_session()
        session.on("Target.receivedMessageFromTarget", self._heard)
        session.on("Target.detachedFromTarget", self._went)
        for target in (await session.send("Target.getTargets"))["targetInfos"]:
            ours = target["type"] == "shared_worker" and target.get("browserContextId") == own
            if ours and target["targetId"] not in self._shared:
                self._shared.add(target["targetId"])
                asked = {"targetId": target["targetId"], "flatten": False}
                answer = await session.send("Target.attachToTarget", asked)
                self._greet(_Worker(session, answer["sessionId"], "", target["url"]))

    async def release(self) -> None:
        """Let go of what belongs to the browser, which outlives the run."""
        session, self._browser = self._browser, None
        if session is not None:
            await session.detach()

    # --- events ------------------------------------------------------------------------------------------------------

    def _came(self, by_way_of: Speaks, frame: str, event: dict[str, Any]) -> None:
        info = event["targetInfo"]
        self._greet(_Worker(by_way_of, event["sessionId"], info.get("parentFrameId") or frame, info["url"]))

    def _greet(self, worker: _Worker) -> None:
        self.left_out = self.left_out or len(self._workers) >= MOST
        if len(self._workers) < MOST:
            self._workers[worker.session] = worker
        task = asyncio.create_task(self._listen(worker))
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)

    async def _listen(self, worker: _Worker) -> None:
        """Listen, and let it run; no answer is waited for in between, so that nothing of ours holds it up."""
        asked = _AT_ONCE if worker.session in self._workers else _AT_ONCE[-1:]
        answers = await asyncio.gather(*(worker.send(*one) for one in asked), return_exceptions=True)
        worker.listening = not isinstance(answers[0], BaseException)

    def _heard(self, event: dict[str, Any]) -> None:
        session = event.get("sessionId", "")
        worker = self._workers.get(session) or self._gone.get(session)
        if worker is None:
            return
        message = json.loads(event["message"])
        if "id" in message:
            worker.answered(message)
        elif message["method"] == "Debugger.scriptParsed":
            worker.told.set()
            self._scripts.parsed_by_worker(worker, worker.frame, message["params"])
        elif message["method"] == "Target.attachedToTarget":
            self._came(worker, worker.frame, message["params"])
        elif message["method"] == "Target.receivedMessageFromTarget":
            self._heard(message["params"])
        elif message["method"] == "Target.detachedFromTarget":
            self._went(message["params"])

    def _went(self, event: dict[str, Any]) -> None:
        worker = self._workers.pop(event.get("sessionId", ""), None)
        if worker is not None:
            worker.gone()
            if len(self._gone) < MOST:
                self._gone[worker.session] = worker
