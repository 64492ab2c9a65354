"""The simulator as one web server: Twilio at /2010-04-01, the shop at /shop, faults at /faults, calls at /calls."""

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from earwitness.clock import Clock, SystemClock
from earwitness.serving import listen, served
from earwitness.simulator import card_form, carrier_api, checkout, control_api, shop
from earwitness.simulator.carrier import Carrier
from earwitness.simulator.carrier_errors import TwilioError
from earwitness.simulator.carrier_faults import CarrierFaults
from earwitness.simulator.courier import Courier
from earwitness.simulator.faults import FaultBoard
from earwitness.simulator.live import Live

_GRACE = 1  # seconds that requests in flight get at the end


def create_app(
    clock: Clock | None = None, speed: float = 1.0, *, auth_token: str | None = None, call_anywhere: bool = False
) -> FastAPI:
    """Return the ASGI application. `speed` is how many seconds of a call pass in one second of the clock.

    Webhooks are signed with `auth_token`, or with the token that the account's last call was placed with. They and media
    streams go to this machine only, unless `call_anywhere`. `app.state` holds `carrier`, `faults`, `clock` and `live`, which
    must be closed at the end if calls had webhooks or streams.
    """
    app = FastAPI(title="Earwitness simulator", docs_url=None, redoc_url=None)
    app.state.clock = clock or SystemClock()
    app.state.faults = FaultBoard()
    app.state.carrier = Carrier(app.state.clock, app.state.faults, speed, auth_token)
    app.state.checkout = checkout.Checkout()
    app.state.live = Live(app.state.carrier, Courier(anywhere=call_anywhere))
    for part in (carrier_api, control_api, shop, checkout, card_form):
        app.include_router(part.router)
    app.add_exception_handler(TwilioError, carrier_api.answer_error)
    app.add_middleware(CarrierFaults, faults=app.state.faults)
    return app


class _Protocol(H11Protocol):
    """Puts into each request's state a function that closes its connection without an answer."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "drop": self._drop}, _loop)

    def _drop(self) -> None:
        self.transport.abort()

    def shutdown(self) -> None:
        """End with the server: a request that a fault keeps waiting would hold it up."""
        self._drop()


class Simulator:
    """A simulator in this process: `async with Simulator(speed=50) as sim: ... sim.url`.

    Port 0 lets the system choose; `url` and `port` tell what it chose. Raises CannotListenError if the address is taken.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        speed: float = 1.0,
        clock: Clock | None = None,
        auth_token: str | None = None,
        call_anywhere: bool = False,
    ) -> None:
        self.host, self.port = host, port
        self.app = create_app(clock, speed, auth_token=auth_token, call_anywhere=call_anywhere)
        self._exit = contextlib.AsyncExitStack()
        self._running: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def carrier(self) -> Carrier:
        carrier: Carrier = self.app.state.carrier
        return carrier

    @property
    def faults(self) -> FaultBoard:
        faults: FaultBoard = self.app.state.faults
        return faults

    async def __aenter__(self) -> Self:
        listener = listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        serving = served(self.app, listener, grace=_GRACE, http=_Protocol, ws="none")
        self._running = await self._exit.enter_async_context(serving)
        await self._serve_processor()
        self._exit.push_async_callback(self.app.state.live.aclose)
        return self

    async def _serve_processor(self) -> None:
        """Serve the card processor by another name and port, which make it a third party to browsers on this machine."""
        listener = listen("127.0.0.1", 0)
        self.app.state.processor_url = f"http://localhost:{listener.getsockname()[1]}"
        await self._exit.enter_async_context(served(self.app, listener, grace=_GRACE, http=_Protocol, ws="none"))

    async def wait(self) -> None:
        """Return when the server has ended."""
        assert self._running is not None, "the simulator has not been started"
        await asyncio.shield(self._running)  # whoever stops waiting does not stop the server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()


async def serve(
    host: str = "127.0.0.1",
    port: int = 4020,
    speed: float = 1.0,
    *,
    auth_token: str | None = None,
    call_anywhere: bool = False,
) -> None:
    """Run the simulator until the task is cancelled. Raises CannotListenError if the address is taken."""
    async with Simulator(host, port, speed=speed, auth_token=auth_token, call_anywhere=call_anywhere) as simulator:
        await simulator.wait()
