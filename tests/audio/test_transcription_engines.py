import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from earwitness.audio.transcription import ENGINES, EngineError, make_engine, trouble_with
from earwitness.audio.transcription.results import vosk_words, words_of_pieces
from earwitness.audio.transcription.spreading import spread
from earwitness.config.load import ConfigError, load_config
from earwitness.config.transcription import TranscriptionSpec

ROOT = Path(__file__).parents[2]
MODEL_FILES = {
    "vosk": ["am/final.mdl", "conf/mfcc.conf"],
    "sherpa-onnx": ["tiny-tokens.txt", "tiny-encoder.onnx"],
    "faster-whisper": ["model.bin", "config.json", "tokenizer.json"],
}
CONFIG = """
environment: production
journeys: {shop: {}}
probes: {shop: {journey: shop, every: 1m, http: {url: "https://shop.example/"}}}
"""


@pytest.fixture
def configured(tmp_path):
    def load(section):
        (tmp_path / "earwitness.yaml").write_text(f"{CONFIG}transcription: {section}\n")
        return load_config(tmp_path / "earwitness.yaml", {}).transcription

    return load


@pytest.fixture
def refused(configured):
    def load(section):
        with pytest.raises(ConfigError) as caught:
            configured(section)
        (problem,) = caught.value.problems
        return problem.key, problem.message

    return load


def only_from(monkeypatch, *folders):
    """Let no package be found but Python's own, ours and those in `folders`."""
    own = [path for path in sys.path if "site-packages" not in path]
    monkeypatch.setattr(sys, "path", [*map(str, folders), *own])
    for kind in ENGINES.values():
        monkeypatch.delitem(sys.modules, kind.package, raising=False)


@pytest.fixture
def no_engine(monkeypatch):
    only_from(monkeypatch)


@pytest.fixture
def broken_engines(tmp_path, monkeypatch):
    """Packages of the engines' names that do not load, as after half an installation."""
    for kind in ENGINES.values():
        (tmp_path / "packages" / kind.package).mkdir(parents=True)
        (tmp_path / "packages" / kind.package / "__init__.py").write_text("raise ImportError('half installed')")
        monkeypatch.delitem(sys.modules, f"earwitness.audio.transcription.{kind.module}", raising=False)
    only_from(monkeypatch, tmp_path / "packages")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_has_its_file_its_extra_and_its_row(engine):
    kind = ENGINES[engine]
    assert (ROOT / f"src/earwitness/audio/transcription/{kind.module}.py").is_file()
    (wanted,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][kind.extra]
    assert wanted.startswith(f"{engine}>=")
    assert f"| `{engine}` | `earwitness[{kind.extra}]`" in (ROOT / "docs/configuration.md").read_text()


def test_without_the_section_nothing_is_transcribed(tmp_path):
    (tmp_path / "earwitness.yaml").write_text(CONFIG)
    assert load_config(tmp_path / "earwitness.yaml", {}).transcription is None


def test_pocketsphinx_needs_nothing_else(configured):
    assert configured("{engine: pocketsphinx}") == TranscriptionSpec(engine="pocketsphinx", language="en-US")


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        (
            "{engine: siri}",
            "engine",
            "'siri' is not an engine; known are pocketsphinx, vosk, sherpa-onnx, faster-whisper",
        ),
        ("{engine: pocketsphinx, language: de-DE}", "language", "pocketsphinx knows en only, not de-DE"),
        ("{engine: pocketsphinx, model: here}", "model", "pocketsphinx brings its own model; leave model out"),
    ],
)
def test_settings_that_cannot_work_are_told_with_their_place(refused, section, key, message):
    found, said = refused(section)
    assert found == f"transcription.{key}"
    assert message in said


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_absent_package_is_told_when_the_configuration_is_read(refused, engine):
    key, message = refused(f"{{engine: {engine}}}")
    assert key == "transcription.engine"
    assert message == f"{engine} is not installed; pip install 'earwitness[{ENGINES[engine].extra}]'"


@pytest.mark.usefixtures("broken_engines")
@pytest.mark.parametrize("engine", MODEL_FILES)
def test_a_model_has_to_be_an_existing_folder_with_its_files(refused, configured, tmp_path, engine):
    assert "needs a model" in refused(f"{{engine: {engine}}}")[1]
    key, message = refused(f"{{engine: {engine}, model: tiny}}")
    assert (key, f"{tmp_path / 'tiny'} is not a folder" in message) == ("transcription.model", True)
    (tmp_path / "tiny").mkdir()
    assert f"is no model for {engine}: it holds no " in refused(f"{{engine: {engine}, model: tiny}}")[1]
    for file in MODEL_FILES[engine]:
        (tmp_path / "tiny" / file).parent.mkdir(exist_ok=True)
        (tmp_path / "tiny" / file).write_text("")
    assert configured(f"{{engine: {engine}, model: tiny}}").model == tmp_path / "tiny"


@pytest.mark.usefixtures("broken_engines")
def test_whisper_without_its_tokenizer_is_refused_since_it_would_be_downloaded(tmp_path):
    for file in ("model.bin", "config.json"):
        (tmp_path / file).write_text("")
    spec = TranscriptionSpec.model_construct(engine="faster-whisper", model=tmp_path, language="en-US")
    assert trouble_with(spec) == ("model", f"{tmp_path} is no model for faster-whisper: it holds no tokenizer.json")


@pytest.mark.usefixtures("broken_engines")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_does_not_load_says_which_and_what_to_do(tmp_path, engine):
    for file in MODEL_FILES.get(engine, []):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    model = tmp_path if engine in MODEL_FILES else None
    with pytest.raises(EngineError, match=f"{engine} does not start.*half installed.*'earwitness\\[") as caught:
        make_engine(TranscriptionSpec(engine=engine, model=model), ["never said before"])
    assert (str(tmp_path) in str(caught.value)) is (model is not None)


@pytest.mark.usefixtures("no_engine")
def test_an_engine_that_is_gone_since_the_configuration_was_read_is_told():
    spec = TranscriptionSpec.model_construct(engine="vosk", model=None, language="en-US")
    with pytest.raises(EngineError, match=r"transcription\.engine: vosk is not installed"):
        make_engine(spec, ())


def test_reading_the_configuration_loads_neither_numpy_nor_an_engine():
    program = (
        "import sys, earwitness.config.transcription as t; t.TranscriptionSpec(engine='pocketsphinx'); "
        "print(sorted({'numpy', 'pocketsphinx', 'vosk'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_words_of_a_vosk_result_have_their_times_in_the_recording():
    result = '{"result": [{"conf": 0.9, "end": 0.6, "start": 0.2, "word": "hello"}], "text": "hello"}'
    (word,) = vosk_words(result, 5.0)
    assert (word.text, word.start, word.end, word.confidence) == ("hello", 5.2, 5.6, 0.9)
    assert vosk_words('{"text": ""}', 5.0) == []


@pytest.mark.parametrize("mark", ["▁", " "])
def test_pieces_of_words_are_joined(mark):
    pieces = [f"{mark}pay", "ment", f"{mark}was", f"{mark}", f"{mark}ac", "cept", "ed"]
    words = list(words_of_pieces(pieces, [1.0, 1.2, 1.4, 1.5, 3.0, 3.1, 3.2], 5.0))
    assert [(w.text, w.start, w.end) for w in words] == [
        ("payment", 1.0, 1.4),
        ("was", 1.4, 1.5),
        ("accepted", 3.0, 3.5),
    ]


def test_words_are_spread_over_the_speech_and_begin_in_no_pause():
    words = list(spread(["aaaa", "bb", "cc"], [(1.0, 3.0), (10.0, 12.0)], 0.5))
    assert [(w.text, w.start, w.end) for w in words] == [("aaaa", 1.0, 10.0), ("bb", 10.0, 11.0), ("cc", 11.0, 12.0)]
    assert {w.confidence for w in words} == {0.5}


@pytest.mark.parametrize(("words", "spans"), [([], [(0, 1)]), (["a"], []), (["a"], [(1, 1)])])
def test_no_word_has_a_place_where_nobody_spoke(words, spans):
    assert list(spread(words, spans)) == []
