"""The call probe: telephones a number as a customer would and judges what was heard from the recording.

Measures: `answer` (seconds from dialling to the answer), `prompt_delay` (seconds, the longest that an expected prompt was waited
for), `audio_quality` (index, 1 to 5), `duration` (seconds of the recording).

numpy and the carrier's SDK are loaded when a call is first made, never by importing this module.
"""

from typing import TYPE_CHECKING

from earwitness.model import Channel, Observation
from earwitness.probes.context import InterruptedCall, Kind, RunContext
from earwitness.telephony.spec import CLOSING_ALLOWANCE, CallSpec

if TYPE_CHECKING:
    from earwitness.telephony.attempt import Attempt


async def run(spec: CallSpec, ctx: RunContext) -> Observation:
    """Call once and judge the call. Never raises for what the target or the carrier did."""
    return await _attempt(spec, ctx).run()


async def resume(spec: CallSpec, ctx: RunContext, interrupted: InterruptedCall) -> Observation:
    """Judge a call that an earlier process left in flight. Never dials."""
    return await _attempt(spec, ctx).resume(interrupted)


def _attempt(spec: CallSpec, ctx: RunContext) -> "Attempt":
    from earwitness.telephony.attempt import Attempt  # noqa: PLC0415 - loads numpy and the carrier's SDK

    return Attempt(spec, ctx)


def budget(spec: CallSpec) -> float:
    """Return the seconds that a run may occupy its probe; waiting for the recording is not among them."""
    return spec.deadline + CLOSING_ALLOWANCE


KIND = Kind(channel=Channel.CALL, spec=CallSpec, run=run, budget=budget, resume=resume)
