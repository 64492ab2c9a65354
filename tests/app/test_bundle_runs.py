"""The evidence bundle holds the runs that decided severity and cause, not only those that failed."""

import io
import json
import zipfile
from dataclasses import replace

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from virtual import until

from earwitness.evidence.bundle import bundle, runs_to_pack
from earwitness.evidence.storage import EvidenceStorage
from earwitness.presentation import sample_incident
from earwitness.serving import listen, served


async def _answers(request):
    return PlainTextResponse("", 503 if request.url.path == "/pay" else 200)


def _config(address):
    def probe(journey, path):
        return {"journey": journey, "every": "1s", "http": {"url": f"http://{address}{path}", "timeout": "900ms"}}

    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "journeys": {"pay": {"title": "Pay", "workaround": ["bank"]}, "bank": {"title": "Pay by bank"}},
        "probes": {"web": probe("pay", "/pay"), "bank-web": probe("bank", "/bank")},
    }


async def test_the_bundle_holds_the_runs_of_the_workaround_that_decided_the_severity(daemon):
    listener = listen("127.0.0.1", 0)
    routes = [Route("/pay", _answers), Route("/bank", _answers)]
    async with served(Starlette(routes=routes), listener, grace=1):
        daemon.configure(_config(f"127.0.0.1:{listener.getsockname()[1]}"))
        await daemon.start()
        found = await daemon.incident("web", "open")

        async def decided():
            incident = await daemon.get(f"incidents/{found['id']}")
            return incident["severity"] == "sev2"

        await until(decided)
        reply = await daemon.api.get(f"/api/v1/incidents/{found['id']}/evidence.zip")
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        runs = json.loads(archive.read("observations.json"))
    assert {(run["probe"], run["role"], run["outcome"]) for run in runs} == {
        ("web", "failed", "finding"),
        ("bank-web", "weighed", "ok"),
    }


def test_of_a_very_large_incident_the_latest_runs_are_packed_and_what_was_weighed():
    failed = tuple(f"run-{n}" for n in range(5000))
    incident = replace(sample_incident("inc-1", 0.0), observations=failed, weighed=("run-7", "bank-1"))
    roles = runs_to_pack(incident)
    assert [run for run, role in roles.items() if role == "failed"] == [*failed[-500:], "run-7"]
    assert roles["bank-1"] == "weighed"


def test_the_manifest_names_the_failed_runs_that_are_not_in_the_archive(tmp_path):
    shown = {"id": "inc-1", "title": "", "severity": "sev1", "status": "open", "reason": "", "timeline": []}
    packed = bundle(shown, [], [], EvidenceStorage(tmp_path), ["run-1", "run-2"])
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert json.loads(archive.read("manifest.json"))["runs_left_out"] == ["run-1", "run-2"]
