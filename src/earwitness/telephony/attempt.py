"""One run of a call probe: dial, wait, fetch the recording, listen, say what was found."""

import json
from dataclasses import replace

import structlog

from earwitness.audio.prompts import PromptLibrary, load_prompts
from earwitness.audio.words import PromptError
from earwitness.audio.workers import in_worker
from earwitness.model import Attribution, Failure, Observation, Why
from earwitness.probes.context import CallLedger, InterruptedCall, Leftover, OverBudgetError, RunContext
from earwitness.telephony import findings
from earwitness.telephony.aftermath import AS_PLANNED, Aftermath
from earwitness.telephony.carrier import Carrier, CarrierCall
from earwitness.telephony.dial_guard import DialRefusedError
from earwitness.telephony.driver import CallDriver
from earwitness.telephony.errors import CarrierError
from earwitness.telephony.live import LiveConversation, live_waits, stream_twiml
from earwitness.telephony.seen import Seen
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.switchboard import Extension
from earwitness.telephony.twiml import Plan, PlanTooLongError, Timings, compile_plan

_OF_THE_LINE = (Failure.POOR_AUDIO, Failure.PROMPT_CHANGED)  # findings that hold whoever answers
_NOT_DONE = (Failure.EARLY_HANGUP, Failure.CARRIER_API_FAILED)  # what a step is called that we left out ourselves
_log = structlog.get_logger(__name__)


class Attempt:
    """One try through `carrier`, from one of its numbers. Raises ValueError when the run was given no ledger."""

    def __init__(self, spec: CallSpec, ctx: RunContext, carrier: Carrier, from_: str) -> None:
        if ctx.calls is None:
            raise ValueError("a call probe needs a ledger")
        self.spec, self.ctx = spec, ctx
        self.ledger: CallLedger = ctx.calls
        self.extension = _extension(ctx, carrier)
        self.driver = CallDriver(spec, ctx, carrier, self.ledger, from_, self.extension)
        self.titles = [step.title for step in spec.steps]
        self.seen = Seen(spec, ctx, {"to": spec.to, "from": from_, "carrier": carrier.name, "driver": spec.driver})

    async def run(self) -> Observation:
        try:
            return await self._cleared(await self._run())
        finally:
            if self.extension is not None and self.ctx.switchboard is not None:
                self.ctx.switchboard.close(self.extension)

    async def _run(self) -> Observation:
        prepared = await self._prepared()
        if prepared is None:
            return self.seen.observation()
        library, plan = prepared
        live = self._conversation(library)
        if live is None and self.spec.driver == "live":
            return self.seen.unknown(Failure.MONITOR_ERROR, _NOT_LIVE, Attribution.MONITOR)
        try:
            twiml = plan.twiml if live is None else stream_twiml(live.extension, self._opening())
            call = await self.driver.dial(twiml, json.dumps({"steps": self.titles, "waits": plan.waits}))
        except OverBudgetError as error:
            return self.ctx.observe(facts={**self.seen.facts, "over_budget": str(error)}, skipped="over_budget")
        except DialRefusedError as error:
            return self.seen.unknown(Failure.NOT_ALLOWED_TO_DIAL, str(error), Attribution.MONITOR)
        except CarrierError as error:
            return self.seen.carrier_failed(error)
        if live is None:
            await self.seen.keep(plan.masked.encode(), "script", "application/xml", "call-script.xml")
        return await self._finish(call, library, plan, live)

    async def resume(self, interrupted: InterruptedCall) -> Observation:
        """Take up the call where the earlier process left it. Never dials."""
        return await self._cleared(await self._resume(interrupted))

    async def _cleared(self, seen: Observation) -> Observation:
        """Return what was seen; what is left to do at the carrier is put on the list: recordings to delete, a price to read."""
        for left in (self.seen.left, self.seen.unpriced):
            if left is not None:
                await self.ledger.leave(left)
        return seen

    def _owns(self, sid: str) -> None:
        """Note what is to be done about a call of ours, until it is done."""
        self.seen.left = Leftover("delete_recordings", self.driver.carrier.name, sid, "never judged")
        self.seen.unpriced = Leftover("read_price", self.driver.carrier.name, sid, "not told yet")

    async def _resume(self, interrupted: InterruptedCall) -> Observation:
        self.driver.from_ = interrupted.from_
        self.seen.facts |= {"to": interrupted.to, "from": interrupted.from_}
        if interrupted.sid is not None:
            self._owns(interrupted.sid)
        try:
            call = await self._left_behind(interrupted)
        except CarrierError as error:
            return await self._lost(f"the monitor was interrupted while it dialled, and {error}")
        if call is None:
            return await self._lost("the monitor was interrupted while it dialled; the carrier knows of no such call")
        if self.spec.driver == "live":
            await self.driver.hang_up(call)
            return await self._lost(
                "the monitor was interrupted while it talked; nobody else can go on with a conversation"
            )
        waits = self._waits_of(interrupted)
        if waits is None:
            await self.driver.hang_up(call)
            return await self._lost("its steps were edited while it was under way; nobody can judge it by the new ones")
        prepared = await self._prepared()
        if prepared is None:
            return self.seen.observation()
        library, plan = prepared
        return await self._finish(call, library, replace(plan, waits=waits or plan.waits), None)

    def _waits_of(self, interrupted: InterruptedCall) -> tuple[int, ...] | None:
        """Return the waits by which the call went; empty if they are not on record, None if the steps are others now."""
        if interrupted.script is None:
            return ()
        script = json.loads(interrupted.script)
        return tuple(script["waits"]) if script["steps"] == self.titles else None

    async def _left_behind(self, interrupted: InterruptedCall) -> CarrierCall | None:
        if interrupted.sid is not None:
            return self.driver.carrier.adopt(await self.driver.carrier.fetch(interrupted.sid))
        call = await self.driver.find(interrupted.to, interrupted.from_, interrupted.intended_at)
        if call is not None:
            await self.ledger.dialled(call.sid)
            self._owns(call.sid)
        return call

    async def _lost(self, message: str) -> Observation:
        await self.ledger.settle(self.driver.worst_cost)
        return self.seen.unknown(Failure.INTERRUPTED, message, Attribution.MONITOR)

    async def _prepared(self) -> tuple[PromptLibrary, Plan] | None:
        """Return the references and the script; None when they cannot be had, which is noted."""
        try:
            library = await in_worker(self._references)
            plan = self._plan(library)
        except (PromptError, PlanTooLongError) as error:
            self.seen.unknown(Failure.MONITOR_ERROR, str(error), Attribution.MONITOR)
            return None
        if plan.seconds > self.spec.length_limit:
            text = (
                f"the steps need up to {plan.seconds:.0f}s, above length_limit ({self.spec.length_limit:g}s); raise it"
            )
            self.seen.unknown(Failure.MONITOR_ERROR, text, Attribution.MONITOR)
            return None
        return library, plan

    def _plan(self, library: PromptLibrary) -> Plan:
        """Return the script: by what calls measured, or without that where it would not fit. Raises PlanTooLongError."""
        if timings := self._timings():
            try:
                plan = compile_plan(self.spec, library.length, timings, self._opening())
            except PlanTooLongError as error:
                why = str(error)
            else:
                if plan.seconds <= self.spec.length_limit:
                    return plan
                why = f"it would take {plan.seconds:.0f}s of {self.spec.length_limit:g}s"
            _log.warning("measured_pauses_not_used", probe=self.ctx.run.probe, why=why)
        return compile_plan(self.spec, library.length, {}, self._opening())

    def _references(self) -> PromptLibrary:
        """Return the recordings that the call is held against. Raises PromptError."""
        library = load_prompts(*self.ctx.prompt_folders)
        if self.ctx.baselines is None or self.ctx.run.why is Why.CONTROL:
            return library
        return library.without(self.ctx.baselines.superseded(self.ctx.run.probe))

    def _opening(self) -> str:
        return self.ctx.transcriber.script(self.extension) if self.ctx.transcriber else ""

    def _timings(self) -> Timings:
        """Return what earlier calls measured. A confirming call has more patience: it may be that the line has slowed down."""
        if self.ctx.baselines is None or self.ctx.run.why in (Why.CONFIRM, Why.CONTROL):
            return {}
        return self.ctx.baselines.timings(self.ctx.run.probe, self.titles)

    def _conversation(self, library: PromptLibrary) -> LiveConversation | None:
        if self.spec.driver != "live" or self.extension is None:
            return None
        return LiveConversation(self.spec, library, self.driver.carrier, self.extension)

    async def _finish(
        self, call: CarrierCall, library: PromptLibrary, plan: Plan, live: LiveConversation | None
    ) -> Observation:
        self.seen.facts["call_sid"] = call.sid
        self._owns(call.sid)
        try:
            ended = await self.driver.follow(call) if live is None else await live.during(call, self.driver.follow)
        except CarrierError as error:
            await self.ledger.settle(self.driver.worst_cost)
            return self.seen.carrier_failed(error)
        self.ctx.release()
        cost = await self.driver.settle(ended.call)
        if ended.call.price is not None or not cost.amount:
            self.seen.unpriced = None
        self.seen.facts |= {"call_status": ended.call.status, "cost": str(cost), "call_seconds": ended.call.duration}
        self.seen.measures |= {name: value for name, value in ended.measures.items() if value is not None}
        waits = plan.waits if live is None else live_waits(self.spec, library.length)
        try:
            after = Aftermath(self.seen, self.driver, self.extension)
            await after.judge(ended, library, findings.planned(self.spec.steps, waits), live.sound if live else None)
        except CarrierError as error:
            return self.seen.carrier_failed(error)
        if live is not None:
            await self._note_live(live)
        if self.seen.facts.get("left_on_hold"):
            # Whom the line put us through to need not say the words of a recording.
            self.seen.findings = [f for f in self.seen.findings if f.failure in _OF_THE_LINE]
            message = "somebody seemed to answer while we were on hold, and was told what this is; nobody can be judged"
            return self.seen.unknown(Failure.INTERRUPTED, message)
        if "left_at" in self.seen.facts:
            return self._left_early()
        return self.seen.observation()

    def _left_early(self) -> Observation:
        """Return what was seen of a call that we left before its last step: what we did not do by then is nobody's fault."""
        undone = {step.title for step in self.spec.steps[int(str(self.seen.facts["left_at"])) :]}
        self.seen.findings = [f for f in self.seen.findings if f.failure not in _NOT_DONE or f.step not in undone]
        if any(f.failure not in (*AS_PLANNED, *_OF_THE_LINE) for f in self.seen.findings):
            return self.seen.observation()
        met = "somebody unknown seemed to answer, and was told what this is"
        if not self.seen.facts.get("statement_said"):
            met = "nothing but tones of the network seemed to be there, which the recording does not bear out"
        message = f"{met}; the rest of the steps were left undone"
        return self.seen.unknown(Failure.INTERRUPTED, message)

    async def _note_live(self, live: LiveConversation) -> None:
        self.seen.facts |= live.facts
        log = json.dumps(live.log, indent=1).encode()
        await self.seen.keep(log, "conversation", "application/json", "call-conversation.json")


_NOT_LIVE = (
    "driver: live needs a running daemon that the carrier can reach; set public_url in the carrier's twilio section, or use "
    "driver: recorded"
)


def _extension(ctx: RunContext, carrier: Carrier) -> Extension | None:
    """Return where the carrier's callbacks and live sound of this run arrive, if it can reach us at all."""
    account = carrier.spec.twilio
    if ctx.switchboard is None or account.public_url is None:
        return None
    return ctx.switchboard.open(account.auth_token, account.public_url)
