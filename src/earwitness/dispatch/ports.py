"""The ports that a run gets: the web, the carriers, the evidence."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from earwitness.clock import Clock
from earwitness.config.schema import Config
from earwitness.model import Run
from earwitness.probes.context import CallLedger, EvidenceSink, RunContext
from earwitness.probes.hosts import HostMap, Owner
from earwitness.probes.http_oauth2 import TokenCache
from earwitness.telephony.baselines import Baselines
from earwitness.telephony.switchboard import Switchboard
from earwitness.telephony.transcription import Transcription
from earwitness.transport.client import WebClient
from earwitness.transport.redaction import redacted

if TYPE_CHECKING:
    from earwitness.telephony.carrier import Carrier


class Ports:
    """What runs share, made from one configuration."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        web: WebClient,
        evidence: EvidenceSink,
        location: str = "local",
        baselines: Baselines | None = None,
        switchboard: Switchboard | None = None,
    ) -> None:
        self.location = location
        self._baselines, self._switchboard = baselines, switchboard
        self._transcriber = Transcription(config.transcription) if config.transcription else None
        self.config = config
        self._clock = clock
        self.web = web
        self._evidence = evidence
        self._dial_allowed = frozenset(config.dial.allow)
        self.carriers: dict[str, Carrier] = {}
        self._hosts = HostMap(
            {
                host: Owner(name, dependency.third_party)
                for name, dependency in config.dependencies.items()
                for host in dependency.hosts
            }
        )
        self.tokens = TokenCache()

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
            redact=self._redact,
            calls=ledger,
            carrier=self.carrier,
            dial_allowed=self._dial_allowed,
            prompts=self.config.prompts,
            baselines=self._baselines,
            transcriber=self._transcriber,
            switchboard=self._switchboard,
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
