"""The evidence bundle holds the runs that decided severity and cause, not only those that failed."""

import io
import json
import zipfile

from daemon import Daemon
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from virtual import until

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


async def test_the_bundle_holds_the_runs_of_the_workaround_that_decided_the_severity(tmp_path):
    daemon = Daemon(tmp_path)
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
        await daemon.close()
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        runs = json.loads(archive.read("observations.json"))
    assert {(run["probe"], run["role"], run["outcome"]) for run in runs} == {
        ("web", "failed", "finding"),
        ("bank-web", "weighed", "ok"),
    }
