import asyncio
import json
import os
import sys

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from virtual import until

from earwitness.serving import listen, served

SECRET = "hunter2-correct-horse"
CONFIG = """environment: production
network: {allow: [127.0.0.0/8]}
journeys: {pay: {title: Pay}}
probes: {web: {journey: pay, every: 1m, http: {url: "https://shop.example/"}}}
hooks:
  on-call:
    webhook: {url: "%s", secret: "${SECRET}"}
    template: {body: "Ring the bell: {{ text }}"}
"""


@pytest.fixture
async def receiver():
    got, answers, listener = [], [], listen("127.0.0.1", 0)

    async def receive(request):
        got.append(json.loads(await request.body()))
        return Response(status_code=answers.pop(0) if answers else 204)

    async with served(Starlette(routes=[Route("/hook", receive, methods=["POST"])]), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook", got, answers


@pytest.fixture
def command(tmp_path, receiver):
    file = tmp_path / "earwitness.yaml"
    file.write_text(CONFIG % receiver[0])

    async def run(*words):
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "earwitness", "hooks", "test", *words,
            cwd=tmp_path, env={**os.environ, "SECRET": SECRET}, stdout=-1, stderr=-1,
        )  # fmt: skip
        out, err = await running.communicate()
        assert SECRET not in (out + err).decode()
        return running.returncode, out.decode(), err.decode()

    return run


async def test_a_marked_test_and_its_resolve_are_sent(command, receiver):
    code, out, _ = await command("on-call")
    assert (code, out) == (0, "on-call: open: delivered (ok) HTTP 204\non-call: resolve: delivered (ok) HTTP 204\n")
    opening, end = receiver[1]
    assert [opening["type"], end["type"]] == ["incident.open", "incident.resolve"]
    assert opening["data"]["test"] is end["data"]["test"] is True
    assert opening["data"]["text"] == (
        "Test alert, nothing is wrong. Ring the bell: This is a test of the way alerts take. Nothing is wrong."
    )
    assert opening["data"]["incident"]["id"] == end["data"]["incident"]["id"]
    assert end["data"]["incident"]["status"] == "resolved"


async def test_what_fails_is_told_and_the_resolve_is_tried_all_the_same(command, receiver):
    receiver[2].append(503)
    code, out, _ = await command("on-call", "--json")
    assert code == 1
    assert json.loads(out) == {
        "hook": "on-call",
        "attempts": [
            {"change": "open", "outcome": "retry", "reason": "server_error", "detail": "HTTP 503"},
            {"change": "resolve", "outcome": "delivered", "reason": "ok", "detail": "HTTP 204"},
        ],
    }
    await until(lambda: len(receiver[1]) == 2)


async def test_a_hook_or_a_file_that_is_not_there_is_told(command):
    code, _, err = await command("nobody")
    assert (code, err) == (2, "nobody is no hook of earwitness.yaml; there is on-call\n")
    code, _, err = await command("on-call", "--config", "other.yaml")
    assert code == 2
    assert "other.yaml:1:1: cannot be read" in err
