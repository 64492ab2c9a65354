"""uvicorn inside our own event loop: it listens before we say that we are ready, and leaves signals to us."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

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
    """Return a listening socket; port 0 lets the system choose. Raises CannotListenError, which says where and why.

    The protocol is named because asyncio sets TCP_NODELAY only on sockets that name it; without it each answer takes 40 ms.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CannotListenError(f"cannot listen on {host}:{port}: {error}; is another one running there?") from error
    return listener


@contextlib.asynccontextmanager
async def served(
    app: ASGIApp, listener: socket.socket, *, grace: int = 3, **more: Any
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve the application while the block runs; yields the server's task. `grace`: seconds that requests in flight get."""
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=grace, **more
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield task
    finally:
        server.should_exit = True
        await task
