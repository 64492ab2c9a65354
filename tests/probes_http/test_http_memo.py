"""What a probe's requests have in common is worked out once, and runs beside each other do not get in each other's way."""

import asyncio

import pytest
from web_servers import raw_server

from earwitness.clock import SystemClock
from earwitness.model import Channel, Run, Why
from earwitness.probes.context import RunContext
from earwitness.probes.http import run
from earwitness.probes.http_spec import HttpSpec
from earwitness.probes.memo import Memo


def test_it_is_made_once_for_each_section_and_purpose():
    made, memo, one, other = [], Memo(), {"url": "a"}, {"url": "a"}

    def make():
        made.append(len(made))
        return made[-1]

    assert [memo.once(one, "request", make) for _ in range(3)] == [0, 0, 0]
    assert memo.once(other, "request", make) == 1, "equal is not the same"
    assert memo.once(one, "terms", make) == 2


def test_what_could_not_be_made_is_tried_again():
    memo = Memo()
    with pytest.raises(ValueError, match="no"):
        memo.once("x", "request", lambda: int("no"))
    assert memo.once("x", "request", lambda: 7) == 7


def _context(web, drawer, memo):
    planned = Run("r", "p", "j", Channel.HTTP, "here", "production", Why.SCHEDULED, 0.0)
    return RunContext(run=planned, clock=SystemClock(), evidence=drawer, web=web, memo=memo)


async def test_every_run_has_cookies_of_its_own_and_hides_what_it_sends(make_web, drawer):
    heard = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heard.append((head.split()[1], "cookie: cart=" in head.lower()))
        body = b"echo: hunter2-hunter2"
        writer.write(
            b"HTTP/1.1 500 Oops\r\nset-cookie: cart=full-of-things\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        await writer.drain()

    async with raw_server(serve) as port:
        steps = [
            {
                "name": name,
                "url": f"http://127.0.0.1:{port}/{name}",
                "effect": "nuisance",
                "headers": {"x-api-key": "hunter2-hunter2"},
            }
            for name in ("one", "two")
        ]
        spec, web, memo = HttpSpec.model_validate({"steps": steps, "timeout": "5s"}), make_web(), Memo()
        for _ in range(2):
            seen = await run(spec, _context(web, drawer, memo))
            assert len(seen.findings) == 2
            assert "hunter2" not in str(seen) + "".join(drawer.named.values())
    assert heard == [("/one", False), ("/two", True)] * 2


async def test_runs_of_one_probe_side_by_side_keep_their_own_terms(make_web, drawer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()

    async with raw_server(serve) as port:
        spec, web, memo = HttpSpec.model_validate({"url": f"http://127.0.0.1:{port}/"}), make_web(), Memo()
        seen = await asyncio.gather(*(run(spec, _context(web, drawer, memo)) for _ in range(20)))
    assert [(one.findings, one.facts["status"]) for one in seen] == [((), 200)] * 20
