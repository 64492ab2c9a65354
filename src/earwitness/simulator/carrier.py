"""The stand-in for Twilio: accounts' calls, recordings and messages, and the rules by which they are accepted."""

import asyncio
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from earwitness.clock import Clock
from earwitness.simulator.call import TERMINAL, Call, Order
from earwitness.simulator.carrier_errors import (
    MAGIC_CALLED,
    MAGIC_CALLING,
    MAGIC_TEXTED,
    TwilioError,
    bad_request,
    not_found,
)
from earwitness.simulator.faults import FaultBoard
from earwitness.simulator.media_stream import MediaStream, streams_of
from earwitness.simulator.recording import Recording, recordings_of
from earwitness.simulator.routing import line_for, refuse
from earwitness.simulator.timeline import RecordingStart, StreamOrder, StreamStart, StreamStop
from earwitness.simulator.tones import KEYS
from earwitness.simulator.twiml import PressKeys, Program, is_stream_url, parse_twiml
from earwitness.simulator.webhook import CALL_EVENTS, RECORDING_EVENTS, webhook_of

Form = Mapping[str, str]

LONGEST_TWIML = 4000  # characters
REDIRECT_DELAY = 0.15  # seconds from the request that replaces a call's TwiML until the new one is carried out
PRICE_PER_MINUTE = Decimal("0.014")  # USD, begun minutes
OPENING_BALANCE = Decimal(100)  # USD
_KEPT_CALLS = 5000  # the oldest are forgotten, so that a simulator can run for months
_E164 = re.compile(r"\+[1-9]\d{6,14}")


@dataclass(frozen=True, slots=True)
class Message:
    """A text message that was accepted, and goes nowhere."""

    sid: str
    account: str
    to: str
    from_: str | None
    service: str | None
    body: str
    created_at: float


class Carrier:
    """All accounts. A call's time runs `speed` times as fast as the clock's, from the moment it is created.

    `auth_token` is what webhooks are signed with; without it, the token or key that an account's last call was placed with.
    """

    def __init__(self, clock: Clock, faults: FaultBoard, speed: float = 1.0, auth_token: str | None = None) -> None:
        if speed <= 0:
            raise ValueError(f"speed is {speed}; it must be above 0")
        self.clock, self.faults, self.speed = clock, faults, speed
        self._auth_token, self._tokens = auth_token, dict[str, str]()
        self.calls: dict[str, Call] = {}
        self.messages: list[Message] = []
        self._deleted: set[str] = set()  # SIDs of recordings

    def elapsed(self, call: Call) -> float:
        """Return the seconds of the call's own time since it was created."""
        return (self.clock.monotonic() - call.created_tick) * self.speed

    def status(self, call: Call) -> str:
        return call.plan.status(self.elapsed(call))

    async def wait(self, call: Call, moment: float, changed: asyncio.Event) -> None:
        """Return when the call's own time has reached `moment`, or `changed` is set, whichever comes first."""
        if math.isinf(moment):
            await changed.wait()
            return
        seconds = max(0.0, moment - self.elapsed(call)) / self.speed
        waiting = [asyncio.ensure_future(self.clock.sleep(seconds)), asyncio.ensure_future(changed.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def token(self, account: str) -> str:
        """Return what the account's webhooks are signed with."""
        return self._auth_token or self._tokens.get(account, "")

    def remember_token(self, account: str, token: str) -> None:
        self._tokens[account] = token

    # --- calls -------------------------------------------------------------------------------------------------------

    def create_call(self, account: str, form: Form) -> Call:
        """Place a call. Raises TwilioError."""
        order, faults = _order(form), self.faults.now()
        refuse(order.to, faults)
        call = Call(
            sid="CA" + secrets.token_hex(16),
            account=account,
            order=order,
            line=line_for(account, order.to, order.from_, faults),
            faults=faults,
            created_at=self.clock.now(),
            created_tick=self.clock.monotonic(),
        )
        self.calls[call.sid] = call
        if len(self.calls) > _KEPT_CALLS:
            del self.calls[next(iter(self.calls))]
        return call

    @property
    def suspended(self) -> bool:
        faults = self.faults.now()
        return "account-suspended" in faults or "balance-gone" in faults

    def call(self, account: str, sid: str) -> Call:
        """Return a call of the account. Raises TwilioError."""
        call = self.calls.get(sid)
        if call is None or call.account != account:
            raise not_found(f"/2010-04-01/Accounts/{account}/Calls/{sid}.json")
        return call

    def update_call(self, call: Call, form: Form) -> None:
        """Hang up, cancel, or replace the TwiML of a call that is not over. Raises TwilioError."""
        status = self.status(call)
        if status in TERMINAL:
            raise bad_request(21220, f"Call is not in-progress. Cannot redirect. Call status is {status}")
        wanted = form.get("Status")
        if wanted not in (None, "canceled", "completed"):
            raise bad_request(20001, f"Status {wanted!r} is not valid; it may be canceled or completed")
        if "Url" in form:
            raise bad_request(21205, "Url is not valid: this stand-in fetches no TwiML; send Twiml")
        if "Twiml" in form:
            self._replace_twiml(call, _program(form["Twiml"]))
        if "TimeLimit" in form:
            call.order.time_limit = _whole_number(form, "TimeLimit", 14400, 86400)
        if "StatusCallback" in form:
            call.order.webhook = webhook_of(form, "StatusCallback", CALL_EVENTS)
        if wanted == "completed" or (wanted == "canceled" and status != "in-progress"):
            call.order.ended_at = self.elapsed(call)
        call.replan()

    def _replace_twiml(self, call: Call, program: Program) -> None:
        answered = call.plan.answered_at
        since_answer = 0.0 if answered is None else self.elapsed(call) - answered
        if since_answer <= 0:
            call.order.programs = [(0.0, program)]
        else:
            call.order.programs.append((since_answer + REDIRECT_DELAY, program))

    def delete_call(self, call: Call) -> None:
        """Forget a call that is over. Raises TwilioError."""
        if self.status(call) not in TERMINAL:
            raise TwilioError(409, 20009, "Cannot delete a call that is not over")
        del self.calls[call.sid]

    def price(self, call: Call) -> Decimal | None:
        """Return what an ended call cost (USD); an unanswered one costs nothing, and has no price."""
        faults = call.plan.faults
        late = faults.number("price-late", "seconds") if "price-late" in faults else 0.0
        if self.status(call) != "completed" or self.elapsed(call) < call.plan.ended_at + late:
            return None
        return PRICE_PER_MINUTE * max(1, math.ceil(call.plan.talk / 60))

    def balance(self, account: str) -> Decimal:
        """Return the account's money (USD)."""
        if "balance-gone" in self.faults.now():
            return Decimal(0)
        prices = [self.price(call) for call in self.calls.values() if call.account == account]
        return OPENING_BALANCE - sum((price for price in prices if price is not None), Decimal(0))

    # --- recordings --------------------------------------------------------------------------------------------------

    def start_recording(self, call: Call, form: Form) -> Recording:
        """Begin to record a call that is talking. Raises TwilioError."""
        if self.status(call) != "in-progress" or call.plan.answered_at is None:
            raise bad_request(21220, "Requested resource is not eligible for recording: the call is not in progress")
        at = self.elapsed(call) - call.plan.answered_at
        trim = form.get("Trim", "do-not-trim") == "trim-silence"
        webhook = webhook_of(form, "RecordingStatusCallback", RECORDING_EVENTS)
        start = RecordingStart(at, _channels(form), trim, "StartCallRecordingAPI", webhook)
        call.order.recordings.append(start)
        call.replan()
        return next(r for r in recordings_of(call, self.elapsed(call)) if r.start is start)

    def recordings(self, account: str, call_sid: str | None = None) -> list[Recording]:
        """Return the account's recordings, those of one call if it is named, newest first."""
        calls = [c for c in self.calls.values() if c.account == account and call_sid in (None, c.sid)]
        found = [recording for call in reversed(calls) for recording in recordings_of(call, self.elapsed(call))]
        return [recording for recording in found if recording.sid not in self._deleted]

    def recording(self, account: str, sid: str, call_sid: str | None = None) -> Recording:
        """Return one recording. Raises TwilioError."""
        for recording in self.recordings(account, call_sid):
            if recording.sid == sid:
                return recording
        raise not_found(f"/2010-04-01/Accounts/{account}/Recordings/{sid}.json")

    def delete_recording(self, recording: Recording) -> None:
        self._deleted.add(recording.sid)

    # --- media streams -----------------------------------------------------------------------------------------------

    def start_stream(self, call: Call, form: Form) -> MediaStream:
        """Begin to stream the sound of a call that is talking. Raises TwilioError."""
        if self.status(call) != "in-progress" or call.plan.answered_at is None:
            raise bad_request(21220, "Requested resource is not eligible for streaming: the call is not in progress")
        call.order.streams.append(StreamStart(self.elapsed(call) - call.plan.answered_at, _stream_order(form)))
        call.replan()
        return streams_of(call, self.elapsed(call))[-1]

    def stop_stream(self, call: Call, name: str, form: Form) -> MediaStream:
        """End the stream that has this SID or name. Raises TwilioError."""
        if form.get("Status") != "stopped":
            raise bad_request(20001, "Status is not valid; it may be stopped")
        for stream in streams_of(call, self.elapsed(call)):
            if name in (stream.sid, stream.start.order.name):
                assert call.plan.answered_at is not None, "a stream begins after the answer"
                now = self.elapsed(call) - call.plan.answered_at
                call.order.stops.append(StreamStop(now, number=stream.number))
                call.replan()
                return stream
        raise not_found(f"/2010-04-01/Accounts/{call.account}/Calls/{call.sid}/Streams/{name}.json")

    # --- messages ----------------------------------------------------------------------------------------------------

    def create_message(self, account: str, form: Form) -> Message:
        """Accept a text message. Raises TwilioError."""
        if self.suspended:
            raise TwilioError(403, 10001, "Account is not active")
        to, from_, service = form.get("To", ""), form.get("From"), form.get("MessagingServiceSid")
        if not to:
            raise bad_request(21604, "A 'To' phone number is required.")
        if to in MAGIC_TEXTED:
            raise bad_request(*MAGIC_TEXTED[to])
        if not _E164.fullmatch(to):
            raise bad_request(21211, f"The 'To' number {to} is not a valid phone number.")
        if not from_ and not service:
            raise bad_request(21603, "A 'From' phone number is required.")
        if not form.get("Body"):
            raise bad_request(21602, "Message body is required.")
        sid = "SM" + secrets.token_hex(16)
        message = Message(sid, account, to, from_, service, form["Body"], self.clock.now())
        self.messages.append(message)
        del self.messages[:-_KEPT_CALLS]
        return message


# --- the rules of CreateCall -----------------------------------------------------------------------------------------


def _order(form: Form) -> Order:
    to, from_ = form.get("To", ""), form.get("From", "")
    _check_numbers(to, from_)
    if "Url" in form or "ApplicationSid" in form:
        raise bad_request(21205, "Url is not valid: this stand-in fetches no TwiML; send Twiml")
    if not form.get("Twiml"):
        raise bad_request(21205, "Url parameter is required")
    recorded = form.get("Record") == "true"
    trim = form.get("Trim", "trim-silence") == "trim-silence"
    webhook = webhook_of(form, "RecordingStatusCallback", RECORDING_EVENTS)
    return Order(
        to=to,
        from_=from_,
        programs=[(0.0, _with_digits(form.get("SendDigits", ""), _program(form["Twiml"])))],
        timeout=_whole_number(form, "Timeout", 60, 600),
        time_limit=_whole_number(form, "TimeLimit", 14400, 86400),
        recordings=[RecordingStart(0.0, _channels(form), trim, "OutboundAPI", webhook)] if recorded else [],
        webhook=webhook_of(form, "StatusCallback", CALL_EVENTS),
    )


def _stream_order(form: Form) -> StreamOrder:
    url, track = form.get("Url", ""), form.get("Track", "inbound_track")
    if not is_stream_url(url):
        raise bad_request(20001, f"Url is not valid: {url!r} is no wss address")
    if track not in ("inbound_track", "outbound_track", "both_tracks"):
        raise bad_request(31941, f"Stream - Invalid track configuration: {track!r}")
    named = [(form.get(f"Parameter{n}.Name"), form.get(f"Parameter{n}.Value", "")) for n in range(1, 100)]
    parameters = tuple((name, value) for name, value in named if name)
    webhook = webhook_of(form, "StatusCallback", frozenset({"completed"}))
    return StreamOrder(url, form.get("Name", ""), track, parameters, webhook)


def _check_numbers(to: str, from_: str) -> None:
    if not to:
        raise bad_request(21201, "No 'To' number is specified")
    if not from_:
        raise bad_request(21213, "No 'From' number is specified")
    if from_ in MAGIC_CALLING:
        raise bad_request(*MAGIC_CALLING[from_])
    if not _E164.fullmatch(from_):
        raise bad_request(21212, f"The 'From' number {from_} is not a valid phone number, shortcode, or alphanumeric")
    if to in MAGIC_CALLED:
        raise bad_request(*MAGIC_CALLED[to])
    if not _E164.fullmatch(to):
        raise bad_request(21211, f"The phone number you are attempting to call, {to}, is not valid.")


def _program(twiml: str) -> Program:
    if len(twiml) > LONGEST_TWIML:
        raise bad_request(32018, f"The Twiml parameter has {len(twiml)} characters; {LONGEST_TWIML} are allowed")
    return parse_twiml(twiml)


def _with_digits(digits: str, program: Program) -> Program:
    if not digits:
        return program
    if len(digits) > 32 or set(digits) - set(KEYS) - set("wW"):
        raise bad_request(20001, "SendDigits is not valid: at most 32 of 0-9, A-D, #, *, w and W")
    return Program((PressKeys(digits), *program.verbs), program.notices)


def _channels(form: Form) -> int:
    return 2 if form.get("RecordingChannels") == "dual" else 1


def _whole_number(form: Form, name: str, default: int, highest: int) -> float:
    text = form.get(name, str(default))
    if not re.fullmatch(r"\d{1,6}", text) or not 0 < int(text) <= highest:
        raise bad_request(20001, f"{name} is not valid: {text!r} is not a number of seconds from 1 to {highest}")
    return float(text)
