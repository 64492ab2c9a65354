"""What is left to do at the carrier when a run is over, worked off with retries until it is done: recordings to delete, prices to read.

The list is in the store, so it outlives the daemon. Only calls that runs of ours made are on it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from earwitness.clock import Clock
from earwitness.metrics import Metrics
from earwitness.store import errands, spend
from earwitness.store.errands import ErrandRow
from earwitness.store.store import Store
from earwitness.telephony.errors import CarrierError

if TYPE_CHECKING:
    from earwitness.telephony.carrier import Carrier

_BEAT = 15.0  # seconds
_BATCH = 20  # errands
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0  # seconds between two tries, doubling
_SETTLED_AFTER = (
    24 * 3600.0
)  # seconds after which what the carrier has not processed is deleted as it is, and what is not there never comes
_GIVE_UP = {"delete_recordings": 14 * 24 * 3600.0, "read_price": 24 * 3600.0}  # seconds
_FINISHED = ("completed", "absent")
_log = structlog.get_logger(__name__)


class Errands:
    """Runs for as long as the daemon does. `carrier` gives a carrier by its name; it raises LookupError for one that is gone."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics, carrier: "Callable[[str], Carrier]") -> None:
        self._store, self._clock, self._metrics, self._carrier = store, clock, metrics, carrier

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                await self.work_off()
            except SQLAlchemyError:  # A full disk or a locked database passes; housekeeping shows it.
                _log.exception("errands_failed")
            await self._clock.sleep(_BEAT)

    async def work_off(self) -> None:
        """Try each errand that is due once."""
        now = self._clock.now()
        for row in await self._store.read(lambda c: errands.due(c, now, _BATCH)):
            await self._try(row)

    async def _try(self, row: ErrandRow) -> None:
        age = self._clock.now() - row.since
        try:
            work = self._read_price if row.kind == "read_price" else self._delete_recordings
            finished = await work(self._carrier(row.carrier), row, age)
        except (CarrierError, LookupError) as error:
            finished = False
            _log.warning("errand_postponed", kind=row.kind, call_sid=row.call_sid, why=str(error))
        if not finished and age > _GIVE_UP[row.kind]:
            _log.warning("errand_given_up", kind=row.kind, call_sid=row.call_sid, recording_sid=row.recording_sid)
            finished = True
        if finished:
            await self._store.write(lambda c: errands.done(c, row))
            return
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(row.tries, 10))
        await self._store.write(lambda c: errands.postpone(c, row, self._clock.now() + pause))

    async def _delete_recordings(self, carrier: "Carrier", row: ErrandRow, age: float) -> bool:
        """Delete what the carrier lists of the call. Return whether there is, and will be, nothing more."""
        found = await carrier.recordings(row.call_sid)
        left = 0
        for recording in found:
            if recording.status in _FINISHED or age > _SETTLED_AFTER:
                await carrier.delete_recording(recording.sid)
                _log.info("recording_deleted", recording_sid=recording.sid, call_sid=row.call_sid, reason=row.reason)
            else:
                left += 1
        known = bool(found) or row.recording_sid is not None
        return not left and (known or age > _SETTLED_AFTER)

    async def _read_price(self, carrier: "Carrier", row: ErrandRow, _age: float) -> bool:
        """Book what the call cost, in place of our estimate. Return whether the carrier has told it."""
        call = await carrier.fetch(row.call_sid)
        if not call.over or (call.price is None and call.duration):
            return False
        price = carrier.price_of(call) or carrier.cost(call.duration or 0.0)  # a call that nobody answered has no price
        more = await self._store.write(lambda c: spend.reprice(c, row.run, spend.micros(price.amount)))
        self._metrics.spend.labels(price.currency).inc(
            max(0, more) / 1_000_000
        )  # a counter never goes down; the ledger does
        _log.info("price_read", call_sid=row.call_sid, price=str(price))
        return True
