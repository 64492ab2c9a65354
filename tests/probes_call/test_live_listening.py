"""How a live conversation hears: who is no person, what is a reply, and that neither a slow machine nor bursts of sound change what it does."""

import asyncio

import numpy as np
import pytest
from calling import PAY, PROMPTS
from live_lines import FRAME, Lines, a_line, conversation, handed_over, live_spec, stream

from earwitness.audio.prompts import load_prompts
from earwitness.config.fields import Secret
from earwitness.simulator.tones import hold_music, ring_back
from earwitness.telephony.ear import Ear
from earwitness.telephony.errors import NOT_IN_PROGRESS, CarrierError, classify
from earwitness.telephony.live import LiveConversation
from earwitness.telephony.spec import STATEMENT
from earwitness.telephony.switchboard import Switchboard

HOLD = {"hold": "You are through to the mortgage team", "within": {"major": "60s"}}


@pytest.mark.parametrize(
    ("said", "announce", "told"),
    [
        ("person_answers", "auto", True),
        ("person_answers", "never", False),
        ("welcome", "auto", False),
    ],
)
async def test_who_answers_unexpectedly_is_told_what_this_is_before_we_leave(said, announce, told):
    line, library = a_line(26, (1, said))
    lines = Lines()
    await conversation(live_spec([PAY[0]], announce=announce), line, library, lines)
    assert [STATEMENT in asked for asked in lines.asked] == [told]


async def test_a_call_that_is_over_is_no_fault_and_a_script_that_is_refused_is_ours():
    line, library = a_line(26, (1, "welcome"))
    talk = await conversation(live_spec(PAY), line, library, Lines(classify(400, NOT_IN_PROGRESS, "")))
    assert talk.facts["hung_up_by"] == "far end"
    with pytest.raises(CarrierError, match="our script does not parse"):
        await conversation(live_spec(PAY), line, library, Lines(classify(400, 12100, "")))


@pytest.mark.parametrize(("said", "left"), [("still_holding", False), ("person_answers", True)])
async def test_an_announcement_on_hold_is_no_person(said, left):
    line, library = a_line(26, (1, "welcome"), (6, said), (18, "mortgage_team"))
    hold = {"hold": "You are through to the mortgage team", "within": {"major": "60s"}}
    steps = [PAY[0], hold, {"hang_up": "true"}][: 2 + (not left)]
    talk = await conversation(live_spec(steps), line, library, Lines())
    assert bool(talk.facts.get("left_on_hold")) is left
    assert bool(talk.facts.get("statement_said")) is left


def tones(*hertz, on, off, times=3):
    t = np.arange(int(on * 8000)) / 8000
    burst = sum(0.12 * np.sin(2 * np.pi * f * t) for f in hertz)
    return np.tile(np.concatenate([burst, np.zeros(int(off * 8000))]), times).astype(np.float32)


@pytest.mark.parametrize(
    "sound",
    [
        hold_music(14),
        hold_music(6),
        tones(440, 480, on=2, off=4),
        tones(425, on=1, off=4),
        tones(1400, on=0.3, off=4.7),
    ],
    ids=["music", "short music", "ringing", "european ringing", "beeps"],
)
async def test_music_and_tones_on_hold_are_no_person(sound):
    line, library = a_line(36, (1, "welcome"), (6, sound), (26, "mortgage_team"))
    hold = {"hold": "You are through to the mortgage team", "within": {"major": "60s"}}
    talk = await conversation(live_spec([PAY[0], hold]), line, library, Lines())
    assert "left_on_hold" not in talk.facts
    assert any("mortgage team" in heard["what"] for heard in talk.log)


async def test_a_person_who_answers_after_music_is_told_what_this_is():
    line, library = a_line(36, (1, "welcome"), (6, hold_music(12)), (20, "person_answers"))
    hold = {"hold": "You are through to the mortgage team", "within": {"major": "60s"}}
    talk = await conversation(live_spec([PAY[0], hold]), line, library, Lines())
    assert talk.facts["left_on_hold"] is True


async def test_a_person_who_answers_after_an_announcement_is_told_what_this_is():
    line, library = a_line(36, (1, "welcome"), (6, "still_holding"), (18, "person_answers"))
    talk = await conversation(live_spec([PAY[0], HOLD]), line, library, Lines())
    assert talk.facts["left_on_hold"] is True
    assert talk.facts["statement_said"] is True


@pytest.mark.parametrize("into", [0.0, 0.5, 1.0, 1.5, 1.7, 1.75, 1.8, 1.85, 1.9, 1.95, 2.5, 5.0])
@pytest.mark.parametrize("burst", [1, 7, 150])
async def test_a_line_that_rings_gets_no_key_wherever_in_a_ring_its_sound_begins(into, burst):
    rings = ring_back(30)[round(into * 8000) :].astype(np.float32)
    line, library = a_line(24, (0, rings))
    talk, asked = await handed_over(live_spec(PAY), line, library, burst)
    assert asked == ["hang up"]
    assert (talk.facts["left_at"], talk.facts["hung_up_by"]) == (1, "us")


async def test_ringing_of_a_network_without_a_table_gets_no_key_either():
    t = np.arange(int(1.2 * 8000)) / 8000
    ring = np.concatenate([0.1 * np.sin(2 * np.pi * 460 * t), np.zeros(round(2.4 * 8000))])
    line, library = a_line(24, (0, np.tile(ring, 6).astype(np.float32)))
    _, asked = await handed_over(live_spec(PAY), line, library)
    assert asked == ["hang up"]


LATE = {
    "a payment": (live_spec(PAY), [(1, "welcome"), (12, "enter_card"), (24, "payment_accepted")]),
    "a hold": (live_spec([PAY[0], HOLD]), [(1, "welcome"), (6, hold_music(14)), (24, "mortgage_team")]),
    "unforeseen words": (live_spec(PAY), [(1, "person_answers"), (12, "enter_card"), (24, "payment_accepted")]),
    "somebody answers": (live_spec([PAY[0], HOLD]), [(1, "welcome"), (8, "person_answers")]),
    "silence": (live_spec(PAY[:1]), []),
}


@pytest.mark.parametrize("burst", [3, 50, 200])
@pytest.mark.parametrize("which", LATE)
async def test_what_is_decided_rests_on_the_second_of_the_sound_however_late_it_comes(which, burst):
    call, said = LATE[which]
    line, library = a_line(36, *said)
    punctual, asked = await handed_over(call, line, library)
    late, asked_late = await handed_over(call, line, library, burst)
    assert asked_late == asked
    first = next((place for place, entry in enumerate(punctual.log) if entry["what"].startswith("press")), None)
    # once we have acted, the line's second is that of the latest sound, which comes later
    assert late.log[:first] == punctual.log[:first]
    assert [entry["what"] for entry in late.log] == [entry["what"] for entry in punctual.log]


async def test_what_was_on_its_way_when_a_key_went_out_is_no_answer_to_it():
    """While our event loop is held up the line says its menu, which breaks off when it hears our key, at the 18th second."""
    library = load_prompts(PROMPTS)
    menu = next(prompt for prompt in library.prompts if prompt.name == "main_menu").samples[: 5 * 8000]
    line, _ = a_line(46, (1, "welcome"), (13, menu), (20, "enter_card"), (32, "payment_accepted"))
    extension = Switchboard().open(Secret("t"), "https://ours.example")
    for at in range(0, 18 * 8000, FRAME):
        extension.hear(line[at : at + FRAME])

    class HeldUp(Lines):
        async def play(self, sid, twiml):
            if not self.asked:
                self.streaming = asyncio.create_task(stream(line[18 * 8000 :], extension))
            await super().play(sid, twiml)

    lines = HeldUp()
    talk = LiveConversation(live_spec(PAY), library, lines, extension)
    await talk.converse()
    lines.streaming.cancel()
    assert [entry["what"].split(": ")[1] for entry in talk.log if "expect" in entry["what"]] == [
        f'"{prompt.text}"'
        for name in ("welcome", "enter_card", "payment_accepted")
        for prompt in library.prompts
        if prompt.name == name
    ]
    assert [entry["at"] > 22 for entry in talk.log if "press" in entry["what"]] == [False, True]


async def test_a_look_measures_what_is_new_however_long_the_call_has_lasted(monkeypatch):
    line, library = a_line(150, *((at, "still_holding") for at in range(5, 145, 20)))
    measured, look = [], Ear.look

    def noted(ear, *args, **kwargs):
        before = ear.analysed
        seen = look(ear, *args, **kwargs)
        measured.append(ear.analysed - before)
        return seen

    monkeypatch.setattr(Ear, "look", noted)
    hold = {"hold": "You are through to the mortgage team", "within": {"major": "140s"}}
    await handed_over(live_spec([hold], announce="never", length_limit="200s"), line, library)
    assert len(measured) > 600
    assert max(measured) < 5 * 22 * 8000, "all that came since the last pause, by each of five detectors"
    assert sum(measured) < 15 * len(line)
    third = len(measured) // 3
    assert sum(measured[-third:]) < 1.2 * sum(measured[third:-third])
