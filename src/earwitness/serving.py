"""uvicorn inside our own event loop: it listens before we say that we are ready, and leaves signals to us."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """A server that does not take the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class CannotListenError(Exception):
    """The address cannot be listened on."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 lets the system choose. Raises CannotListenError, which says where and why."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise CannotListenError(f"cannot listen on {host}:{port}: {error.strerror}; is another one running?") from error


@contextlib.asynccontextmanager
async def served(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve the application on a listening socket while the block runs."""
    server = _Server(
        uvicorn.Config(app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=3)
    )
    task = asyncio.create_task(server.serve(sockets=[listener]), name="console")
    try:
        yield
    finally:
        server.should_exit = True
        await task
