"""Make the folders of prompts anew with flite: `python -m earwitness.simulator.render_prompts`.

Needed only when `wording.py` changes. flite (Debian: `apt install flite`) gives the same sound for the same text each time.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from earwitness.audio.wav import read_wav, write_wav
from earwitness.simulator.tones import RATE, Samples, resampled, with_level
from earwitness.simulator.voice import PROMPTS_DIR, SPEECH_LEVEL, UNFORESEEN_DIR
from earwitness.simulator.wording import OTHER_VOICES, UNFORESEEN, WORDING

_VOICE = "slt"


def render(text: str, voice: str = _VOICE) -> Samples:
    """Return `text` spoken by a voice of flite, 8 kHz, at -20 dBFS active level."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.wav"
        flite = shutil.which("flite")
        if flite is None:
            raise SystemExit("flite is not installed; on Debian: apt install flite")
        subprocess.run([flite, "-voice", voice, "-t", text, "-o", str(made)], check=True)  # noqa: S603 - no shell
        recording = read_wav(made.read_bytes())
    return with_level(resampled(recording.samples[0], recording.rate), SPEECH_LEVEL)


def write_prompts(folder: Path, wording: Mapping[str, str]) -> None:
    """Write every prompt of the table into `folder`, and remove those that the table no longer has."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.wav"), *folder.glob("*.txt")]:
        old.unlink()
    for name, text in wording.items():
        (folder / f"{name}.wav").write_bytes(write_wav(render(text, OTHER_VOICES.get(name, _VOICE)), RATE, mulaw=True))
        (folder / f"{name}.txt").write_text(text + "\n")


if __name__ == "__main__":
    write_prompts(PROMPTS_DIR, WORDING)
    write_prompts(UNFORESEEN_DIR, UNFORESEEN)
