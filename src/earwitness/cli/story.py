"""The founding story: Black Friday, and the card processor fails on the web and on the phone; then its form fails, in a browser.

The story only turns switches at the simulator, asks the daemon's API what it saw, and checks that it saw all of it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from earwitness.cli.timeline import Timeline

_PATIENCE = 40.0  # seconds that any one chapter may take
_IN_BROWSER, _SAME_PAGE = "checkout-in-browser", "checkout-page-on-web"

Json = dict[str, Any]


class BrokenPromiseError(Exception):
    """The story did not go as promised."""


@dataclass(slots=True)
class Stage:
    """The daemon's API, the simulator's switches, and what the receiver was told."""

    daemon: httpx.AsyncClient
    simulator: httpx.AsyncClient
    timeline: Timeline
    alerts: list[Json] = field(default_factory=list)
    left_out: str = ""  # what is not played, why, and how to get it; empty where all is

    def leave_out(self, no_browser: str) -> None:
        """Leave out the browser's part for this reason, and say so; an empty one leaves out nothing."""
        if no_browser:
            self.left_out = f"the browser's part is left out: {no_browser}"
            self.timeline.say("left out", self.left_out[0].upper() + self.left_out[1:])

    @property
    def console(self) -> str:
        return str(self.daemon.base_url).rstrip("/")

    async def break_(self, fault: str, words: str, parameters: Json | None = None) -> None:
        self.timeline.say("fault", words)
        (await self.simulator.put(f"/faults/{fault}", json=parameters or {})).raise_for_status()

    async def mend(self, fault: str, words: str) -> None:
        self.timeline.say("mended", words)
        (await self.simulator.delete(f"/faults/{fault}")).raise_for_status()

    async def look(self, *probes: str) -> None:
        """Ask for runs now instead of waiting for the schedule."""
        for probe in probes:
            (await self.daemon.post(f"/api/v1/probes/{probe}/run")).raise_for_status()

    async def get(self, path: str) -> Any:
        reply = await self.daemon.get(f"/api/v1/{path}")
        reply.raise_for_status()
        return reply.json()

    async def until(self, what: str, condition: Callable[[], Awaitable[Any]]) -> Any:
        """Return what the condition returns, as soon as it is true. Raises BrokenPromiseError when that takes too long."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if found := await condition():
                return found
            await asyncio.sleep(0.1)
        raise BrokenPromiseError(f"{what} did not happen within {_PATIENCE:g} s")

    async def incident(self, severity: str, status: str, probe: str) -> Json:
        """Return the incident of this probe once it has this severity and status."""

        async def found() -> Json | None:
            return next(
                (
                    i
                    for i in await self.get("incidents")
                    if probe in i["probes"] and i["severity"] == severity and i["status"] == status
                ),
                None,
            )

        incident: Json = await self.until(f"a {severity} incident of {probe} that is {status}", found)
        return incident

    async def alert(self, incident: str, kind: str) -> Json:
        """Return the alert of this kind about the incident, once the receiver has it."""

        async def found() -> Json | None:
            wanted = (f"incident.{kind}", incident)
            return next((a for a in self.alerts if (a["type"], a["data"]["incident"]["id"]) == wanted), None)

        alert: Json = await self.until(f"an alert that {incident} {kind}s", found)
        return alert


# --- chapters --------------------------------------------------------------------------------------------------------


async def all_is_well(stage: Stage) -> None:
    """Every journey is tried once, and works."""
    stage.timeline.say("story", "Black Friday. The contact centre and the shop are open.")
    await stage.look("pay-by-phone", "mortgage-queue", "hours-by-phone", *([] if stage.left_out else [_IN_BROWSER]))

    async def healthy() -> bool:
        await _leave_out_what_does_not_start(stage)
        probes = await stage.get("probes")
        return all(p["outcome"] == "ok" for p in probes if not (stage.left_out and p["name"] == _IN_BROWSER))

    await stage.until("every probe passing", healthy)
    pages = "pages opened" if stage.left_out else "pages opened, a card typed into a form in a browser"
    stage.timeline.say("ok", f"Three calls answered and heard, {pages}: every journey works.")


async def _leave_out_what_does_not_start(stage: Stage) -> None:
    """A browser that is there does not start everywhere: its sandbox needs what some containers forbid."""
    seen = [] if stage.left_out else await stage.get(f"runs?probe={_IN_BROWSER}&limit=1")
    broken = [f["message"] for run in seen for f in run["findings"] if f["failure"] == "browser_failed"]
    stage.leave_out("".join(broken))


async def the_card_processor_fails(stage: Stage) -> None:
    """One Sev1 with the evidence of both channels, told and taken back."""
    await stage.break_("card-processor-down", "The card processor's connection fails.")

    async def both() -> Json | None:
        incident = await stage.incident("sev1", "open", "pay-on-web")
        return incident if "pay-by-phone" in incident["probes"] else None

    incident: Json = await stage.until("one Sev1 incident of web and phone", both)
    stage.timeline.incident(incident)
    await _check_founding_incident(stage, incident)
    alert = await stage.alert(incident["id"], "open")
    stage.timeline.say("alert", f"on-call was told: {alert['data']['incident']['title']}")
    await stage.mend("card-processor-down", "The card processor is back.")
    resolved = await stage.incident("sev1", "resolved", "pay-on-web")
    stage.timeline.incident(resolved)
    await stage.alert(incident["id"], "resolve")
    stage.timeline.say("alert", "on-call was told that it is over")


async def _check_founding_incident(stage: Stage, incident: Json) -> None:
    _promise(incident["cause"]["dependency"] == "card-processor", "the incident names the card processor")
    _promise(len(await stage.get("incidents")) == 1, "web and phone are one incident")
    kinds = {e["kind"]: e for e in incident["evidence"]}
    _promise({"recording", "response"} <= kinds.keys(), "the evidence has the recording and the response")
    recording = await stage.daemon.get(kinds["recording"]["url"])
    _promise(recording.content[:4] == b"RIFF" and len(recording.content) > 100_000, "the recording can be played")
    stage.timeline.say("evidence", f"hear the call: {stage.console}/incidents/{incident['id']}")


async def calls_are_misrouted(stage: Stage) -> None:
    """Callers reach the wrong team: Sev2. Meanwhile a release fails in staging, no customer's business, and the card form in browsers."""
    await stage.break_("misroute", "Call routing sends callers for mortgages to lost cards.")
    await stage.break_("staging-down", "Meanwhile the next release fails in staging.")
    await stage.look("mortgage-queue")
    await _card_form_breaks(stage)
    stage.timeline.incident(await stage.incident("nonprod", "open", "staging-web"))
    await _card_form_is_told(stage)
    stage.timeline.incident(await stage.incident("sev2", "open", "mortgage-queue"))
    await stage.mend("misroute", "Call routing is repaired.")
    await stage.mend("staging-down", "Staging is repaired.")
    await stage.look("mortgage-queue")
    await _card_form_is_back(stage)
    stage.timeline.incident(await stage.incident("sev2", "resolved", "mortgage-queue"))


async def _card_form_breaks(stage: Stage) -> None:
    """What only a browser sees: the page answers 200, and no customer can type a card into it."""
    if not stage.left_out:
        await stage.break_("card-script-down", "The script that brings the card form into the payment page breaks.")
        await stage.look(_IN_BROWSER)


async def _card_form_is_told(stage: Stage) -> None:
    if stage.left_out:
        return
    incident = await stage.incident("sev1", "open", _IN_BROWSER)
    stage.timeline.incident(incident)
    _promise(incident["cause"]["dependency"] == "card-form", "the incident names the third party behind the card form")
    pictures = [e for e in incident["evidence"] if e["kind"] == "screenshot"]
    _promise(pictures, "the evidence has a screenshot")
    picture = await stage.daemon.get(pictures[-1]["url"])
    _promise(picture.content.startswith(b"\x89PNG"), "the screenshot can be looked at")
    passing = [p["name"] for p in await stage.get("probes") if p["outcome"] == "ok"]
    _promise(_SAME_PAGE in passing, "the HTTP check of the same page passes")
    where = f"{stage.console}/incidents/{incident['id']}"
    stage.timeline.say("evidence", f"see the page, of which {_SAME_PAGE} still says 200: {where}")


async def _card_form_is_back(stage: Stage) -> None:
    if not stage.left_out:
        await stage.mend("card-script-down", "The card form is back.")
        await stage.look(_IN_BROWSER)
        stage.timeline.incident(await stage.incident("sev1", "resolved", _IN_BROWSER))


async def audio_is_poor(stage: Stage) -> None:
    """Everything works, but everyone has to repeat themselves: Sev3."""
    await stage.break_("poor-audio", "The line crackles.", {"level": 0.5})
    for _ in range(2):
        await stage.look("hours-by-phone")
    stage.timeline.incident(await stage.incident("sev3", "open", "hours-by-phone"))
    await stage.mend("poor-audio", "The line is clear again.")
    await stage.look("hours-by-phone")


async def all_is_over(stage: Stage) -> None:
    async def nothing_open() -> bool:
        return all(incident["status"] == "resolved" for incident in await stage.get("incidents"))

    await stage.until("every incident resolving", nothing_open)
    stage.timeline.say("ok", "Every incident is resolved.")


Chapter = Callable[[Stage], Awaitable[None]]
SCENARIOS: dict[str, tuple[Chapter, ...]] = {
    "black-friday": (all_is_well, the_card_processor_fails, calls_are_misrouted, audio_is_poor, all_is_over),
}


def _promise(kept: object, words: str) -> None:
    if not kept:
        raise BrokenPromiseError(f"it was promised that {words}; that is not so")
