import json

import numpy as np
import pytest
from murmurs import murmur, placed

from earwitness.audio.alignment import align
from earwitness.audio.transcription.base import EngineError
from earwitness.audio.transcription.twilio import (
    CarrierTranscript,
    Utterance,
    transcript_of,
    utterance_of,
    utterances_of,
)

RECORDING = placed([(2.0, murmur(1, 2.0)), (10.0, murmur(2, 2.0))], 15).astype(np.float32)


def callback(**changed):
    data = json.dumps({"transcript": "Your payment was accepted.", "confidence": 0.93})
    return {
        "TranscriptionEvent": "transcription-content",
        "Track": "inbound_track",
        "Final": "true",
        "TranscriptionData": data,
    } | changed


def test_the_transcription_of_a_recording_is_read_once_it_is_there():
    resource = {"sid": "TR1", "status": "in-progress", "transcription_text": None}
    assert transcript_of(resource) is None
    assert transcript_of(resource | {"status": "completed", "transcription_text": "hello"}) == Utterance("hello")
    assert transcript_of({"TranscriptionStatus": "completed", "TranscriptionText": "hello"}) == Utterance("hello")


@pytest.mark.parametrize("status", ["failed", "absent", None])
def test_a_transcription_that_failed_is_told(status):
    with pytest.raises(EngineError, match=f"transcription TR1 has the status {status!r}"):
        transcript_of({"sid": "TR1", "status": status, "transcription_text": ""})


def test_a_callback_holds_what_was_said_on_its_track():
    assert utterance_of(callback(), "inbound_track") == Utterance("Your payment was accepted.", 0.93)
    assert utterance_of(callback(), "outbound_track") is None
    assert utterance_of(callback(Final="false"), "inbound_track") is None
    assert utterance_of(callback(TranscriptionEvent="transcription-started"), "inbound_track") is None
    assert utterance_of(callback(TranscriptionEvent="transcription-stopped"), "inbound_track") is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"TranscriptionEvent": "transcription-error", "TranscriptionErrorCode": "32650"}, "failed: 32650"),
        ({"TranscriptionEvent": ""}, "not a callback"),
        ({"TranscriptionData": "<html>"}, "not JSON"),
        ({"TranscriptionData": "[1]"}, "not JSON"),
        ({"TranscriptionData": "{}"}, "not JSON"),
        ({"TranscriptionData": '{"transcript": "a", "confidence": "high"}'}, "not JSON"),
    ],
)
def test_a_callback_that_cannot_be_read_is_told(changed, said):
    with pytest.raises(EngineError, match=said):
        utterance_of(callback(**changed), "inbound_track")


def test_sentences_are_those_of_one_channel():
    sentence = {"media_channel": 2, "start_time": "1.5", "end_time": 3, "transcript": "hello", "confidence": "0.5"}
    found = utterances_of([sentence, sentence | {"media_channel": 1}], 2)
    assert found == [Utterance("hello", 0.5, 1.5, 3.0)]
    with pytest.raises(EngineError, match="not as documented"):
        utterances_of([{"media_channel": 2}], 2)


def test_words_without_times_are_spread_over_the_speech():
    words = CarrierTranscript([Utterance("your payment", 0.9), Utterance("was accepted", 0.6)]).transcribe(RECORDING)
    assert [word.text for word in words] == ["your", "payment", "was", "accepted"]
    assert words[0].start == pytest.approx(2.0, abs=0.1)
    assert words[-1].end == pytest.approx(12.0, abs=0.1)
    assert {word.confidence for word in words} == {0.6}
    assert align("your payment was accepted", words).score == 1.0


def test_sentences_keep_their_times():
    words = CarrierTranscript([Utterance("hello there", None, 4.0, 5.0)]).transcribe(RECORDING)
    assert (words[0].start, words[-1].end) == (4.0, 5.0)


def test_nothing_was_said_where_nothing_was_transcribed():
    assert CarrierTranscript([]).transcribe(RECORDING) == ()
    assert CarrierTranscript([Utterance("hello")]).transcribe(np.zeros(8000, np.float32)) == ()
