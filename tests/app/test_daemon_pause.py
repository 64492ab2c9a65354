"""A machine that is paused, or a process that gets no time, is nobody's outage."""

import asyncio
import signal

from daemon import PATIENCE, Daemon
from virtual import until

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_PROBES = 20


async def answer_slowly(reader, writer):
    """So that some run is always under way."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.4)
    writer.write(_ANSWER)
    writer.close()


async def test_a_pause_of_the_monitor_is_told_as_its_own_and_opens_nothing(tmp_path):
    server = await asyncio.start_server(answer_slowly, "127.0.0.1")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    probe = {"journey": "shop", "depends_on": ["web"], "every": "2s", "http": {"url": url, "timeout": "1s"}}
    daemon = Daemon(tmp_path)
    daemon.configure(
        {
            "environment": "production",
            "network": {"allow": ["127.0.0.0/8"]},
            "dependencies": {"web": {}},
            "journeys": {"shop": {}},
            "probes": {f"web-{n}": probe for n in range(_PROBES)},
        }
    )
    await daemon.start()
    try:
        await until(lambda: daemon.rows("SELECT 1 FROM runs WHERE state = 'running'"), PATIENCE)
        daemon.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(3)  # past every time-out
        daemon.process.send_signal(signal.SIGCONT)
        unknown = "SELECT document FROM observations WHERE outcome = 'unknown'"
        await until(lambda: daemon.rows(unknown), PATIENCE)
        ((document,), *_) = daemon.rows(unknown)
        assert "the monitor itself stood still for" in document
        assert daemon.rows("SELECT 1 FROM observations WHERE outcome = 'finding'") == []
        assert await daemon.get("incidents") == []
        await daemon.passes(*(f"web-{n}" for n in range(_PROBES)))
        await daemon.shows(0, "earwitness_monitor_impaired", component="monitor")
    finally:
        await daemon.close()
        server.close()
