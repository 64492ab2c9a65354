"""The daemon against a real nginx with TLS: every way in which a page breaks is named, told, and taken back."""

from dataclasses import dataclass

import pytest
from nginx_shop import GOOD, HOST, LOST_HOST, nginx_shop
from web_servers import hang, name_server, raw_server


@dataclass(frozen=True)
class Break:
    """How a stand of the shop is broken, and what must come of it."""

    failure: str
    severity: str = "sev1"
    answer: str | None = GOOD
    certificate: str = "good"


BREAKS = {
    "status": Break("wrong_status", answer='return 503 "closed";'),
    "body": Break("wrong_body", answer='return 200 "Something went wrong";'),
    "loop": Break("too_many_redirects", answer="return 302 /pay;"),
    "refused": Break("connection_refused", answer=None),
    "name": Break("name_not_found"),
    "expiring": Break("certificate_expiring", "sev3", certificate="expiring"),
    "certificate": Break("certificate_invalid", certificate="other"),
    "slow": Break("first_byte_timeout", answer="proxy_pass http://127.0.0.1:{hanging};"),
    "detour": Break("wrong_status", "sev2", answer='return 500 "broken";'),
    "staging": Break("wrong_status", "nonprod", answer='return 503 "closed";'),
}
STANDS = [*BREAKS, "bank"]


@pytest.fixture
def zone():
    with name_server() as (address, zone):
        zone.address = address
        zone.addresses = {HOST: ["127.0.0.1"], LOST_HOST: ["127.0.0.1"]}
        yield zone


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "nginx"
    folder.mkdir()
    with nginx_shop(folder, STANDS) as running:
        yield running


def journey(name):
    more = {"workaround": ["by-bank"]} if name == "detour" else {}
    return {"title": f"Pay at {name}", **({"environment": "staging"} if name == "staging" else {}), **more}


def probe(shop, name):
    limits = {"first_byte": "700ms"} if name == "slow" else {}
    return {
        "journey": "by-bank" if name == "bank" else f"pay-{name}",
        "every": "2s",
        "http": {
            "url": shop.url(name).replace(HOST, LOST_HOST) if name == "name" else shop.url(name),
            "timeout": "1900ms",
            **({"timeouts": limits} if limits else {}),
            "expect": {"status": 200, "body": "Payment accepted"},
        },
    }


def config(shop, zone, receiver):
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"], "nameservers": [zone.address], "ca_file": str(shop.ca_file)},
        "journeys": {f"pay-{name}": journey(name) for name in BREAKS} | {"by-bank": {"title": "Pay at the bank"}},
        "probes": {name: probe(shop, name) for name in STANDS},
        "incidents": {"nuisance_open_after": 2},
        "hooks": {"on-call": receiver.hook()},
    }


def break_all(shop, zone, hanging):
    for name, how in BREAKS.items():
        shop.stands[name].answer = how.answer and how.answer.replace("{hanging}", str(hanging))
        shop.stands[name].certificate = how.certificate
    del zone.addresses[LOST_HOST]
    shop.reload()


def mend_all(shop, zone):
    for stand in shop.stands.values():
        stand.answer, stand.certificate = GOOD, "good"
    zone.addresses[LOST_HOST] = ["127.0.0.1"]
    shop.reload()


async def check_broken(daemon, receiver, name, how):
    incident = await daemon.incident(name, "open")
    assert incident["severity"] == how.severity, incident["reason"]
    assert incident["probes"] == [name]
    failed = next(o for o in await daemon.get("runs", probe=name, limit=1000) if o["outcome"] == "finding")
    assert failed["findings"][0]["failure"] == how.failure, failed["findings"]
    assert {f["attribution"] for f in failed["findings"]} == {"target"}
    await receiver.hears(incident["id"], "open")
    metrics = await daemon.metrics()
    assert metrics.value("probe_success", probe=name) == 0
    assert metrics.value("earwitness_probe_runs_total", probe=name, outcome="finding") >= 2
    return incident["id"]


async def test_every_way_of_breaking_is_named_told_and_taken_back(daemon, receiver, shop, zone):
    daemon.configure(config(shop, zone, receiver))
    async with raw_server(hang) as hanging:
        await daemon.start()
        await daemon.passes(*STANDS)
        assert (await daemon.metrics()).all("earwitness_incidents_open") == [0, 0, 0, 0]

        break_all(shop, zone, hanging)
        ids = {name: await check_broken(daemon, receiver, name, how) for name, how in BREAKS.items()}
        assert len(set(ids.values())) == len(BREAKS)
        for severity in ("sev1", "sev2", "sev3", "nonprod"):
            count = sum(how.severity == severity for how in BREAKS.values())
            await daemon.shows(count, "earwitness_incidents_open", severity=severity)
        assert (await daemon.metrics()).value("probe_success", probe="bank") == 1

        mend_all(shop, zone)
        for name, key in ids.items():
            await daemon.incident(name, "resolved")
            await receiver.hears(key, "resolve")

    metrics = await daemon.metrics()
    assert metrics.all("earwitness_incidents_open") == [0, 0, 0, 0]
    assert metrics.all("earwitness_monitor_impaired") == [0] * len(metrics.all("earwitness_monitor_impaired"))
    for name in STANDS:
        assert metrics.value("probe_success", probe=name) == 1
    unknown = [run["findings"] for run in await daemon.get("runs", limit=1000) if run["outcome"] == "unknown"]
    assert [
        f for (f,) in unknown if "the monitor itself stood still" not in f["message"]
    ] == []  # as a busy machine may
    await daemon.shows(2 * len(BREAKS), "earwitness_alert_deliveries_total", hook="on-call", outcome="delivered")
    assert receiver.forged == 0
    assert len(await daemon.get("incidents")) == len(BREAKS)
    assert await daemon.stop() == 0
