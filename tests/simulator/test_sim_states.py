"""A call's course on a clock that is turned by hand."""

from decimal import Decimal

import numpy as np
import pytest
from simulated_calls import ACCOUNT, PAY_BY_CARD, HandClock, form, hears, keys_in, recorded

from earwitness.simulator import BUSY_LINE, CONTACT_CENTRE, UNANSWERED_LINE, UNOBTAINABLE_LINE
from earwitness.simulator.carrier import REDIRECT_DELAY, Carrier
from earwitness.simulator.carrier_errors import TwilioError
from earwitness.simulator.carrier_json import call_json
from earwitness.simulator.faults import FaultBoard
from earwitness.simulator.recording import SILENT, TOO_SHORT, recordings_of

LISTEN = '<Response><Pause length="20"/></Response>'


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def faults():
    return FaultBoard()


@pytest.fixture
def carrier(clock, faults):
    return Carrier(clock, faults)


def _course(carrier, clock, call, seconds, step=0.1):
    """Return the statuses that a caller who polls sees, each once."""
    seen = []
    for _ in range(round(seconds / step)):
        if carrier.status(call) not in seen:
            seen.append(carrier.status(call))
        clock.seconds += step
    return seen


@pytest.mark.parametrize(
    ("number", "course"),
    [
        (CONTACT_CENTRE, ["queued", "ringing", "in-progress", "completed"]),
        (BUSY_LINE, ["queued", "busy"]),
        (UNANSWERED_LINE, ["queued", "ringing", "no-answer"]),
        (UNOBTAINABLE_LINE, ["queued", "failed"]),
        ("+12025550177", ["queued", "failed"]),
    ],
)
def test_each_line_has_its_course(carrier, clock, number, course):
    call = carrier.create_call(ACCOUNT, form(number, LISTEN, Timeout="10"))
    assert _course(carrier, clock, call, 40) == course


def test_a_queue_at_the_carrier_is_waited_for_before_the_call_is_dialled(carrier, clock, faults):
    faults.turn_on("calls-queued", {"seconds": 20})
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    assert _course(carrier, clock, call, 19.9) == ["queued"]
    assert _course(carrier, clock, call, 30) == ["queued", "ringing", "in-progress", "completed"]
    assert call_json(carrier, call)["queue_time"] == "20000"


def test_a_call_cancelled_in_the_queue_was_never_dialled(carrier, clock, faults):
    faults.turn_on("calls-queued")
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    clock.seconds += 9
    carrier.update_call(call, {"Status": "canceled"})
    clock.seconds += 900
    shown = call_json(carrier, call)
    assert (shown["status"], shown["start_time"], shown["duration"], shown["price"]) == ("canceled", None, None, None)


def test_nothing_happens_until_time_passes(carrier):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE))
    assert {carrier.status(call) for _ in range(100)} == {"queued"}


def test_speed_makes_a_call_shorter_for_the_clock_and_not_for_itself(clock, faults):
    carrier = Carrier(clock, faults, speed=20)
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    clock.seconds += 1.1
    assert carrier.status(call) == "in-progress"
    clock.seconds += 0.1
    assert carrier.status(call) == "completed"
    assert call.plan.talk == 20


@pytest.mark.parametrize("speed", [0, -1])
def test_a_speed_that_is_none_is_refused(clock, faults, speed):
    with pytest.raises(ValueError, match="must be above 0"):
        Carrier(clock, faults, speed)


def test_the_time_limit_ends_the_call(carrier):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN, TimeLimit="7"))
    assert (call.plan.talk, call.plan.ended_by) == (7, "limit")


def test_it_rings_no_longer_than_the_timeout(carrier, clock):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN, Timeout="1"))
    assert _course(carrier, clock, call, 5)[-1] == "no-answer"


def test_send_digits_are_pressed_before_the_twiml_begins(carrier):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN, SendDigits="WWWWW1"))
    assert keys_in(recorded(call)[1]) == "1"
    assert call.plan.talk == pytest.approx(25.2)


def test_hanging_up_ends_the_call_where_it_is(carrier, clock):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, PAY_BY_CARD))
    clock.seconds += 8
    carrier.update_call(call, {"Status": "completed"})
    assert carrier.status(call) == "completed"
    assert call.plan.talk == pytest.approx(5)
    assert call.digits_heard(1e6) == ""


def test_only_a_call_that_is_not_answered_can_be_cancelled(carrier, clock):
    ringing = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    clock.seconds += 1.5
    carrier.update_call(ringing, {"Status": "canceled"})
    assert carrier.status(ringing) == "canceled"
    talking = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    clock.seconds += 5
    carrier.update_call(talking, {"Status": "canceled"})
    assert carrier.status(talking) == "in-progress"


def test_new_twiml_replaces_the_old_from_then_on(carrier, clock):
    call = carrier.create_call(
        ACCOUNT, form(CONTACT_CENTRE, '<Response><Pause length="9"/><Play digits="2"/></Response>')
    )
    clock.seconds += 3 + 5
    carrier.update_call(call, {"Twiml": '<Response><Play digits="4"/><Pause length="9"/></Response>'})
    assert call.outcome(1e6) == "mortgage team"
    assert keys_in(recorded(call)[1]) == "4"
    assert hears("mortgage_team", recorded(call)[0])


def test_new_twiml_takes_effect_a_moment_after_the_request_and_the_old_goes_on_till_then(carrier, clock):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, '<Response><Pause length="9"/></Response>'))
    clock.seconds += 3 + 5
    carrier.update_call(call, {"Twiml": '<Response><Play digits="4"/></Response>'})
    (key,) = call.plan.ours.clips
    assert key.at == pytest.approx(5 + REDIRECT_DELAY)
    assert 0 < REDIRECT_DELAY < 0.5


def test_new_twiml_that_comes_at_the_last_moment_comes_too_late(carrier, clock):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, '<Response><Pause length="9"/></Response>'))
    clock.seconds += 3 + 8.95
    carrier.update_call(call, {"Twiml": '<Response><Pause length="60"/></Response>'})
    assert call.plan.talk == pytest.approx(9)


def test_a_call_that_is_over_cannot_be_changed(carrier, clock):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    clock.seconds += 60
    with pytest.raises(TwilioError) as refused:
        carrier.update_call(call, {"Status": "completed"})
    assert refused.value.code == 21220


def test_a_call_keeps_the_faults_of_the_moment_it_was_placed(carrier, faults):
    before = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE))
    faults.turn_on("card-processor-down")
    during = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE))
    faults.turn_off("card-processor-down")
    outcomes = [call.outcome(1e6) for call in (before, during, carrier.create_call(ACCOUNT, form(CONTACT_CENTRE)))]
    assert outcomes == ["payment accepted", "payment failed", "payment accepted"]


# --- recordings ------------------------------------------------------------------------------------------------------


def _recording_course(carrier, clock, call, seconds):
    seen = []
    for _ in range(round(seconds / 0.5)):
        found = [recording.status(carrier.elapsed(call)) for recording in carrier.recordings(ACCOUNT, call.sid)]
        if found not in seen:
            seen.append(found)
        clock.seconds += 0.5
    return seen


def test_a_recording_appears_with_the_answer_and_is_ready_after_the_call(carrier, clock):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    assert _recording_course(carrier, clock, call, 40) == [[], ["in-progress"], ["processing"], ["completed"]]


@pytest.mark.parametrize(
    ("fault", "parameters", "after", "status"),
    [
        ("recording-late", {"seconds": 60}, 80, "processing"),
        ("recording-late", {"seconds": 60}, 90, "completed"),
        ("recording-never", {}, 1e6, "processing"),
        ("recording-absent", {}, 40, "absent"),
    ],
)
def test_recordings_fail_as_asked(carrier, clock, faults, fault, parameters, after, status):
    faults.turn_on(fault, parameters)
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    clock.seconds += after
    assert recordings_of(call, carrier.elapsed(call))[0].status(carrier.elapsed(call)) == status


def test_a_silent_call_leaves_no_recording(carrier, faults):
    faults.turn_on("dead-air")
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    assert recordings_of(call, 1e6)[0].error_code() == SILENT


def test_a_call_of_a_moment_leaves_no_recording(carrier, faults):
    faults.turn_on("early-hangup", {"seconds": 0.3})
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    assert recordings_of(call, 1e6)[0].error_code() == TOO_SHORT


def test_a_truncated_recording_is_shorter(carrier, faults):
    faults.turn_on("recording-truncated", {"share": 0.25})
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, LISTEN))
    assert recordings_of(call, 1e6)[0].duration() == pytest.approx(5)


def test_swapped_channels_are_the_same_sound_the_other_way_round(carrier, faults):
    faults.turn_on("channels-swapped")
    ours, theirs = recorded(carrier.create_call(ACCOUNT, form(CONTACT_CENTRE)))
    assert hears("welcome", theirs)
    assert keys_in(ours).startswith("24")


def test_a_mono_recording_holds_both_sides(carrier):
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, RecordingChannels="mono"))
    sound = recorded(call, channels=1)
    assert sound.shape[0] == 1
    assert hears("welcome", sound[0])
    assert keys_in(sound[0]).startswith("24")
    with pytest.raises(ValueError, match="one channel"):
        recordings_of(call, 1e6)[0].wav(2)


def test_trimming_takes_the_silence_at_both_ends(carrier):
    whole = recorded(carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, '<Response><Pause length="9"/></Response>')))
    slow = form(CONTACT_CENTRE, '<Response><Pause length="6"/></Response>', Trim="trim-silence")
    trimmed = recorded(carrier.create_call(ACCOUNT, slow))
    assert np.abs(whole[:, :1600]).max() < 0.01
    assert np.abs(trimmed[:, :1600]).max() > 0.05
    assert trimmed.shape[1] < 5.9 * 8000


def test_a_recording_begun_in_the_middle_holds_the_rest(carrier, clock):
    call = carrier.create_call(ACCOUNT, {**form(CONTACT_CENTRE, LISTEN), "Record": "false"})
    clock.seconds += 3 + 3.2
    recording = carrier.start_recording(call, {"RecordingChannels": "dual"})
    assert recording.duration() == pytest.approx(16.8)
    theirs, _ = recorded(call)
    assert hears("main_menu", theirs)
    assert not hears("welcome", theirs)


def test_a_recording_keeps_its_name_when_another_begins(carrier, clock):
    twiml = '<Response><Pause length="1"/><Start><Recording/></Start><Pause length="20"/></Response>'
    call = carrier.create_call(ACCOUNT, {**form(CONTACT_CENTRE, twiml), "Record": "false"})
    clock.seconds += 8
    first = carrier.recordings(ACCOUNT)[0].sid
    second = carrier.start_recording(call, {}).sid
    assert [recording.sid for recording in carrier.recordings(ACCOUNT)] == [first, second]


# --- money -----------------------------------------------------------------------------------------------------------


def test_begun_minutes_of_answered_calls_are_paid(carrier, clock):
    hold = '<Response><Pause length="6"/><Play digits="4"/><Pause length="55"/></Response>'
    long = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, hold))
    busy = carrier.create_call(ACCOUNT, form(BUSY_LINE))
    assert carrier.price(long) is None
    clock.seconds += 100
    assert long.plan.talk == pytest.approx(61.2)
    assert (carrier.price(long), carrier.price(busy)) == (Decimal("0.028"), None)
    assert carrier.balance(ACCOUNT) == Decimal("99.972")
    assert carrier.balance("AC" + "b" * 32) == 100
