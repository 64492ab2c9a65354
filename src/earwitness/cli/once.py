"""Runs of probes without a daemon: for `check` and `calibrate`. They open nothing and tell nobody."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from earwitness.browser.engine import BrowserEngine
from earwitness.browser.pages import PageBaselines
from earwitness.clock import SystemClock
from earwitness.config.fields import Money
from earwitness.config.schema import BudgetSpec, Config
from earwitness.dispatch.errands import Errands
from earwitness.dispatch.local import Dispatcher
from earwitness.dispatch.ports import Lasting, Ports
from earwitness.evidence.storage import EvidenceStorage
from earwitness.metrics import Metrics
from earwitness.model import Observation, Request
from earwitness.store.store import Store
from earwitness.store.versions import MigrationError
from earwitness.telephony.baselines import FOLDER, Baselines
from earwitness.transport.client import WebClient

STORE = "earwitness.db"  # in a daemon's data directory


class CannotRunError(Exception):
    """The monitor itself cannot do what was asked."""


class Once:
    """Runs probes by name."""

    def __init__(self, evidence: EvidenceStorage) -> None:
        self.evidence = evidence  # which is gone at the end, without a daemon's data directory
        self._results: dict[str, asyncio.Future[Observation]] = {}
        self._dispatcher: Dispatcher | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def of(
        cls,
        config: Config,
        *,
        data_dir: Path | None = None,
        max_spend: Money | None = None,
        baselines: Baselines | None = None,
    ) -> AsyncIterator["Once"]:
        """Yield it. Calls spend from the ledger in `data_dir`, else up to `max_spend`. Raises CannotRunError."""
        clock, web, metrics = SystemClock(), WebClient(config.network), Metrics()
        with tempfile.TemporaryDirectory(prefix="earwitness-") as folder:
            store = Store.open(Path(folder) / STORE)
            money = open_ledger(data_dir / STORE) if data_dir else store
            pages = PageBaselines(data_dir / FOLDER) if data_dir else None
            browser = BrowserEngine(lambda: web, config.browser)
            evidence = EvidenceStorage((data_dir or Path(folder)) / "evidence")
            once = cls(evidence)
            if max_spend is not None:
                budget = BudgetSpec(per_day=max_spend, keep_for_confirmation=0.0)
                config = config.model_copy(update={"budget": budget})
            ports = Ports(config, clock, web, evidence, lasting=Lasting(baselines, browser=browser, pages=pages))
            once._dispatcher = Dispatcher(config, store, clock, metrics, ports, once._take, money)
            try:
                yield once
            finally:
                await once._dispatcher.drain(0.0)  # what was interrupted cleans up while it still can
                if money is store:  # nobody else will ever see its list
                    await Errands(store, clock, metrics, ports.carrier).work_off()
                await browser.aclose()
                await web.aclose()
                for opened in {store, money}:
                    opened.close()

    async def run(self, probe: str) -> Observation:
        """Run a probe, beside its other runs."""
        assert self._dispatcher is not None
        return await self._result(self._dispatcher.run_now(probe, beside=True).id)

    async def asked(self, wanted: Request) -> Observation:
        """Make a run that the judge asks for."""
        assert self._dispatcher is not None
        self._dispatcher.request(wanted)
        return await self._result(wanted.key)

    def _result(self, key: str) -> asyncio.Future[Observation]:
        return self._results.setdefault(key, asyncio.get_running_loop().create_future())

    async def _take(self, observation: Observation) -> None:
        self._result(observation.run.request or observation.run.id).set_result(observation)


def open_ledger(path: Path) -> Store:
    """Return the store at `path`. Raises CannotRunError."""
    try:
        return Store.open(path)
    except (OSError, DBAPIError, MigrationError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise CannotRunError(f"{path} cannot be opened: {cause}; is it the data directory of a daemon?") from error
