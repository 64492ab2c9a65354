"""Announcements through apprise, a library that knows some hundred services by the address of each.

It makes its own connections, so `network.allow` does not bind it; like ours, they follow no redirect. It blocks, and nothing ends it: a
service that answers byte by byte holds its thread for hours. So each hook has a few threads of its own, of which nobody else has need.
"""

import asyncio
import threading
from contextlib import suppress
from typing import Any

from earwitness.hooks.base import Announcement, HookOutcome, Reason, Reply

_MISSING = "apprise is not installed; pip install 'earwitness[notify]'"
_AT_ONCE = 2  # threads of one hook


class Announcer:
    """Announces for one hook."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def announce(self, message: Announcement, seconds: float) -> Reply | HookOutcome:
        """Return a reply whose status is 200 or 502, or why there is none: the library tells no more."""
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
                return await self._in_thread(message)
        except TimeoutError:
            return HookOutcome("retry", Reason.TIMEOUT, f"no answer within {seconds:g} s")

    def _in_thread(self, message: Announcement) -> asyncio.Future[Reply | HookOutcome]:
        """Return what will come of it. The thread keeps its room until it ends, however long nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Reply | HookOutcome] = loop.create_future()

        def end(outcome: Reply | HookOutcome | Exception) -> None:
            self._room.release()
            if told.done():
                return
            if isinstance(outcome, Exception):
                told.set_exception(outcome)
            else:
                told.set_result(outcome)

        def work() -> None:
            outcome = _caught(message)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(end, outcome)

        threading.Thread(target=work, name="apprise", daemon=True).start()  # a daemon's end does not wait for it
        return told


def _caught(message: Announcement) -> Reply | HookOutcome | Exception:
    try:
        return _announce(message)
    except Exception as error:  # noqa: BLE001  Raised again where it is awaited.
        return error


def _announce(message: Announcement) -> Reply | HookOutcome:
    try:
        import apprise  # noqa: PLC0415  An extra that few install.
    except ImportError:
        return HookOutcome("retry", Reason.CONNECTION, _MISSING)
    service: Any = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
    if not service.add(message.url.reveal()):
        return HookOutcome("refused", Reason.REJECTED, "apprise knows no service at this address")
    told = service.notify(body=message.text, title=message.title, notify_type=message.level)
    return Reply(200 if told else 502)
