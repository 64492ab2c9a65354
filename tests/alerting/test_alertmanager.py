import asyncio
import json
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from deploy_needs import program
from scraped_stage import process, said
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from told import acknowledged, held, notice, opened, raised, reopened, resolved
from virtual import until

from earwitness.alerting.senders import Senders, converse
from earwitness.config.network import NetworkSpec
from earwitness.hooks.alertmanager import KIND, AlertmanagerSpec
from earwitness.hooks.base import Parcel, Reply
from earwitness.model import Severity, TransitionKind
from earwitness.serving import listen, served
from earwitness.transport.client import WebClient

SPEC = AlertmanagerSpec(url="http://alertmanager.test:9093/", labels={"team": "contact-centre"})
LOOPBACK = NetworkSpec(allow=("127.0.0.0/8",))


def alerts_of(message):
    return json.loads(message.body)


def labels_of(severity, incident):
    return {
        "team": "contact-centre",
        "alertname": "EarwitnessIncident",
        "severity": severity,
        "journey": "pay-by-card",
        "environment": "production",
        "incident": incident,
    }


def test_an_incident_is_one_alert_and_its_resolve_ends_the_same():
    told = opened()
    (first,), delivered = held(KIND, SPEC, told, Reply(200))
    (alert,) = alerts_of(first)
    assert first.url == "http://alertmanager.test:9093/api/v2/alerts"
    assert alert["labels"] == labels_of("sev1", told.incident.id)
    assert alert["annotations"] == {
        "summary": told.title,
        "description": told.text,
        "journeys": "pay-by-card",
        "recording": "https://earwitness.example/monitor/api/v1/evidence/" + "a" * 64,
    }
    assert alert["generatorURL"] == told.url
    (last,), _ = held(KIND, SPEC, resolved(), Reply(200), reference=delivered.reference)
    (end,) = alerts_of(last)
    assert (end["labels"], end["startsAt"]) == (alert["labels"], alert["startsAt"])
    assert alert["endsAt"] > end["endsAt"] >= end["startsAt"]


def test_a_change_of_severity_ends_the_alert_of_the_old_one():
    _, delivered = held(KIND, SPEC, opened(severity=Severity.SEV3), Reply(200))
    told = raised(Severity.SEV1)
    (message,), again = held(KIND, SPEC, told, Reply(200), reference=delivered.reference)
    old, new = alerts_of(message)
    assert (old["labels"]["severity"], new["labels"]["severity"]) == ("sev3", "sev1")
    assert datetime.fromisoformat(old["endsAt"]).timestamp() == pytest.approx(told.at, abs=0.01)
    (last,), _ = held(KIND, SPEC, resolved(), Reply(200), reference=again.reference)
    assert len(alerts_of(last)) == 1


def test_without_a_change_of_labels_the_alert_is_told_again_alone():
    _, delivered = held(KIND, SPEC, opened(), Reply(200))
    (message,), _ = held(KIND, SPEC, acknowledged(), Reply(200), reference=delivered.reference)
    assert len(alerts_of(message)) == 1


# --- Debian's Alertmanager --------------------------------------------------------------------------------------------

CONFIG = """
global: {resolve_timeout: 1s}
route: {receiver: us, group_by: [environment], group_wait: 500ms, group_interval: 1s, repeat_interval: 1h}
receivers:
  - {name: us, webhook_configs: [{url: "%s", send_resolved: true}]}
"""


class Alertmanager:
    def __init__(self, url, got, http):
        self.spec = AlertmanagerSpec(url=url, labels={"team": "contact-centre"})
        self.got = got  # what it notified its receiver of
        self._senders = Senders(http, Path)
        self._references = {}
        self._since = time.time() - 60

    async def tell(self, told):
        """Tell it as if it happened now."""
        now = time.time()
        told = replace(told, at=now, incident=replace(told.incident, opened_at=self._since))
        parcel = Parcel(told.key, KIND.render(self.spec, told), 0.0, self._references.get(told.incident.id))
        outcome = await converse(KIND.talk(self.spec, parcel), self._senders, self.spec, 10.0, 20.0)
        assert outcome.result == "delivered", outcome
        self._references[told.incident.id] = outcome.reference

    async def active(self):
        """Return the active alerts as amtool sees them: incident and severity."""
        words = (program("amtool"), f"--alertmanager.url={self.spec.url}", "alert", "query", "--active", "-o", "json")
        answered = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=True)
        return {(a["labels"]["incident"], a["labels"]["severity"]) for a in json.loads(answered.stdout)}

    def notified(self, status):
        """Return the groups that its receiver was told of, each as the incidents of one status."""
        return [
            {a["labels"]["incident"] for a in group["alerts"] if a["status"] == status}
            for group in self.got
            if group["groupLabels"] == {"environment": "production"}
        ]


@asynccontextmanager
async def alertmanager(folder):
    found, got, receiver = program("prometheus-alertmanager"), [], listen("127.0.0.1", 0)

    async def receive(request):
        got.append(await request.json())
        return Response(status_code=204)

    file, log = folder / "alertmanager.yml", folder / "alertmanager.log"
    file.write_text(CONFIG % f"http://127.0.0.1:{receiver.getsockname()[1]}/")
    words = (
        found,
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    )
    web = WebClient(LOOPBACK)
    app = Starlette(routes=[Route("/", receive, methods=["POST"])])
    async with served(app, receiver), process(log, *words) as running:
        url = "http://" + await said(log, r'Listening on" address=([\d.]+:\d+)', running)
        yield Alertmanager(url, got, web.client())
    await web.aclose()


async def test_alerts_arrive_group_change_and_resolve_in_a_real_alertmanager(tmp_path):
    one, other = opened(), other_incident(opened())
    first, second = one.incident.id, other.incident.id
    async with alertmanager(tmp_path) as real:
        await real.tell(one)
        await real.tell(other)
        await until(lambda: {first, second} in real.notified("firing"), 30)
        assert await real.active() == {(first, "sev1"), (second, "sev1")}

        lowered = notice(TransitionKind.LOWER, severity=Severity.SEV2)
        await real.tell(other_incident(lowered))
        assert await real.active() == {(first, "sev1"), (second, "sev2")}

        await real.tell(resolved())
        await until(lambda: any(first in group for group in real.notified("resolved")), 30)
        assert await real.active() == {(second, "sev2")}
        await real.tell(other_incident(resolved(severity=Severity.SEV2)))
        await until(lambda: any(second in group for group in real.notified("resolved")), 30)
        assert await real.active() == set()


def other_incident(told):
    return replace(told, incident=replace(told.incident, id="inc-other"))


async def test_a_real_alertmanager_forgets_an_alert_without_an_end_and_keeps_ours(tmp_path):
    """Its resolve_timeout here is a second; by default it is five minutes."""
    async with alertmanager(tmp_path) as real:
        await real.tell(opened())
        labels = {"alertname": "WithoutAnEnd", "incident": "none", "severity": "none"}
        async with httpx.AsyncClient() as http:
            answered = await http.post(f"{real.spec.url}/api/v2/alerts", json=[{"labels": labels}])
        assert answered.status_code == 200
        ours = (opened().incident.id, "sev1")

        async def forgotten():
            return await real.active() == {ours}

        await until(forgotten, 30)


async def test_a_real_alertmanager_that_restarted_passes_on_the_resolve(tmp_path):
    incident = opened().incident.id
    async with alertmanager(tmp_path) as real:
        await real.tell(opened())
        await until(lambda: {incident} in real.notified("firing"), 30)
    async with alertmanager(tmp_path) as real:
        assert await real.active() == set(), "it keeps alerts in memory only"
        await real.tell(resolved())
        await until(lambda: {incident} in real.notified("resolved"), 30)


def test_what_is_open_again_fires_under_the_same_labels():
    first, again = (alerts_of(held(KIND, SPEC, told, Reply(200))[0][0])[0] for told in (opened(), reopened()))
    assert first["labels"] == again["labels"]
    assert first["endsAt"] == again["endsAt"]
