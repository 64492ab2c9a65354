"""The ports that a run gets: the web, the carriers, the evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from earwitness.browser.pages import PageBaselines
from earwitness.clock import Clock
from earwitness.config.schema import Config
from earwitness.model import Run
from earwitness.probes.context import CallLedger, EvidenceSink, RunContext
from earwitness.probes.http_oauth2 import TokenCache
from earwitness.probes.memo import Memo
from earwitness.telephony.baselines import Baselines
from earwitness.telephony.switchboard import Switchboard
from earwitness.telephony.transcription import Transcription
from earwitness.transport.client import WebClient
from earwitness.transport.redaction import redacted

if TYPE_CHECKING:
    from earwitness.browser.engine import BrowserEngine
    from earwitness.telephony.carrier import Carrier


@dataclass(frozen=True, slots=True)
class Lasting:
    """What outlives a configuration: what runs learned, and what waits for them."""

    baselines: Baselines | None = None
    switchboard: Switchboard | None = None
    browser: "BrowserEngine | None" = None
    pages: PageBaselines | None = None


class Ports:
    """What runs share, made from one configuration."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        web: WebClient,
        evidence: EvidenceSink,
        location: str = "local",
        lasting: Lasting | None = None,
    ) -> None:
        self.location = location
        self._lasting = lasting or Lasting()
        self._transcriber = Transcription(config.transcription) if config.transcription else None
        self.config = config
        self._clock = clock
        self.web = web
        self._evidence = evidence
        self._dial_allowed = frozenset(config.dial.allow)
        self.carriers: dict[str, Carrier] = {}
        self._hosts = config.hosts
        self.tokens = TokenCache()
        self._memo = Memo()

    def take_over(self, before: "Ports") -> None:
        """Keep the carriers that did not change: each knows which of its calls have an owner. Keep the tokens."""
        self.tokens = before.tokens
        for name, carrier in before.carriers.items():
            if before.web is self.web and before.config.carriers[name] == self.config.carriers.get(name):
                self.carriers[name] = carrier

    def context(self, run: Run, release: Callable[[], None], ledger: CallLedger) -> RunContext:
        return RunContext(
            run=run,
            clock=self._clock,
            evidence=self._evidence,
            web=self.web,
            hosts=self._hosts,
            tokens=self.tokens,
            memo=self._memo,
            redact=self._redact,
            browser=self._lasting.browser,
            pages=self._lasting.pages,
            calls=ledger,
            carrier=self.carrier,
            dial_allowed=self._dial_allowed,
            prompts=self.config.prompts,
            baselines=self._lasting.baselines,
            transcriber=self._transcriber,
            switchboard=self._lasting.switchboard,
            on_released=release,
        )

    def _redact(self, text: str) -> str:
        return redacted(text, self.config.redact)

    def carrier(self, name: str | None) -> "Carrier":
        """Return the named carrier, or the only one; the SDK is loaded when the first call needs it. Raises LookupError."""
        from earwitness.telephony.carrier import Carrier  # noqa: PLC0415

        chosen = name or next(iter(self.config.carriers))
        if chosen not in self.carriers:
            http = self.web.client(timeout=30.0)
            self.carriers[chosen] = Carrier(self.config.carriers[chosen], http, self._clock, chosen)
        return self.carriers[chosen]
