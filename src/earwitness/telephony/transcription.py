"""Who turns speech into words, as the configuration names it: an engine of ours, loaded when a call first needs it, or the carrier."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from earwitness.audio.transcription import BY_CARRIER, make_engine
from earwitness.audio.transcription.base import Engine, EngineError, Settings

if TYPE_CHECKING:
    from earwitness.telephony.switchboard import Extension

PATIENCE = 10.0  # seconds after the recording is there until the carrier's last words must have come


class Transcription:
    """Implements the probe's `Transcriber`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def script(self, extension: "Extension | None") -> str:
        """Return the TwiML that lets the carrier transcribe the far end from the beginning; empty where it is not to."""
        if self._settings.engine != BY_CARRIER or extension is None:
            return ""
        return (
            f"<Start><Transcription statusCallbackUrl={quoteattr(extension.transcription_url)} "
            f'track="inbound_track" partialResults="false" languageCode={quoteattr(self._settings.language)}/></Start>'
        )

    async def settled(self, extension: "Extension | None") -> None:
        """Return when the carrier has told all that it heard, if it was to listen and tells it in time."""
        if self._settings.engine == BY_CARRIER and extension is not None:
            await extension.heard.settled(PATIENCE)

    def engine(self, texts: Sequence[str], extension: "Extension | None") -> Engine:
        """Return the engine that listens for `texts`, or knows what the carrier heard. Takes seconds. Raises EngineError."""
        if self._settings.engine != BY_CARRIER:
            return make_engine(self._settings, texts)
        if extension is None:
            raise EngineError(
                "Twilio can only transcribe what it may tell us; set public_url in the carrier's twilio section"
            )
        return extension.heard.transcript()
