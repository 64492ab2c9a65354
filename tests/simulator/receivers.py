"""Servers that the simulator calls back, on real sockets: one for webhooks, one for media streams."""

import asyncio
import base64
import contextlib
import json
import socket
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import websockets.asyncio.server
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from earwitness.audio.wav import mulaw_decode
from earwitness.serving import listen, served


async def poll(asker, path, wanted):
    """Return the JSON at `path` once `wanted` holds of it."""
    async with asyncio.timeout(20):
        while not wanted(found := (await asker.get(path)).json()):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    return found


async def notice_codes(asker, path, count=1):
    """Return the codes of the notifications of the call at `path`, once there are `count`."""
    found = await poll(asker, f"{path}/Notifications.json", lambda reply: len(reply["notifications"]) >= count)
    return [notice["error_code"] for notice in found["notifications"]]


@dataclass
class Told:
    """One webhook request."""

    method: str
    url: str
    fields: dict
    signature: str


class WebhookReceiver:
    """Keeps what it is told; `status` is what it answers."""

    def __init__(self, url):
        self.url, self.told, self.status, self._arrived = url, [], 204, asyncio.Condition()

    async def receive(self, request):
        body = (await request.body()).decode()
        fields = dict(parse_qsl(body, keep_blank_values=True) or request.query_params)
        told = Told(request.method, str(request.url), fields, request.headers["x-twilio-signature"])
        async with self._arrived:
            self.told.append(told)
            self._arrived.notify_all()
        return Response(status_code=self.status)

    async def until(self, condition):
        """Return what was told once `condition` holds of it."""
        async with asyncio.timeout(20), self._arrived:
            await self._arrived.wait_for(lambda: condition(self.told))
        return self.told

    async def until_status(self, status):
        return await self.until(lambda told: any(t.fields.get("CallStatus") == status for t in told))


@contextlib.asynccontextmanager
async def webhook_receiver():
    listener = listen("127.0.0.1", 0)
    receiver = WebhookReceiver(f"http://127.0.0.1:{listener.getsockname()[1]}/status")
    app = Starlette(routes=[Route("/status", receiver.receive, methods=["GET", "POST"])])
    async with served(app, listener, grace=1):
        yield receiver


@dataclass
class Heard:
    """One media stream: its messages, the headers it came with, and whether it has ended."""

    path: str
    headers: dict
    messages: list = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def events(self):
        return [message["event"] for message in self.messages]

    def media(self, track="inbound"):
        return [m["media"] for m in self.messages if m["event"] == "media" and m["media"]["track"] == track]

    def sound(self, track="inbound"):
        return mulaw_decode(b"".join(base64.b64decode(media["payload"]) for media in self.media(track)))


class StreamReceiver:
    """Keeps every stream. A `reader` reads a connection its own way instead."""

    def __init__(self, reader=None):
        self.url, self.streams, self._reader, self._arrived = "", [], reader, asyncio.Condition()

    async def receive(self, connection):
        heard = Heard(connection.request.path, dict(connection.request.headers))
        self.streams.append(heard)
        if self._reader is not None:
            await self._reader(connection, heard)
        async for text in connection:
            async with self._arrived:
                heard.messages.append(json.loads(text))
                self._arrived.notify_all()
        async with self._arrived:
            heard.ended.set()
            self._arrived.notify_all()

    async def until(self, condition):
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: condition(self.streams))
        return self.streams

    async def all_ended(self, count=1):
        return await self.until(lambda streams: len(streams) == count and all(s.ended.is_set() for s in streams))


@contextlib.asynccontextmanager
async def stream_receiver(reader=None, secured=None):
    receiver, listener = StreamReceiver(reader), socket.create_server(("127.0.0.1", 0))
    # As little as the system allows, so that whoever does not read holds up the sender and not a buffer.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    receiver.url = f"{'wss' if secured else 'ws'}://127.0.0.1:{listener.getsockname()[1]}/listen"
    async with websockets.asyncio.server.serve(receiver.receive, sock=listener, ssl=secured, close_timeout=1):
        yield receiver
