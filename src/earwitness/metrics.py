"""Every metric but those that each probe has (`probe_series`). Labels are closed lists or names from the configuration; never a URL, number or error text."""

import threading
import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from earwitness.model import Observation, Outcome, Rules, Severity, Transition, TransitionKind, Why
from earwitness.probe_series import ProbeSeries

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped

_PLACE = ("channel", "location")
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LATENESS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60)
_MINUTES = (1, 5, 15, 30, 60, 120, 300, 900, 3600, 14400, 86400)
_TURN = 0.0005  # seconds that a scrape works, and then rests, so that the event loop goes on


class Metrics:
    """Counted at the arrows of the house, published at /metrics."""

    def __init__(self, location: str = "local") -> None:
        self._location = location
        self.registry = CollectorRegistry()
        self._probes = ProbeSeries()
        self._never = threading.Event()  # waited for in place of sleep(), which fails where the clock is faked
        self._define_runs()
        self._define_incidents()
        self._define_monitor()

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def _define_runs(self) -> None:
        self.run_duration = self._histogram(
            "earwitness_probe_run_duration_seconds", "How long runs took.", _PLACE, _SECONDS
        )
        self.lateness = self._histogram(
            "earwitness_schedule_lateness_seconds", "How long after its slot a run began.", _PLACE, _LATENESS
        )
        self.missed = self._counter(
            "earwitness_schedule_missed_total", "Slots in which a probe was not run.", ("channel", "reason")
        )

    def _define_incidents(self) -> None:
        self.open = self._gauge("earwitness_incidents_open", "Open incidents.", ("severity",))
        self.opened = self._counter("earwitness_incidents_opened_total", "Incidents opened.", ("severity",))
        self.detection = self._histogram(
            "earwitness_incident_detection_seconds", "From the first failure to the incident.", _PLACE, _MINUTES
        )
        self.acknowledgement = self._histogram(
            "earwitness_incident_acknowledgement_seconds",
            "From the opening of an incident to its acknowledgement.",
            _PLACE,
            _MINUTES,
        )
        self.resolution = self._histogram(
            "earwitness_incident_resolution_seconds", "From the opening of an incident to its end.", _PLACE, _MINUTES
        )
        for severity in Severity:
            self.open.labels(severity.value)
            self.opened.labels(severity.value)

    def _define_monitor(self) -> None:
        self.deliveries = self._counter(
            "earwitness_alert_deliveries_total", "Attempts to deliver an alert.", ("hook", "outcome", "reason")
        )
        self.queue_depth = self._gauge("earwitness_alert_queue_depth", "Alerts that a hook is still owed.", ("hook",))
        self.queue_oldest = self._gauge(
            "earwitness_alert_oldest_seconds", "Age of the oldest alert that a hook is owed.", ("hook",)
        )
        self.impaired = self._gauge(
            "earwitness_monitor_impaired", "Whether a part of the monitor cannot do its work.", ("component",)
        )
        self.control = self._gauge(
            "earwitness_carrier_control_success",
            "Whether the latest control call through the carrier passed.",
            ("carrier",),
        )
        self.spend = self._counter("earwitness_call_spend_total", "Money spent on calls.", ("currency",))
        self.budget = self._gauge("earwitness_call_budget_remaining", "Money left for calls today.", ("currency",))
        self.reload = self._gauge(
            "earwitness_config_last_reload_successful", "Whether the newest configuration is in use."
        )
        self.browser_memory = self._gauge(
            "earwitness_browser_memory_bytes", "What the browser's processes hold resident, after the latest run."
        )
        self.browser_starts = self._counter("earwitness_browser_starts_total", "Times the browser was started.", ())
        self.loop_lag = self._gauge("earwitness_event_loop_lag_seconds", "How late the event loop serves a timer.")

    def browser(self, memory: int, *, started: bool) -> None:
        """Take note of the browser: bytes that its processes hold, and whether it was only just started."""
        self.browser_memory.set(memory)
        if started:
            self.browser_starts.inc()

    def render(self) -> bytes:
        """Return the text format. Runs well outside the event loop, which gets its turn in between."""
        text, turn = [generate_latest(self.registry).decode()], time.monotonic()
        for piece in self._probes.text():
            text.append(piece)
            if time.monotonic() - turn > _TURN:
                self._never.wait(_TURN)
                turn = time.monotonic()
        return "".join(text).encode()

    # --- runs --------------------------------------------------------------------------------------------------------

    def observed(self, seen: Observation) -> None:
        run = seen.run
        if run.why is Why.CONTROL:
            self._controlled(seen)
            return
        self._probes.take(seen)
        if seen.outcome is not Outcome.SKIPPED:
            self.run_duration.labels(run.channel.value, run.location).observe(seen.duration)

    def _controlled(self, seen: Observation) -> None:
        """A control call speaks for its carrier, not for the probe that it was made for."""
        if seen.outcome is not Outcome.SKIPPED and seen.facts.get("carrier"):
            self.control.labels(str(seen.facts["carrier"])).set(seen.outcome is Outcome.OK)

    def forget(self, probe: str) -> None:
        """Drop every series of a probe that was removed."""
        self._probes.forget(probe)

    # --- incidents ---------------------------------------------------------------------------------------------------

    def changed(self, transition: Transition, rules: Rules) -> None:
        incident = transition.incident
        place = _channel(incident.probes, rules), self._location
        if transition.kind is TransitionKind.OPEN:
            self.opened.labels(incident.severity.value).inc()
            self.detection.labels(*place).observe(max(0.0, incident.opened_at - incident.failing_since))
        if transition.kind is TransitionKind.ACKNOWLEDGE:
            self.acknowledgement.labels(*place).observe(max(0.0, transition.at - incident.opened_at))
        if transition.kind is TransitionKind.RESOLVE and incident.resolved_at is not None:
            self.resolution.labels(*place).observe(max(0.0, incident.resolved_at - incident.opened_at))

    def open_now(self, severities: Mapping[Severity, int]) -> None:
        for severity in Severity:
            self.open.labels(severity.value).set(severities.get(severity, 0))


def _channel(probes: tuple[str, ...], rules: Rules) -> str:
    """The channel of the incident's first probe."""
    return rules.probes[probes[0]].channel.value if probes and probes[0] in rules.probes else "http"
