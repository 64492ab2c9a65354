"""One call, from the guard to the recording: dialled once at most, whatever the carrier's API does."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from earwitness.config.fields import Money
from earwitness.model import Attribution, Failure
from earwitness.probes.context import CallLedger, RunContext
from earwitness.telephony.carrier import Carrier, CarrierCall
from earwitness.telephony.dial_guard import check_dial, check_number
from earwitness.telephony.errors import CarrierError, classify
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.switchboard import Callback, Extension

RINGING_POLL, TALKING_POLL = 1.0, 2.0  # seconds between two looks at the call
POLL_FAILURES = 8  # in a row
LONGEST_BACKOFF = 30.0  # seconds between two tries at a failing API
LOOK_LIMIT, HANG_UP_LIMIT = 8.0, 7.0  # seconds that a look and hanging up may take; together the closing allowance
RECONCILE_AFTER = (1.0, 2.0, 5.0, 10.0)  # seconds before each look for a call whose create was not answered
RECORDING_FIRST, RECORDING_LONGEST = 2.0, 30.0  # seconds between two looks for the recording, doubling
RECORDING_GIVE_UP = 600.0  # seconds
DOWNLOADS = 4
SILENT_NOT_STORED = 16102
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that is over.

    Seconds from dialling (the carrier's queue does not count): `answer` until it was answered, `ringing` until it rang; None
    where it did not, or nobody knows. `sip_code` is the network's final answer, where the carrier told it.
    """

    call: CarrierCall
    answer: float | None
    ringing: float | None = None
    sip_code: int | None = None

    @property
    def measures(self) -> dict[str, float | None]:
        return {"answer": self.answer, "post_dial_delay": self.ringing}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recording's file, or the carrier's code for why there is none."""

    sid: str
    wav: bytes | None
    error_code: int | None = None


class CallDriver:
    """Drives the call of one run. Methods raise CarrierError when the carrier, or the way there, fails."""

    def __init__(
        self,
        spec: CallSpec,
        ctx: RunContext,
        carrier: Carrier,
        ledger: CallLedger,
        from_: str,
        extension: Extension | None = None,
    ) -> None:
        self.spec, self.ctx, self.carrier, self.ledger = spec, ctx, carrier, ledger
        self.from_, self.extension = from_, extension

    @property
    def worst_cost(self) -> Money:
        return self.carrier.cost(self.spec.length_limit)

    async def dial(self, twiml: str, script: str) -> CarrierCall:
        """Place the call; `script` is put on record for whoever has to judge it after us. Raises DialRefusedError and OverBudgetError before anything has happened."""
        check_dial(self.spec.to, self.ctx.dial_allowed)
        check_number(self.from_)
        await self.ledger.reserve(self.worst_cost)
        await self.ledger.intent(self.spec.to, self.from_, script)
        since = self.ctx.clock.now()
        call = await self._create(twiml, since)
        if self.extension is not None:
            self.extension.call_sid = call.sid
        try:
            await self.ledger.dialled(call.sid)
        except Exception:
            await self.hang_up(call)  # a call that is not on record costs money that nobody counts
            raise
        return call

    async def _create(self, twiml: str, since: float) -> CarrierCall:
        try:
            return await self.carrier.create_call(
                self.spec.to,
                self.from_,
                twiml,
                ring_timeout=self.spec.ring_timeout,
                length_limit=self.spec.length_limit,
                status_url=self.extension.status_url if self.extension else None,
            )
        except CarrierError as error:
            if not error.ambiguous:
                await self.ledger.settle(Money(self.worst_cost.amount * 0, self.worst_cost.currency))
                raise
            return await self._reconcile(since, error)

    async def _reconcile(self, since: float, cause: CarrierError) -> CarrierCall:
        """Return the call that a create without an answer may have made. It is looked for, never made again."""
        for wait in RECONCILE_AFTER:
            if wait >= self.time_left:
                break
            await self.ctx.clock.sleep(wait)
            try:
                call = await self.find(self.spec.to, self.from_, since)
            except CarrierError as error:
                if not error.retryable:
                    await self.ledger.settle(self.worst_cost)
                    raise
                continue
            if call is not None:
                return call
        await self.ledger.settle(self.worst_cost)  # it may have dialled; money is never guessed low
        raise CarrierError(f"{cause}; whether the call was made could not be found out, and it was not dialled again")

    async def find(self, to: str, from_: str, since: float) -> CarrierCall | None:
        """Return the only call that fits, now ours; None if there is none."""
        found = await self.carrier.find_calls(to, from_, since)
        if len(found) > 1:
            raise CarrierError(f"{len(found)} calls fit the one whose create was not answered; none is judged")
        return self.carrier.adopt(found[0]) if found else None

    @property
    def time_left(self) -> float:
        """Seconds until the call is hung up."""
        return self.spec.deadline - self.ctx.elapsed

    async def follow(self, call: CarrierCall) -> Ended:
        """Return the call when it is over. One that cannot be followed to its end in the run's time is hung up, and an error."""
        try:
            return await self._followed(call)
        except CarrierError:
            await self.hang_up(call)
            raise

    async def _followed(self, call: CarrierCall) -> Ended:
        clock = self.ctx.clock
        began, failures = clock.monotonic(), 0
        seen: dict[str, float] = {}  # status -> seconds from dialling until it was first seen
        while not call.over:
            if self.time_left <= 0:
                raise CarrierError(f"the call was still {call.status} after {self.ctx.elapsed:.0f}s, and was given up")
            talking = "in-progress" in seen
            pause = min(LONGEST_BACKOFF, 2.0**failures - 1) + (TALKING_POLL if talking else RINGING_POLL)
            await self._wait(min(pause, self.time_left), told=not failures)
            try:
                call, failures = await self._look(call), 0
            except CarrierError as error:
                failures += 1
                if not error.retryable or failures > POLL_FAILURES:
                    raise
            seen.setdefault(call.status, max(0.0, clock.monotonic() - began - call.queued))
        return self._ended(call, seen)

    async def _wait(self, seconds: float, *, told: bool) -> None:
        """Wait until the next look is due; a callback hastens it, unless the API has just failed."""
        if self.extension is None or not told:
            await self.ctx.clock.sleep(seconds)
            return
        waits = [asyncio.ensure_future(self.ctx.clock.sleep(seconds)), asyncio.ensure_future(self.extension.told())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _ended(self, call: CarrierCall, seen: dict[str, float]) -> Ended:
        """Return what is known of the call's times: what the carrier told is finer than what we saw."""
        told, sip_code = _told(self.extension.callbacks if self.extension else (), call.sid)
        answer, ringing = seen.get("in-progress"), seen.get("ringing")
        dialled = told.get("initiated")
        if dialled is not None and "ringing" in told and told["ringing"] >= dialled:
            ringing = told["ringing"] - dialled
        return Ended(call, answer if answer is not None else _answer_by_its_times(call), ringing, sip_code)

    async def _look(self, call: CarrierCall) -> CarrierCall:
        try:
            async with asyncio.timeout(LOOK_LIMIT):
                return await self.carrier.fetch(call.sid)
        except TimeoutError as error:
            raise CarrierError("the carrier's API did not answer in time", retryable=True) from error

    async def hang_up(self, call: CarrierCall) -> None:
        """End the call, whether it is queued, rings or talks. If that fails, the carrier's own limits end it."""
        try:
            async with asyncio.timeout(HANG_UP_LIMIT):
                await self.carrier.hang_up(call.sid)
        except (CarrierError, TimeoutError) as error:
            _log.warning("call_not_hung_up", call_sid=call.sid, error=str(error) or type(error).__name__)

    async def recording(self, call: CarrierCall) -> Recorded:
        """Return the recording as soon as it is ready. An error after ten minutes."""
        waited, wait = 0.0, RECORDING_FIRST
        while waited < RECORDING_GIVE_UP:
            ready = await self._ready_recording(call)
            if ready is not None:
                return ready
            await self.ctx.clock.sleep(wait)
            waited, wait = waited + wait, min(wait * 2, RECORDING_LONGEST)
        raise CarrierError(
            f"no recording of the call was ready after {RECORDING_GIVE_UP / 60:.0f} minutes",
            failure=Failure.RECORDING_MISSING,
        )

    async def _ready_recording(self, call: CarrierCall) -> Recorded | None:
        try:
            for found in await self.carrier.recordings(call.sid):
                if found.status == "completed":
                    return Recorded(found.sid, await self._download(found.sid))
                if found.status == "absent":
                    return Recorded(found.sid, None, found.error_code)
        except CarrierError as error:
            if not error.retryable:
                raise
        return None

    async def _download(self, sid: str) -> bytes:
        for attempt in range(1, DOWNLOADS):
            try:
                return await self.carrier.download(sid)
            except CarrierError as error:
                if not error.retryable and error.status != 404:  # a recording just completed may not be there yet
                    raise
            await self.ctx.clock.sleep(RECORDING_FIRST * attempt)
        return await self.carrier.download(sid)

    async def settle(self, call: CarrierCall) -> Money:
        """Book what the call cost: the carrier's price, or ours until it has rated the call. Return it."""
        cost = self.carrier.price_of(call) or self.carrier.cost(call.duration or 0.0)
        await self.ledger.settle(cost)
        return cost

    async def why_failed(self, ended: Ended) -> tuple[Failure, Attribution, str]:
        """Return what made a call fail before anyone could answer, as far as the carrier's notifications and the network tell."""
        try:
            codes = await self.carrier.errors_of(ended.call.sid)
        except CarrierError as error:
            if error.status != 404:  # without them nobody can tell our account's fault from the target's
                raise
            codes = ()
        if codes:
            told = classify(400, codes[0], "")
            return told.failure, told.attribution, str(told)
        # What only a callback tells must not change the class: callbacks are lost.
        said = f" with SIP {ended.sip_code}" if ended.sip_code else ""
        return Failure.NEVER_CONNECTED, Attribution.TARGET, f"never connected: the network refused the call{said}"


def _told(callbacks: Iterable[Callback], sid: str) -> tuple[dict[str, float], int | None]:
    """Return when the carrier says that each status began (epoch seconds), and the SIP answer, whatever order it told them in."""
    times: dict[str, float] = {}
    sip_code = None
    for callback in callbacks:
        if callback.call_sid != sid:
            continue
        if callback.at is not None:
            times[callback.status] = min(callback.at, times.get(callback.status, callback.at))
        sip_code = callback.sip_code or sip_code
    return times, sip_code


def _answer_by_its_times(call: CarrierCall) -> float | None:
    if call.ended_at is None or call.created_at is None or not call.duration:
        return None
    return max(0.0, call.ended_at - call.duration - call.created_at - call.queued)
