"""However many tickets there are, each is looked at in its turn, and what was heard before a failure is done."""

import httpx
import pytest
from test_polling import FakeJira, a_desk

from earwitness.model import Severity, Status
from earwitness.store import verdicts

MANY = {"jira": 12, "servicenow": 105}  # more than one request asks for


@pytest.fixture(params=["jira", "servicenow"])
async def many(request, tmp_path):
    desk = a_desk(tmp_path, request.param, [{"to": ["tickets"]}])
    desk.ids = await desk.world.opens(*(f"n{number}" for number in range(MANY[request.param])))
    await desk.world.deliver()
    desk.fake.asked.clear()
    yield desk
    desk.world.close()


@pytest.fixture
async def jira(tmp_path):
    desk = a_desk(tmp_path, "jira")
    desk.ids = []
    for name in "abcdefgh":
        desk.world.clock.moment += 1
        desk.ids.append(await desk.opens(name))
    desk.fake.asked.clear()
    yield desk
    desk.world.close()


async def over(desk):
    found = [await desk.world.store.read(lambda c, i=i: verdicts.incident(c, i)) for i in desk.ids]
    return [incident.id for incident in found if incident.status is Status.RESOLVED]


def slowly(desk, seconds):
    """Let each answer take so long."""
    answer = desk.fake.answer

    async def slow(request):
        desk.world.clock.moment += seconds
        return answer(request)

    desk.poller._senders = type(desk.poller._senders)(httpx.AsyncClient(transport=httpx.MockTransport(slow)), None)


async def test_one_look_asks_for_all_of_them(many):
    many.fake.set("resolved")
    await many.poller.look()
    assert sorted(await over(many)) == sorted(many.ids)
    assert len(many.fake.asked) == (12 if isinstance(many.fake, FakeJira) else 2)


async def test_what_a_look_has_no_time_for_is_asked_first_by_the_next(many):
    slowly(many, 50)  # of the 120 seconds of a look
    asked, size = [], many.poller.hook.kind.poll_at_once
    while len(asked) < len(many.ids):
        before = dict(many.poller._asked)
        await many.poller.look()
        fresh = [i for i, turn in many.poller._asked.items() if before.get(i) != turn]
        assert 0 < len(fresh) <= 3 * size
        asked += fresh
    assert sorted(asked) == sorted(many.ids), "none twice before each had its turn"


async def test_one_that_came_meanwhile_has_its_turn_before_those_that_had_theirs(jira):
    slowly(jira, 100)
    await jira.poller.look()
    assert jira.fake.asked == ["GET issue/OPS-8", "GET issue/OPS-7"]
    await jira.opens("new")
    jira.fake.asked.clear()
    await jira.poller.look()
    assert jira.fake.asked == ["GET issue/OPS-9", "GET issue/OPS-6"]


async def test_what_was_heard_before_the_system_failed_is_done(jira):
    jira.fake.set("resolved")
    answer, left = jira.fake._of_issue, [3]

    def fails_later(path):
        left[0] -= 1
        return answer(path) if left[0] >= 0 else httpx.Response(503)

    jira.fake._of_issue = fails_later
    await jira.poller.look()
    assert sorted(await over(jira)) == sorted(jira.ids[-3:])
    assert len(jira.fake.asked) == 8, "three that were answered, and five in vain"
    assert "HTTP 503" in jira.impairments.details()["alerts"][0]
    jira.fake._of_issue = answer
    await jira.poller.look()
    assert sorted(await over(jira)) == sorted(jira.ids)
    assert jira.impairments.current() == []


async def test_a_connection_that_breaks_loses_nothing_that_was_heard(jira):
    jira.fake.set("resolved")
    answer = jira.fake.answer

    def breaks(request):
        if request.url.path.endswith("OPS-5"):
            raise httpx.ReadError("reset by peer")
        return answer(request)

    client = httpx.AsyncClient(transport=httpx.MockTransport(breaks))
    jira.poller._senders = type(jira.poller._senders)(client, None)
    await jira.poller.look()
    assert len(await over(jira)) == 7
    assert "OPS-5: ReadError" in jira.impairments.details()["alerts"][0]


async def test_a_ticket_that_always_fails_stays_shown_while_others_have_their_turn(jira):
    answer = jira.fake._of_issue
    jira.fake._of_issue = lambda path: httpx.Response(403) if path.endswith("OPS-8") else answer(path)
    slowly(jira, 100)
    for _ in range(3):
        await jira.poller.look()
        assert "OPS-8: HTTP 403" in jira.impairments.details()["alerts"][0]
    jira.fake._of_issue = answer
    for _ in range(4):
        await jira.poller.look()
    assert jira.impairments.current() == []


@pytest.mark.parametrize("kind", ["jira", "servicenow"])
async def test_news_that_quiet_hours_hold_keeps_nobody_from_being_heard(tmp_path, kind):
    at_night = {"hours": "22:00-07:00"}
    desk = a_desk(tmp_path, kind, [{"to": ["tickets"], "quiet": at_night}, {"to": ["chat"]}])
    desk.world.clock.moment = 1_700_000_000.0 // 86400 * 86400 + 23 * 3600
    (incident,) = await desk.world.opens("a", severity=Severity.SEV1)
    await desk.world.deliver()
    await desk.world.lowers(incident)
    desk.fake.set("acknowledged")
    await desk.polls()
    assert desk.world.kinds("chat") == ["open", "lower", "acknowledge"]
    assert await desk.world.states("tickets") == [("open", "delivered"), ("lower", "pending")]
    desk.world.close()


async def test_many_failing_tickets_are_told_in_few_words(jira):
    jira.fake.down = True
    await jira.poller.look()
    (told,) = jira.impairments.details()["alerts"]
    assert told == "tickets cannot be asked what people did there: OPS-8, OPS-7, OPS-6 and 2 more: HTTP 502"
