"""Which layer of a telephone path is at fault, from the table of the calls that were made.

| the probe's calls                          | the control call | the fault lies with        |
|--------------------------------------------|------------------|----------------------------|
| fail                                       | account refused  | our account                |
| fail                                       | fails            | the carrier                |
| fail through one carrier, pass another     | passes, or none  | the carrier                |
| fail from one number of ours, pass another | passes, or none  | our account: that number   |
| none gets through, and nobody spoke        | passes           | the number called          |
| get through, and the IVR fails             | passes           | the IVR                    |
| get through, and fail near their goal      | passes           | what is behind the IVR     |

Without a control call the last three rest on the probe's calls alone, and the sentence says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from earwitness.model import Failure, Layer, Observation, Outcome, Scalar, Scope, Why

_NOT_THROUGH = frozenset(
    {Failure.NEVER_CONNECTED, Failure.BUSY, Failure.UNOBTAINABLE, Failure.NO_ANSWER, Failure.ONE_WAY}
)
_OUR_TROUBLE = frozenset({Failure.ACCOUNT_REFUSED, Failure.NOT_ALLOWED_TO_DIAL, Failure.CARRIER_API_FAILED})
_KEPT = 6  # tries that a probe remembers
_IS = {
    Layer.ACCOUNT: "our account at the carrier",
    Layer.CARRIER: "the carrier",
    Layer.NUMBER: "the number called",
    Layer.IVR: "the IVR",
    Layer.BACKEND: "what is behind the IVR",
}


@dataclass(frozen=True, slots=True)
class Try:
    """One call, as far as it tells the layer."""

    run: str
    why: Why
    at: float  # when it began
    outcome: Outcome
    from_: str
    carrier: str
    failure: Failure | None = None
    layer: Layer | None = None  # where it ended, by what it heard

    @property
    def speaks(self) -> bool:
        """Whether it says anything: a call that was not made, or that nobody could judge, does not."""
        if self.outcome is Outcome.UNKNOWN:
            return self.failure in _OUR_TROUBLE
        return self.outcome is not Outcome.SKIPPED


@dataclass(frozen=True, slots=True)
class Located:
    layer: Layer
    sentence: str
    scope: Scope = Scope.EVERYWHERE


def with_control(tries: tuple[Try, ...], seen: Observation) -> tuple[Try, ...]:
    """Return `tries` and the control call that was seen, or that could not be made."""
    failure = seen.findings[0].failure if seen.findings else None
    facts = seen.facts
    called = str(facts.get("from", "")), str(facts.get("carrier", ""))
    return _latest((*tries, Try(seen.run.id, Why.CONTROL, seen.started_at, seen.outcome, *called, failure)))


def with_try(tries: tuple[Try, ...], seen: Observation) -> tuple[Try, ...]:
    """Return `tries` and the call that was seen, the latest few; unchanged for a run that made no call."""
    facts = seen.facts
    if "from" not in facts:
        return tries
    worst = seen.findings[0] if seen.findings else None
    made = Try(
        seen.run.id,
        seen.run.why,
        seen.started_at,
        seen.outcome,
        str(facts["from"]),
        str(facts.get("carrier", "")),
        worst.failure if worst else None,
        _layer_in(facts.get("layer")),
    )
    return _latest((*tries, made))


def _latest(tries: tuple[Try, ...]) -> tuple[Try, ...]:
    """Return the latest calls, and the latest control call however many came after it."""
    control = next((t for t in reversed(tries) if t.why is Why.CONTROL), None)
    kept = tries[-_KEPT:]
    return kept if control is None or control in kept else (control, *kept)


def _layer_in(fact: Scalar) -> Layer | None:
    return Layer(str(fact)) if fact in {str(layer) for layer in Layer} else None


def control_of(tries: Sequence[Try], since: float) -> Try | None:
    """Return the latest control call that began at `since` or later."""
    return next((t for t in reversed(tries) if t.why is Why.CONTROL and t.at >= since), None)


def locate(tries: Sequence[Try], since: float) -> Located | None:
    """Return the faulty layer by the calls since `since`; None if none of them failed."""
    calls = [t for t in tries if t.why is not Why.CONTROL and t.at >= since]
    failed = [t for t in calls if t.outcome is Outcome.FINDING]
    if not failed:
        return None
    control = control_of(tries, since)
    told = [*(_said(t) for t in calls), _control_said(control)]
    passed = [t for t in calls if t.outcome is Outcome.OK]
    layer, where = _layer(failed, passed, control)
    return Located(layer, f"Calls: {'; '.join(told)}. The fault lies with {where}.", _scope(failed, passed))


def _scope(failed: Sequence[Try], passed: Sequence[Try]) -> Scope:
    if passed and _apart({t.carrier for t in passed}, {t.carrier for t in failed}):
        return Scope.CARRIER
    if passed and _apart({t.from_ for t in passed}, {t.from_ for t in failed}):
        return Scope.NUMBER
    return Scope.EVERYWHERE


def _apart(passed: set[str], failed: set[str]) -> bool:
    """Whether it fails by this one way only, and works by others."""
    return len(failed) == 1 and passed.isdisjoint(failed)


def _layer(failed: Sequence[Try], passed: Sequence[Try], control: Try | None) -> tuple[Layer, str]:
    if control is not None and control.speaks and control.outcome is not Outcome.OK:
        layer = Layer.ACCOUNT if control.failure is Failure.ACCOUNT_REFUSED else Layer.CARRIER
        return layer, _IS[layer]
    last = failed[-1]
    if passed and {t.carrier for t in passed}.isdisjoint(t.carrier for t in failed):
        return (
            Layer.CARRIER,
            f"the carrier {last.carrier}: it fails only through it, through {passed[-1].carrier} it works",
        )
    if passed and {t.from_ for t in passed}.isdisjoint(t.from_ for t in failed):
        return Layer.ACCOUNT, f"our number {last.from_}: it fails only from it, from {passed[-1].from_} it works"
    if last.failure in _NOT_THROUGH and last.layer in (None, Layer.NUMBER):
        return Layer.NUMBER, _IS[Layer.NUMBER]
    layer = last.layer or Layer.IVR
    return layer, _IS[layer]


def _said(call: Try) -> str:
    through = f" through {call.carrier}" if call.carrier else ""
    result = (
        "passed" if call.outcome is Outcome.OK else f"failed ({str(call.failure or call.outcome).replace('_', ' ')})"
    )
    return f"from {call.from_}{through} {result}"


def _control_said(control: Try | None) -> str:
    if control is None or not control.speaks:
        return "no control call was made"
    if control.outcome is Outcome.OK:
        return "the control call to a known-good number passed"
    return "the control call to a known-good number failed"
