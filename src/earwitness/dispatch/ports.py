"""The ports that a run gets: the web, the carriers, the evidence."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from earwitness.clock import Clock
from earwitness.config.schema import Config
from earwitness.model import Run
from earwitness.probes.context import CallLedger, EvidenceSink, RunContext
from earwitness.transport.client import WebClient

if TYPE_CHECKING:
    from earwitness.telephony.carrier import Carrier


class Ports:
    """What runs share, made from one configuration."""

    def __init__(
        self, config: Config, clock: Clock, web: WebClient, evidence: EvidenceSink, location: str = "local"
    ) -> None:
        self.location = location
        self._config = config
        self._clock = clock
        self._web = web
        self._evidence = evidence
        self._dial_allowed = frozenset(config.dial.allow)
        self._carriers: dict[str, Carrier] = {}

    def context(self, run: Run, release: Callable[[], None], ledger: CallLedger) -> RunContext:
        return RunContext(
            run=run,
            clock=self._clock,
            evidence=self._evidence,
            web=self._web,
            calls=ledger,
            carrier=self._carrier,
            dial_allowed=self._dial_allowed,
            prompts=self._config.prompts,
            on_released=release,
        )

    def _carrier(self, name: str | None) -> "Carrier":
        """Return the named carrier, or the only one; the SDK is loaded when the first call needs it."""
        from earwitness.telephony.carrier import Carrier  # noqa: PLC0415

        chosen = name or next(iter(self._config.carriers))
        if chosen not in self._carriers:
            self._carriers[chosen] = Carrier(self._config.carriers[chosen], self._web.client(timeout=30.0), self._clock)
        return self._carriers[chosen]
