"""The series that each probe has, in Prometheus' text format.

They are kept as they come and written when they are asked for. A gauge of the library's for each measure would cost every run more
than a scrape is worth, and tens of thousands of them, written by the library, would hold up the event loop for a second.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client.utils import floatToGoString  # which the library leaves untyped

from earwitness.model import Channel, Observation, Outcome

PROBE = ("probe", "journey", "channel", "location", "environment")
Labels = tuple[str, ...]

_AT_A_TIME = 500  # series that one piece of the text is made of at most: half a millisecond's work
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
    """What was seen of a probe. A measure stays until a run measures it again: one that fails early measures little."""

    labels: str  # as they stand in the text
    channel: str
    duration: float | None = None
    passed: bool | None = None  # None: no run could tell yet
    measures: dict[str, float] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)  # by outcome


_Samples = Iterator[tuple[str, float]]
"""Further labels as they stand in the text, and a value."""


class Family(NamedTuple):
    """A metric: what is told of it, and how its samples are read off what was seen."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    samples: Callable[[_Latest], _Samples]


def _passed(seen: _Latest) -> _Samples:
    if seen.passed is not None:
        yield "", seen.passed


def _duration(seen: _Latest) -> _Samples:
    if seen.duration is not None:
        yield "", seen.duration


def _phases(seen: _Latest) -> _Samples:
    if seen.channel == Channel.HTTP.value:
        found = ((phase, seen.measures.get(of)) for of, phase in _PHASES.items())
        yield from ((f',phase="{phase}"', value) for phase, value in found if value is not None)


def _agreed(seen: _Latest) -> _Samples:
    version = _TLS_VERSIONS.get(seen.measures.get("tls_version", 0.0))
    if version is not None:
        yield f',version="{version}"', 1


def _counted(seen: _Latest) -> _Samples:
    yield from ((f',outcome="{outcome}"', count) for outcome, count in tuple(seen.runs.items()))


def _measured(of: str) -> Callable[[_Latest], _Samples]:
    def samples(seen: _Latest) -> _Samples:
        value = seen.measures.get(of)
        if value is not None:
            yield "", value

    return samples


FAMILIES = (
    Family("probe_success", "gauge", "Whether the latest run that could tell passed.", PROBE, _passed),
    Family("probe_duration_seconds", "gauge", "How long the latest run took.", PROBE, _duration),
    Family(
        "probe_http_duration_seconds",
        "gauge",
        "Duration of each phase of the latest request.",
        (*PROBE, "phase"),
        _phases,
    ),
    Family(
        "probe_tls_version_info",
        "gauge",
        "The version of TLS that the latest TLS run agreed on.",
        (*PROBE, "version"),
        _agreed,
    ),
    *(Family(name, "gauge", text, PROBE, _measured(of)) for of, (name, text) in _OF_MEASURES.items()),
    Family("earwitness_probe_runs_total", "counter", "Runs by how they ended.", (*PROBE, "outcome"), _counted),
)


class ProbeSeries:
    """Takes observations on the event loop, and is read on any thread."""

    def __init__(self) -> None:
        self._of: dict[str, dict[Labels, _Latest]] = {}  # by probe

    def take(self, seen: Observation) -> None:
        """Take note of a run."""
        run = seen.run
        labels = run.probe, run.journey, run.channel.value, run.location, run.environment  # as PROBE has them
        of_probe = self._of.setdefault(run.probe, {})
        latest = of_probe.get(labels)
        if latest is None:
            latest = of_probe[labels] = _Latest(_written(labels), run.channel.value)
        outcome = seen.outcome
        latest.runs[outcome.value] = latest.runs.get(outcome.value, 0) + 1
        if outcome is Outcome.SKIPPED:
            return  # nothing was run that could have taken time
        latest.duration = seen.duration
        latest.measures.update(seen.measures)
        if outcome in (Outcome.OK, Outcome.FINDING):
            latest.passed = outcome is Outcome.OK

    def forget(self, probe: str) -> None:
        """Drop every series of a probe."""
        self._of.pop(probe, None)

    def text(self) -> Iterator[str]:
        """Yield the text, in pieces that take half a millisecond at most."""
        known = [latest for of_probe in tuple(self._of.values()) for latest in tuple(of_probe.values())]
        for name, kind, told, _labels, samples in FAMILIES:
            yield f"# HELP {name} {told}\n# TYPE {name} {kind}\n"
            for start in range(0, len(known), _AT_A_TIME):
                yield "".join(
                    f"{name}{{{seen.labels}{more}}} {floatToGoString(value)}\n"  # type: ignore[no-untyped-call]
                    for seen in known[start : start + _AT_A_TIME]
                    for more, value in samples(seen)
                )


def _written(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(zip(PROBE, labels, strict=True)))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
