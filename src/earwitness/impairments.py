"""Which parts of the monitor itself cannot do their work: shown and counted, never a customer's outage."""

from collections import Counter
from collections.abc import Callable

from earwitness.model import Attribution, Failure, Finding, Observation, Outcome, Why

COMPONENTS = (
    "store",
    "trust_store",
    "resolver",
    "uplink",
    "network_guard",
    "proxy",
    "client_certificate",
    "browser",
    "carrier",
    "recordings",
    "reference_recordings",
    "transcription",
    "budget",
    "judge",
    "alerts",
    "heartbeat",
    "monitor",
)

_MOST_TOLD = 5  # details of one component

_COMPONENT = {
    Failure.NO_TRUST_STORE: "trust_store",
    Failure.RESOLVER_FAILED: "resolver",
    Failure.UPLINK_DOWN: "uplink",
    Failure.ADDRESS_REFUSED: "network_guard",
    Failure.PROXY_FAILED: "proxy",
    Failure.CLIENT_CERTIFICATE_UNUSABLE: "client_certificate",
    Failure.BROWSER_FAILED: "browser",
    Failure.NOT_ALLOWED_TO_DIAL: "network_guard",
    Failure.ACCOUNT_REFUSED: "carrier",
    Failure.CARRIER_API_FAILED: "carrier",
    Failure.CONTROL_FAILED: "carrier",
    Failure.TRANSCRIPTION_FAILED: "transcription",
    Failure.RECORDING_MISSING: "recordings",
    Failure.RECORDING_UNREADABLE: "recordings",
    Failure.WORDS_NOT_CHECKED: "reference_recordings",
    Failure.OVER_BUDGET: "budget",
}


class Impairments:
    """A component is impaired while the latest run of any probe could not tell because of it."""

    def __init__(self, publish: Callable[[str, bool], None]) -> None:
        self._publish = publish
        self._of_probe: dict[str, str] = {}
        self._count: Counter[str] = Counter()
        self._details: dict[str, str] = {}  # by source
        for component in COMPONENTS:
            publish(component, False)

    def observed(self, seen: Observation) -> None:
        control = seen.run.why is Why.CONTROL  # speaks for its carrier, not for the probe that it was made for
        source, component = f"control of {seen.run.probe}" if control else seen.run.probe, _component(seen)
        self._details.pop(source, None)
        if component is not None and seen.findings:
            self._details[source] = f"{source}: {_ours(seen).message}"
        self._set(source, component)

    def forget(self, probe: str) -> None:
        for source in (probe, f"control of {probe}"):
            self._details.pop(source, None)
            self._set(source, None)

    def set(self, component: str, impaired: bool, source: str = "", detail: str = "") -> None:
        """Say so of a component that no probe speaks for; `source` names which of several is meant, such as a hook."""
        key = f"-{component} {source}"
        self._details.pop(key, None)
        if impaired and detail:
            self._details[key] = detail
        self._set(key, component if impaired else None)

    def current(self) -> list[str]:
        return sorted(component for component, count in self._count.items() if count > 0)

    def details(self) -> dict[str, list[str]]:
        """Return for each impaired component what is known of why: of many probes that say so, the first few."""
        known: dict[str, list[str]] = {component: [] for component in self.current()}
        for source, detail in sorted(self._details.items()):
            known[self._of_probe[source]].append(detail)
        return {component: _first(details) for component, details in known.items()}

    def _set(self, source: str, component: str | None) -> None:
        before = self._of_probe.pop(source, None)
        if component is not None:
            self._of_probe[source] = component
        if before == component:
            return
        for name, change in ((before, -1), (component, 1)):
            if name is not None:
                self._count[name] += change
                self._publish(name, self._count[name] > 0)


def _first(details: list[str]) -> list[str]:
    rest = len(details) - _MOST_TOLD
    return [*details[:_MOST_TOLD], f"and {rest} more"] if rest > 0 else details


def _ours(seen: Observation) -> Finding:
    """Return the finding that says why the run could not tell, or failed as a control call."""
    blamed = (f for f in seen.findings if f.attribution in (Attribution.MONITOR, Attribution.UNKNOWN))
    return next(blamed, seen.findings[0])


def _component(seen: Observation) -> str | None:
    if seen.skipped is not None:
        return "budget" if seen.skipped == Failure.OVER_BUDGET.value else None
    if seen.run.why is Why.CONTROL and seen.outcome is Outcome.FINDING:
        return _COMPONENT[Failure.CONTROL_FAILED]
    if seen.outcome is not Outcome.UNKNOWN:
        return None
    return _COMPONENT.get(_ours(seen).failure, "monitor")
