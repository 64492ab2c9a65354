"""WAV files read and written: PCM of 8 and 16 bits, and G.711 mu-law and A-law, which Python's own `wave` cannot read.

A recording comes from the network, so nothing its header says is believed before it is checked.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Samples = NDArray[np.float32]

MAX_BYTES = 32 * 1024 * 1024  # 17 minutes of two channels at 8 kHz and 16 bits
_MIN_RATE, _MAX_RATE = 4000, 48000  # Hz
_MAX_CHANNELS = 8
_PCM, _ALAW, _MULAW, _EXTENSIBLE = 1, 6, 7, 0xFFFE
_FULL_SCALE = 32768.0


class WavError(ValueError):
    """The bytes are not a WAV file that can be judged; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Sound: `rate` in Hz, `samples` of shape (channels, n), each in -1..1."""

    rate: int
    samples: Samples

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.samples.shape[1] / self.rate)

    @property
    def channels(self) -> int:
        return int(self.samples.shape[0])


@dataclass(frozen=True, slots=True)
class _Format:
    """The part of a `fmt ` chunk that is needed to read the samples."""

    tag: int
    channels: int
    rate: int
    bits: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.bits // 8


def read_wav(data: bytes, max_bytes: int = MAX_BYTES) -> Recording:
    """Return the recording in `data`. Raises WavError for anything that is not a whole, plausible WAV file."""
    if not data:
        raise WavError("the recording is empty: 0 bytes")
    if len(data) > max_bytes:
        raise WavError(f"the recording has {len(data)} bytes; at most {max_bytes} are read")
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError(f"not a WAV file: {_resemblance(data)}")
    chunks = dict(_chunks(data))
    if b"fmt " not in chunks:
        raise WavError("the WAV file has no fmt chunk, so its format is not known")
    if b"data" not in chunks:
        raise WavError("the WAV file has no data chunk, so it holds no sound")
    layout = _format(chunks[b"fmt "])
    return Recording(layout.rate, _samples(chunks[b"data"], layout))


def _resemblance(data: bytes) -> str:
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page or XML document"
    if head.startswith((b"{", b"[")):
        return "it is JSON text"
    if head.startswith((b"id3", b"\xff\xfb", b"\xff\xf3")):
        return "it is an MP3 file"
    return "it does not begin with RIFF....WAVE"


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + size]
        if len(body) < size:
            label = name.decode("latin-1").strip()
            raise WavError(f"the WAV file is cut short: its {label!r} chunk says {size} bytes, {len(body)} are there")
        yield name, body
        at += 8 + size + size % 2


def _format(body: bytes) -> _Format:
    if len(body) < 16:
        raise WavError(f"the WAV file's fmt chunk has {len(body)} bytes; 16 are needed")
    tag, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack_from("<H", body, 24)[0]
    if (tag, bits) not in {(_PCM, 8), (_PCM, 16), (_ALAW, 8), (_MULAW, 8)}:
        raise WavError(
            f"format {tag} with {bits} bits is not read; PCM of 8 or 16 bits, mu-law and A-law of 8 bits are"
        )
    if not 1 <= channels <= _MAX_CHANNELS:
        raise WavError(f"{channels} channels; 1 to {_MAX_CHANNELS} are read")
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise WavError(f"a sampling rate of {rate} Hz; {_MIN_RATE} to {_MAX_RATE} Hz are read")
    layout = _Format(tag, channels, rate, bits)
    if frame != layout.frame_bytes:
        raise WavError(
            f"the header contradicts itself: {frame} bytes a frame, but {layout.frame_bytes} by its channels"
        )
    return layout


def _samples(body: bytes, layout: _Format) -> Samples:
    if not body:
        raise WavError("the WAV file's data chunk is empty: no sound was recorded")
    if len(body) % layout.frame_bytes:
        raise WavError(f"the data chunk has {len(body)} bytes, not a whole number of {layout.frame_bytes}-byte frames")
    if layout.tag == _MULAW:
        flat = mulaw_decode(body)
    elif layout.tag == _ALAW:
        flat = alaw_decode(body)
    elif layout.bits == 16:
        flat = np.frombuffer(body, "<i2").astype(np.float32) / np.float32(_FULL_SCALE)
    else:
        flat = (np.frombuffer(body, np.uint8).astype(np.float32) - 128) / np.float32(128)
    return np.ascontiguousarray(flat.reshape(-1, layout.channels).T)


def write_wav(samples: ArrayLike, rate: int, *, mulaw: bool = False) -> bytes:
    """Return a WAV file of `samples`, shape (n,) or (channels, n), in -1..1 (what is beyond is clipped); 16-bit PCM or mu-law."""
    sound = np.atleast_2d(np.asarray(samples, np.float32))
    interleaved = sound.T.ravel()
    body = mulaw_encode(interleaved) if mulaw else _pcm16(interleaved).astype("<i2").tobytes()
    bits, tag = (8, _MULAW) if mulaw else (16, _PCM)
    frame = len(sound) * bits // 8
    header = struct.pack("<HHIIHH", tag, len(sound), rate, rate * frame, frame, bits)
    padded = body + b"\0" * (len(body) % 2)
    chunks = b"fmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", len(body)) + padded
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _pcm16(samples: ArrayLike) -> NDArray[np.int32]:
    scaled = np.rint(np.asarray(samples, np.float32) * np.float32(_FULL_SCALE))
    clipped: NDArray[np.int32] = np.clip(scaled, -32768, 32767).astype(np.int32)
    return clipped


# ITU-T G.711: 14-bit magnitudes with a bias of 33, here scaled by 4 to 16 bits.
_BIAS, _CLIP = 0x84, 32635


def mulaw_encode(samples: ArrayLike) -> bytes:
    """Return G.711 mu-law bytes of `samples`, shape (n,), in -1..1."""
    linear = _pcm16(samples)
    sign = np.where(linear < 0, 0x80, 0)
    biased = np.minimum(np.abs(linear), _CLIP) + _BIAS
    exponent = np.floor(np.log2(biased)).astype(np.int32) - 7
    mantissa = (biased >> (exponent + 3)) & 0x0F
    codes: NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return codes.tobytes()


def _mulaw_table() -> Samples:
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << ((code >> 4) & 0x07)) - _BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) / _FULL_SCALE).astype(np.float32)


def _alaw_table() -> Samples:
    code = np.arange(256) ^ 0x55
    step, segment = (code & 0x0F) << 4, (code >> 4) & 0x07
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / _FULL_SCALE).astype(np.float32)


_MULAW_TABLE, _ALAW_TABLE = _mulaw_table(), _alaw_table()


def mulaw_decode(data: bytes) -> Samples:
    """Return the samples of G.711 mu-law bytes, shape (n,), in -1..1."""
    return _MULAW_TABLE[np.frombuffer(data, np.uint8)]


def alaw_decode(data: bytes) -> Samples:
    """Return the samples of G.711 A-law bytes, shape (n,), in -1..1."""
    return _ALAW_TABLE[np.frombuffer(data, np.uint8)]
