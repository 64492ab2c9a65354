"""The call probe: telephones a number as a customer would and judges what was heard from the recording.

Measures are listed in `docs/calls.md`: seconds, dBFS, dB, shares and counts.

A run that confirms a failure calls from another number, or through another carrier; a control run calls the carrier's known-good
number. numpy and the carrier's SDK are loaded when a call is first made, never by importing this module.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from earwitness.model import Attribution, Channel, Effect, Failure, Finding, Observation, Why
from earwitness.probes.context import InterruptedCall, Kind, RunContext
from earwitness.telephony.spec import CLOSING_ALLOWANCE, CallSpec
from earwitness.telephony.way import way_of

if TYPE_CHECKING:
    from earwitness.telephony.attempt import Attempt

_NOT_OURS = (Attribution.MONITOR, Attribution.UNKNOWN)


async def run(spec: CallSpec, ctx: RunContext) -> Observation:
    """Call once and judge the call. Never raises for what the target or the carrier did."""
    return await _try(spec, ctx, lambda attempt: attempt.run())


async def resume(spec: CallSpec, ctx: RunContext, interrupted: InterruptedCall) -> Observation:
    """Judge a call that an earlier process left in flight. Never dials."""
    return await _try(spec, ctx, lambda attempt: attempt.resume(interrupted))


async def _try(spec: CallSpec, ctx: RunContext, work: "Callable[[Attempt], Awaitable[Observation]]") -> Observation:
    """Do one try the way that the run's reason asks for. Raises ValueError when the run was given no carrier."""
    from earwitness.telephony.attempt import Attempt  # noqa: PLC0415 - loads numpy and the carrier's SDK

    if ctx.carrier is None:
        raise ValueError("a call probe needs a carrier; configure carriers")
    way = way_of(spec, ctx.run.why, ctx.carrier)
    if way.spec is None:
        return ctx.observe(skipped="no_control")
    seen = await work(Attempt(way.spec, ctx, way.carrier, way.from_))
    return _of_control(seen) if ctx.run.why is Why.CONTROL else seen


def _of_control(seen: Observation) -> Observation:
    """A known-good number that does not answer as it should speaks of the carrier, or of us, and never of the probe's target."""
    findings = tuple(
        finding
        if finding.attribution in _NOT_OURS
        else Finding(
            Failure.CONTROL_FAILED, f"the control call failed: {finding.message}", Effect.BLOCKED, Attribution.CARRIER
        )
        for finding in seen.findings
    )
    return replace(seen, findings=findings)


def budget(spec: CallSpec) -> float:
    """Return the seconds that a run may occupy its probe; waiting for the recording is not among them."""
    return spec.deadline + CLOSING_ALLOWANCE


KIND = Kind(channel=Channel.CALL, spec=CallSpec, run=run, budget=budget, resume=resume)
