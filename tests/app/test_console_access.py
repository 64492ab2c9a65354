"""Who may open the console, and what of a call can be played there."""

import asyncio
import json

from daemon import Daemon, cli, run_cli
from shop_config import call_config, web_config

TOKEN = "a-token-that-nobody-guesses"


def test_off_localhost_it_does_not_listen_without_a_token(tmp_path):
    daemon = Daemon(tmp_path, host="0.0.0.0")
    daemon.configure(web_config("http://127.0.0.1:9"))
    ended = run_cli("run", "--config", daemon.config, "--data-dir", daemon.data)
    asyncio.run(daemon.close())
    assert ended.returncode == 2
    assert "http.listen: listening off localhost needs a token" in ended.stderr


async def test_with_a_token_everyone_needs_it_but_the_health_checks(tmp_path, simulator):
    daemon = Daemon(tmp_path, host="0.0.0.0")
    (tmp_path / "token").write_text(TOKEN + "\n")
    listening = {"listen": daemon.address, "token_file": str(tmp_path / "token")}
    daemon.configure({**web_config(simulator.url), "http": listening})
    await daemon.start()

    async def status(path, **more):
        return (await daemon.api.get(path, **more)).status_code

    for path in ("/", "/metrics", "/api/v1/incidents", "/api/v1/openapi.json", "/static/console.css", "/nowhere"):
        assert await status(path) == 401, path
    for wrong in ("Bearer no", "Bearer", "Basic", "Basic !", "Basic é", "Basic bm8=", f"Digest {TOKEN}", ""):
        assert await status("/", headers={"authorization": wrong.encode("latin-1")}) == 401, wrong
    assert await status("/", headers={"authorization": f"Bearer {TOKEN}"}) == 200
    assert await status("/", auth=("anyone", TOKEN)) == 200
    assert await status("/", auth=(TOKEN, "")) == 401
    assert [await status("/healthz"), await status("/readyz")] == [200, 200]
    listed = await cli("incidents", "list", "--url", daemon.url, "--token-file", tmp_path / "token", "--json")
    assert (listed.returncode, json.loads(listed.stdout)) == (0, [])
    refused = await cli("incidents", "list", "--url", daemon.url)
    assert (refused.returncode, "401" in refused.stderr) == (1, True)
    assert TOKEN not in daemon.log.read_text()
    await daemon.close()


async def test_a_failed_call_can_be_played_on_its_incidents_page(daemon, simulator):
    simulator.faults.turn_on("card-processor-down")
    config = call_config(simulator.url)
    del config["probes"]["card-web"]
    daemon.configure({**config, "incidents": {"open_after": 1}})
    await daemon.start()
    await daemon.look("card-phone")
    incident = await daemon.incident("card-phone", "open")
    page = (await daemon.api.get(f"/incidents/{incident['id']}")).text
    recording = next(e for e in incident["evidence"] if e["kind"] == "recording")
    assert f'<audio controls preload="metadata" src="{recording["url"]}#t=' in page, "it begins where it went wrong"
    part = await daemon.api.get(recording["url"], headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")
    assert part.headers["content-type"] == "audio/wav"
    assert "411111111111" not in page
