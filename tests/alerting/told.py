"""Notices as the judge makes them, and a way to hold a talk with replies of the test's own."""

from dataclasses import replace

from judge_world import World, rules_of

from earwitness.hooks.base import Notice, Parcel
from earwitness.model import Effect, Evidence, Failure, Finding, Severity, TransitionKind
from earwitness.presentation import headline

BASE = "https://earwitness.example/monitor"
RECORDING = Evidence("recording", "audio/wav", "a" * 64, 48_044, "pay-by-phone.wav")
SCREENSHOT = Evidence("screenshot", "image/png", "b" * 64, 12_000, "pay-on-web.png")


def transitions():
    world = World(rules_of({"pay": ("pay-by-card", ["card-processor"])}))
    failed = Finding(Failure.WRONG_STATUS, "got 502 <html> & more", Effect.BLOCKED, dependency="card-processor")
    for _ in range(2):
        world.see("pay", failed, evidence=(RECORDING, SCREENSHOT))
    world.passes("pay", "pay")
    return world.transitions


def notice(kind=TransitionKind.OPEN, key=None, severity=None, **more):
    """A notice of one transition of the same incident: it opens, changes, and is resolved."""
    first, last = transitions()
    transition = last if kind is TransitionKind.RESOLVE else first
    incident = replace(transition.incident, severity=severity or transition.incident.severity)
    made = Notice(
        key=key or f"{incident.id}.{kind.value}.hook",
        kind=kind,
        at=transition.at,
        title=headline(kind, incident),
        text=transition.text,
        incident=incident,
        url=f"{BASE}/incidents/{incident.id}",
        evidence_url=f"{BASE}/api/v1/evidence",
    )
    return replace(made, **more)


def opened(key=None, **more):
    return notice(TransitionKind.OPEN, key, **more)


def resolved(key=None, **more):
    return notice(TransitionKind.RESOLVE, key, **more)


def reopened(**more):
    return notice(TransitionKind.REOPEN, **more)


def raised(severity=Severity.SEV1, **more):
    return notice(TransitionKind.RAISE, severity=severity, **more)


def acknowledged(**more):
    return notice(TransitionKind.ACKNOWLEDGE, **more)


def asked(talk):
    """Return the first thing that a talk says."""
    return next(talk)


def held(kind, spec, told, *replies, reference=None, now=1_000_000.0):
    """Hold the whole talk about a notice; return what was sent, and the outcome."""
    talk = kind.talk(spec, Parcel(told.key, kind.render(spec, told), now, reference))
    sent, waiting = [next(talk)], list(replies)
    outcome = None
    while outcome is None:
        try:
            sent.append(talk.send(waiting.pop(0)))
        except StopIteration as ended:
            outcome = ended.value
    assert not waiting, "the talk ended before all replies were given"
    return sent, outcome
