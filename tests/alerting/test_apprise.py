import json
from http import HTTPStatus

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from told import opened, resolved

from earwitness.alerting.announcing import announce
from earwitness.hooks.apprise import KIND, AppriseSpec
from earwitness.hooks.base import HookOutcome, Parcel, Reason
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
    reply = await announce(next(talk), seconds)
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


def test_without_the_library_the_section_says_what_to_install(monkeypatch):
    monkeypatch.setattr("earwitness.hooks.apprise.find_spec", lambda _name: None)
    with pytest.raises(ValidationError, match=r"pip install 'earwitness\[notify\]'"):
        AppriseSpec(url="json://127.0.0.1/")


def test_what_is_no_address_is_told_without_it():
    with pytest.raises(ValidationError, match="not an address for apprise") as caught:
        AppriseSpec(url="hunter2")
    assert "hunter2" not in str(caught.value)
