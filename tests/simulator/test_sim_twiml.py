import pytest

from earwitness.simulator.tones import KEY_GAP, KEY_SECONDS, key_tone
from earwitness.simulator.twiml import Hangup, Pause, PressKeys, Say, StartRecording, parse_twiml, perform


def _codes(text):
    return [notice.code for notice in parse_twiml(text).notices]


def test_the_verbs_are_read_in_order():
    program = parse_twiml(
        '<Response><Start><Recording channels="mono"/></Start><Pause/><Play digits="w1#"/><Say> hello </Say><Hangup/></Response>'
    )
    assert program.verbs == (
        StartRecording(1, trim=True),
        Pause(1.0),
        PressKeys("w1#"),
        Say("hello"),
        Hangup(),
    )
    assert program.notices == ()


def test_a_recording_in_twiml_is_dual_and_trimmed_unless_told_otherwise():
    assert parse_twiml("<Response><Start><Recording/></Start></Response>").verbs == (StartRecording(2, trim=True),)
    told = '<Response><Start><Recording trim="do-not-trim"/></Start></Response>'
    assert parse_twiml(told).verbs == (StartRecording(2, trim=False),)


def test_keys_take_their_time_and_waits_are_half_and_whole_seconds():
    done = perform(parse_twiml('<Response><Pause length="2"/><Play digits="1wW2"/></Response>').verbs, 0.0)
    key = KEY_SECONDS + KEY_GAP
    assert [clip.at for clip in done.clips] == pytest.approx([2.0, 2.0 + key + 1.5])
    assert [k.key for k in done.keys] == ["1", "2"]
    assert all(0 < k.at - clip.at < KEY_SECONDS for k, clip in zip(done.keys, done.clips, strict=True))
    assert done.ends_at == pytest.approx(3.5 + 2 * key)


def test_nothing_is_done_after_a_hangup():
    done = perform(parse_twiml('<Response><Hangup/><Pause length="9"/><Say>hello</Say></Response>').verbs, 1.0)
    assert (done.ends_at, done.clips) == (1.0, [])


def test_what_is_said_lasts():
    done = perform(parse_twiml("<Response><Say>representative</Say></Response>").verbs, 0.0)
    assert 0.5 < done.ends_at < 3.0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<Response>", 12100),
        ("hello", 12100),
        ('<!DOCTYPE x [<!ENTITY a "b">]><Response/>', 12100),
        ("<Answer/>", 12102),
        ("<Response><Bark/></Response>", 12200),
        ('<Response><Pause length="a"/></Response>', 12200),
        ('<Response><Pause volume="9"/></Response>', 12200),
        ('<Response><Play digits="1x"/></Response>', 12200),
        ("<Response><Play>https://example.com/a.wav</Play></Response>", 11200),
        ("<Response><Say/></Response>", 13520),
    ],
)
def test_what_is_wrong_is_told_by_code(text, code):
    assert _codes(text) == [code]


def test_a_document_that_cannot_be_read_is_apologised_for_and_ends():
    done = perform(parse_twiml("<Response>").verbs, 0.0)
    assert len(done.clips) == 1
    assert done.ends_at > 2


def test_an_unknown_verb_is_skipped_and_the_rest_is_done():
    program = parse_twiml('<Response><Bark/><Pause length="3"/></Response>')
    assert program.verbs == (Pause(3.0),)
    assert program.notices[0].warning


def test_what_is_cut_off_is_not_heard():
    done = perform(parse_twiml('<Response><Say>hello</Say><Play digits="5"/></Response>').verbs, 0.0).before(0.1)
    assert [len(clip.sound) for clip in done.clips] == [800]
    assert (done.keys, done.ends_at) == ([], 0.1)


@pytest.mark.parametrize("key", ["", "x", "12"])
def test_there_is_no_tone_for_what_is_no_key(key):
    with pytest.raises(ValueError, match="is not a telephone key"):
        key_tone(key)
