"""Free text by an engine: the engines here are small programs put into PATH, so that the test needs none."""

import sys

import pytest
from simulated_calls import RATE, level

from earwitness.simulator import speech_engine
from earwitness.simulator.speech_engine import engine_speech

SPEAKS = f"""#!{sys.executable}
import math, struct, sys, wave
assert "hello there" in sys.argv
sound = b"".join(struct.pack("<h", int(9000 * math.sin(n / 5))) for n in range(16000))
head = b"RIFF" + b"\\xff" * 4 + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
sys.stdout.buffer.write(head + b"data" + b"\\xff" * 4 + sound)
"""


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """Return a function that installs an engine; at first there is none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(speech_engine.importlib.util, "find_spec", lambda _: None)

    def install(name, script):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)

    return install


@pytest.mark.parametrize("name", ["flite", "espeak-ng"])
def test_an_installed_engine_speaks_whatever_its_header_says_of_sizes(engines, name):
    engines(name, SPEAKS)
    sound = engine_speech("hello there")
    assert len(sound) == RATE
    assert level(sound) == pytest.approx(-14.2, abs=0.2)


@pytest.mark.usefixtures("engines")
def test_without_an_engine_there_is_no_speech():
    assert engine_speech("hello there") is None


@pytest.mark.parametrize(
    "script", [f"#!{sys.executable}\nraise SystemExit(1)", f"#!{sys.executable}\n", "#!/nowhere\n"]
)
def test_an_engine_that_fails_is_passed_over(engines, script):
    engines("flite", script)
    assert engine_speech("hello there") is None
    engines("espeak-ng", SPEAKS)
    assert len(engine_speech("hello there")) == RATE
