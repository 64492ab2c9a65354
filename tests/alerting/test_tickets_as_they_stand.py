"""A ticket that is not where we wanted it, or began somewhere else, is nobody's doing."""

import json
from dataclasses import replace

import httpx
import pytest
from test_polling import a_desk

from earwitness.model import Status
from earwitness.store import verdicts


async def status(desk, incident):
    return (await desk.world.store.read(lambda c: verdicts.incident(c, incident))).status


def answering(desk, change):
    """Let the provider answer as `change` makes of a request and of what it would answer."""
    courier, plain = desk.world.couriers["tickets"], desk.fake.answer

    def answer(request):
        return change(request) or plain(request)

    courier._senders = replace(courier._senders, http=httpx.AsyncClient(transport=httpx.MockTransport(answer)))


async def test_a_record_that_stays_closed_ends_nothing_that_opened_again(tmp_path):
    """ServiceNow answers 200 to who may not open a closed record, and leaves its state."""
    desk = a_desk(tmp_path, "servicenow")

    def stays_closed(request):
        (record,) = desk.fake.records or [{"state": "1"}]
        if request.method != "PATCH" or record["state"] != "7":
            return None
        record |= {key: value for key, value in json.loads(request.content).items() if key != "state"}
        return httpx.Response(200, json={"result": record})

    answering(desk, stays_closed)
    incident = await desk.opens()
    desk.fake.records[0]["state"] = "7"
    await desk.polls()
    assert await status(desk, incident) is Status.RESOLVED
    for _ in range(2):
        await desk.world.reopens(incident) if await status(desk, incident) is Status.RESOLVED else None
        await desk.world.deliver()
        await desk.polls()
        assert await status(desk, incident) is Status.OPEN
    desk.world.close()


@pytest.mark.parametrize("kind", ["jira", "servicenow"])
async def test_a_ticket_that_is_born_in_progress_is_nobodys_acknowledgement(tmp_path, kind):
    desk = a_desk(tmp_path, kind)

    def born_in_progress(request):
        reply = type(desk.fake).answer(desk.fake, request)
        if request.method == "POST" and request.url.path.endswith(("/issue", "/incident")):
            desk.fake.set("acknowledged")
            return reply if kind == "jira" else httpx.Response(201, json={"result": desk.fake.records[-1]})
        return reply

    answering(desk, born_in_progress)
    incident = await desk.opens()
    await desk.polls()
    assert await status(desk, incident) is Status.OPEN
    desk.world.close()


async def test_a_reopening_that_was_refused_there_is_not_ended_by_what_stands_there(tmp_path):
    desk = a_desk(tmp_path, "servicenow")
    incident = await desk.opens()
    desk.fake.set("resolved")
    await desk.polls()
    answering(desk, lambda request: httpx.Response(400, json={}) if request.method == "PATCH" else None)
    await desk.world.reopens(incident)
    await desk.world.deliver()
    await desk.polls()
    assert await status(desk, incident) is Status.OPEN
    desk.world.close()
