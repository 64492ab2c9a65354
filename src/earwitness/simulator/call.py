"""A simulated call: its whole course, planned when it is placed and again when somebody interferes.

A call's status is read off its plan, given the seconds since it was created. What must happen on its own, webhooks and media
streams, is done by `live`, which reads the same plan.
"""

import asyncio
from dataclasses import dataclass, field, replace

from earwitness.simulator.centre import Line
from earwitness.simulator.fault_list import CALLBACK_FAULTS, CARRIER_FAULTS, RECORDING_FAULTS, STREAM_FAULTS
from earwitness.simulator.faults import ActiveFaults
from earwitness.simulator.ivr import Conversation, converse
from earwitness.simulator.timeline import RecordingStart, StreamStart, StreamStop
from earwitness.simulator.twiml import Notice, Performance, Program, perform
from earwitness.simulator.voice import all_prompts
from earwitness.simulator.webhook import Webhook

QUEUED_FOR = 0.4  # seconds until a call is dialled
POST_DIAL_DELAY = 0.6  # seconds from dialling to ringing, or to busy and failed
_EVERYWHERE = frozenset({*CARRIER_FAULTS, *CALLBACK_FAULTS, *STREAM_FAULTS, *RECORDING_FAULTS})
# The final answer of the far side's SIP server, by the status that Twilio makes of it; `failed` has a line's own.
_SIP_CODES = {"completed": 200, "busy": 486, "no-answer": 480, "canceled": 487}
TERMINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})


@dataclass(slots=True)
class Order:
    """What was asked of the carrier. Times of programs, recordings and streams are seconds since the answer."""

    to: str
    from_: str
    programs: list[tuple[float, Program]]
    timeout: float = 60.0  # seconds to let it ring
    time_limit: float = 14400.0  # seconds of talk
    recordings: list[RecordingStart] = field(default_factory=list)
    streams: list[StreamStart] = field(default_factory=list)
    stops: list[StreamStop] = field(default_factory=list)
    webhook: Webhook | None = None
    ended_at: float | None = None  # seconds since creation, when an update ended the call


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The course of a call, in seconds since it was created; what is said is in seconds since `answered_at`."""

    name: str  # the call's SID: the same call always sounds the same
    stages: tuple[tuple[float, str], ...]
    faults: ActiveFaults
    dialled_at: float = QUEUED_FOR
    failure_code: int = 404
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

    @property
    def sip_code(self) -> int:
        """Return the final SIP answer, once the call is over."""
        return _SIP_CODES.get(self.stages[-1][1], self.failure_code)

    def status(self, elapsed: float) -> str:
        return [status for at, status in self.stages if at <= max(0.0, elapsed)][-1]


def plan_call(name: str, order: Order, line: Line, faults: ActiveFaults) -> Plan:
    """Return the course of the call under the faults that were on when it was placed."""
    touching = faults.only(line.exposed | _EVERYWHERE)
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
    begun = Plan(name, tuple(stages), touching, dialled, line.failure_code)
    if stages[-1][1] in TERMINAL:
        return begun
    return _talk(begun, order, line)


def _talk(ringing: Plan, order: Order, line: Line) -> Plan:
    """Return the course of a call that is answered at the last of the stages so far."""
    answered, faults = ringing.ended_at, ringing.faults
    ours = _our_side(order, faults)
    limits = {"caller": ours.ends_at, "limit": order.time_limit}
    if order.ended_at is not None:
        limits["caller"] = min(ours.ends_at, order.ended_at - answered)
    ended_by = min(limits, key=lambda who: limits[who])
    assert line.centre is not None, "a line that is answered has a centre"
    theirs = converse(line.centre, all_prompts(), ours, faults, limits[ended_by])
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


def _our_side(order: Order, faults: ActiveFaults) -> Performance:
    whole = Performance()
    for at, program in order.programs:
        if at > whole.ends_at:
            break  # the call was over before this program could replace the one before
        whole = whole.before(at).then(perform(program.verbs, at))
    whole.recordings = sorted([*order.recordings, *whole.recordings], key=lambda start: start.at)
    whole.streams = _with_ends([*order.streams, *whole.streams], [*order.stops, *whole.stops])
    if "stream-dropped-on-update" in faults:
        updates = [at for at, _ in order.programs]
        whole.streams = [replace(s, until=min([s.until, *(at for at in updates if at > s.at)])) for s in whole.streams]
    return whole


def _with_ends(streams: list[StreamStart], stops: list[StreamStop]) -> list[StreamStart]:
    """Return the streams in the order in which they begin, each until the first stop that means it.

    New TwiML leaves a stream alone, as it leaves a recording alone: both began with `<Start>`, which goes on beside the rest.
    """
    numbered = enumerate(sorted(streams, key=lambda stream: stream.at))
    return [
        replace(stream, until=min([stream.until, *(stop.at for stop in stops if stop.stops(number, stream))]))
        for number, stream in numbered
    ]


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
    notices: list[tuple[float, Notice]] = field(default_factory=list)  # with the seconds since creation
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # set, and replaced, when the plan changes

    def __post_init__(self) -> None:
        self.replan()

    def replan(self) -> None:
        """Work out the course anew, after `order` changed, and wake whoever follows it."""
        self.plan = plan_call(self.sid, self.order, self.line, self.faults)
        self.changed.set()
        self.changed = asyncio.Event()

    def notified(self, elapsed: float) -> list[Notice]:
        """Return what Twilio's debugger had to say after `elapsed` seconds, in the order in which it said it."""
        answered = self.plan.answered_at
        read = [] if answered is None else [(answered + at, n) for at, p in self.order.programs for n in p.notices]
        return [notice for at, notice in sorted([*read, *self.notices], key=lambda entry: entry[0]) if at <= elapsed]

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
