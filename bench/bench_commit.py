"""Writing rows durably: one commit each, against the store's writer, which commits together what is waiting."""

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

from earwitness.model import Channel, Run, Why
from earwitness.store import history
from earwitness.store.store import Store

ROWS = 2_000


def measure():
    with tempfile.TemporaryDirectory() as folder:
        single = _single(Path(folder) / "peer.db")
        ours = asyncio.run(_ours(Path(folder) / "ours.db"))
    yield f"sqlite3, WAL and FULL, {ROWS:,} rows, a commit each", f"{single * 1e6:.0f} us/row"
    yield "our writer, the same number of runs begun at once", f"{ours * 1e6:.0f} us/row"
    yield "ratio of CPU", f"{ours / single:.2f}"


def _single(path):
    database = sqlite3.connect(path)
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a, b, c)")
    start = time.process_time()
    for n in range(ROWS):
        database.execute("INSERT INTO t VALUES (?, ?, ?)", (n, "web", "x" * 300))
        database.commit()
    took = time.process_time() - start
    database.close()
    return took / ROWS


async def _ours(path):
    store = Store.open(path)
    runs = [
        Run(f"run-{n}", "web", "shop", Channel.HTTP, "here", "production", Why.SCHEDULED, 0.0, n) for n in range(ROWS)
    ]
    start = time.process_time()
    await asyncio.gather(*(store.write(lambda c, run=run: history.begin_runs(c, [run], 0.0)) for run in runs))
    took = time.process_time() - start
    store.close()
    return took / ROWS
