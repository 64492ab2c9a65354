"""A media stream on the wire: the carrier is the WebSocket client, and sends the call's sound as it happens.

The sound is cut from the call's plan when its moment has come, so that there is no queue: whoever reads slowly makes this
sender late, and nobody else. What is older than `backlog` seconds is then skipped with error 31931, as at Twilio.
"""

import asyncio
import math

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from earwitness.audio.wav import mulaw_encode
from earwitness.simulator.call import Plan
from earwitness.simulator.callbacks import stream_fields
from earwitness.simulator.carrier import Carrier
from earwitness.simulator.courier import SIGNATURE, Courier, signature
from earwitness.simulator.line_sound import line_sound
from earwitness.simulator.media_stream import FRAME, FRAME_SAMPLES, MediaStream, StreamMessages
from earwitness.simulator.tones import seconds_to_samples
from earwitness.simulator.twiml import Notice

BACKLOG = 600.0  # seconds of sound that Twilio keeps for a slow reader
_CHANNEL = {"inbound": 0, "outbound": 1}
_PATIENCE = 10.0  # seconds of the clock for a handshake
_STUCK = 60.0  # seconds of the clock until a reader that takes nothing at all is given up
_TICK = 0.005  # seconds of the clock: at high speed several frames fall into one


class StreamSender:
    """Carries one stream from its beginning to its end."""

    def __init__(self, carrier: Carrier, courier: Courier, stream: MediaStream, backlog: float = BACKLOG) -> None:
        self._carrier, self._courier, self._stream = carrier, courier, stream
        self._call, self._order = stream.call, stream.start.order
        self._faults = stream.call.plan.faults
        self._backlog = backlog
        self._heard: tuple[Plan, list[bytes]] | None = None
        self._origin = 0.0  # seconds since the call was created, when the sound begins
        self._next = 0  # the frame that is to be sent

    async def run(self) -> None:
        late = self._faults.number("stream-late", "seconds") if "stream-late" in self._faults else 0.0
        # The time that a handshake takes is not the call's, so nothing is missed by it, however fast the call goes.
        self._origin = self._stream.begins_at + late
        await self._until(self._origin)
        if self._origin >= self._stream.ends_at:
            return
        if "stream-refused" in self._faults:
            await self._fails("the server refused the connection")
        elif not self._courier.may_call(self._order.url):
            await self._fails("this stand-in calls only loopback addresses")
        else:
            await self._connect()

    async def _connect(self) -> None:
        token, url = self._carrier.token(self._call.account), self._order.url
        headers = {SIGNATURE: signature(token, url)}
        try:
            # No pings: a reader that is slow to answer them is slow, not gone.
            socket = await connect(
                url,
                additional_headers=headers,
                user_agent_header="Twilio.TmeWs/1.0",
                compression=None,
                proxy=None,
                open_timeout=_PATIENCE,
                ping_interval=None,
                close_timeout=1,
            )
        except (OSError, WebSocketException) as error:
            await self._fails(f"{type(error).__name__}: {error}")
            return
        try:
            await self._carry(socket)
        finally:
            await socket.close()

    async def _carry(self, socket: ClientConnection) -> None:
        await self._tell("stream-started")
        # Somebody must read, else a server that closes the connection is not noticed.
        reading = asyncio.create_task(_ignore_messages(socket))
        try:
            await self._talk(socket)
        except ConnectionClosed:
            self._note(31921, "Stream - WebSocket - Close error: the server closed the connection", warning=True)
        except TimeoutError:
            self._note(31931, "Stream - Buffer overflow: the server reads nothing")
        finally:
            reading.cancel()
        await self._tell("stream-stopped")

    async def _talk(self, socket: ClientConnection) -> None:
        messages = StreamMessages(self._stream)
        for message in messages.opening():
            await _send(socket, message)
        stalls = self._faults.number("stream-stalls", "seconds") if "stream-stalls" in self._faults else math.inf
        while True:
            changed, now = self._call.changed, self._elapsed()
            ends = self._stream.ends_at
            for frame in self._due(min(now, ends) - self._origin):
                if frame * FRAME < stalls:
                    await self._send_frame(socket, messages, frame)
            if now >= ends:
                break
            ahead = max(self._origin + (self._next + 1) * FRAME, now + _TICK * self._carrier.speed)
            await self._carrier.wait(self._call, min(ahead, ends), changed)
        await _send(socket, messages.stop())

    def _due(self, seconds: float) -> range:
        """Return the frames that have been heard whole after `seconds` of the stream, less those that are too old."""
        first, end = self._next, int(seconds / FRAME + 1e-6)
        kept = round(self._backlog / FRAME)
        if end - first > kept:
            self._note(31931, f"Stream - Buffer overflow: {end - kept - first} frames were discarded")
            first = end - kept
        self._next = max(end, first)
        return range(first, end)

    async def _send_frame(self, socket: ClientConnection, messages: StreamMessages, frame: int) -> None:
        answered = self._call.plan.answered_at
        assert answered is not None, "a stream begins after the answer"
        first = seconds_to_samples(self._origin - answered) + frame * FRAME_SAMPLES
        sound = self._sound()
        for track in self._order.tracks:
            part = sound[_CHANNEL[track]][first : first + FRAME_SAMPLES]
            if len(part) == FRAME_SAMPLES:
                await _send(socket, messages.media(track, frame * FRAME, part))

    def _sound(self) -> list[bytes]:
        """Return both channels in mu-law. The past of a call sounds the same under every plan; the future may not."""
        if self._heard is None or self._heard[0] is not self._call.plan:
            self._heard = (self._call.plan, [mulaw_encode(channel) for channel in line_sound(self._call.plan)])
        return self._heard[1]

    def _elapsed(self) -> float:
        return self._carrier.elapsed(self._call)

    async def _until(self, moment: float) -> None:
        while self._elapsed() < min(moment, self._stream.ends_at):
            await self._carrier.wait(self._call, min(moment, self._stream.ends_at), self._call.changed)

    async def _fails(self, why: str) -> None:
        self._note(31920, f"Stream - WebSocket - Handshake error: {why}")
        await self._tell("stream-error", "31920")

    def _note(self, code: int, message: str, *, warning: bool = False) -> None:
        self._call.notices.append((self._elapsed(), Notice(code, message, warning)))

    async def _tell(self, event: str, error: str | None = None) -> None:
        if self._order.webhook is None:
            return
        fields = stream_fields(self._stream, event, self._elapsed(), error)
        notice = await self._courier.tell(self._order.webhook, fields, self._carrier.token(self._call.account))
        if notice is not None:
            self._call.notices.append((self._elapsed(), notice))


async def _send(socket: ClientConnection, message: str) -> None:
    """Send one message. Raises ConnectionClosed, and TimeoutError when the other side takes nothing for a minute."""
    async with asyncio.timeout(_STUCK):
        await socket.send(message)


async def _ignore_messages(socket: ClientConnection) -> None:
    """A unidirectional stream takes nothing from the server."""
    async for _ in socket:
        pass
