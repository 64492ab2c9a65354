"""The metrics of each probe's latest run, made when they are asked for: to set a gauge for each measure of every run costs more."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from earwitness.model import Channel, Observation, Outcome

PROBE = ("probe", "journey", "channel", "location", "environment")
Labels = tuple[str, ...]

_PHASES = {f"phase_{phase}": phase for phase in ("resolve", "connect", "tls", "processing", "transfer")}  # by measure
_TLS_VERSIONS = {1.0: "TLS 1.0", 1.1: "TLS 1.1", 1.2: "TLS 1.2", 1.3: "TLS 1.3"}  # by measure

_FIRST = "of the first page of the latest run."
_OF_MEASURES = {  # measure of an observation -> name and text of its gauge
    "phase_resolve": ("probe_dns_lookup_time_seconds", "How long the latest run waited for the name's address."),
    "question": ("probe_dns_duration_seconds", "How long the slowest name server of the latest DNS run took."),
    "answers": ("probe_dns_answer_rrs", "Records in the latest DNS answer."),
    "status_code": ("probe_http_status_code", "Status of the latest response."),
    "cert_expiry": ("probe_ssl_earliest_cert_expiry", "When the first certificate of the chain expires."),
    "ttfb": ("probe_browser_ttfb_seconds", f"Time to the first byte {_FIRST}"),
    "first_contentful_paint": ("probe_browser_first_contentful_paint_seconds", f"First contentful paint {_FIRST}"),
    "largest_contentful_paint": (
        "probe_browser_largest_contentful_paint_seconds",
        f"Largest contentful paint {_FIRST}",
    ),
    "load": ("probe_browser_load_seconds", f"Time to the load event {_FIRST}"),
    "cumulative_layout_shift": ("probe_browser_cumulative_layout_shift", f"Cumulative layout shift {_FIRST}"),
    "requests": ("probe_browser_requests", "Requests that the pages of the latest run made."),
    "page_watched": (
        "probe_browser_page_watched",
        "Whether the latest run took the whole inventory of its payment page.",
    ),
    "failed_requests": ("probe_browser_failed_requests", "Requests of the latest run that failed."),
    "answer": ("earwitness_call_answer_seconds", "From dialling to the answer of the latest call."),
    "prompt_delay": ("earwitness_call_prompt_delay_seconds", "The longest wait for a prompt of the latest call."),
    "audio_quality": ("earwitness_call_audio_quality", "Quality index of the latest call."),
    "post_dial_delay": ("earwitness_call_post_dial_delay_seconds", "From dialling to ringing of the latest call."),
    "dead_air": ("earwitness_call_dead_air_seconds", "The longest silence of both sides of the latest call."),
    "hold": ("earwitness_call_hold_seconds", "Hold music of the latest call."),
    "key_delay": (
        "earwitness_call_key_delay_seconds",
        "The longest time from a key to the prompt that answers it.",
    ),
    "snr": ("earwitness_call_snr_db", "Speech over noise of the latest call."),
}


@dataclass(slots=True)
class _Latest:
    """What was seen last. A measure stays until a run measures it again: one that fails early measures little."""

    duration: float = 0.0
    passed: bool | None = None  # None: no run could tell yet
    measures: dict[str, float] = field(default_factory=dict)


class LatestRuns(Collector):
    """Takes observations on the event loop, and is read on any thread."""

    def __init__(self) -> None:
        self._of: dict[Labels, _Latest] = {}

    def take(self, labels: Labels, seen: Observation) -> None:
        """Remember a run that was made. `labels` are the values of PROBE."""
        latest = self._of.setdefault(labels, _Latest())
        latest.duration = seen.duration
        latest.measures.update(seen.measures)
        outcome = seen.outcome
        if outcome in (Outcome.OK, Outcome.FINDING):
            latest.passed = outcome is Outcome.OK

    def forget(self, labels: Labels) -> None:
        self._of.pop(labels, None)

    def collect(self) -> Iterator[Metric]:
        success = _family("probe_success", "Whether the latest run that could tell passed.")
        duration = _family("probe_duration_seconds", "How long the latest run took.")
        phases = _family("probe_http_duration_seconds", "Duration of each phase of the latest request.", "phase")
        agreed = _family("probe_tls_version_info", "The version of TLS that the latest TLS run agreed on.", "version")
        measured = {of: _family(name, text) for of, (name, text) in _OF_MEASURES.items()}
        for labels, latest in tuple(self._of.items()):
            if latest.passed is not None:
                success.add_metric(labels, float(latest.passed))
            duration.add_metric(labels, latest.duration)
            for of, value in tuple(latest.measures.items()):
                if of in measured:
                    measured[of].add_metric(labels, value)
                if of in _PHASES and labels[2] == Channel.HTTP.value:
                    phases.add_metric((*labels, _PHASES[of]), value)
                if of == "tls_version" and value in _TLS_VERSIONS:
                    agreed.add_metric((*labels, _TLS_VERSIONS[value]), 1)
        yield from (success, duration, phases, agreed, *measured.values())


def _family(name: str, text: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=(*PROBE, *more))
