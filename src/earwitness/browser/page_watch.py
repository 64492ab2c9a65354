"""The watch over a payment page: its inventory held against the accepted one, and what changed told as findings."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from playwright.async_api import Error as BrowserError

from earwitness.browser.inventory import PageWatcher
from earwitness.browser.pages import Difference, PageBaselines, PageInventory, difference
from earwitness.model import Attribution, Effect, Evidence, Failure, Finding
from earwitness.probes.browser_spec import WatchSpec
from earwitness.probes.context import RunContext

_MOST_TOLD = 3  # differences that a message names
_OF_CHANGE = (Failure.PAGE_SCRIPTS_CHANGED, Failure.SECURITY_HEADERS_CHANGED)


@dataclass(slots=True)
class PageWatch:
    """One run's watch. `note` says in a fact what became of it."""

    spec: WatchSpec
    ctx: RunContext
    watcher: PageWatcher
    inventory: PageInventory | None = None
    whole: bool = False  # whether nothing is missing from the inventory
    findings: list[Finding] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    note: str = "not taken: the journey did not get there"
    _found: Difference = field(default_factory=Difference)
    _step: str = ""
    _broken: bool = False  # whether what was accepted cannot be read

    async def take(self, step: str) -> None:
        """Take the inventory now, and compare it. What cannot be looked at is told: a skimmer may see to that."""
        try:
            taken, missing = await self.watcher.take(self.ctx.run.probe, self.ctx.clock.now())
            self.inventory = replace(taken, changing=self.spec.changing)
        except (BrowserError, TimeoutError):
            missing = ["the page did not answer"]
        self.whole = not missing
        if missing:
            self.note = f"not taken: {'; '.join(missing[:_MOST_TOLD])}"
            message = f"the payment page could not be looked over: {'; '.join(missing[:_MOST_TOLD])}"
            self.findings.append(Finding(Failure.PAGE_NOT_WATCHED, message, Effect(self.spec.effect), step=step))
        baselines = self.ctx.pages
        if baselines is None:
            self.note = "not compared: there is no folder of baselines here"
        elif self.inventory is not None:
            await self._compare(baselines, self.inventory, step)

    async def _compare(self, baselines: PageBaselines, now: PageInventory, step: str) -> None:
        found = await asyncio.to_thread(self._compared, baselines, now)
        if found:
            await self._tell(found, step)
        elif self._broken:
            how = self.note.rpartition("; ")[2]
            message = f"what was accepted of the payment page cannot be read, and nothing is held against it; {how}"
            self.findings.append(Finding(Failure.MONITOR_ERROR, message, Effect.NONE, Attribution.MONITOR, step=step))

    def _compared(self, baselines: PageBaselines, now: PageInventory) -> Difference:
        accepted = baselines.accepted(now.probe)
        self._broken = accepted is None and baselines.is_broken(now.probe)
        found = difference(accepted, now) if accepted else Difference()
        if not self.whole:  # what is missing is not gone, and what is no whole inventory is nothing to accept
            return found.without_missing
        try:
            self.note = self._kept(baselines, now, found, known=accepted is not None)
        except OSError:
            self.note = "not kept: the disk refuses"
        return found

    def _kept(self, baselines: PageBaselines, now: PageInventory, found: Difference, *, known: bool) -> str:
        """Let it wait for somebody's word if it is not as accepted; return what became of it. Raises OSError."""
        if known and not found:
            baselines.discard(now.probe)
            return "as accepted"
        baselines.propose(now)
        accept = baselines.accepting(now)
        if known:
            return f"changed; if it is meant, run: {accept}"
        return f"no inventory is accepted yet; to accept this one, run: {accept}"

    async def _tell(self, found: Difference, step: str) -> None:
        self._found, self._step = found, step
        self.findings += self._told(found, step)
        await self._keep(found)

    @property
    def in_doubt(self) -> list[Finding]:
        """What is told of a visit whose journey met trouble of our own: it may have kept scripts from coming, and brings none."""
        return list(self._told(self._found.without_missing, self._step))

    def told_in_doubt(self) -> list[Finding]:
        """Return what is told of a visit whose journey went well though our own trouble kept something of the page from coming."""
        return [*(f for f in self.findings if f.failure not in _OF_CHANGE), *self.in_doubt]

    def _told(self, found: Difference, step: str) -> Iterator[Finding]:
        of_headers = (
            f"; nor are its security headers: {_listed(found.headers)}" if found.scripts and found.headers else ""
        )
        headers = Difference(headers=found.headers)
        for failure, lines, what, also, told in (
            (Failure.PAGE_SCRIPTS_CHANGED, found.scripts, "the scripts of the payment page", of_headers, found),
            (Failure.SECURITY_HEADERS_CHANGED, found.headers, "the security headers of the payment page", "", headers),
        ):
            if lines:  # of two findings, people are told of the first
                message = f"{what} are not those that were accepted: {_listed(lines)}{also}; {self.note.removeprefix('changed; ')}"
                yield Finding(failure, message, Effect(self.spec.effect), step=step, differences=told.known_by)

    async def _keep(self, found: Difference) -> None:
        assert self.inventory is not None
        document = {"difference": asdict(found), "inventory": asdict(self.inventory)}
        text = "\n".join(["Scripts:", *found.scripts, "", "Security headers:", *found.headers, ""])
        for media_type, name, content in (
            ("application/json", "page-watch.json", json.dumps(document, ensure_ascii=False, indent=1)),
            ("text/plain; charset=utf-8", "page-watch.txt", text),
        ):
            self.evidence += await self.ctx.keep(content.encode(), kind="page_watch", media_type=media_type, name=name)


def _listed(lines: Sequence[str]) -> str:
    more = f"; and {len(lines) - _MOST_TOLD} more" if len(lines) > _MOST_TOLD else ""
    return "; ".join(lines[:_MOST_TOLD]) + more
