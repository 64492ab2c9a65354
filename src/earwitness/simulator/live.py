"""What happens on its own while calls go on: webhooks are told, and media streams carry the sound, each in the call's time."""

import asyncio
import math
from collections.abc import Coroutine

import structlog

from earwitness.simulator.call import TERMINAL, Call
from earwitness.simulator.callbacks import Event, Fields, events_of
from earwitness.simulator.carrier import Carrier
from earwitness.simulator.courier import Courier
from earwitness.simulator.media_stream import streams_of
from earwitness.simulator.stream_sender import StreamSender
from earwitness.simulator.transcribing import transcription_events
from earwitness.simulator.webhook import Webhook

_log = structlog.get_logger(__name__)
_WRONG_TOKEN = "not the account's token"  # noqa: S105 - a forger does not know it


class Live:
    """The tasks that follow the carrier's calls. `base_url` of a call is where its recordings can be fetched."""

    def __init__(self, carrier: Carrier, courier: Courier) -> None:
        self._carrier, self._courier = carrier, courier
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()  # SIDs of calls whose webhooks are looked after
        self._streamed: set[str] = set()  # SIDs of calls whose streams are looked after

    def follow(self, call: Call, base_url: str) -> None:
        """Look after a call that was placed or changed. One that has neither webhook nor stream costs nothing."""
        if call.sid not in self._told and _events(call, base_url):
            self._told.add(call.sid)
            self._spawn(self._tell(call, base_url)).add_done_callback(lambda _: self._told.discard(call.sid))
        if call.sid not in self._streamed and call.plan.ours.streams:
            self._streamed.add(call.sid)
            self._spawn(self._stream(call)).add_done_callback(lambda _: self._streamed.discard(call.sid))

    async def aclose(self) -> None:
        """Stop everything, in the middle of whatever it is."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._courier.aclose()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("simulator_task_failed", exc_info=error)

    async def _stream(self, call: Call) -> None:
        """Start each stream of the call when its time has come, until no more can come."""
        begun = 0
        while True:
            changed = call.changed
            for stream in streams_of(call, self._carrier.elapsed(call))[begun:]:
                self._spawn(StreamSender(self._carrier, self._courier, stream).run())
                begun += 1
            if self._carrier.status(call) in TERMINAL:
                return
            answered = math.inf if call.plan.answered_at is None else call.plan.answered_at
            ahead = [answered + start.at for start in call.plan.ours.streams[begun:]]
            await self._carrier.wait(call, min([call.plan.ended_at, *ahead]), changed)

    async def _tell(self, call: Call, base_url: str) -> None:
        """Tell the call's webhooks of each event when it happens, and later or not at all under the faults for that."""
        deliveries = _Deliveries(self._carrier, self._courier, call)
        done: set[str] = set()
        while True:
            changed = call.changed
            ahead = [event for event in _events(call, base_url) if event.key not in done]
            if not ahead and self._carrier.status(call) in TERMINAL:
                break
            if ahead and self._carrier.elapsed(call) >= ahead[0].at:
                done.add(ahead[0].key)
                await deliveries.happened(ahead[0])
            else:  # while the call goes on, a recording can be started that has a webhook of its own
                await self._carrier.wait(call, ahead[0].at if ahead else call.plan.ended_at, changed)
        await deliveries.finish()


class _Deliveries:
    """The webhooks' post of one call, and the faults that lose, double, delay, exchange or forge it."""

    def __init__(self, carrier: Carrier, courier: Courier, call: Call) -> None:
        self._carrier, self._courier, self._call = carrier, courier, call
        self._faults = call.plan.faults
        self._held: tuple[Webhook, Fields] | None = None
        self._forged = False

    async def happened(self, event: Event) -> None:
        fields = event.fields()
        if fields is None or "callbacks-lost" in self._faults:
            return
        if "callbacks-late" in self._faults:
            await self._past(event.at + self._faults.number("callbacks-late", "seconds"))
        if "callbacks-reordered" in self._faults and self._held is None:
            self._held = (event.webhook, fields)
            return
        await self._send(event.webhook, fields)
        await self.finish()

    async def finish(self) -> None:
        """Send what was held back."""
        if self._held is not None:
            held, self._held = self._held, None
            await self._send(*held)

    async def _past(self, moment: float) -> None:
        while self._carrier.elapsed(self._call) < moment:
            await self._carrier.wait(self._call, moment, self._call.changed)

    async def _send(self, webhook: Webhook, fields: Fields) -> None:
        copies = 2 if "callbacks-duplicated" in self._faults else 1
        for _ in range(copies):
            await self._send_once(webhook, fields, self._carrier.token(self._call.account))
        if "callbacks-forged" in self._faults and "CallStatus" in fields and not self._forged:
            self._forged = True
            lie = {"CallStatus": "failed", "SipResponseCode": "503", "CallDuration": "0", "SequenceNumber": "9"}
            await self._send_once(webhook, fields | lie, _WRONG_TOKEN)

    async def _send_once(self, webhook: Webhook, fields: Fields, token: str) -> None:
        notice = await self._courier.tell(webhook, fields, token)
        if notice is not None:
            self._call.notices.append((self._carrier.elapsed(self._call), notice))


def _events(call: Call, base_url: str) -> list[Event]:
    """Return all that the call's webhooks will be told as its plan is now, in the order in which it happens."""
    return sorted([*events_of(call, base_url), *transcription_events(call)], key=lambda event: event.at)
