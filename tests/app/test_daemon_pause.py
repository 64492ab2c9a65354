"""A machine that is paused, or a process that gets no time, is nobody's outage."""

import asyncio
import signal

from daemon import PATIENCE, Daemon
from virtual import until
from web_servers import raw_server

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_PROBES = 20
_UNKNOWN = "SELECT document FROM observations WHERE outcome = 'unknown'"


async def answer_slowly(reader, writer):
    """So that some run is always under way."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.4)
    writer.write(_ANSWER)
    await writer.drain()


async def test_a_pause_of_the_monitor_is_told_as_its_own_and_opens_nothing(tmp_path):
    async with raw_server(answer_slowly) as port:
        daemon = Daemon(tmp_path)
        daemon.configure(shops(f"http://127.0.0.1:{port}/"))
        await daemon.start()
        try:
            await pause(daemon)
            ((document,), *_) = await until(lambda: daemon.rows(_UNKNOWN), PATIENCE)
            assert "the monitor itself stood still for" in document
            assert daemon.rows("SELECT 1 FROM observations WHERE outcome = 'finding'") == []
            assert await daemon.get("incidents") == []
            await daemon.passes(*(f"web-{n}" for n in range(_PROBES)))
            await daemon.shows(0, "earwitness_monitor_impaired", component="monitor")
        finally:
            await daemon.close()


def shops(url):
    """A configuration in which any two failures at once open an incident."""
    probe = {"journey": "shop", "depends_on": ["web"], "every": "2s", "http": {"url": url, "timeout": "1s"}}
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "dependencies": {"web": {}},
        "journeys": {"shop": {}},
        "probes": {f"web-{n}": probe for n in range(_PROBES)},
    }


async def pause(daemon):
    """Stop the process while runs are under way, for longer than any of them may take."""
    await until(lambda: daemon.rows("SELECT 1 FROM runs WHERE state = 'running'"), PATIENCE)
    daemon.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(3)
    daemon.process.send_signal(signal.SIGCONT)
