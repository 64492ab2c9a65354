"""The ways in which Twilio's API itself breaks, put in front of it: outages, refusals, and creates whose answer is lost."""

from collections.abc import Callable
from typing import cast

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earwitness.simulator.carrier_api import PREFIX
from earwitness.simulator.carrier_errors import TwilioError, unauthorised
from earwitness.simulator.faults import FaultBoard

_WEB_PAGE = "<html><head><title>503</title></head><body><h1>Service Temporarily Unavailable</h1></body></html>"
_REFUSALS: dict[str, Callable[[], Response]] = {
    "twilio-html": lambda: HTMLResponse(_WEB_PAGE, 503),
    "twilio-500": lambda: _error(TwilioError(500, 20500, "An internal server error has occurred")),
    "twilio-429": lambda: _error(TwilioError(429, 20429, "Too Many Requests")),
    "twilio-auth": lambda: _error(unauthorised()),
}


def _error(error: TwilioError) -> Response:
    return JSONResponse(error.body(), error.status)


class CarrierFaults:
    """ASGI middleware. The server must put a function `drop`, which closes the connection, into the scope's state."""

    def __init__(self, app: ASGIApp, faults: FaultBoard) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        faults = self._faults.now()
        refusal = next((make for name, make in _REFUSALS.items() if name in faults), None)
        if "twilio-down" in faults:
            await _hang_up(scope, receive)
        elif refusal:
            await refusal()(scope, receive, send)
        elif "create-lost" in faults and scope["method"] == "POST" and scope["path"].endswith("/Calls.json"):
            await self._lose(faults.word("create-lost", "answer"), scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lose(self, how: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application create the call, then answer as if it had not, or not at all."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        if messages[0]["status"] != 201:
            for message in messages:
                await send(message)
        elif how == "500":
            await _REFUSALS["twilio-500"]()(scope, receive, send)
        elif how == "closed":
            await _hang_up(scope, receive)
        else:
            await _until_gone(receive)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    cast("Callable[[], None]", scope["state"]["drop"])()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
