"""What /metrics says of the latest runs, in the text that Prometheus reads."""

import threading
import time
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from earwitness.metrics import Metrics
from earwitness.model import Attribution, Channel, Effect, Failure, Finding, Observation, Run, Why

RUN = Run("run-1", "web", "shop", Channel.HTTP, "local", "production", Why.SCHEDULED, 60.0)
LABELS = {"probe": "web", "journey": "shop", "channel": "http", "location": "local", "environment": "production"}
MEASURES = {"status_code": 200.0, "phase_connect": 0.25, "phase_tls": 0.5, "cert_expiry": 2e9, "size": 12.0}
DOWN = Finding(Failure.CONNECTION_REFUSED, "refused", Effect.BLOCKED)
UNSURE = Finding(Failure.MONITOR_ERROR, "ours", Effect.NONE, Attribution.MONITOR)


@pytest.fixture
def told():
    """Take observations, and return {(name, label that is not of every series): value} of probe web as it is rendered then."""
    metrics = Metrics()

    def told(*seen, forget=False, **labels):
        for one in seen:
            metrics.observed(one)
        if forget:
            metrics.forget("web")
        families = text_string_to_metric_families(metrics.render().decode())
        samples = [sample for family in families for sample in family.samples if sample.labels.get("probe") == "web"]
        assert all(sample.labels.items() >= (LABELS | labels).items() for sample in samples)
        own = [(s.name, *(v for k, v in s.labels.items() if k not in LABELS)) for s in samples]
        return dict(zip(own, (s.value for s in samples), strict=True))

    return told


def test_a_run_is_told_with_what_it_measured(told):
    assert told(Observation(RUN, 60.0, 0.75, measures=MEASURES)) == {
        ("probe_success",): 1,
        ("probe_duration_seconds",): 0.75,
        ("probe_http_status_code",): 200,
        ("probe_ssl_earliest_cert_expiry",): 2e9,
        ("probe_http_duration_seconds", "connect"): 0.25,
        ("probe_http_duration_seconds", "tls"): 0.5,
        ("earwitness_probe_runs_total", "ok"): 1,
    }


def test_what_a_later_run_did_not_come_to_measure_stays(told):
    after = told(Observation(RUN, 60.0, 0.75, measures=MEASURES), Observation(RUN, 120.0, 0.01, (DOWN,)))
    assert (after["probe_success",], after["probe_duration_seconds",]) == (0, 0.01)
    assert after["probe_http_status_code",] == 200


def test_a_run_that_could_not_tell_leaves_the_word_of_the_one_before(told):
    assert told(Observation(RUN, 60.0, 0.75, (DOWN,)), Observation(RUN, 120.0, 0.1, (UNSURE,)))["probe_success",] == 0
    assert ("probe_success",) not in told(Observation(RUN, 60.0, 0.1, (UNSURE,)), forget=True)


def test_a_run_that_was_skipped_took_no_time(told):
    assert told(Observation(RUN, 60.0, 0.0, skipped="maintenance")) == {("earwitness_probe_runs_total", "skipped"): 1}


def test_of_the_versions_of_tls_the_latest_is_told_and_no_phase_of_http(told):
    run = replace(RUN, channel=Channel.TLS)
    versions = (1.2, 1.3)
    seen = [Observation(run, 60.0 + v, 0.1, measures={"tls_version": v, "phase_tls": 0.5}) for v in versions]
    assert told(*seen, channel="tls") == {
        ("probe_success",): 1,
        ("probe_duration_seconds",): 0.1,
        ("probe_tls_version_info", "TLS 1.3"): 1,
        ("earwitness_probe_runs_total", "ok"): 2,
    }


def test_names_are_written_so_that_prometheus_reads_them(told):
    odd = 'say "hi" \\ and\nmore'
    after = told(Observation(replace(RUN, journey=odd), 60.0, 0.1), journey=odd)
    assert after["probe_success",] == 1


def test_a_scrape_of_thousands_of_probes_lets_other_threads_go_on():
    metrics, turns, ended = Metrics(), 0, threading.Event()
    for n in range(5_000):
        metrics.observed(Observation(replace(RUN, probe=f"web-{n}"), 60.0, 0.75, measures=MEASURES))

    def scrape():
        metrics.render()
        ended.set()

    thread = threading.Thread(target=scrape)
    thread.start()
    while not ended.is_set():
        time.sleep(0)
        turns += 1
    thread.join()
    assert turns > 50, "one that lets no other go on is done before the other had so many turns"


def test_a_probe_that_was_removed_has_no_series_left(told):
    assert told(Observation(RUN, 60.0, 0.75, measures=MEASURES), forget=True) == {}
