"""The carrier: calls, recordings and money, as typed values and typed errors.

Nothing here is ever repeated by itself: a create whose answer was lost may have dialled.
"""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import httpx
import structlog
from twilio.base.exceptions import (  # type: ignore[import-untyped]
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.rest import Client  # type: ignore[import-untyped]

from earwitness.clock import Clock
from earwitness.config.carriers import CarrierSpec
from earwitness.config.fields import Money
from earwitness.model import Attribution, Failure
from earwitness.telephony.errors import CarrierError, classify
from earwitness.telephony.http_client import HttpxTwilioClient

TERMINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
REQUEST_TIMEOUT = 15.0  # seconds
_CLOCK_SKEW = 30.0  # seconds by which our clock and the carrier's may differ
_LISTED_CALLS = 50
_EVENTS = ["initiated", "ringing", "answered", "completed"]
_KNOWN_CALLS = 5000  # more than can be young enough to be mistaken for a lost one
_LARGEST_RECORDING = 32 * 1024 * 1024  # bytes

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CarrierCall:
    """A call as the carrier sees it. `duration`: seconds from the answer to the end; None until it was answered and has ended.

    `price` is None until the carrier has rated the call. `queued`: seconds that it waited before it was dialled. Times are seconds since the epoch.
    """

    sid: str
    status: str
    duration: float | None
    price: Money | None
    created_at: float | None
    ended_at: float | None
    queued: float = 0.0

    @property
    def over(self) -> bool:
        return self.status in TERMINAL


@dataclass(frozen=True, slots=True)
class CarrierRecording:
    """A recording as the carrier sees it: in-progress, paused, stopped, processing, completed, absent."""

    sid: str
    status: str
    error_code: int | None


class Carrier:
    """One account at the carrier. Every method raises CarrierError, and nothing else, when the carrier does not do it."""

    def __init__(self, spec: CarrierSpec, http: httpx.AsyncClient, clock: Clock, name: str = "") -> None:
        self.spec, self.name = spec, name
        self._http, self._clock = http, clock
        account = spec.twilio
        self._auth = (account.account_sid, account.auth_token.reveal())
        client = HttpxTwilioClient(http, account.api_url, REQUEST_TIMEOUT)
        self._sdk = Client(*self._auth, http_client=client)
        self._foreign = False  # whether it was said that prices come in another currency
        self._known: dict[str, None] = {}  # calls that have an owner, the newest last

    @property
    def default_from(self) -> str:
        """The number that calls come from when the probe names none."""
        return self.spec.twilio.from_[0]

    def cost(self, seconds: float) -> Money:
        """Return what `seconds` of talk cost, by the begun minute, with what the carrier charges besides."""
        price = self.spec.price_per_minute
        return Money((price.amount + self.spec.extras_per_minute) * math.ceil(seconds / 60), price.currency)

    def price_of(self, call: CarrierCall) -> Money | None:
        """Return the carrier's price of the call and of what it charges besides, in our currency; None where it told none.

        Another currency is never booked as ours: the estimate by the minute stands instead, and a warning says so, once.
        """
        price, ours = call.price, self.spec.price_per_minute.currency
        if price is None:
            return None
        if price.currency == ours:
            minutes = math.ceil((call.duration or 0.0) / 60)
            return Money(price.amount + self.spec.extras_per_minute * minutes, ours)
        if not self._foreign:
            self._foreign = True
            advice = "set price_per_minute and the budget in the account's currency"
            _log.warning("price_in_another_currency", carrier=self.name, told=price.currency, ours=ours, advice=advice)
        return None

    async def create_call(
        self,
        to: str,
        from_: str,
        twiml: str,
        *,
        ring_timeout: float,
        length_limit: float,
        status_url: str | None = None,
    ) -> CarrierCall:
        """Dial. An error with `ambiguous` leaves it open whether the call exists. `status_url`: where the carrier tells how it goes."""
        callbacks = {"status_callback": status_url, "status_callback_event": _EVENTS} if status_url else {}
        created = await self._ask(
            self._sdk.calls.create_async(
                to=to,
                from_=from_,
                twiml=twiml,
                record=True,
                recording_channels="dual",
                trim="do-not-trim",  # the default cuts the leading silence, and with it every delay
                timeout=math.ceil(ring_timeout),
                time_limit=math.ceil(length_limit),
                **callbacks,
            ),
            _call,
        )
        return self.adopt(created)

    async def fetch(self, sid: str) -> CarrierCall:
        return await self._ask(self._sdk.calls(sid).fetch_async(), _call)

    async def find_calls(self, to: str, from_: str, since: float) -> tuple[CarrierCall, ...]:
        """Return the calls between two numbers that were created at `since` (epoch seconds) or later and have no owner yet."""
        # The list's own StartTime filter would leave out calls that are still queued: those have none.
        calls = await self._ask(self._sdk.calls.list_async(to=to, from_=from_, limit=_LISTED_CALLS), _each(_call))
        return tuple(
            call
            for call in calls
            if call.sid not in self._known and call.created_at is not None and call.created_at >= since - _CLOCK_SKEW
        )

    def adopt(self, call: CarrierCall) -> CarrierCall:
        """Note that `call` has an owner, so that no other run takes it for its own."""
        self._known[call.sid] = None
        if len(self._known) > _KNOWN_CALLS:
            del self._known[next(iter(self._known))]
        return call

    async def play(self, sid: str, twiml: str) -> None:
        """Replace what the carrier does on our side of a call that is talking."""
        await self._ask(self._sdk.calls(sid).update_async(twiml=twiml), _call)

    async def hang_up(self, sid: str) -> None:
        await self._ask(self._sdk.calls(sid).update_async(status="completed"), _call)

    async def errors_of(self, sid: str) -> tuple[int, ...]:
        """Return the carrier's error codes in the call's notifications."""
        codes = await self._ask(self._sdk.calls(sid).notifications.list_async(limit=20), _each(_error_code))
        return tuple(code for code in codes if code is not None)

    async def recordings(self, call_sid: str) -> tuple[CarrierRecording, ...]:
        return await self._ask(self._sdk.recordings.list_async(call_sid=call_sid, limit=20), _each(_recording))

    async def download(self, recording_sid: str) -> bytes:
        """Return the WAV file of a completed recording, with both its channels."""
        account = self.spec.twilio
        path = f"/2010-04-01/Accounts/{account.account_sid}/Recordings/{recording_sid}.wav"
        return await self._ask(self._media(account.api_url.rstrip("/") + path), bytes)

    async def delete_recording(self, recording_sid: str) -> None:
        await self._ask(self._sdk.recordings(recording_sid).delete_async(), bool)

    async def balance(self) -> Money:
        return await self._ask(self._sdk.api.v2010.account.balance.fetch_async(), _balance)

    async def _media(self, url: str) -> bytes:
        async with self._http.stream(
            "GET",
            url,
            params={"RequestedChannels": "2"},
            auth=self._auth,
            timeout=REQUEST_TIMEOUT,
            follow_redirects=True,
        ) as response:
            if response.status_code != 200:
                raise classify(response.status_code, None, "the recording is not to be had")
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LARGEST_RECORDING:
                    raise CarrierError(f"the recording has more than {_LARGEST_RECORDING} bytes")
            return bytes(body)

    async def _ask(self, request: Awaitable[Any], read: Callable[[Any], T]) -> T:
        """Return the answer as `read` reads it, or raise a CarrierError for each of the many ways in which there is none."""
        try:
            return read(await request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _unreachable(error) from error
        except httpx.UnsupportedProtocol as error:
            raise CarrierError(str(error)) from error
        except httpx.HTTPError as error:
            what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "closed the connection"
            raise CarrierError(f"the carrier's API {what}", retryable=True, ambiguous=True) from error
        except TwilioRestException as error:
            raise classify(error.status, error.code, error.msg) from error
        except TwilioServiceException as error:
            raise classify(error.status, error.code, error.title) from error
        except TwilioException as error:
            raise _bare(error) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:  # a success that holds no resource
            raise CarrierError("the carrier's API answered nonsense", retryable=True, ambiguous=True) from error


def _unreachable(error: httpx.TransportError) -> CarrierError:
    """Return what kept us from the carrier's API. What we ourselves do not allow is the monitor's fault, and asking again does not help."""
    refused = getattr(error, "failure", None) is Failure.ADDRESS_REFUSED
    return CarrierError(
        f"the carrier's API cannot be reached: {str(error) or type(error).__name__}",
        failure=Failure.ADDRESS_REFUSED if refused else Failure.CARRIER_API_FAILED,
        attribution=Attribution.MONITOR if refused else Attribution.UNKNOWN,
        retryable=not refused,
    )


def _bare(error: TwilioException) -> CarrierError:
    """Return the error of a failed list: the SDK says what happened only in the response behind its message."""
    response = error.args[1] if len(error.args) > 1 else None
    status = getattr(response, "status_code", None)
    if not isinstance(status, int):
        return CarrierError("the carrier's API answered nonsense", retryable=True)
    try:
        body: Any = json.loads(getattr(response, "text", ""))
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    return classify(status, _integer(body.get("code")), str(body.get("message", "")))


def _call(resource: Any) -> CarrierCall:
    if not resource.sid or not resource.status:
        raise ValueError("a call without SID or status")
    amount, duration = _decimal(resource.price), _decimal(resource.duration)
    return CarrierCall(
        sid=str(resource.sid),
        status=str(resource.status),
        duration=None if duration is None else float(duration),
        price=None if amount is None else Money(abs(amount), str(resource.price_unit or "USD").upper()),
        created_at=_moment(resource.date_created),
        ended_at=_moment(resource.end_time),
        queued=float(_decimal(resource.queue_time) or 0) / 1000,
    )


def _recording(resource: Any) -> CarrierRecording:
    return CarrierRecording(str(resource.sid), str(resource.status), _integer(resource.error_code))


def _error_code(notification: Any) -> int | None:
    """Return the code of an error; a warning (log 1) has none that matters."""
    return _integer(notification.error_code) if str(notification.log) == "0" else None


def _balance(resource: Any) -> Money:
    amount = _decimal(resource.balance)
    if amount is None:
        raise ValueError("a balance without an amount")
    return Money(amount, str(resource.currency))


def _each(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    return lambda listed: tuple(read(item) for item in listed)


def _decimal(value: Any) -> Decimal | None:
    """Return a number that the carrier wrote as text, often as an empty one."""
    try:
        return None if value in (None, "") else Decimal(str(value))
    except InvalidOperation:
        return None


def _integer(value: Any) -> int | None:
    number = _decimal(value)
    return None if number is None else int(number)


def _moment(value: Any) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None
