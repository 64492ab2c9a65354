"""The dashboard: well formed, of our metrics alone, and every panel shows something of a daemon that a Prometheus scrapes."""

import asyncio
import json
import math
import re

import yaml
from deploy_needs import DEPLOY, program
from scraped_stage import scraped_stage, until

from earwitness.metrics import Metrics
from earwitness.probe_series import FAMILIES

DASHBOARD = json.loads((DEPLOY / "grafana/earwitness.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
NAME = re.compile(r"\b(?:earwitness|probe)_\w+\b|\bearwitness:[\w:]+")
VARIABLES = {"$__rate_interval": "10s", "$__range": "1m", "$environment": ".*", "$journey": ".*"}


def series_names() -> set[str]:
    """Return the names of the series that the daemon publishes."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    kept = {family.name + end for family in Metrics().registry.collect() for end in ends[family.type]}
    return kept | {family.name for family in FAMILIES}


def recorded_names() -> set[str]:
    groups = yaml.safe_load((DEPLOY / "prometheus/earwitness.rules.yml").read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def names_in(expression) -> set[str]:
    return set(NAME.findall(expression))


def filled_in(expression) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


def test_panels_have_ids_and_places_of_their_own():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells


def test_every_query_asks_the_chosen_datasource_for_metrics_that_exist():
    assert [v["name"] for v in DASHBOARD["templating"]["list"]] == ["datasource", "environment", "journey"]
    for panel in PANELS:
        assert [target["datasource"]["uid"] for target in panel["targets"]] == ["${datasource}"] * len(panel["targets"])
        for target in panel["targets"]:
            names = names_in(target["expr"])
            assert names, panel["title"]
            assert names <= series_names() | recorded_names(), panel["title"]


def test_every_alert_asks_for_metrics_that_exist():
    groups = yaml.safe_load((DEPLOY / "prometheus/earwitness.rules.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert names_in(rule["expr"]) <= series_names() | recorded_names(), rule


async def every_metric_of_the_dashboard_has_a_series(stage):
    for name in sorted({name for _, query in QUERIES for name in names_in(query)}):
        await until(f"a series of {name}", lambda name=name: stage.query(name))


async def every_panel_shows_data(stage):
    async def numbers(query):
        values = [float(sample["value"][1]) for sample in await stage.query(filled_in(query))]
        return any(map(math.isfinite, values))

    for title, query in QUERIES:
        await until(f"data in {title}: {query}", lambda query=query: numbers(query))


async def slots_in_which_nobody_looked_are_counted(stage):
    query = 'earwitness_schedule_missed_total{channel="http",reason="not_running"} >= 1'
    await until("a missed slot", lambda: stage.query(query))


async def prometheus_takes_the_rules(stage):
    await until("a scrape", lambda: stage.query('up{job="earwitness"} == 1'))
    answer = (await stage.prometheus.get("/api/v1/rules")).json()
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert rules
    assert {rule.get("lastError", "") for rule in rules} == {""}


async def promtool_has_nothing_to_say_of_the_metrics(stage):
    reading = asyncio.subprocess.PIPE
    check = await asyncio.create_subprocess_exec(
        program("promtool"), "check", "metrics", stdin=reading, stdout=reading, stderr=reading
    )
    out, errors = await check.communicate((await stage.metrics()).encode())
    assert (check.returncode, out, errors) == (0, b"", b"")


async def test_a_prometheus_that_scrapes_the_daemon_fills_the_dashboard(tmp_path, subtests):
    checks = (
        every_metric_of_the_dashboard_has_a_series,
        every_panel_shows_data,
        slots_in_which_nobody_looked_are_counted,
        prometheus_takes_the_rules,
        promtool_has_nothing_to_say_of_the_metrics,
    )
    async with scraped_stage(tmp_path) as stage:
        for check in checks:
            with subtests.test(check.__name__):
                await check(stage)
