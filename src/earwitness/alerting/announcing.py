"""Announcements through apprise, a library that knows some hundred services by the address of each.

It makes its own connections, so `network.allow` does not bind it; like ours, they follow no redirect. It blocks, so it runs in a thread.
"""

import asyncio
from typing import Any

from earwitness.hooks.base import Announcement, HookOutcome, Reason, Reply

_MISSING = "apprise is not installed; pip install 'earwitness[notify]'"


async def announce(message: Announcement, seconds: float) -> Reply | HookOutcome:
    """Return a reply whose status is 200 or 502, or why there is none: the library tells no more."""
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.to_thread(_announce, message)
    except TimeoutError:
        return HookOutcome("retry", Reason.TIMEOUT, f"no answer within {seconds:g} s")


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
