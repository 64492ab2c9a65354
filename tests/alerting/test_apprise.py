import asyncio
import json
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from told import opened, resolved

from earwitness.alerting.announcing import Announcer
from earwitness.alerting.mail import send_mail
from earwitness.hooks.apprise import KIND, AppriseSpec
from earwitness.hooks.base import HookOutcome, Mail, MailServer, Parcel, Reason
from earwitness.serving import listen, served

# The library's own imports, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
async def service():
    """A service that apprise posts JSON to, which answers as it is told to."""
    got, answers, listener = [], [], listen("127.0.0.1", 0)

    async def receive(request):
        got.append(json.loads(await request.body()))
        return Response(status_code=answers.pop(0) if answers else HTTPStatus.OK)

    async with served(Starlette(routes=[Route("/hunter2", receive, methods=["POST"])]), listener):
        yield f"json://127.0.0.1:{listener.getsockname()[1]}/hunter2", got, answers


async def tell(url, told, seconds=20.0):
    spec = AppriseSpec(url=url)
    talk = KIND.talk(spec, Parcel(told.key, KIND.render(spec, told), 0.0))
    reply = await Announcer().announce(next(talk), seconds)
    if isinstance(reply, HookOutcome):
        return reply
    with pytest.raises(StopIteration) as ended:
        talk.send(reply)
    return ended.value.value


async def test_a_service_is_told_of_the_opening_and_the_end(service):
    url, got, _ = service
    for told in (opened(), resolved()):
        assert (await tell(url, told)).result == "delivered"
    assert [(g["type"], g["title"]) for g in got] == [("failure", opened().title), ("success", resolved().title)]
    assert opened().url in got[0]["message"]


async def test_a_failure_is_tried_again(service):
    url, _, answers = service
    answers += [HTTPStatus.INTERNAL_SERVER_ERROR]
    outcome = await tell(url, opened())
    assert (outcome.result, outcome.reason) == ("retry", Reason.SERVER_ERROR)


async def test_an_address_that_apprise_does_not_know_is_refused():
    outcome = await tell("nosuchservice://hunter2", opened())
    assert (outcome.result, outcome.reason) == ("refused", Reason.REJECTED)
    assert "hunter2" not in outcome.detail


@pytest.fixture
async def dripping():
    """A service that never comes to the end of its answer."""
    over, asked = asyncio.Event(), []

    async def drip(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.append(writer)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        with suppress(ConnectionError):
            while not over.is_set():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.1)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    yield f"json://127.0.0.1:{server.sockets[0].getsockname()[1]}/hunter2", asked
    over.set()
    server.close()


async def test_a_service_that_answers_byte_by_byte_holds_up_its_own_hook_only(service, dripping):
    url, got, _ = service
    slow, asked = dripping
    message = next(KIND.talk(AppriseSpec(url=slow), Parcel("k", KIND.render(AppriseSpec(url=slow), opened()), 0.0)))
    announcer = Announcer()
    outcomes = await asyncio.gather(*(announcer.announce(message, 1.0) for _ in range(40)))
    assert {outcome.reason for outcome in outcomes} == {Reason.TIMEOUT}
    assert len(asked) == 2, "the others waited for room"
    async with asyncio.timeout(20):
        assert (await tell(url, opened())).result == "delivered"
        await asyncio.gather(*(asyncio.to_thread(lambda: None) for _ in range(20)))
        mail = Mail(MailServer("127.0.0.1", 1, "none"), "a@b.c", ("d@e.f",), {"Message-ID": "<k@b.c>"}, "t", "<p>t</p>")
        assert (await send_mail(mail, Path, 5.0)).reason is Reason.CONNECTION
    assert len(got) == 1


def test_without_the_library_the_section_says_what_to_install(monkeypatch):
    monkeypatch.setattr("earwitness.hooks.apprise.find_spec", lambda _name: None)
    with pytest.raises(ValidationError, match=r"pip install 'earwitness\[notify\]'"):
        AppriseSpec(url="json://127.0.0.1/")


def test_what_is_no_address_is_told_without_it():
    with pytest.raises(ValidationError, match="not an address for apprise") as caught:
        AppriseSpec(url="hunter2")
    assert "hunter2" not in str(caught.value)
