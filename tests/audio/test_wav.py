import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.audio.wav import WavError, alaw_decode, mulaw_decode, mulaw_encode, read_wav, write_wav

RATE = 8000
TONE = np.stack([np.sin(np.arange(800) / 5), np.cos(np.arange(800) / 9)]) * 0.5


def header(*, tag=1, channels=1, rate=RATE, frame=2, bits=16, size=4, body=b"\0" * 4):
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_pcm_comes_back_within_one_step():
    recording = read_wav(write_wav(TONE, RATE))
    assert (recording.rate, recording.channels, recording.duration) == (RATE, 2, 0.1)
    assert np.abs(recording.samples - TONE).max() <= 1 / 32768


def test_mulaw_file_comes_back_within_its_quantisation():
    recording = read_wav(write_wav(TONE, RATE, mulaw=True))
    assert recording.samples.shape == TONE.shape
    assert np.abs(recording.samples - TONE).max() < 0.02


def test_mulaw_codes_are_those_of_g711():
    assert mulaw_encode([0.0]) == b"\xff"
    assert mulaw_encode([1.0, -1.0]) == b"\x80\x00"
    assert mulaw_decode(b"\x80\x00\xff\x7f").tolist() == pytest.approx([32124 / 32768, -32124 / 32768, 0, 0])


def test_every_mulaw_code_survives_decoding_and_encoding():
    codes = bytes(code for code in range(256) if code != 0x7F)  # 0x7f is minus zero
    assert mulaw_encode(mulaw_decode(codes)) == codes


def test_alaw_codes_are_those_of_g711():
    """The codes of the smallest and the largest sample, of each sign, and of the middle of every segment (G.711, table 1a)."""
    assert (alaw_decode(b"\xd5\x55\xaa\x2a") * 32768).tolist() == [8, -8, 32256, -32256]
    segments = bytes((0x88 | segment << 4) ^ 0x55 for segment in range(8))
    assert (alaw_decode(segments) * 32768).tolist() == [136, 392, 784, 1568, 3136, 6272, 12544, 25088]


def test_an_alaw_file_is_read():
    recording = read_wav(header(tag=6, frame=1, bits=8, size=2, body=b"\xd5\xaa"))
    assert (recording.samples[0] * 32768).tolist() == [8, 32256]


def test_eight_bit_pcm_is_centred_on_128():
    recording = read_wav(header(frame=1, bits=8, size=2, body=b"\x80\xff"))
    assert recording.samples[0].tolist() == pytest.approx([0.0, 127 / 128])


def test_loud_samples_are_clipped_not_wrapped():
    assert read_wav(write_wav([2.0, -2.0], RATE)).samples[0].tolist() == pytest.approx([32767 / 32768, -1.0])


def test_unknown_chunks_of_odd_length_are_skipped():
    whole = write_wav(TONE, RATE)
    data = whole[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + whole[12:]
    assert read_wav(data).channels == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"<html><body>502 Bad Gateway</body></html>", "web page"),
        (b'{"code": 20404}', "JSON"),
        (b"ID3\x03", "MP3"),
        (b"RIFF\x00\x00\x00\x00WAVE", "no fmt chunk"),
        (write_wav(TONE, RATE)[:1000], "cut short"),
        (header(size=0xFFFFFFFF), "cut short"),
        (header(size=0, body=b""), "no sound"),
        (header(size=3, body=b"\0" * 4), "whole number"),
        (header(rate=0), "sampling rate of 0 Hz"),
        (header(rate=4_000_000_000 // 2), "sampling rate"),
        (header(channels=0, frame=0), "0 channels"),
        (header(channels=60000, frame=54464), "60000 channels"),
        (header(frame=9), "contradicts itself"),
        (header(tag=3, bits=32, frame=4), "format 3 with 32 bits"),
        (header(tag=7, bits=16), "format 7 with 16 bits"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(data, said):
    with pytest.raises(WavError, match=said):
        read_wav(data)


def test_a_file_above_the_limit_is_refused_before_it_is_read():
    with pytest.raises(WavError, match="at most 100"):
        read_wav(write_wav(TONE, RATE), max_bytes=100)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_bytes_raise_anything_else(noise, cut):
    for data in (noise, write_wav(TONE[:, :20], RATE)[:cut] + noise):
        with contextlib.suppress(WavError):
            assert read_wav(data).samples.size
