"""The daemon watches a whole checkout: what fails in it is told with its step, its owner and its evidence."""

from daemon import PATIENCE
from virtual import until

from earwitness.simulator.checkout import CLIENT, CLIENT_SECRET, PASSWORD, USER


def checkout_flow(url):
    return [
        {"name": "login-page", "url": f"{url}/shop/login", "capture": {"CSRF": {"form": "csrf_token"}}},
        {
            "name": "login",
            "url": f"{url}/shop/login",
            "method": "POST",
            "form": {"user": USER, "password": PASSWORD, "csrf_token": "{{CSRF}}"},
            "capture": {"TOKEN": {"regex": 'data-token="([^"]+)"'}},
        },
        {
            "name": "pay",
            "url": url.replace("127.0.0.1", "localhost") + "/shop/api/payments",
            "method": "POST",
            "headers": {"authorization": "Bearer {{TOKEN}}"},
            "json": {"card": "4242424242424242", "amount": 42.17},
            "expect": {"status": "201"},
        },
        {"name": "logout", "url": f"{url}/shop/logout", "method": "POST", "always": True},
    ]


def config(url, receiver):
    oauth2 = {"token_url": f"{url}/shop/oauth2/token", "client_id": CLIENT, "client_secret": CLIENT_SECRET}
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8", "::1/128"]},
        "dependencies": {"card-processor": {"third_party": "true", "hosts": ["localhost"]}},
        "journeys": {"pay": {"title": "Pay by card"}, "orders": {}},
        "probes": {
            "checkout": {
                "journey": "pay",
                "depends_on": ["card-processor"],
                "every": "7d",
                "http": {"steps": checkout_flow(url)},
            },
            "orders": {"journey": "orders", "every": "7d", "http": {"url": f"{url}/shop/api/orders", "oauth2": oauth2}},
        },
        "incidents": {"resolve_after": 1},
        "hooks": {"on-call": receiver.hook()},
    }


async def test_a_checkout_that_fails_is_told_and_taken_back(daemon, receiver, simulator):
    daemon.configure(config(simulator.url, receiver))
    await daemon.start()
    passed = await daemon.observation(await daemon.look("checkout"))
    assert passed["outcome"] == "ok", passed
    assert [step["name"] for step in passed["steps"]] == ["login-page", "login", "pay", "logout"]
    assert {"step_login", "step_pay", "phase_connect"} <= passed["measures"].keys()
    phase = (await daemon.metrics()).value("probe_http_duration_seconds", probe="checkout", phase="connect")
    assert phase == passed["measures"]["phase_connect"]

    simulator.faults.turn_on("card-processor-down")
    failed = await daemon.observation(await daemon.look("checkout"))
    (finding,) = failed["findings"]
    assert finding["message"] == "pay: expected status 201, got 502 Bad Gateway"
    assert (finding["step"], finding["attribution"], finding["dependency"]) == ("pay", "third_party", "card-processor")
    assert [e["name"] for e in failed["evidence"]][-1] == "03-pay-response.txt"
    incident = await daemon.incident("checkout", "open")
    assert (incident["severity"], incident["cause"]["dependency"]) == ("sev1", "card-processor")
    await receiver.hears(incident["id"], "open")

    simulator.faults.turn_off("card-processor-down")
    await daemon.look("checkout")
    await daemon.incident("checkout", "resolved")
    await receiver.hears(incident["id"], "resolve")


async def test_a_token_outlives_a_reload(daemon, receiver, simulator):
    daemon.configure(config(simulator.url, receiver))
    await daemon.start()

    async def steps():
        seen = await daemon.observation(await daemon.look("orders"))
        assert seen["outcome"] == "ok", seen
        return len(seen["steps"])

    assert [await steps(), await steps()] == [2, 1]
    daemon.reload({**config(simulator.url, receiver), "redact": ["CUST-[0-9]+"]})
    await until(lambda: daemon.events("reloaded"), PATIENCE)
    assert await steps() == 1
    assert len(simulator.app.state.checkout.tokens) == 1
