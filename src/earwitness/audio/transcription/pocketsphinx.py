"""CMU Pocketsphinx with its built-in US English model: works offline, and only because it is told which texts may be said.

Its own language model is hopeless on the telephone (56% of words wrong); one made of the expected texts brings that to
some 10%. So that other speech is not forced into those texts, the commonest words of its own language model are added.
"""

import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pocketsphinx
from pocketsphinx.lm import ArpaBoLM

from earwitness.audio.alignment import Word
from earwitness.audio.numbers import spoken
from earwitness.audio.transcription.base import EngineError
from earwitness.audio.transcription.stretches import Stretch, at_16_khz, pcm16, stretches
from earwitness.audio.wav import Samples
from earwitness.audio.words import WILDCARD

_COMMON_WORDS = 2000
_MEASURE = "measure"
_VARIANT = re.compile(r"\(\d+\)$")  # of a pronunciation
_FRAME = 0.01  # s
_BLOCK = 3200  # bytes, 0.1 s: the decoder keeps the interpreter while it works, and the daemon has other things to do
_NUMBERS = [word for n in (*range(20), *range(20, 100, 10)) for word in spoken(str(n))] + ["hundred", "oh"]

Dictionary = Mapping[str, Sequence[str]]


def make(model: Path | None, language: str, texts: Iterable[str]) -> "Engine":
    """Return an engine that listens for `texts`. Its model and its language are the built-in ones."""
    assert model is None, "the registry refuses a model"
    assert language.startswith("en"), "the registry refuses other languages"
    return Engine(texts)


class Engine:
    """The words and the language model that decoders are made of."""

    def __init__(self, texts: Iterable[str]) -> None:
        known = _pronunciations()
        language = _language_model(" ".join(filter(known.__contains__, s)) for text in texts for s in _sentences(text))
        written = io.StringIO()
        language.write(written)
        self._language = written.getvalue()
        # No more words than are needed: to load the whole dictionary takes a second and 40 MB.
        self._dictionary = "".join(line for word in language.grams_1 for line in known.get(word, ()))

    def transcribe(self, samples: Samples) -> tuple[Word, ...]:
        decoder = self._decoder()
        return tuple(word for stretch in stretches(samples) for word in _words(decoder, stretch))

    def _decoder(self) -> pocketsphinx.Decoder:
        """Return a new decoder: one that has heard something before gives slightly other times. It takes some 20 ms."""
        with tempfile.TemporaryDirectory(prefix="earwitness-") as folder:
            model, dictionary = Path(folder, "model.lm"), Path(folder, "words.dict")
            model.write_text(self._language)
            dictionary.write_text(self._dictionary)
            # A second pass over a finished stretch (fwdflat) keeps the interpreter too long for what it brings.
            decoder = pocketsphinx.Decoder(lm=str(model), dict=str(dictionary), fwdflat=False, loglevel="FATAL")
        decoder.add_jsgf_string(_MEASURE, "#JSGF V1.0; grammar measure; public <word> = one;")
        return decoder

    def unknown(self, text: str) -> tuple[str, ...]:
        words = (word for sentence in _sentences(text) for word in sentence)
        return tuple(dict.fromkeys(word for word in words if word not in _pronunciations()))


def _language_model(sentences: Iterable[str]) -> ArpaBoLM:
    language = ArpaBoLM(text="\n".join(filter(None, sentences)), add_start=True)
    for word in (*_common_words(), *_NUMBERS, "<s>", "</s>"):
        language.grams_1.setdefault(word, 1)
    language.compute()
    return language


def _words(decoder: pocketsphinx.Decoder, stretch: Stretch) -> Iterator[Word]:
    sound = pcm16(at_16_khz(stretch.samples))
    search = decoder.current_search()
    _adapt(decoder, sound)
    decoder.activate_search(search)
    decoder.start_utt()
    for at in range(0, len(sound), _BLOCK):
        decoder.process_raw(sound[at : at + _BLOCK])
    decoder.end_utt()
    for part in decoder.seg() or ():
        if part.word[0] not in "<[":  # silence and noise
            start, end = (stretch.start + _FRAME * frame for frame in (part.start_frame, part.end_frame + 1))
            yield Word(_VARIANT.sub("", part.word), start, end, min(1.0, max(0.0, part.prob)))


def _adapt(decoder: pocketsphinx.Decoder, sound: bytes) -> None:
    """Set the mean of the cepstra to that of `sound`, by a quick search for one word.

    The decoder measures it over all of an utterance only if it gets all of it at once, and then keeps the interpreter for half
    a second.
    """
    decoder.activate_search(_MEASURE)
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()
    decoder.set_cmn(decoder.get_cmn())


@cache
def _pronunciations() -> Dictionary:
    """Return the lines of the built-in dictionary by their words."""
    lines: dict[str, list[str]] = {}
    for line in _built_in("cmudict-en-us.dict").read_text().splitlines(keepends=True):
        lines.setdefault(_VARIANT.sub("", line.split(maxsplit=1)[0]), []).append(line)
    return lines


@cache
def _common_words() -> Sequence[str]:
    """Return the commonest words of the built-in language model, the commonest first."""
    config = pocketsphinx.Config(lm=None, loglevel="FATAL")
    model = pocketsphinx.NGramModel(config, pocketsphinx.LogMath(), str(_built_in("en-us.lm.bin")))
    likelihood = {word: model.prob([word]) for word in _pronunciations() if word.isalpha()}
    return sorted(likelihood, key=likelihood.__getitem__, reverse=True)[:_COMMON_WORDS]


def _built_in(name: str) -> Path:
    path = Path(pocketsphinx.get_model_path("en-us")) / name
    if not path.is_file():
        raise EngineError(f"{path} is missing; install pocketsphinx again: pip install --force-reinstall pocketsphinx")
    return path


def _sentences(text: str) -> list[list[str]]:
    """Return the parts of `text` between its wildcards, each as the words by which it is spoken, spelt as in the dictionary."""
    return [[word for piece in _pieces(part) for word in _spoken(piece)] for part in text.split(WILDCARD)]


def _pieces(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.replace("\u2019", "'").casefold())


def _spoken(piece: str) -> list[str]:
    if piece.isdecimal():
        return [word for digits in ([piece] if len(piece) < 3 else piece) for word in spoken(digits)]
    return [piece] if piece in _pronunciations() else [piece.replace("'", "")]
