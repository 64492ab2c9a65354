"""`earwitness replay`, over the history of a real daemon and over made ones."""

import json

import pytest
import yaml
from daemon import Daemon, cli, serve_receiver
from judge_world import World, rules_of
from shop_config import web_config
from virtual import until

from earwitness.alerting.routing import Router, route
from earwitness.config.alerting import MatchSpec
from earwitness.model import Effect, Observed, Severity
from earwitness.replay import replay

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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--since", "7"), "not a duration"), (("--data-dir", "/nowhere"), "does not exist")],
)
async def test_what_cannot_be_replayed_is_said_plainly(tmp_path, simulator, arguments, words):
    file = tmp_path / "earwitness.yaml"
    file.write_text(yaml.safe_dump(web_config(simulator.url)))
    ended = await cli("replay", "--config", file, *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
