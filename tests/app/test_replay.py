"""`earwitness replay`, over the history of a real daemon and over made ones."""

import asyncio
import json

import pytest
import yaml
from daemon import PATIENCE, Daemon, cli, serve_receiver
from judge_world import World, rules_of
from shop_config import PAY_STEPS, call_config, call_probe, carrier, web_config
from virtual import until

from earwitness.alerting.routing import Router, route
from earwitness.config.alerting import MatchSpec
from earwitness.config.rules import rules_of as rules_of_config
from earwitness.config.schema import Config
from earwitness.model import Channel, Effect, Failure, Finding, Observation, Observed, Run, Severity, Why
from earwitness.rehearing import Rehearing
from earwitness.replay import replay, seen_by
from earwitness.simulator.server import Simulator

PROBES = {"web": ("pay", ["cards"]), "phone": ("pay", ["cards"]), "bank": ("bank", ["bank"])}


class Recorder(World):
    """A world that keeps what it was told, as the database does."""

    def __init__(self, **limits):
        super().__init__(rules_of(PROBES, **limits))
        self.history = []

    def tell(self, event):
        if isinstance(event, Observed):
            self.history.append(event.observation)
        return super().tell(event)


def a_bad_day(**limits):
    world = Recorder(**limits)
    world.passes("web", "phone", "bank")
    world.fails("web", times=2)
    world.fails("phone")
    world.passes("bank", "web", "phone", "web", "phone")
    world.fails("bank", effect=Effect.NUISANCE, times=3)
    return world


ROUTER = Router([route(MatchSpec(severity=(Severity.SEV1,)), ("pager",)), route(MatchSpec(), ("log",))])


def test_the_same_rules_give_the_same_incidents():
    world = a_bad_day()
    done = replay(world.history, world.rules, ROUTER)
    assert list(done.courses) == list(dict.fromkeys(t.incident.id for t in world.transitions))
    assert [c.incident for c in done.courses.values()] == [
        next(t.incident for t in reversed(world.transitions) if t.incident.id == key) for key in done.courses
    ]
    assert done.observations == len(world.history)


def test_other_rules_tell_what_would_have_been():
    world = a_bad_day()
    patient = rules_of(PROBES, open_after=5, nuisance_open_after=9)
    assert replay(world.history, patient, ROUTER).courses == {}
    staging = rules_of(PROBES, production=("elsewhere",))
    assert {c.worst for c in replay(world.history, staging, ROUTER).courses.values()} == {Severity.NONPROD}


def test_alerts_are_counted_by_hook_and_go_to_whom_the_routes_name():
    world = a_bad_day()
    done = replay(world.history, world.rules, ROUTER)
    outage, nuisance = done.courses.values()
    assert (outage.worst, nuisance.worst) == (Severity.SEV1, Severity.SEV3)
    assert outage.told["pager"] >= 2, "its opening and its end"
    assert nuisance.told["pager"] == 0
    assert done.alerts["log"] == outage.told["log"] + nuisance.told["log"]


def test_runs_that_would_have_been_asked_for_are_counted_and_not_made():
    world = a_bad_day()
    done = replay(world.history, world.rules, ROUTER)
    assert done.asked > 0
    assert done.answered == 0, "the world above answers no request"


def test_probes_that_are_gone_are_passed_over():
    world = a_bad_day()
    fewer = rules_of({"web": PROBES["web"]})
    done = replay(world.history, fewer, ROUTER)
    assert done.passed_over == sum(seen.run.probe != "web" for seen in world.history)


async def test_the_history_of_a_running_daemon_is_judged_and_stays_as_it_is(tmp_path, simulator):
    async with serve_receiver() as receiver:
        daemon = Daemon(tmp_path)
        config = web_config(simulator.url, hooks={"on-call": receiver.hook()})
        daemon.configure(config)
        await daemon.start()
        try:
            simulator.faults.turn_on("card-processor-down")

            async def opened():
                return (await daemon.api.get("/api/v1/incidents")).json()

            await until(opened)
            config["probes"]["card-web"]["environment"] = "staging"
            patient = tmp_path / "patient.yaml"
            patient.write_text(yaml.safe_dump(config))
            for file, worst in ((daemon.config, "sev1"), (patient, "nonprod")):
                ended = await cli("replay", "--config", file, "--data-dir", daemon.data, "--since", "1h", "--json")
                assert ended.returncode == 0, ended.stderr
                told = json.loads(ended.stdout)
                assert [i["worst"] for i in told["incidents"]] == [worst]
                assert told["then"] == {"sev1": 1}
                assert told["alerts"]["on-call"] >= 1
            shown = await cli("replay", "--config", patient, "--data-dir", daemon.data)
            assert "by this configuration: 1 nonprod; as it was: 1 sev1" in shown.stdout
        finally:
            await daemon.close()


def day_config(**more):
    """A configuration that fits the probes of the bad day."""
    web = {"every": "1m", "http": {"url": "https://shop.example/"}}
    plain = {"environment": "production", "journeys": {"pay": {}, "bank": {}}}
    probes = {"web": web | {"journey": "pay"}, "phone": web | {"journey": "pay"}, "bank": web | {"journey": "bank"}}
    return Config.model_validate({**plain, "probes": probes, **more})


def replayed(world, config):
    return replay(seen_by(config, world.history), rules_of_config(config), ROUTER)


def test_effects_of_the_configuration_are_those_that_count():
    world = a_bad_day()
    failures = {f.failure.value for seen in world.history for f in seen.findings}
    worst = {c.worst for c in replayed(world, day_config()).courses.values()}
    assert Severity.SEV1 in worst
    milder = replayed(world, day_config(effects=dict.fromkeys(failures, "nuisance")))
    assert {c.worst for c in milder.courses.values()} == {Severity.SEV3}


def test_what_maintenance_would_have_stopped_was_not_seen():
    world = a_bad_day()
    all_day = {"from": "1970-01-01", "until": "2099-01-01", "mode": "stop", "match": {"journey": "pay"}}
    done = replayed(world, day_config(maintenance={"move": all_day}))
    assert done.stopped == sum(seen.run.probe in ("web", "phone") for seen in world.history)
    assert {i for c in done.courses.values() for i in c.incident.probes} == {"bank"}


async def test_recordings_that_were_kept_are_heard_again(tmp_path):
    """A call that was right but for its wording, by a configuration that expected other words."""
    async with Simulator(speed=30) as simulator:
        daemon = Daemon(tmp_path)
        steps = [*PAY_STEPS[:-1], {"expect": "You are through to the mortgage team"}]
        config = call_config(simulator.url, probes={"phone": call_probe(steps=steps)})
        daemon.configure(config)
        await daemon.start()
        try:
            for _ in range(2):
                (await daemon.api.post("/api/v1/probes/phone/run")).raise_for_status()

            async def opened():
                return (await daemon.api.get("/api/v1/incidents")).json()

            await until(opened, PATIENCE)
        finally:
            await daemon.close()
        config["probes"]["phone"]["call"]["steps"] = PAY_STEPS
        better = tmp_path / "better.yaml"
        better.write_text(yaml.safe_dump(config))
        told = []
        for more in ((), ("--recordings",)):
            ended = await cli("replay", "--config", better, "--data-dir", daemon.data, "--since", "1h", "--json", *more)
            assert ended.returncode == 0, ended.stderr
            told.append(json.loads(ended.stdout))
    as_found, again = told
    assert [i["worst"] for i in as_found["incidents"]] == ["sev1"]
    assert as_found["recordings"] is None
    assert again["incidents"] == [], again["recordings"]
    assert again["recordings"]["heard"] == again["recordings"]["changed"] >= 2
    assert again["recordings"]["lost"] == 0


def test_a_recording_that_cannot_be_heard_leaves_its_run_as_it_was(tmp_path):
    config = Config.model_validate(
        {
            "environment": "production",
            "journeys": {"pay": {}},
            "probes": {"phone": {"journey": "pay", **call_probe(), "depends_on": []} | {"journey": "pay"}},
            "carriers": {"main": carrier("http://127.0.0.1:9")},
        }
    )
    rehearing = Rehearing(config, tmp_path)
    file = asyncio.run(rehearing._storage.save(b"no sound", kind="recording", media_type="audio/wav", name="r.wav"))
    run = Run("r1", "phone", "pay", Channel.CALL, "here", "production", Why.SCHEDULED, 0.0)
    seen = Observation(run, 0.0, 1.0, (Finding(Failure.DEAD_AIR, "silence"),), evidence=(file,))
    assert rehearing.again(seen) == seen
    assert (rehearing.heard, rehearing.lost) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--since", "7"), "not a duration"),
        (("--data-dir", "/nowhere"), "does not exist"),
        (("--data-dir", "."), "is no database of a daemon"),
    ],
)
async def test_what_cannot_be_replayed_is_said_plainly(tmp_path, simulator, arguments, words):
    file = tmp_path / "earwitness.yaml"
    file.write_text(yaml.safe_dump(web_config(simulator.url)))
    (tmp_path / "earwitness.db").touch()
    ended = await cli("replay", "--config", file, *(str(tmp_path) if a == "." else a for a in arguments))
    assert ended.returncode == 2
    assert words in ended.stderr
