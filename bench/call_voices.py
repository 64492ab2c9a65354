"""Who speaks on the made calls: contact centres with a voice, a library of references, and prompts that are in no library.

Always there: the simulator's recorded prompts. Where this machine has them as well: flite and espeak-ng, each in several voices, and the
human voice of Debian's asterisk-core-sounds-en-wav and the music of its asterisk-moh-opsound-wav. What the engines say is kept in the temporary folder. Sounds are float32, (n,), 8 kHz.
"""

import hashlib
import shutil
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from earwitness.audio.frames import at_telephone_rate
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.speech import trimmed
from earwitness.audio.wav import read_wav
from earwitness.simulator.tones import RATE, resampled, with_level
from earwitness.simulator.voice import PROMPTS_DIR, recorded_prompts
from earwitness.telephony.spec import ERROR_PROMPTS

LEVEL = -20.0  # dBFS, active, of every prompt before the line
LIBRARY_SIZE = 25
_CACHE = Path(tempfile.gettempdir()) / "earwitness-bench-voices"
_HUMAN = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_MUSIC = Path("/usr/share/asterisk/moh")
_LENGTHS = (1.4, 9.5)  # seconds that a prompt may last
_AUDIBLE = -30.0  # dB below the loudest 10 ms at which a prompt begins and ends

VOICES = {
    "flite-rms": ("flite", "-voice", "rms"),
    "flite-awb": ("flite", "-voice", "awb"),
    "flite-kal16": ("flite", "-voice", "kal16"),
    "espeak-us": ("espeak-ng", "-v", "en-us", "-s", "160"),
    "espeak-rp": ("espeak-ng", "-v", "en-gb-x-rp", "-s", "145"),
    "espeak-f3": ("espeak-ng", "-v", "en-us+f3", "-s", "150"),
    "espeak-scotland": ("espeak-ng", "-v", "en-gb-scotland+m3", "-s", "150"),
}
TEXTS = (
    "Thank you for calling Northern Mutual. Calls may be recorded.",
    "Welcome to the claims line of Harbour Insurance.",
    "Good day. You have reached the city water company.",
    "To make a payment, press one. To report a fault, press two. For anything else, stay on the line.",
    "For sales, press one. For support, press two. To hear these options again, press star.",
    "If you are calling about an existing order, press three.",
    "Press one for English.",
    "Please say, in a few words, the reason for your call.",
    "Please enter the sixteen digits on the front of your card, followed by the hash key.",
    "Now enter the expiry date of the card, as four digits.",
    "Please key in your customer number.",
    "Thank you. We have received your payment of ninety nine euros.",
    "Your appointment is confirmed for the third of May.",
    "Your order was shipped yesterday and will reach you within two days.",
    "Your remaining credit is twelve pounds and five pence.",
    "Please hold while we connect you with a member of our team.",
    "Hello, this is the reservations desk. How may I help you?",
    "You are speaking with the pharmacy counter. What can I do for you?",
    "This is the fraud department. For security we will ask you some questions.",
    "This is the night porter. The office opens again at seven.",
    "You are now in the queue for repairs. You are caller number four.",
    "All lines are engaged. Someone will be with you as soon as possible.",
    "Our office is closed on public holidays. Leave your name after the tone.",
    "Because of the storm, waiting times are longer than usual today.",
    "Did you know that you can change your address on our website?",
    "The meter reading has been noted. Nothing else is needed from you.",
    "Your new card is on its way and will arrive by Thursday.",
    "We could not find that number in our records. Let us try once more.",
    "That was not one of the choices. Please listen to the list again.",
    "I am sorry, I did not catch that.",
    "Your call will be answered in the order in which it was received.",
    "Tickets for the evening show are sold out. There are seats left on Sunday.",
    "The train to Edinburgh leaves at ten fifteen from platform six.",
    "Your parcel could not be delivered and waits at the post office.",
    "Two messages were left for you since yesterday.",
    "The exchange rate of the dollar is published at noon.",
    "Your contract ends in December. To renew it, press nine.",
    "For the surgery on Mill Road, press one. For the one in Park Street, press two.",
    "You have been unsubscribed from our letters.",
    "Please stay on the line for a short survey after this call.",
    "Thanks for your patience. Goodbye, and have a lovely weekend.",
    "Your password was changed. If that was not you, tell us at once.",
    "Test results are given out between two and four in the afternoon.",
    "The garage has finished your car. You can fetch it until six.",
    "Your table for five is booked for half past eight.",
    "A technician is on the way and will ring your bell within the hour.",
)
ERROR_TEXTS = (
    "We are having technical difficulties. Please call back tomorrow.",
    "Sorry, your request could not be taken. Goodbye.",
    "That service is not available at the moment.",
    "Something went wrong on our side. Please try again later.",
)


@dataclass(frozen=True, slots=True, eq=False)
class Centre:
    """`library`: what is known of it; `plain` are its prompts that mean no failure, `errors` those that do; `foreign` are unknown sounds."""

    name: str
    library: PromptLibrary
    plain: tuple[Prompt, ...]
    errors: tuple[Prompt, ...]
    foreign: tuple[np.ndarray, ...]


@cache
def centres(only_recorded=False):
    """Return the centres that this machine can speak for. The first needs nothing but the simulator's prompts."""
    spoken = [_recorded()]
    if not only_recorded:
        spoken += [_synthetic(name, command) for name, command in VOICES.items() if shutil.which(command[0])]
        spoken += [_human()] if _HUMAN.is_dir() else []
    strangers = [sound for place in (*spoken[1:], spoken[0]) for sound in _harmless(place[1])[-4:]]
    return tuple(_centre(name, sounds, strangers) for name, sounds in spoken)


def _harmless(sounds):
    """Return the sounds whose words mean no failure, in whatever voice they are said."""
    return [sound for text, sound in sounds.items() if not _is_error(text)]


@cache
def tunes(only_recorded=False):
    """Return pieces of recorded music; none where there are none, or only what is the same on every machine is wanted."""
    if only_recorded:
        return ()
    return tuple(with_level(read_wav(path.read_bytes()).samples[0], -24.0) for path in sorted(_MUSIC.glob("*.wav")))


def _centre(name, sounds, strangers):
    random = np.random.default_rng(zlib.crc32(name.encode()))
    texts = [text for text in sounds if not _is_error(text)]
    random.shuffle(texts)
    known = texts[: min(LIBRARY_SIZE - 3, len(texts) * 4 // 5)]
    errors = [text for text in sounds if _is_error(text)][:3]
    plain, failing = (
        tuple(Prompt(f"{name}-{place:02}-{kind}", text, trimmed(sounds[text])) for place, text in enumerate(chosen))
        for kind, chosen in (("plain", known), ("error", errors))
    )
    foreign = [sounds[text] for text in texts[len(known) :]]
    foreign += [retold(sounds[text], 1.13 if place % 2 else 0.89) for place, text in enumerate(known[:6])]
    own = {id(sound) for sound in sounds.values()}
    foreign += [sound for sound in strangers if id(sound) not in own]
    return Centre(name, PromptLibrary(plain + failing), plain, failing, tuple(foreign))


def retold(sound, factor):
    """Return `sound` slower and deeper, or faster and higher: the same words in another voice."""
    return resampled(sound, round(RATE * factor))


def _is_error(text):
    return any(words in text.casefold() for words in ERROR_PROMPTS)


def _recorded():
    texts = {path.stem: path.read_text().strip() for path in PROMPTS_DIR.glob("*.txt")}
    return "recorded", {texts[name]: _audible(sound) for name, sound in sorted(recorded_prompts().items())}


def _human():
    """Return the recorded voice; its files have no transcripts, so a prompt's words are its file's name."""
    sounds = {}
    for path in sorted(_HUMAN.glob("*.wav")):
        sound = _audible(at_telephone_rate(read_wav(path.read_bytes())).samples[0])
        if _LENGTHS[0] < len(sound) / RATE < _LENGTHS[1]:
            sounds[path.stem.replace("-", " ")] = sound
    chosen = list(sounds)[:: max(1, len(sounds) // 44)]
    errors = {f"{text}. {ERROR_PROMPTS[place % 4]}": sounds[text] for place, text in enumerate(chosen[:4])}
    return "human", {text: sounds[text] for text in chosen[4:]} | errors


def _synthetic(name, command):
    return name, {text: _rendered(command, text) for text in (*TEXTS, *ERROR_TEXTS)}


def _rendered(command, text):
    path = _CACHE / f"{hashlib.sha256(repr((command, text)).encode()).hexdigest()[:20]}.npy"
    if not path.exists():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=_CACHE, suffix=".npy", delete=False) as file:
            np.save(file, _spoken(command, text))
        Path(file.name).replace(path)
    return np.load(path)


def _spoken(command, text):
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        arguments = ("-t", text, "-o", file.name) if command[0] == "flite" else ("-w", file.name, "--", text)
        subprocess.run([*command, *arguments], check=True, capture_output=True, timeout=30)
        return _audible(at_telephone_rate(read_wav(Path(file.name).read_bytes())).samples[0])


def _audible(sound):
    """Return `sound` at the usual level, from its first 10 ms that can be heard to its last."""
    frames = sound[: len(sound) // 80 * 80].reshape(-1, 80)
    power = (frames.astype(np.float64) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (_AUDIBLE / 10))
    return with_level(sound[loud[0] * 80 : (loud[-1] + 1) * 80], LEVEL)
