"""What a run is told to have seen while the monitor itself stood still."""

import asyncio
import math
import time
from dataclasses import replace

import pytest

from earwitness.dispatch.pulse import Pulse, as_far_as_told
from earwitness.model import Attribution, Channel, Effect, Failure, Finding, Observation, Outcome, Run, Step, Why

RUN = Run("run-1", "web", "shop", Channel.HTTP, "local", "production", Why.SCHEDULED, 60.0, 60_000)
LATE = Finding(Failure.FIRST_BYTE_TIMEOUT, "no answer began within 2 s", Effect.BLOCKED)
WRONG = Finding(Failure.WRONG_STATUS, "expected 2xx, got 503", Effect.BLOCKED)


def seen(*findings):
    return Observation(RUN, 60.0, 2.0, findings)


def still(seconds, since=0.0):
    """Stand still once, for so long, so many seconds into the run."""
    return lambda begins, ends: max(0.0, min(ends, since + seconds) - max(begins, since))


async def block(seconds):
    """Keep the event loop from everything else, once it has begun to wait for something."""
    await asyncio.sleep(0.02)
    time.sleep(seconds)  # noqa: ASYNC251  That is what is looked at.


async def test_a_loop_that_goes_on_loses_no_time():
    with Pulse().felt() as stood_still:
        await asyncio.sleep(0.3)
        assert stood_still(0, math.inf) < 0.1


async def test_a_loop_that_stands_still_tells_for_how_long_even_before_its_next_beat():
    with Pulse().felt() as stood_still:
        await block(0.4)
        assert 0.3 < stood_still(0, math.inf) < 0.6
        await asyncio.sleep(0.1)
        assert 0.3 < stood_still(0, math.inf) < 0.6


async def test_a_busy_loop_that_is_always_a_little_late_does_not_stand_still():
    with Pulse().felt() as stood_still:
        for _ in range(30):
            await block(0.03)
        assert stood_still(0, math.inf) < 0.2


async def test_each_run_is_told_of_its_own_time():
    pulse = Pulse()
    with pulse.felt() as of_the_first:
        await block(0.3)
        with pulse.felt() as of_the_second:
            await asyncio.sleep(0.06)
            assert of_the_second(0, math.inf) < 0.1
        assert of_the_first(0, math.inf) > 0.2


async def test_nothing_beats_when_nothing_runs():
    pulse = Pulse()
    with pulse.felt():
        pass
    await block(0.3)
    with pulse.felt() as stood_still:
        assert stood_still(0, math.inf) < 0.1


def test_what_was_not_waited_for_is_not_told_of_the_target():
    told = as_far_as_told(seen(LATE), still(8.1), took=10.1)
    (found,) = told.findings
    assert told.outcome is Outcome.UNKNOWN
    assert (found.failure, found.attribution, found.effect) == (Failure.MONITOR_ERROR, Attribution.MONITOR, Effect.NONE)
    assert found.message == (
        "the monitor itself stood still for 8.1 s of this run's 10.1 s, so nobody can tell: no answer began within 2 s"
    )


@pytest.mark.parametrize(("since", "doubted"), [(20.3, True), (3.0, False), (21.4, False)])
def test_a_short_stop_of_a_long_run_excuses_the_step_that_it_fell_into(since, doubted):
    """A step waits for a second: to stand still for a second and more is much of that, and little of a run of 22 seconds."""
    steps = (Step("cart", True, 0.0, 20.0), Step("pay", False, 20.0, 1.9), Step("sign out", True, 21.9, 0.1))
    flow = replace(seen(replace(LATE, step="pay")), steps=steps)
    told = as_far_as_told(flow, still(1.5 if since < 21 else 0.3, since), took=22.0)
    assert (told.outcome is Outcome.UNKNOWN) is doubted
    assert (told == flow) is not doubted


async def test_each_part_of_a_run_is_told_of_its_own_time():
    with Pulse().felt() as stood_still:
        await asyncio.sleep(0.2)
        await block(0.4)
        await asyncio.sleep(0.1)
        assert stood_still(0, 0.2) < 0.1
        assert 0.3 < stood_still(0.2, math.inf) < 0.6


@pytest.mark.parametrize(("stood_still", "took"), [(0.0, 2.0), (0.09, 0.1), (0.3, 2.0)])
def test_a_short_stop_excuses_nobody(stood_still, took):
    assert as_far_as_told(seen(LATE), still(stood_still), took) == seen(LATE)


def test_what_no_waiting_changes_is_told_all_the_same():
    assert as_far_as_told(seen(WRONG), still(8.0), 10.0) == seen(WRONG)
    assert as_far_as_told(seen(), still(8.0), 10.0) == seen()
    both = as_far_as_told(seen(LATE, WRONG), still(8.0), 10.0).findings
    assert [found.failure for found in both] == [Failure.WRONG_STATUS], "and the run is a finding, not unknown"


@pytest.mark.parametrize(
    ("driver", "stood_still", "doubted"), [("live", 2.5, True), ("live", 1.0, False), ("recorded", 20.0, False)]
)
def test_a_caller_who_listens_and_replies_late_blames_no_line(driver, stood_still, doubted):
    """A recorded call's keys were sent with the call: nothing that the monitor does meanwhile changes it."""
    ignored = Finding(Failure.DTMF_IGNORED, "the menu was said again", Effect.BLOCKED)
    call = replace(seen(ignored), facts={"driver": driver})
    told = as_far_as_told(call, still(stood_still), took=60.0)
    assert (told.outcome is Outcome.UNKNOWN) is doubted
    assert (told == call) is not doubted


def test_what_is_the_monitors_own_already_stays_as_it_is():
    ours = Finding(Failure.CONNECT_TIMEOUT, "no proxy answers", Effect.NONE, Attribution.MONITOR)
    assert as_far_as_told(seen(ours), still(8.0), 10.0) == seen(ours)
