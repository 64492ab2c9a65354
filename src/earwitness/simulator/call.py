"""A simulated call: its whole course, planned when it is placed and again when somebody interferes.

Nothing runs in the background: a call's status is read off its plan, given the seconds since it was created.
"""

from dataclasses import dataclass, field, replace

from earwitness.simulator.centre import OUT_OF_ORDER, Line
from earwitness.simulator.faults import CARRIER_FAULTS, ActiveFaults
from earwitness.simulator.ivr import Conversation, converse
from earwitness.simulator.timeline import RecordingStart
from earwitness.simulator.twiml import Performance, Program, perform
from earwitness.simulator.voice import recorded_prompts

QUEUED_FOR = 0.4  # seconds until a call is dialled
POST_DIAL_DELAY = 0.6  # seconds from dialling to ringing, or to busy and failed
TERMINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})


@dataclass(slots=True)
class Order:
    """What was asked of the carrier. Times of `programs` and `recordings` are seconds since the answer."""

    to: str
    from_: str
    programs: list[tuple[float, Program]]
    timeout: float = 60.0  # seconds to let it ring
    time_limit: float = 14400.0  # seconds of talk
    recordings: list[RecordingStart] = field(default_factory=list)
    ended_at: float | None = None  # seconds since creation, when an update ended the call


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The course of a call, in seconds since it was created; what is said is in seconds since `answered_at`."""

    name: str  # the call's SID: the same call always sounds the same
    stages: tuple[tuple[float, str], ...]
    faults: ActiveFaults
    dialled_at: float = QUEUED_FOR
    answered_at: float | None = None
    ended_by: str | None = None  # caller, centre, limit
    ours: Performance = field(default_factory=Performance)
    theirs: Conversation = field(default_factory=Conversation)

    @property
    def ended_at(self) -> float:
        return self.stages[-1][0]

    @property
    def talk(self) -> float:
        """Seconds from the answer to the end."""
        return 0.0 if self.answered_at is None else self.ended_at - self.answered_at

    def status(self, elapsed: float) -> str:
        return [status for at, status in self.stages if at <= max(0.0, elapsed)][-1]


def plan_call(name: str, order: Order, line: Line, faults: ActiveFaults) -> Plan:
    """Return the course of the call under the faults that were on when it was placed."""
    touching = faults.only(line.exposed | frozenset(CARRIER_FAULTS))
    dialled = touching.number("calls-queued", "seconds") if "calls-queued" in touching else QUEUED_FOR
    ringing = dialled + POST_DIAL_DELAY
    if line.ending in ("busy", "failed"):
        stages = [(0.0, "queued"), (ringing, line.ending)]
    elif line.ending == "no-answer" or line.rings > order.timeout:
        stages = [(0.0, "queued"), (ringing, "ringing"), (ringing + order.timeout, "no-answer")]
    else:
        stages = [(0.0, "queued"), (ringing, "ringing"), (ringing + line.rings, "in-progress")]
    if order.ended_at is not None and order.ended_at < stages[-1][0]:
        stages = [*(stage for stage in stages if stage[0] <= order.ended_at), (order.ended_at, "canceled")]
    if stages[-1][1] in TERMINAL:
        return Plan(name, tuple(stages), touching, dialled)
    return _talk(Plan(name, tuple(stages), touching, dialled), order, line)


def _talk(ringing: Plan, order: Order, line: Line) -> Plan:
    """Return the course of a call that is answered at the last of the stages so far."""
    answered, faults = ringing.ended_at, ringing.faults
    ours = _our_side(order)
    limits = {"caller": ours.ends_at, "limit": order.time_limit}
    if order.ended_at is not None:
        limits["caller"] = min(ours.ends_at, order.ended_at - answered)
    ended_by = min(limits, key=lambda who: limits[who])
    centre = OUT_OF_ORDER if "staging-phone-down" in faults else line.centre
    assert centre is not None, "a line that is answered has a centre"
    theirs = converse(centre, recorded_prompts(), ours.keys, faults, limits[ended_by])
    if theirs.ends_at is not None:
        ended_by, limits["centre"] = "centre", theirs.ends_at
    talk = limits[ended_by]
    return replace(
        ringing,
        stages=(*ringing.stages, (answered + talk, "completed")),
        answered_at=answered,
        ended_by=ended_by,
        ours=ours.before(talk),
        theirs=theirs,
    )


def _our_side(order: Order) -> Performance:
    whole = Performance()
    for at, program in order.programs:
        part, earlier = perform(program.verbs, at), whole.before(at)
        whole = Performance(
            earlier.clips + part.clips, earlier.keys + part.keys, earlier.recordings + part.recordings, part.ends_at
        )
    whole.recordings = sorted([*order.recordings, *whole.recordings], key=lambda start: start.at)
    return whole


@dataclass(slots=True)
class Call:
    """A call that was placed. `created_at` is wall time, `created_tick` monotonic; both in seconds."""

    sid: str
    account: str
    order: Order
    line: Line
    faults: ActiveFaults
    created_at: float
    created_tick: float
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.replan()

    def replan(self) -> None:
        """Work out the course anew, after `order` changed."""
        self.plan = plan_call(self.sid, self.order, self.line, self.faults)

    def digits_heard(self, elapsed: float) -> str:
        """Return the keys that the far end had acted on after `elapsed` seconds."""
        if self.plan.answered_at is None:
            return ""
        return "".join(k.key for k in self.plan.theirs.heard if self.plan.answered_at + k.at <= elapsed)

    def prompts_heard(self, elapsed: float) -> list[str]:
        """Return the prompts that the far end had begun after `elapsed` seconds."""
        if self.plan.answered_at is None:
            return []
        return [said.prompt for said in self.plan.theirs.said if self.plan.answered_at + said.at <= elapsed]

    def outcome(self, elapsed: float) -> str | None:
        """Return what the caller had achieved after `elapsed` seconds."""
        if self.plan.answered_at is None:
            return None
        return self.plan.theirs.outcome(elapsed - self.plan.answered_at)
