"""The far end's channel, asked for prompts and for speech."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

from earwitness.audio.contour import HOP as CONTOUR_HOP
from earwitness.audio.contour import Contour, Likeness, best_likeness, contour
from earwitness.audio.dropouts import find_dropouts
from earwitness.audio.dtmf import Key, find_keys
from earwitness.audio.fingerprint import Fingerprint, fingerprint
from earwitness.audio.frames import FRAMES_PER_SECOND, RATE, Timed
from earwitness.audio.match import Heard, Match, Verdict, search
from earwitness.audio.measured import Measured
from earwitness.audio.music import Span, music_by_peaks
from earwitness.audio.prompts import Prompt
from earwitness.audio.quality import Quality, judge_quality
from earwitness.audio.script import HeardPrompt
from earwitness.audio.sinusoids import Burst, find_bursts
from earwitness.audio.speech import Segment, speech_by_level
from earwitness.audio.tones import Tone, find_tones
from earwitness.audio.wav import Samples

ENOUGH_SPEECH = 0.5  # s of it without which nobody has spoken: a click or a crack is shorter
_SAME_PLACE = 0.3  # share of the shorter of two prompts that may overlap when both were said
_STEADY = 1.5  # Hz that a tone may wander; a voice does more
_LATE = 0.3  # s that a prompt may begin before we are done: reactions are quick, detectors are not exact


class Listener:
    """One channel at 8 kHz, shape (n,). Times are seconds into it."""

    def __init__(
        self, samples: Samples | Measured, keys: tuple[Key, ...] | None = None, our_echo: tuple[Span, ...] = ()
    ) -> None:
        """`keys` are those on this channel, if they are known already; `our_echo` is where it holds nothing but our own side."""
        self._measured = samples if isinstance(samples, Measured) else Measured(samples)
        self.samples = samples = self._measured.samples
        self._keys, self._our_echo = keys, our_echo
        self.duration = len(samples) / RATE
        self._known: dict[tuple[int, tuple[float, float]], tuple[Prompt, Match]] = {}

    @cached_property
    def _print(self) -> Fingerprint:
        return fingerprint(self.samples, self._measured.band_energies)

    @cached_property
    def _contour(self) -> Contour:
        return contour(self.samples)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        return speech_by_level(self._measured.levels, (*self.keys, *self._our_echo))

    @cached_property
    def bursts(self) -> tuple[Burst, ...]:
        """The stretches of one or two steady sinusoids: tones, and vowels and notes that resemble them."""
        return find_bursts(self.samples, self._measured.pure_tones)

    @cached_property
    def tones(self) -> tuple[Tone, ...]:
        return find_tones(self.samples, self.bursts)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The keys on this channel: on the far end's, the echo of ours, or its own."""
        if self._keys is not None:
            return self._keys
        return find_keys(self.samples, self._measured.key_powers)

    @cached_property
    def music(self) -> tuple[Span, ...]:
        apart_from: tuple[Timed, ...] = (*self.tones, *self.keys, *self._our_echo)
        return music_by_peaks(self._measured.spectral_peaks, self._measured.levels, apart_from)

    def quality(
        self,
        recognised: Sequence[tuple[Prompt, Match]] = (),
        torn: Sequence[tuple[Prompt, Match]] = (),
        *,
        distorted: bool = False,
    ) -> Quality | None:
        """Return the quality, held against the references of the prompts that were recognised whole.

        `torn` are prompts that are only asked where sound is gone. `distorted`: a prompt was recognised though its sound does not agree with the reference's.
        """
        scores = [match.score for _, match in recognised]
        agreement = 0.0 if distorted else sum(scores) / len(scores) if scores else None
        pairs, asked = ([(prompt.samples, match) for prompt, match in each] for each in (recognised, torn))
        steady = (burst for burst in self.bursts if burst.spread < _STEADY)  # chimes, a last bit of ringing
        return judge_quality(
            self.samples, agreement, pairs, (*self.tones, *self.keys, *self._our_echo, *self.music, *steady), asked
        )

    def torn_prompts(self, prompts: Iterable[Prompt]) -> list[tuple[Prompt, Match]]:
        """Return those of `prompts` that are heard whole where sound stops or starts abruptly, if it does: their references tell why.

        Of several in one place, as with prompts that share words, it is the one that fits best.
        """
        holes = find_dropouts(self.samples, edges=1)
        found = [pair for pair in self._matches(prompts, 0.0, self.duration) if pair[1].whole] if holes else []
        kept: list[tuple[Prompt, Match]] = []
        for pair in sorted(found, key=lambda pair: -pair[1].score):
            if not any(_overlap(pair[1], other) > _SAME_PLACE for _, other in kept):
                kept.append(pair)
        return [p for p in kept if any(p[1].start * RATE < end and start < p[1].end * RATE for start, end in holes)]

    def likeness(self, prompt: Prompt, start: float, end: float) -> Likeness:
        """Return where between `start` and `end` the loudness follows the prompt's best, whatever the sound is like."""
        first, last = (round(max(0.0, at) * RATE / CONTOUR_HOP) for at in (start - _LATE, min(end, self.duration)))
        found = best_likeness(prompt.contour, self._contour[:, first:last])
        return replace(found, start=found.start + first * CONTOUR_HOP / RATE)

    def best(self, prompts: Iterable[Prompt], start: float, end: float) -> tuple[Prompt, Match] | None:
        """Return which of `prompts` is heard best between `start` and `end`, in part at least."""
        found = self._matches(prompts, start, end)
        found = [(prompt, match) for prompt, match in found if match.verdict is not Verdict.NONE]
        return max(found, key=lambda pair: pair[1].score, default=None)

    def agreement(self, prompts: Iterable[Prompt], start: float, end: float) -> tuple[float, float] | None:
        """Return the score and the share of the best of `prompts`, heard or not."""
        found = [(match.score, match.coverage) for _, match in self._matches(prompts, start, end)]
        return max(found, default=None)

    def identify(self, prompts: Iterable[Prompt], start: float, end: float) -> tuple[HeardPrompt, ...]:
        """Return those of `prompts` that are heard between `start` and `end`, in order; of several in one place the best."""
        found = [_heard(prompt, match) for prompt, match in self._matches(prompts, start, end) if match.lags]
        kept: list[HeardPrompt] = []
        for candidate in sorted(found, key=lambda prompt: -prompt.score):
            if not any(_overlap(candidate, other) > _SAME_PLACE for other in kept):
                kept.append(candidate)
        return tuple(sorted(kept, key=lambda prompt: prompt.start))

    def _matches(self, prompts: Iterable[Prompt], start: float, end: float) -> list[tuple[Prompt, Match]]:
        """Return each of `prompts` with its best place between `start` and `end`; what was asked before is remembered."""
        span = (max(0.0, start - _LATE), min(end, self.duration))
        asked = list(prompts)
        new = [prompt for prompt in asked if (id(prompt), span) not in self._known]
        if new:
            found = search([(prompt.print, prompt.samples) for prompt in new], Heard(self.samples, self._print, *span))
            self._known.update({(id(p), span): (p, match) for p, match in zip(new, found, strict=True)})
        return [self._known[id(prompt), span] for prompt in asked]


def _heard(prompt: Prompt, match: Match) -> HeardPrompt:
    last = match.start + (match.lags[-1][0] / FRAMES_PER_SECOND if match.lags else 0.0)
    return HeardPrompt(prompt.name, prompt.text, match.start, match.end, match.score, match.coverage, match.whole, last)


def heard_prompt(found: tuple[Prompt, Match]) -> HeardPrompt:
    return _heard(*found)


def _overlap(left: Timed, right: Timed) -> float:
    """Return the share of the shorter prompt that lies in the other."""
    common = min(left.end, right.end) - max(left.start, right.start)
    return max(0.0, common) / max(1e-9, min(left.end - left.start, right.end - right.start))


def texts(heard: Sequence[HeardPrompt]) -> str:
    """Return what was heard, as a sentence quotes it."""
    return ", then ".join(f'"{prompt.text}"' for prompt in heard)
