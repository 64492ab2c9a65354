"""The daemon: wires the rooms together; starts, reloads, drains and stops them."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from earwitness.alerting.ack_links import AckLinks, read_or_make_key
from earwitness.alerting.couriers import LONGEST_PAUSE
from earwitness.alerting.heartbeat import Heartbeat, Vitals
from earwitness.alerting.impairment_notices import ImpairmentNotices
from earwitness.alerting.insistence import Insistence, Ladders
from earwitness.alerting.notices import Links
from earwitness.alerting.postroom import Postroom
from earwitness.alerting.routing import Router
from earwitness.browser.pages import PageBaselines
from earwitness.clock import Clock, SystemClock
from earwitness.commit import CommitLoop, Committed
from earwitness.config.advice import advice_on
from earwitness.config.load import ConfigError, load_config
from earwitness.config.rules import rules_of
from earwitness.config.schema import Config
from earwitness.console.app import create_app
from earwitness.console.house import House
from earwitness.data_dir import locked, open_store
from earwitness.dispatch.errands import Errands
from earwitness.dispatch.local import Dispatcher
from earwitness.dispatch.ports import Lasting, Ports
from earwitness.evidence.links import EvidenceLinks
from earwitness.evidence.storage import EvidenceStorage
from earwitness.housekeeping import Housekeeping
from earwitness.impairments import Impairments
from earwitness.judge import stopped_by, tested_by
from earwitness.logs import SecretMask
from earwitness.metrics import Metrics
from earwitness.model import Observed, ProbeRule, Reconfigured, Rules, Run
from earwitness.schedule import Schedule
from earwitness.serving import listen, served
from earwitness.store import history, outbox, verdicts
from earwitness.store.store import Store
from earwitness.sweeping import Sweeper
from earwitness.systemd import notify_systemd
from earwitness.telephony.baselines import FOLDER, Baselines
from earwitness.telephony.switchboard import Switchboard
from earwitness.ticking import Ticker
from earwitness.transport.client import WebClient

if TYPE_CHECKING:
    from earwitness.browser.engine import BrowserEngine

log = structlog.get_logger()
_SWITCH = 0.001  # seconds after which a thread, such as one that renders metrics, lets the event loop go on; Python's own is 5 ms
_LARGEST_MESSAGE = 64 * 1024  # bytes of a WebSocket message, and of an answer that nobody reads
_YOUNG = 10_000  # objects between two collections; at Python's 700 each run of a probe is looked through several times
_LONGEST_RUN = 3600.0  # seconds that a run may last, the wait for its recording included
_DRAIN = 20.0  # seconds that runs get to end; Kubernetes waits 30 in all


class App:
    """One daemon. `serve()` runs it until `stop()`."""

    def __init__(
        self, config_path: Path, data_dir: Path, *, mask: SecretMask | None = None, location: str = "local"
    ) -> None:
        self._path = config_path
        self._data_dir = data_dir
        self._location = location
        self._clock: Clock = SystemClock()
        self._mask = mask or SecretMask()
        self._stopping = asyncio.Event()
        self._started = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._retired: list[tuple[float, WebClient]] = []  # with when it was replaced
        self._ports_in_use: Ports | None = None
        self.url = ""

    def stop(self) -> None:
        """Ask for a clean end."""
        self._stopping.set()

    async def started(self) -> None:
        """Return when the daemon serves and its schedule runs."""
        await self._started.wait()

    async def serve(self) -> None:
        """Run until stopped.

        Raises ConfigError, AlreadyRunningError, CannotListenError or UnusableStoreError before anything began.
        """
        config, rules = self._read()
        with locked(self._data_dir), contextlib.closing(listen(*config.http.address)) as listener:
            self.url = "http://{}:{}".format(*listener.getsockname()[:2])
            store = await asyncio.to_thread(open_store, self._data_dir / "earwitness.db")
            try:
                self._wire(config, rules, store)
                await self._commit.load()
                async with (
                    served(create_app(self._house), listener, ws="websockets-sansio", ws_max_size=_LARGEST_MESSAGE),
                    self._background(),
                ):
                    await self._begin()
                    await self._stopping.wait()
                    await self._end()
            finally:
                await self._close()

    # --- wiring ------------------------------------------------------------------------------------------------------

    def _wire(self, config: Config, rules: Rules, store: Store) -> None:
        self._config, self._rules, self._store = config, rules, store
        self._wire_ground(config)
        self._wire_work(config, store)
        self._wire_alerting(store)
        self._house = House(
            config=config,
            rules=self._rules,
            clock=self._clock,
            store=store,
            evidence=self._evidence,
            metrics=self._metrics,
            impairments=self._impairments,
            commit=self._commit,
            dispatcher=self._dispatcher,
            switchboard=self._switchboard,
            baselines=self._baselines,
            pages=self._pages,
            ack_links=self._ack_links,
            evidence_links=self._evidence_links,
            wake_couriers=self._postroom.wake,
            try_hook=self._postroom.try_out,
            ready=self._ready,
            alive=self._alive,
        )

    def _wire_ground(self, config: Config) -> None:
        """Set up what all others stand on."""
        self._evidence = EvidenceStorage(self._data_dir / "evidence")
        self._baselines, self._switchboard = Baselines(self._data_dir / FOLDER), Switchboard()
        self._pages = PageBaselines(self._data_dir / FOLDER)
        key = read_or_make_key(self._data_dir / "ack.key")
        self._ack_links = AckLinks(key, self._public_url())
        self._evidence_links = EvidenceLinks(key, self._public_url())
        self._metrics = Metrics(self._location)
        self._metrics.reload.set(1)
        self._impairments = Impairments(lambda part, bad: self._metrics.impaired.labels(part).set(bad))
        self._web = WebClient(config.network)
        self._browser: BrowserEngine | None = None

    def _wire_work(self, config: Config, store: Store) -> None:
        """Set up what runs probes and judges what they see."""
        self._commit = CommitLoop(store, self._clock, self._rules, Router.of(config, self._location), self._publish)
        self._dispatcher = Dispatcher(
            config, store, self._clock, self._metrics, self._ports(), lambda seen: self._commit.submit(Observed(seen))
        )
        self._dispatcher.heed(self._stopped_by, self._tested_by)
        self._schedule = Schedule(self._clock, self._dispatcher.on_due)

    def _wire_alerting(self, store: Store) -> None:
        """Set up what tells people."""
        self._postroom = Postroom(
            store,
            self._clock,
            self._metrics,
            lambda: self._web,
            Links(self._public_url(), self._ack_links if self._config.http.public_url else None),
            self._evidence.path,
            self._impairments,
        )
        self._postroom.on_said(self._commit.submit)
        self._insistence = Insistence(store, self._clock, self._ladders(), self._postroom.wake)
        self._notices = ImpairmentNotices(
            store, self._clock, self._impairments, lambda: self._config, self._postroom.wake
        )
        self._heartbeat = Heartbeat(
            Vitals(self._alive, self._commit, store, self._clock),
            lambda: self._config.heartbeat if self._started.is_set() else None,
            lambda seconds: self._web.client(timeout=seconds, body_limit=_LARGEST_MESSAGE),
            self._impairments,
        )

    def _stopped_by(self, probe: str) -> str | None:
        return stopped_by(probe, self._commit.state.quiet.values(), self._rules, self._clock.now())

    def _tested_by(self, probe: str, at: float) -> str:
        return tested_by(probe, self._rules, at) if probe in self._rules.probes else ""

    def _ready(self) -> bool:
        serving = self._started.is_set() and not self._stopping.is_set()
        return serving and not self._commit.failing and not self._dispatcher.failing

    def _ladders(self) -> Ladders:
        return Ladders(Router.of(self._config, self._location), self._config.escalations)

    def _public_url(self) -> str:
        return (self._config.http.public_url or self.url).rstrip("/")

    def _ports(self) -> Ports:
        """Return the ports of the configuration in use, with the carriers that it has in common with the one before."""
        before, lasting = self._ports_in_use, Lasting(self._baselines, self._switchboard, self._engine(), self._pages)
        self._ports_in_use = Ports(self._config, self._clock, self._web, self._evidence, self._location, lasting)
        if before:
            self._ports_in_use.take_over(before)
        return self._ports_in_use

    def _engine(self) -> "BrowserEngine | None":
        """Return what runs the browser: made when a configuration first has a probe for it, since it loads a megabyte."""
        if self._browser is None and any(probe.browser for probe in self._config.probes.values()):
            from earwitness.browser.engine import BrowserEngine  # noqa: PLC0415

            self._browser = BrowserEngine(lambda: self._web, self._config.browser, self._metrics.browser)
        return self._browser

    # --- life --------------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        now = self._clock.now()
        last = await self._store.read(history.last_slots)
        await self._store.write(lambda c: outbox.release_leases(c, now))
        await self._let_go_of_the_future()
        self._postroom.configure(self._config)
        await self._commit.submit(Reconfigured(self._clock.now()))
        for run in await self._store.read(history.unfinished_runs):
            self._dispatcher.resume(run)
        for request in await self._store.read(verdicts.pending_requests):
            self._dispatcher.request(request)
        gc.collect()
        gc.freeze()  # what is there now stays: no later collection need look through it
        gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
        self._schedule.start(self._config.probes, last)
        self._started.set()
        log.info("started", url=self.url, probes=len(self._config.probes), data_dir=str(self._data_dir))
        for line in advice_on(self._config):
            log.warning("configuration_note", note=line)
        notify_systemd("READY=1")

    async def _end(self) -> None:
        log.info("stopping", running=self._dispatcher.running)
        notify_systemd("STOPPING=1")
        self._schedule.stop()
        await self._dispatcher.drain(_DRAIN)

    async def _close(self) -> None:
        if self._browser is not None:
            await self._browser.aclose()
        await self._close_retired(float("inf"))
        await self._web.aclose()
        await asyncio.to_thread(self._store.close)

    @contextlib.asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        """Run the loops; one that ends is a fault, and stops the daemon so that its supervisor starts it afresh."""
        housekeeping = Housekeeping(self._house, self._clock_set_back)
        loops: list[Coroutine[Any, Any, None]] = [
            self._commit.run(),
            self._postroom.run(),
            self._ticks(),
            housekeeping.run(),
            Sweeper(self._store, self._evidence, self._clock, lambda: self._config.history.keep).run(),
            self._heartbeat.run(),
            self._insistence.run(),
            self._notices.run(),
            Errands(self._store, self._clock, self._metrics, self._dispatcher.carrier).run(),
            self._watchdog(),
        ]
        tasks = [asyncio.create_task(work) for work in loops]
        guard = asyncio.create_task(self._stop_when_one_ends(tasks))
        try:
            yield
        finally:
            guard.cancel()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for result in ended:
            if isinstance(result, Exception):
                raise result

    async def _stop_when_one_ends(self, tasks: list[asyncio.Task[None]]) -> None:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        log.error("loop_ended")
        self.stop()

    async def _clock_set_back(self) -> None:
        """Let nothing wait for the hour that the clock lost: slots come a second time, and are to be free by then."""
        await self._let_go_of_the_future()
        self._schedule.rewind()
        self._postroom.wake()

    async def _let_go_of_the_future(self) -> None:
        now = self._clock.now()
        await self._store.write(lambda c: history.let_go_of_slots_after(c, round(now * 1000)))
        await self._store.write(lambda c: outbox.bring_forward(c, now, LONGEST_PAUSE))

    async def _ticks(self) -> None:
        """Pass time from when the judge knows the configuration."""
        await self._started.wait()
        await Ticker(self._clock, self._commit, lambda: self._rules).run()

    async def _watchdog(self) -> None:
        """Tell systemd that the scheduler ticks; a stalled scheduler is restarted."""
        period = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000 or 10.0
        while True:
            await self._clock.sleep(period)
            if self._alive():
                notify_systemd("WATCHDOG=1")

    def _alive(self) -> bool:
        return not self._started.is_set() or self._clock.monotonic() - self._schedule.ticked_at < 15

    # --- what follows a commit ---------------------------------------------------------------------------------------

    def _publish(self, committed: Committed) -> None:
        for seen in committed.observations:
            if _series(self._rules.probes.get(seen.run.probe)) == _series(seen.run):  # else it outlived its probe
                self._metrics.observed(seen)
                self._impairments.observed(seen)
        for transition in committed.transitions:
            self._metrics.changed(transition, self._rules)
            log.info(
                "incident_changed",
                incident=transition.incident.id,
                change=transition.kind.value,
                severity=transition.incident.severity.value,
                title=transition.incident.title,
            )
        self._metrics.open_now(Counter(i.severity for i in self._commit.state.open_incidents()))
        if committed.transitions:
            self._postroom.wake()
        for request in committed.requests:
            self._dispatcher.request(request)

    # --- reload ------------------------------------------------------------------------------------------------------

    async def reload(self) -> None:
        """Take up the configuration as it is on disk now: all of it, or, if anything is wrong with it, none.

        One after the other, and none before the daemon has started: the newest configuration wins.
        """
        await self._started.wait()
        async with self._reloading:
            try:
                await self._reload()
            except Exception:  # The old configuration goes on, and the metric says that the new one does not.
                self._metrics.reload.set(0)
                log.exception("reload_failed")

    async def _reload(self) -> None:
        try:
            config, rules = await asyncio.to_thread(self._read)
            if config.http != self._config.http:
                log.warning("reload_keeps_http", advice="a change of the http section needs a restart")
        except ConfigError as error:
            self._metrics.reload.set(0)
            log.error("reload_refused", problems=[str(p) for p in error.problems])  # noqa: TRY400  Not ours to trace.
            return
        await self._apply(config, rules)
        self._metrics.reload.set(1)
        log.info("reloaded", probes=len(config.probes))

    def _read(self) -> tuple[Config, Rules]:
        """Read the configuration and what is made of all of it, away from the loop: runs in flight would take its wait for their target's."""
        config = load_config(self._path)
        self._mask.learn(config)
        return config, rules_of(config)

    async def _apply(self, config: Config, rules: Rules) -> None:
        if config.network != self._config.network:
            await self._close_retired(self._clock.monotonic() - _LONGEST_RUN)
            self._retired.append((self._clock.monotonic(), self._web))
            self._web = WebClient(config.network)
        if self._browser is not None:
            self._browser.configure(config.browser)
        before, self._config, self._rules = self._rules.probes, config, rules
        for name, rule in before.items():
            if _series(rule) != _series(self._rules.probes.get(name)):
                self._metrics.forget(name)
                self._impairments.forget(name)
        self._house.config, self._house.rules = config, self._rules
        self._dispatcher.reconfigure(config, self._ports())
        self._postroom.configure(config)
        self._insistence.ladders = self._ladders()
        self._schedule.apply(config.probes)
        await self._commit.reconfigure(self._rules, Router.of(config, self._location))

    async def _close_retired(self, before: float) -> None:
        """Close the clients that were replaced before this moment: no run goes on with one of them."""
        closing = [client for moment, client in self._retired if moment <= before]
        self._retired = [(moment, client) for moment, client in self._retired if moment > before]
        for client in closing:
            await client.aclose()


def _series(of: ProbeRule | Run | None) -> tuple[str, ...] | None:
    """Return what the configuration puts into the labels of a probe's series."""
    return None if of is None else (of.journey, of.channel, of.environment)


async def run_daemon(config_path: Path, data_dir: Path, mask: SecretMask, location: str) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads."""
    sys.setswitchinterval(_SWITCH)
    app = App(config_path, data_dir, mask=mask, location=location)
    loop, reloads = asyncio.get_running_loop(), set()

    def reload() -> None:
        task = loop.create_task(app.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    await app.serve()
