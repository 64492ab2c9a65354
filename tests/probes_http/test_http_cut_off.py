"""A flow that is cut off in the middle, as a daemon that stops does it: what it left behind at the shop is cleaned up all the same."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from test_http_flow import OK
from web_servers import hang, raw_server

from earwitness.probes import leaving


@asynccontextmanager
async def shop(*, silent=()):
    """Yield the address of a shop, the paths that it was asked for, and an event that says when it was asked for one of `silent`."""
    heard, silenced = [], asyncio.Event()

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode().strip("/")
        heard.append(path)
        if path in silent:
            silenced.set()
            await hang(reader, writer)
            return
        writer.write(OK)
        await writer.drain()

    async with raw_server(serve) as port:
        yield f"http://127.0.0.1:{port}", heard, silenced


def flow(url, **changes):
    steps = [
        {"name": "login", "url": f"{url}/login"},
        {"name": "pay", "url": f"{url}/pay"},
        {"name": "receipt", "url": f"{url}/receipt"},
        {"name": "empty", "url": f"{url}/empty", "always": True},
        {"name": "logout", "url": f"{url}/logout", "always": True},
    ]
    return [{**step, **changes.get(step["name"], {})} for step in steps]


async def cut_off(running, moment):
    """Cancel the run at that moment, and return the seconds that it took to end."""
    async with asyncio.timeout(10):
        await moment.wait()
    began = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return time.monotonic() - began


async def test_a_flow_that_is_cut_off_cleans_up(observe):
    async with shop(silent=["pay"]) as (url, heard, silenced):
        running = asyncio.create_task(observe(steps=flow(url), timeout="30s", tries="3"))
        with capture_logs() as logs:
            await cut_off(running, silenced)
    assert heard == ["login", "pay", "empty", "logout"]
    assert logs == []


async def test_a_clean_up_that_is_cut_off_begins_anew(observe):
    async with shop(silent=["empty"]) as (url, heard, silenced):
        steps = flow(url, empty={"timeout": "200ms"})
        await cut_off(asyncio.create_task(observe(steps=steps)), silenced)
    assert heard == ["login", "pay", "receipt", "empty", "empty", "logout"]


async def test_what_is_cleaned_up_already_is_left_alone(observe):
    async with shop(silent=["logout"]) as (url, heard, silenced):
        steps = flow(url, logout={"timeout": "200ms"})
        await cut_off(asyncio.create_task(observe(steps=steps)), silenced)
    assert heard == ["login", "pay", "receipt", "empty", "logout", "logout"]


async def test_cleaning_up_after_that_has_a_limit_for_all_of_it(observe, monkeypatch):
    monkeypatch.setattr(leaving, "LEAVING", 0.5)
    async with shop(silent=["pay", "empty", "logout"]) as (url, heard, silenced):
        steps = flow(url, empty={"timeout": "20s"}, logout={"timeout": "20s"})
        with capture_logs() as logs:
            took = await cut_off(asyncio.create_task(observe(steps=steps, timeout="60s")), silenced)
    assert heard == ["login", "pay", "empty"]
    assert 0.4 < took < 2
    assert [(line["event"], line["step"]) for line in logs] == [
        ("not_cleaned_up", "empty"),
        ("not_cleaned_up", "logout"),
    ]
    assert {line["why"] for line in logs} == {"there was no time left of 0.5 s"}


async def test_a_clean_up_that_fails_is_told_in_the_log(observe):
    async with shop(silent=["pay"]) as (url, _, silenced):
        steps = flow(url, empty={"expect": {"status": "204"}})
        with capture_logs() as logs:
            await cut_off(asyncio.create_task(observe(steps=steps)), silenced)
    assert [(line["event"], line["step"], line["why"]) for line in logs] == [
        ("not_cleaned_up", "empty", "expected status 204, got 200 OK")
    ]


async def test_a_flow_that_asked_for_nothing_yet_has_nothing_to_clean_up(observe):
    async with shop(silent=["token"]) as (url, heard, silenced):
        oauth2 = {"token_url": f"{url}/token", "client_id": "a", "client_secret": "verysecret"}
        await cut_off(asyncio.create_task(observe(steps=flow(url), oauth2=oauth2, timeout="30s")), silenced)
    assert heard == ["token"]


async def test_a_second_cut_ends_the_clean_up_too(observe):
    async with shop(silent=["pay"]) as (url, _, paying), shop(silent=["empty"]) as (other, heard, cleaning):
        steps = flow(url, empty={"url": f"{other}/empty", "timeout": "30s"})
        running = asyncio.create_task(observe(steps=steps, timeout="30s"))
        async with asyncio.timeout(10):
            await paying.wait()
        running.cancel()
        await cut_off(running, cleaning)
    assert heard == ["empty"]
