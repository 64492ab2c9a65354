"""Before an address that cannot be reached is blamed, our own way out is looked at."""

import asyncio

from web_servers import free_port

from earwitness.model import Attribution, Failure, Outcome
from earwitness.serving import listen, served


async def _answer(scope, _receive, send):
    seen.append(scope["path"])
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


seen: list[str] = []


def dead():
    return f"http://127.0.0.1:{free_port()}/"


async def test_what_nobody_reaches_is_our_uplinks_fault(observe, make_web):
    web = make_web(known_good=(dead(), dead()))
    found = await observe(dead(), web)
    assert found.outcome is Outcome.UNKNOWN
    assert (found.findings[0].failure, found.findings[0].attribution) == (Failure.UPLINK_DOWN, Attribution.MONITOR)
    assert "refused" in found.findings[0].message


async def test_a_target_is_blamed_when_a_known_good_address_answers_whatever_its_status(observe, make_web):
    with listen("127.0.0.1", 0) as listener:
        good = f"http://127.0.0.1:{listener.getsockname()[1]}/good"
        async with served(_answer, listener):
            found = await observe(dead(), make_web(known_good=(dead(), good)))
    assert found.outcome is Outcome.FINDING
    assert found.findings[0].failure is Failure.CONNECTION_REFUSED


async def test_many_that_fail_together_look_once(observe, make_web):
    seen.clear()
    with listen("127.0.0.1", 0) as listener:
        web = make_web(known_good=(f"http://127.0.0.1:{listener.getsockname()[1]}/once",))
        async with served(_answer, listener):
            found = await asyncio.gather(*(observe(dead(), web) for _ in range(20)))
    assert {o.outcome for o in found} == {Outcome.FINDING}
    assert seen == ["/once"]


async def test_what_was_reached_and_failed_needs_no_look(observe, make_web):
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with served(_answer, listener):
            found = await observe(url, make_web(known_good=(dead(),)))
    assert found.findings[0].failure is Failure.WRONG_STATUS
