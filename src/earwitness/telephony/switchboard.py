"""Where what the carrier sends meets the run that it is for: status callbacks and live sound, by a token in their address.

Callbacks only hasten a look at the call; what they claim is never believed. So their order, doubles and losses change no verdict.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from earwitness.config.fields import Secret

if TYPE_CHECKING:
    from earwitness.audio.transcription.twilio import CarrierTranscript

_MOST_CALLBACKS = 50  # of one call; it makes five
_MOST_UTTERANCES = 2000  # callbacks of a call's transcription
_MOST_FRAMES = 3000  # of 20 ms: a minute of sound that nobody has listened to yet
_KEPT_OVER = 500  # extensions of calls that are over
_CLOSE = object()


@dataclass(frozen=True, slots=True)
class Callback:
    """What the carrier told of a call: its status, the moment that it names (epoch seconds, None if unreadable), the SIP answer."""

    call_sid: str
    status: str
    at: float | None
    sip_code: int | None = None


class CarrierHearing:
    """What the carrier's own transcription of a call tells, callback by callback."""

    def __init__(self) -> None:
        self._callbacks: deque[dict[str, str]] = deque(maxlen=_MOST_UTTERANCES)
        self._came = asyncio.Event()

    def take(self, form: dict[str, str]) -> None:
        """Take what is new: a replay must not push out what came before."""
        if form in self._callbacks:
            return
        self._callbacks.append(form)
        self._came.set()

    async def settled(self, seconds: float) -> None:
        """Return when all callbacks have come, whatever their order, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._missing() != 0:
                    self._came.clear()
                    await self._came.wait()

    def _missing(self) -> int | None:
        """Return how many callbacks have not come; None while the last of them, or one that says that it failed, has not."""
        told = {form.get("SequenceId", ""): form.get("TranscriptionEvent", "") for form in self._callbacks}
        if "transcription-error" in told.values():
            return 0
        last = next((key for key, event in told.items() if event == "transcription-stopped"), "")
        return max(0, int(last) - len(told)) if last.isdecimal() else None

    def transcript(self) -> "CarrierTranscript":
        """Return it as an engine. Raises EngineError when the carrier failed, or never began."""
        from earwitness.audio.transcription.base import EngineError  # noqa: PLC0415 - only where calls are made
        from earwitness.audio.transcription.twilio import CarrierTranscript, utterance_of  # noqa: PLC0415

        if not self._callbacks:
            raise EngineError(
                "Twilio transcribed nothing: no callback of a transcription came; see the call's notifications"
            )
        if not all(form.get("SequenceId", "").isdecimal() for form in self._callbacks):
            raise EngineError("Twilio's transcription cannot be put in order: a SequenceId is no number")
        missing = self._missing()
        if missing != 0:
            lost = "its end" if missing is None else f"{missing} of its callbacks"
            raise EngineError(f"of Twilio's transcription {lost} did not come, so what was said is not known")
        # In the order in which they were said, each once, whatever order they came in.
        told = {(form.get("TranscriptionEvent", ""), form.get("SequenceId", "")): form for form in self._callbacks}
        ordered = sorted(told.values(), key=lambda form: int(form["SequenceId"]))
        found = (utterance_of(form, "inbound_track") for form in ordered)
        return CarrierTranscript(utterance for utterance in found if utterance is not None)


class Extension:
    """One run's end of the switchboard. `secret` signs what comes to it; `public_url` is where the carrier reaches us."""

    def __init__(self, token: str, secret: Secret, public_url: str) -> None:
        self.token, self.secret, self.public_url = token, secret, public_url.rstrip("/")
        self.callbacks: deque[Callback] = deque(maxlen=_MOST_CALLBACKS)
        self.heard = CarrierHearing()
        self._told = asyncio.Event()
        self._frames: asyncio.Queue[object] = asyncio.Queue(_MOST_FRAMES + 1)
        self._ended = False
        self.streaming = False
        self.call_sid = ""  # once the carrier has named the call
        self.dropped_frames = 0

    @property
    def status_url(self) -> str:
        return f"{self.public_url}/twilio/calls/{self.token}"

    @property
    def transcription_url(self) -> str:
        return f"{self.public_url}/twilio/transcriptions/{self.token}"

    @property
    def stream_url(self) -> str:
        address = urlsplit(f"{self.public_url}/twilio/streams/{self.token}")
        return urlunsplit(address._replace(scheme="wss" if address.scheme == "https" else "ws"))

    def tell(self, callback: Callback) -> None:
        """Take what is new: a replay must neither push out what came before, nor hasten another look at the carrier's API."""
        if callback in self.callbacks:
            return
        self.callbacks.append(callback)
        self._told.set()

    async def told(self) -> None:
        """Return when a callback has come that nobody has looked at yet."""
        await self._told.wait()
        self._told.clear()

    def hear(self, frame: bytes) -> None:
        """Take 20 ms of mu-law sound. If nobody listens, what comes beyond a minute is dropped and counted."""
        if not frame:
            return
        if self._frames.qsize() >= _MOST_FRAMES:
            self.dropped_frames += 1
            return
        self._frames.put_nowait(frame)

    def hung_up(self) -> None:
        """Say that no more sound will come."""
        self.streaming = False
        if not self._frames.full():
            self._frames.put_nowait(_CLOSE)

    def waiting_frame(self) -> bytes | None:
        """Return the next sound if it has come already; None where it has not, or where there will be no more."""
        if self._frames.empty() or self._ended:
            return None
        frame = self._frames.get_nowait()
        if not isinstance(frame, bytes):
            self._ended = True
            return None
        return frame

    async def frame(self) -> bytes | None:
        """Return the next sound; None when there will be no more."""
        if self._ended:
            return None
        frame = await self._frames.get()
        self._ended = not isinstance(frame, bytes)
        return frame if isinstance(frame, bytes) else None


class Switchboard:
    """The extensions that are in use, by their tokens. Those of calls that are over still answer for a while: callbacks come late."""

    def __init__(self) -> None:
        self._extensions: dict[str, Extension] = {}
        self._over: deque[str] = deque()

    def open(self, secret: Secret, public_url: str) -> Extension:
        extension = Extension(secrets.token_urlsafe(18), secret, public_url)
        self._extensions[extension.token] = extension
        return extension

    def close(self, extension: Extension) -> None:
        extension.hung_up()
        self._over.append(extension.token)
        while len(self._over) > _KEPT_OVER:
            self._extensions.pop(self._over.popleft(), None)

    def find(self, token: str) -> Extension | None:
        return self._extensions.get(token)
