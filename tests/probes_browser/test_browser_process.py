"""The browser's process: one for all runs, and never the target's fault."""

import asyncio
import os
import signal

import psutil
import pytest
from virtual import until

from earwitness.browser.executable import NoBrowserError, find_browser
from earwitness.config.browser import BrowserProcessSpec
from earwitness.model import Attribution, Failure, Outcome

MB = 1024**2


def alive(pids):
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]


async def three_at_once(observe, site, engine):
    seen = await asyncio.gather(*(observe({"open": site.url("/")}, browser=engine) for _ in range(3)))
    assert [one.outcome for one in seen] == [Outcome.OK] * 3


async def at_rest(engine):
    """Return what the browser holds once windows that are only just closing have closed."""
    sizes = []
    for _ in range(20):
        sizes.append(engine.memory)
        await asyncio.sleep(0.05)
    return min(sizes)


async def test_one_process_serves_many_runs_in_bounded_memory(observe, site, make_engine):
    site.pages["/"] = "<script>window.hoard = new Array(2e6).fill('x'.repeat(9))</script>Hello"
    engine = make_engine()
    await three_at_once(observe, site, engine)
    before, (root,) = await at_rest(engine), engine.roots
    for _ in range(9):
        await three_at_once(observe, site, engine)
    assert (engine.starts, list(engine.roots)) == (1, [root])
    assert await at_rest(engine) < before + 60 * MB


async def test_the_process_is_started_anew_after_so_many_runs(observe, site, make_engine):
    site.pages["/"] = "Hello"
    engine = make_engine(BrowserProcessSpec(runs=2))
    for starts in (1, 1, 2):
        assert (await observe({"open": site.url("/")}, browser=engine)).outcome is Outcome.OK
        assert engine.starts == starts


async def test_the_process_is_started_anew_when_it_is_too_large(observe, site, make_engine):
    site.pages["/"] = "Hello"
    engine = make_engine(BrowserProcessSpec(memory=100 * MB))
    await observe({"open": site.url("/")}, browser=engine)
    assert list(engine.roots) == []
    await observe({"open": site.url("/")}, browser=engine)
    assert engine.starts == 2


GREEDY = """<p>Hello<script>const held = [];
  setInterval(() => { for (let i = 0; i < 4; i++) held.push(new Uint8Array(16e6).fill(1)); }, 50);</script>"""


async def test_a_page_that_takes_all_memory_is_ended_and_proves_nothing(observe, site, make_engine):
    site.pages |= {"/": GREEDY, "/well": "Hello"}
    engine = make_engine(BrowserProcessSpec(memory=400 * MB))
    step = {"wait_for": {"text": "never"}, "timeout": "20s"}
    greedy, well = await asyncio.gather(
        observe({"open": site.url("/")}, step, browser=engine),
        observe({"open": site.url("/well")}, {"expect_text": "Hello"}, browser=engine),
    )
    (finding,) = greedy.findings
    assert (finding.failure, greedy.outcome) == (Failure.PAGE_CRASHED, Outcome.UNKNOWN)
    assert "twice browser.memory" in finding.message
    assert well.outcome is Outcome.OK
    assert greedy.duration < 20


async def test_a_page_that_hangs_is_found_within_its_limit_and_takes_nobody_with_it(observe, site):
    site.pages |= {"/": "<p>Hello<script>setTimeout(() => { for (;;); }, 50)</script>", "/well": "Hello"}
    hung, well = await asyncio.gather(
        observe({"open": site.url("/")}, {"click": "Hello", "timeout": "1s"}, {"expect_text": "x", "timeout": "1s"}),
        observe({"open": site.url("/well")}, {"expect_text": "Hello"}),
    )
    assert (hung.findings[-1].failure, hung.findings[-1].attribution) == (Failure.PAGE_HUNG, Attribution.TARGET)
    assert hung.duration < 12
    assert well.outcome is Outcome.OK
    assert (await observe({"open": site.url("/well")})).outcome is Outcome.OK


FLOOD = "try { history.pushState({}, '', '/page' + i) } catch (refused) {}"


async def test_a_page_that_floods_its_history_hangs_itself_and_not_the_browser(observe, site, engine):
    site.pages |= {"/": f"<p>Hello<script>setTimeout(() => {{ for (let i = 0; ; i++) {FLOOD} }}, 50)</script>"}
    site.pages["/well"] = "Hello"
    await observe({"open": site.url("/well")})
    starts = engine.starts
    flooding = observe({"open": site.url("/")}, {"click": "Hello", "timeout": "1s"}, {"expect_text": "x"})
    hung, well = await asyncio.gather(flooding, observe({"open": site.url("/well")}, {"expect_text": "Hello"}))
    assert (hung.findings[-1].failure, hung.findings[-1].attribution) == (Failure.PAGE_HUNG, Attribution.TARGET)
    assert hung.duration < 12
    assert well.outcome is Outcome.OK
    assert engine.starts == starts


async def test_a_page_that_writes_its_history_all_the_time_can_be_used(observe, site):
    rush = f"let i = 0; setInterval(() => {{ for (let n = 0; n < 1000; n++, i++) {FLOOD} }}, 0)"
    site.pages["/"] = f"<button onclick=\"this.textContent = 'Paid'\">Pay</button><script>{rush}</script>"
    seen = await observe({"open": site.url("/")}, {"click": "Pay"}, {"expect_text": "Paid"})
    assert seen.outcome is Outcome.OK, seen.findings


async def test_a_browser_that_dies_is_our_fault_and_is_started_anew(observe, site, make_engine):
    site.pages["/"] = "Hello"
    engine = make_engine()
    running = asyncio.create_task(
        observe({"open": site.url("/")}, {"wait_for": {"text": "never"}, "timeout": "20s"}, browser=engine)
    )
    await until(lambda: any(page.url.endswith("/") for page in _open_pages(engine)))
    os.kill(next(engine.roots), signal.SIGKILL)
    seen = await asyncio.wait_for(running, 15)
    assert (seen.outcome, seen.findings[0].failure) == (Outcome.UNKNOWN, Failure.BROWSER_FAILED)
    assert (await observe({"open": site.url("/")}, browser=engine)).outcome is Outcome.OK
    assert engine.starts == 2


async def test_a_browser_that_hangs_is_killed_and_started_anew(observe, site, make_engine):
    site.pages["/"] = "Hello"
    engine = make_engine()
    await observe({"open": site.url("/")}, browser=engine)
    (root,) = engine.roots
    running = asyncio.create_task(
        observe({"open": site.url("/")}, {"wait_for": {"text": "never"}, "timeout": "1s"}, browser=engine)
    )
    await until(lambda: any(page.url.endswith("/") for page in _open_pages(engine)))
    tree = [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]
    for pid in tree:
        os.kill(pid, signal.SIGSTOP)
    seen = await asyncio.wait_for(running, 40)
    assert (seen.outcome, seen.findings[0].failure) == (Outcome.UNKNOWN, Failure.BROWSER_FAILED)
    assert alive(tree) == []
    assert (await observe({"open": site.url("/")}, browser=engine)).outcome is Outcome.OK


def _open_pages(engine):
    current = engine._current
    return [page for context in (current.browser.contexts if current else ()) for page in context.pages]


async def test_the_browser_gets_nothing_secret_of_our_environment(observe, site, make_engine, monkeypatch):
    monkeypatch.setenv("TEST_CARD", "canary-of-the-environment")
    site.pages["/"] = "Hello"
    engine = make_engine()
    assert (await observe({"open": site.url("/")}, browser=engine)).outcome is Outcome.OK
    assert "canary-of-the-environment" not in str(psutil.Process(next(engine.roots)).environ())


async def test_a_driver_that_dies_costs_one_run(observe, site, make_engine):
    site.pages["/"] = "Hello"
    engine = make_engine()
    await observe({"open": site.url("/")}, browser=engine)
    (driver,) = engine._driver
    driver.kill()
    seen = await observe({"open": site.url("/")}, browser=engine)
    assert seen.outcome in (Outcome.OK, Outcome.UNKNOWN)
    assert (await observe({"open": site.url("/")}, browser=engine)).outcome is Outcome.OK


async def test_nothing_is_left_when_the_engine_closes(observe, site, make_engine):
    site.pages["/"] = "Hello"
    before = set(psutil.Process().children(recursive=True))
    engine = make_engine()
    await observe({"open": site.url("/")}, browser=engine)
    started = set(psutil.Process().children(recursive=True)) - before
    assert len(started) > 3
    await engine.aclose()
    await until(lambda: not any(map(lives, started)))


def lives(process):
    """Whether a process still does anything: what is orphaned and dead is buried by the first process, when it comes to it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_no_browser_is_our_fault_with_what_to_do(observe, site, make_engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    seen = await observe({"open": site.url("/")}, browser=make_engine())
    assert (seen.outcome, seen.findings[0].failure) == (Outcome.UNKNOWN, Failure.BROWSER_FAILED)
    assert "apt-get install chromium" in seen.findings[0].message
    assert list(seen.evidence) == []


async def test_a_program_that_is_no_browser_is_our_fault(observe, site, make_engine):
    seen = await observe({"open": site.url("/")}, browser=make_engine(BrowserProcessSpec(executable="/bin/true")))
    assert (seen.outcome, seen.findings[0].failure) == (Outcome.UNKNOWN, Failure.BROWSER_FAILED)
    assert "did not start" in seen.findings[0].message


async def test_a_reload_leaves_no_browser_behind(observe, site, make_engine):
    site.pages["/"] = "Hello"
    engine = make_engine()
    await observe({"open": site.url("/")}, browser=engine)
    (before,) = engine.roots
    engine.configure(BrowserProcessSpec(runs=7))
    await observe({"open": site.url("/")}, browser=engine)
    (after,) = engine.roots
    assert after != before
    assert not psutil.pid_exists(before)


def test_the_browser_that_is_configured_or_playwrights_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert find_browser(None).name == "chromium"
    own = tmp_path / "chromium-1200/chrome-linux64/chrome"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert find_browser(None) == own
    with pytest.raises(NoBrowserError, match="cannot be executed"):
        find_browser(tmp_path / "none")
