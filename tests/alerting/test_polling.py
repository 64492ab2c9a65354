"""Ticket systems both ways: what is done there is done here, nothing goes round in a circle, and no ticket is opened twice."""

import asyncio
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

import httpx
import pytest
from outbox_world import OutboxWorld, silence
from virtual import until

from earwitness.alerting.couriers import LONGEST_PAUSE, Courier, Hook
from earwitness.alerting.notices import Links
from earwitness.alerting.polling import Poller
from earwitness.alerting.senders import Senders
from earwitness.hooks import HOOKS
from earwitness.hooks.jira import JiraSpec
from earwitness.hooks.servicenow import ServiceNowSpec
from earwitness.impairments import Impairments
from earwitness.model import Status
from earwitness.store import verdicts

CATEGORY = {"open": "new", "acknowledged": "indeterminate", "resolved": "done"}
STATE = {"open": "1", "acknowledged": "2", "resolved": "6"}


@dataclass
class FakeJira:
    """Issues with an index that lags behind them."""

    clock: object
    lag: float = 10.0
    issues: dict[str, dict] = field(default_factory=dict)
    lose_next_answer: bool = False
    down: bool = False
    asked: list[str] = field(default_factory=list)

    spec = JiraSpec(url="https://jira.test", token="t", project="OPS", poll_every="30s")

    def answer(self, request):
        path = request.url.path.removeprefix("/rest/api/2/")
        self.asked.append(f"{request.method} {path}")
        if self.down:
            return httpx.Response(502)
        if request.method == "POST" and path == "issue":
            return self._create(json.loads(request.content)["fields"])
        if path == "search":
            wanted = re.search(r'labels = "([^"]+)"', request.url.params["jql"])[1]
            known = [
                k for k, i in self.issues.items() if wanted in i["labels"] and i["at"] + self.lag <= self.clock.now()
            ]
            return httpx.Response(200, json={"issues": [{"key": k} for k in known[:1]]})
        return self._of_issue(path)

    def _create(self, fields):
        key = f"OPS-{len(self.issues) + 1}"
        self.issues[key] = {"labels": fields["labels"], "at": self.clock.now(), "status": "open", "comments": 0}
        if self.lose_next_answer:
            self.lose_next_answer = False
            raise httpx.ReadTimeout("the answer was lost")
        return httpx.Response(201, json={"id": "1", "key": key})

    def _of_issue(self, path):
        _, key, *rest = path.split("/")
        if key not in self.issues:
            return httpx.Response(404, json={"errorMessages": ["Issue does not exist"]})
        issue = self.issues[key]
        if rest == ["comment"]:
            issue["comments"] += 1
            return httpx.Response(201, json={"id": "1"})
        if rest == ["transitions"]:
            issue["status"] = "acknowledged" if issue["status"] == "resolved" else "resolved"
            return httpx.Response(204)
        done = {"id": "31", "name": "Done", "to": {"statusCategory": {"key": "done"}}}
        start = {"id": "21", "name": "Start", "to": {"statusCategory": {"key": "indeterminate"}}}
        status = {"statusCategory": {"key": CATEGORY[issue["status"]]}}
        fields = {"status": status, "assignee": {"displayName": "Ann Other"}}
        ways = [start] if issue["status"] == "resolved" else [done]
        return httpx.Response(200, json={"fields": fields, "transitions": ways})

    def set(self, status):
        for issue in self.issues.values():
            issue["status"] = status

    @property
    def tickets(self):
        return list(self.issues.values())


@dataclass
class FakeServiceNow:
    """A table of incidents."""

    clock: object
    records: list[dict] = field(default_factory=list)
    down: bool = False
    asked: list[str] = field(default_factory=list)

    spec = ServiceNowSpec(url="https://now.test", username="u", password="p", poll_every="30s")

    def answer(self, request):
        self.asked.append(request.method)
        if self.down:
            return httpx.Response(502)
        if request.method == "GET":
            query = parse_qs(request.url.query.decode())["sysparm_query"][0]
            one, many = re.match(r"correlation_id=([^^]+)", query), re.match(r"correlation_idIN([^^]+)", query)
            ids = [one[1]] if one else many[1].split(",")
            fields = request.url.params["sysparm_fields"].split(",")
            found = [{k: r[k] for k in fields} for r in self.records if r["correlation_id"] in ids]
            return httpx.Response(200, json={"result": found})
        changes = json.loads(request.content)
        if request.method == "POST":
            self.records.append({"sys_id": f"{len(self.records):032x}", "state": "1", **changes})
            return httpx.Response(201, json={"result": self.records[-1]})
        (record,) = [r for r in self.records if r["sys_id"] == request.url.path.rpartition("/")[2]]
        record |= changes
        return httpx.Response(200, json={"result": record})

    def set(self, status):
        for record in self.records:
            record["state"] = STATE[status]

    @property
    def tickets(self):
        return [{"status": next(k for k, v in STATE.items() if v == r["state"])} for r in self.records]


@dataclass
class Desk:
    """An outbox whose hook `tickets` is a ticket system, asked by a poller; another hook hears what comes of it."""

    world: OutboxWorld
    fake: object
    poller: Poller
    impairments: Impairments

    async def opens(self, name="a"):
        (incident,) = await self.world.opens(name)
        await self.world.deliver()
        return incident

    async def polls(self):
        await self.poller.look()
        await self.world.deliver()


@pytest.fixture(params=["jira", "servicenow"])
def desk(request, tmp_path):
    made = a_desk(tmp_path, request.param)
    yield made
    made.world.close()


def a_desk(tmp_path, kind, routes=({"to": ["tickets", "chat"]},)):
    world = OutboxWorld(tmp_path / "earwitness.db", list(routes))
    fake = {"jira": FakeJira, "servicenow": FakeServiceNow}[kind](world.clock)
    senders = Senders(httpx.AsyncClient(transport=httpx.MockTransport(fake.answer)), Path)
    hook = Hook("tickets", HOOKS[kind], fake.spec, 15.0)
    world.couriers["tickets"] = Courier(hook, world.store, world.clock, senders, Links("http://127.0.0.1:8420"))
    impairments = Impairments(lambda _part, _bad: None)

    async def do(command):
        change = world.acknowledges if command.action == "acknowledge" else world.resolves
        more = {"who": command.who} if command.action == "acknowledge" else {}
        await change(command.incident, via=command.via, **more)

    return Desk(world, fake, Poller(hook, world.store, world.clock, senders, impairments, do), impairments)


async def test_what_people_do_there_is_done_here_and_not_told_back(desk):
    incident = await desk.opens()
    await desk.polls()
    assert desk.world.kinds("chat") == ["open"]
    desk.fake.set("acknowledged")
    await desk.polls()
    await desk.polls()
    assert desk.world.told("chat") == [("open", incident), ("acknowledge", incident)]
    desk.fake.set("resolved")
    await desk.polls()
    await desk.polls()
    assert desk.world.kinds("chat") == ["open", "acknowledge", "resolve"]
    assert await desk.world.states("tickets") == [("open", "delivered")], "it knows what it said"


async def test_what_we_did_ourselves_comes_back_as_nothing(desk):
    incident = await desk.opens()
    await desk.world.acknowledges(incident)
    await desk.world.deliver()
    await desk.polls()
    await desk.world.resolves(incident)
    await desk.world.deliver()
    await desk.polls()
    assert desk.world.kinds("chat") == ["open", "acknowledge", "resolve"]
    assert [t["status"] for t in desk.fake.tickets] == ["resolved"]


async def test_what_we_opened_again_there_is_nobodys_acknowledgement_until_people_change_it(desk):
    incident = await desk.opens()
    await desk.world.resolves(incident)
    await desk.world.reopens(incident)
    await desk.world.deliver()
    left = "acknowledged" if isinstance(desk.fake, FakeJira) else "open"
    assert [t["status"] for t in desk.fake.tickets] == [left], "by our own doing: the only way out of done, or new"
    await desk.polls()
    await desk.world.raises(incident)
    await desk.world.deliver()
    await desk.polls()
    assert desk.world.kinds("chat") == ["open", "resolve", "reopen", "raise"]
    desk.fake.set("resolved")
    await desk.polls()
    assert desk.world.kinds("chat")[-1] == "resolve"
    assert desk.world.kinds("chat").count("resolve") == 2


async def test_what_opened_again_is_acknowledged_by_whoever_takes_it_there(tmp_path):
    desk = a_desk(tmp_path, "servicenow")
    incident = await desk.opens()
    await desk.world.resolves(incident)
    await desk.world.reopens(incident)
    await desk.world.deliver()
    await desk.polls()
    assert desk.world.kinds("chat") == ["open", "resolve", "reopen"]
    desk.fake.set("acknowledged")
    await desk.polls()
    assert desk.world.kinds("chat")[-1] == "acknowledge"
    desk.world.close()


async def test_a_ticket_that_does_not_know_yet_of_the_reopening_ends_nothing(desk):
    incident = await desk.opens()
    await desk.world.resolves(incident)
    await desk.world.deliver()
    await desk.world.reopens(incident)
    await desk.polls()
    assert desk.world.kinds("chat") == ["open", "resolve", "reopen"]


async def test_what_changed_while_the_system_was_asked_is_asked_anew(desk):
    incident = await desk.opens()
    desk.fake.set("resolved")
    answer = desk.fake.answer
    before = desk.poller._senders.http

    async def slowly(request):
        if not getattr(desk, "late", False):
            desk.late = True
            await desk.world.acknowledges(incident)
        return answer(request)

    slow = httpx.AsyncClient(transport=httpx.MockTransport(slowly))
    desk.poller._senders = replace(desk.poller._senders, http=slow)
    await desk.poller.look()
    assert desk.late
    found = await desk.world.store.read(lambda c: verdicts.incident(c, incident))
    assert found.status is Status.ACKNOWLEDGED
    desk.poller._senders = replace(desk.poller._senders, http=before)


async def test_what_came_back_muted_is_not_ended_by_the_ticket_that_we_resolved(desk):
    incident = await desk.opens()
    await desk.world.resolves(incident)
    await desk.world.deliver()
    await desk.world.reopens(incident, muted=silence(desk.world))
    await desk.polls()
    found = await desk.world.store.read(lambda c: verdicts.incident(c, incident))
    assert found.status is Status.OPEN


async def test_a_digests_ticket_acknowledges_all_that_it_told_once(tmp_path):
    desk = a_desk(tmp_path, "servicenow", [{"to": ["tickets", "chat"], "group_for": "30s"}])
    ids = await desk.world.opens("a", "b")
    desk.world.clock.moment += 31
    await desk.world.deliver()
    assert len(desk.fake.records) == 1
    desk.fake.set("acknowledged")
    await desk.polls()
    await desk.polls()
    assert desk.world.told("chat")[1:] == [("acknowledge", i) for i in sorted(ids)]
    desk.fake.set("resolved")
    await desk.polls()
    assert desk.world.kinds("chat")[1:] == ["acknowledge"] * 2, "who ends a digest ends none of its incidents"
    desk.world.close()


async def test_a_fault_in_a_poll_is_shown_and_the_next_poll_tries_again(jira):
    incident = await jira.opens()
    jira.fake.set("resolved")
    read, reads = jira.world.store.read, []

    async def at_fault(work):
        reads.append(work)
        if len(reads) == 1:
            raise RuntimeError("nobody foresaw this")
        return await read(work)

    jira.poller._store = SimpleNamespace(read=at_fault, write=jira.world.store.write)
    polling = asyncio.create_task(jira.poller.run())
    await until(lambda: "a fault of the monitor" in str(jira.impairments.details()))
    await until(lambda: jira.world.states("chat"))

    async def over():
        return (await read(lambda c: verdicts.incident(c, incident))).status is Status.RESOLVED

    await until(over)
    assert not polling.done()
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)


async def test_many_are_asked_for_and_each_gets_its_own(desk):
    first, second = await desk.opens("a"), await desk.opens("b")
    if isinstance(desk.fake, FakeJira):
        desk.fake.issues["OPS-2"]["status"] = "resolved"
    else:
        desk.fake.records[1]["state"] = "7"
    await desk.polls()
    assert desk.world.told("chat") == [("open", first), ("open", second), ("resolve", second)]


async def test_a_system_that_does_not_answer_is_shown_and_changes_nothing(desk):
    await desk.opens()
    desk.fake.set("resolved")
    desk.fake.down = True
    await desk.polls()
    assert desk.world.kinds("chat") == ["open"]
    assert "cannot be asked" in desk.impairments.details()["alerts"][0]
    desk.fake.down = False
    await desk.polls()
    assert desk.impairments.current() == []
    assert desk.world.kinds("chat") == ["open", "resolve"]


async def test_nothing_is_asked_while_nothing_is_open(desk):
    await desk.polls()
    assert desk.fake.asked == []


@pytest.fixture
def jira(tmp_path):
    made = a_desk(tmp_path, "jira")
    yield made
    made.world.close()


async def test_an_issue_whose_answer_was_lost_is_not_opened_again_while_the_search_lags(jira):
    jira.fake.lose_next_answer = True
    incident = await jira.opens()
    assert len(jira.fake.tickets) == 1
    for _ in range(6):
        jira.world.clock.moment += 5
        await jira.world.deliver("tickets")
    assert len(jira.fake.tickets) == 1
    assert await jira.world.states("tickets") == [("open", "pending")]
    jira.world.clock.moment += LONGEST_PAUSE
    await jira.world.deliver("tickets")
    assert await jira.world.states("tickets") == [("open", "delivered")]
    await jira.world.resolves(incident)
    await jira.world.deliver("tickets")
    assert [t["status"] for t in jira.fake.tickets] == ["resolved"]


async def test_an_issue_that_the_lost_attempt_did_not_open_is_opened_after_the_lag(jira):
    jira.fake.down = True
    await jira.opens()
    jira.fake.down = False
    for _ in range(3):
        jira.world.clock.moment += 65
        await jira.world.deliver("tickets")
    assert len(jira.fake.tickets) == 1
    assert await jira.world.states("tickets") == [("open", "delivered")]


@pytest.mark.parametrize("status", [403, 500])
async def test_an_issue_that_is_not_to_be_had_keeps_no_other_from_being_asked(jira, status):
    first, second = await jira.opens("a"), await jira.opens("b")
    jira.fake.set("resolved")
    answer = jira.fake._of_issue
    forbidden = httpx.Response(status, json={"errorMessages": ["not for you"]})
    jira.fake._of_issue = lambda path: forbidden if "OPS-1" in path else answer(path)
    await jira.polls()
    assert jira.world.told("chat") == [("open", first), ("open", second), ("resolve", second)]
    (known,) = jira.impairments.details()["alerts"]
    assert "OPS-1: HTTP" in known


async def test_a_jira_that_answers_nothing_is_not_asked_a_hundred_times(jira):
    for name in "abcdefgh":
        await jira.opens(name)
    jira.fake.down, jira.fake.asked = True, []
    await jira.polls()
    assert len(jira.fake.asked) == 5
    assert "cannot be asked what people did there" in jira.impairments.details()["alerts"][0]


async def test_an_issue_that_was_deleted_says_nothing_of_the_incident(jira):
    await jira.opens()
    jira.fake.issues.clear()
    await jira.polls()
    assert jira.world.kinds("chat") == ["open"]
    assert jira.impairments.current() == []
