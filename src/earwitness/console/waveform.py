"""A picture of a call: both sides' sound over time, with the steps and what was found, as SVG without any script."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

from earwitness.evidence.storage import EvidenceStorage
from earwitness.model import Evidence, Observation

_WIDTH, _HEIGHT, _MIDDLE = 1000, 60, 30  # of one side, in units of the picture
_COLUMNS = 500
_TOP = 34  # units above the first side, for the names of steps
_COLOURS = {"theirs": "#1d4e89", "ours": "#8a94a6"}
_MARK, _BAD = "#5c677d", "#b3001b"
_LONGEST = 15 * 60  # seconds that are drawn


def picture_of(seen: Observation, storage: EvidenceStorage) -> str | None:
    """Return the SVG of the call, or None if it kept no recording that can be drawn. Reads files: call it in a worker."""
    recording, transcript = (_evidence(seen, kind) for kind in ("recording", "transcript"))
    if recording is None or transcript is None or recording.media_type != "audio/wav":
        return None
    from earwitness.audio.wav import WavError, read_wav  # noqa: PLC0415 - loads numpy

    try:
        sound = read_wav(storage.path(recording.sha256).read_bytes())
        told = json.loads(storage.path(transcript.sha256).read_bytes())
    except (OSError, WavError, ValueError):
        return None  # the page shows that the file is missing where it links to it
    if not 0 < sound.duration <= _LONGEST:
        return None
    sides = [("theirs", told["channels"]["theirs"]), ("ours", told["channels"]["ours"])]
    envelopes = [(side, _envelope(sound.samples[channel])) for side, channel in sides]
    bad = [finding.at for finding in seen.findings if finding.at is not None]
    return _svg(envelopes, told["steps"], bad, sound.duration)


def _evidence(seen: Observation, kind: str) -> Evidence | None:
    return next((e for e in seen.evidence if e.kind == kind), None)


def _envelope(samples: Any) -> list[float]:
    """Return the largest sample of each column, 0..1, drawn by its root so that quiet speech is seen."""
    import numpy as np  # noqa: PLC0415

    parts = np.array_split(np.abs(samples), _COLUMNS)
    return [float(np.sqrt(part.max())) if len(part) else 0.0 for part in parts]


def _svg(
    sides: Sequence[tuple[str, list[float]]], steps: Sequence[dict[str, Any]], bad: Sequence[float], duration: float
) -> str:
    height = _TOP + _HEIGHT * len(sides) + 18
    parts = [
        f'<svg class="waveform" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="The sound of the call, {duration:.0f} seconds">',
        *(_side(name, envelope, _TOP + _HEIGHT * place) for place, (name, envelope) in enumerate(sides)),
        *_step_marks(steps, duration, height),
        *(_line(at, duration, height - 18, _BAD, 2) for at in bad),
        *_axis(duration, height),
        "</svg>",
    ]
    return "".join(parts)


def _side(name: str, envelope: Sequence[float], top: int) -> str:
    step = _WIDTH / len(envelope)
    bars = "".join(
        f"M{x * step:.1f} {top + _MIDDLE - size * _MIDDLE:.1f}V{top + _MIDDLE + size * _MIDDLE:.1f}"
        for x, size in enumerate(envelope)
    )
    label = f'<text x="4" y="{top + 11}" fill="{_COLOURS[name]}">{name}</text>'
    return f'<path d="{bars}" stroke="{_COLOURS[name]}" stroke-width="1.2" fill="none"/>{label}'


def _step_marks(steps: Sequence[dict[str, Any]], duration: float, height: int) -> Iterator[str]:
    """Yield a line and a number where each step was heard; the numbers are the table's."""
    for number, step in enumerate(steps, 1):
        if step["at"] is not None and step["result"] != "not_judged":
            x = _WIDTH * step["at"] / duration
            title = f"<title>{number}. {escape(step['step'])}: {escape(step['result'])}</title>"
            yield f"<g>{title}{_line(step['at'], duration, height - 18, _MARK, 1)}"
            yield f'<text x="{x:.1f}" y="{_TOP - 8 - 12 * (number % 2)}" text-anchor="middle" fill="{_MARK}">{number}</text></g>'


def _line(at: float, duration: float, bottom: int, colour: str, width: int) -> str:
    x = _WIDTH * min(at, duration) / duration
    return f'<path d="M{x:.1f} {_TOP - 4}V{bottom}" stroke="{colour}" stroke-width="{width}" stroke-dasharray="3 2"/>'


def _axis(duration: float, height: int) -> Iterator[str]:
    every = next(s for s in (1, 2, 5, 10, 15, 30, 60, 120) if duration / s <= 15)
    for second in range(0, int(duration) + 1, every):
        x, anchor = _WIDTH * second / duration, "middle" if second else "start"
        yield f'<text x="{x:.1f}" y="{height - 4}" text-anchor="{anchor}" fill="{_MARK}">{second} s</text>'
