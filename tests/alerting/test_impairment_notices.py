"""When the monitor itself is impaired, people are told once, of what is added, and of the end."""

from contextlib import suppress

import pytest
from outbox_world import OutboxWorld
from providers import PROVIDERS
from sqlalchemy.exc import OperationalError

from earwitness.alerting.impairment_notices import ImpairmentNotices
from earwitness.alerting.notices import Change, Links, notice_of
from earwitness.config.schema import Config, HookSpec
from earwitness.config.templates import TemplateSpec
from earwitness.hooks import HOOKS
from earwitness.hooks.base import Parcel
from earwitness.impairments import Impairments
from earwitness.model import (
    Attribution,
    Channel,
    Effect,
    Failure,
    Finding,
    Observation,
    Outcome,
    Run,
    Severity,
    Status,
    TransitionKind,
    Why,
)
from earwitness.store import impairment_notices, outbox

WEBHOOK = {"webhook": {"url": "https://on-call.example", "secret": "long enough"}}
PLAIN = {
    "environment": "production",
    "journeys": {"pay": {}},
    "probes": {"web": {"journey": "pay", "every": "1m", "http": {"url": "https://shop.example"}}},
    "hooks": {"on-call": WEBHOOK, "desk": WEBHOOK},
}


def config(**more):
    return Config.model_validate({**PLAIN, **more})


def run_that(*failures, probe="web", attribution=Attribution.MONITOR, effect=Effect.NONE):
    run = Run("r1", probe, "pay", Channel.HTTP, "here", "production", Why.SCHEDULED, 0.0)
    return Observation(run, 0.0, 1.0, tuple(Finding(f, f"{f} it is", effect, attribution) for f in failures))


class Watch:
    """The impairments of a monitor, the watch over them, and two hooks."""

    def __init__(self, path, **more):
        self.world = OutboxWorld(path, [{"to": ["on-call", "desk"]}])
        self.config = config(**more)
        self.begin()

    def begin(self):
        """Start as after a restart: nothing is known to be impaired."""
        self.impairments = Impairments(lambda _part, _bad: None)
        self.notices = ImpairmentNotices(
            self.world.store, self.world.clock, self.impairments, lambda: self.config, lambda: None
        )

    async def passes(self, seconds):
        for _ in range(round(seconds)):
            await self.notices.look()
            await self.world.clock.sleep(1.0)
        await self.world.deliver()


@pytest.fixture
def watch(tmp_path):
    made = []

    def make(**more):
        made.append(Watch(tmp_path / "w.db", **more))
        return made[-1]

    yield make
    for each in made:
        each.world.close()


async def test_what_lasts_is_told_once_with_its_reason_and_its_end(watch):
    it = watch()
    await it.passes(200)
    assert it.world.got == []
    it.impairments.observed(run_that(Failure.RESOLVER_FAILED))
    await it.passes(120)
    assert it.world.got == [], "it may pass"
    await it.passes(600)
    assert it.world.kinds("on-call") == it.world.kinds("desk") == ["open"]
    (told,) = it.world.bodies("on-call", "open")
    assert "resolver: web: resolver_failed it is" in told["text"]
    assert told["incident"]["severity"] == Severity.NONPROD.value
    assert (told["incident"]["title"], told["url"]) == ("Monitor impaired: resolver", "http://127.0.0.1:8420/")
    assert "acknowledge_url" not in told

    it.impairments.observed(run_that())
    await it.passes(60)
    assert it.world.kinds("on-call") == ["open"], "it may come back"
    await it.passes(120)
    assert it.world.kinds("on-call") == ["open", "resolve"]
    assert "after 12 min" in it.world.bodies("on-call", "resolve")[0]["text"]
    assert it.world.told("on-call")[0][1] == it.world.told("on-call")[1][1]


async def test_what_comes_and_goes_is_not_told(watch):
    it = watch()
    for _ in range(20):
        it.impairments.set("uplink", True)
        await it.passes(60)
        it.impairments.set("uplink", False)
        await it.passes(2)
    assert it.world.got == []


async def test_more_parts_are_one_notice_and_its_additions(watch):
    it = watch()
    it.impairments.set("uplink", True, detail="no known-good address answers")
    it.impairments.observed(run_that(Failure.RESOLVER_FAILED))
    await it.passes(130)
    it.impairments.set("store", True)
    await it.passes(130)
    assert it.world.kinds("on-call") == ["open", "remind"]
    first, more = it.world.bodies("on-call", "open")[0], it.world.bodies("on-call", "remind")[0]
    assert first["incident"]["title"] == "Monitor impaired: resolver, uplink"
    assert "no known-good address answers" in first["text"]
    assert "store" in more["text"]
    assert "uplink" not in more["text"]
    assert more["incident"]["title"] == "Monitor impaired: resolver, uplink, store"


async def test_a_part_that_comes_back_is_told_again_while_another_stays_impaired(watch):
    it = watch()
    it.impairments.set("recordings", True)
    it.impairments.set("uplink", True)
    await it.passes(130)
    it.impairments.set("uplink", False)
    await it.passes(130)
    it.impairments.set("uplink", True)
    await it.passes(130)
    assert it.world.kinds("on-call") == ["open", "remind", "remind"]
    again, more = it.world.bodies("on-call", "remind")
    assert "can rely on uplink again. Still impaired: recordings" in again["text"]
    assert "uplink: no more is known" in more["text"]


async def test_what_could_not_be_told_while_the_store_refused_is_told_afterwards(watch, monkeypatch):
    it = watch()
    await it.passes(2)

    async def refuse(_work):
        raise OperationalError("insert", {}, Exception("disk I/O error"))

    it.impairments.set("store", True, detail="the database refuses what is written")
    with monkeypatch.context() as broken:
        broken.setattr(it.world.store, "write", refuse)
        for _ in range(200):
            with suppress(OperationalError):
                await it.notices.look()
            await it.world.clock.sleep(1.0)
        it.impairments.set("store", False)
    await it.passes(200)
    assert it.world.kinds("on-call") == ["open", "resolve"]
    assert "store: the database refuses what is written" in it.world.bodies("on-call", "open")[0]["text"]


async def test_after_a_restart_the_notice_goes_on(watch):
    it = watch()
    it.impairments.set("uplink", True)
    await it.passes(130)
    it.begin()
    await it.passes(30)
    it.impairments.set("uplink", True)
    await it.passes(600)
    assert it.world.kinds("on-call") == ["open"]
    it.begin()
    await it.passes(130)
    assert it.world.kinds("on-call") == ["open", "resolve"]
    assert await it.world.store.read(impairment_notices.going_on) is None


@pytest.mark.parametrize(
    ("more", "hooks"),
    [
        ({}, ("on-call", "desk")),
        ({"monitor_alerts": {"to": "desk"}}, ("desk",)),
        ({"monitor_alerts": {"to": []}}, ()),
        ({"routes": [{"match": {"severity": "sev3"}, "to": "desk"}, {"to": "on-call"}]}, ("on-call",)),
        ({"routes": [{"match": {"severity": ["sev1", "sev2"]}, "to": "desk"}]}, ("desk",)),
    ],
)
async def test_who_is_told(watch, more, hooks):
    it = watch(**more)
    assert it.config.told_of_impairments == hooks
    it.impairments.set("uplink", True)
    await it.passes(130)
    it.impairments.set("uplink", False)
    await it.passes(130)
    for hook in ("on-call", "desk"):
        assert it.world.kinds(hook) == (["open", "resolve"] if hook in hooks else [])


async def test_the_end_goes_to_who_was_told_whatever_the_configuration_says_now(watch):
    it = watch(monitor_alerts={"to": "desk", "after": "0s"})
    it.impairments.set("uplink", True)
    await it.passes(2)
    it.config = config(monitor_alerts={"to": "on-call", "after": "0s"})
    it.impairments.set("uplink", False)
    await it.passes(2)
    assert (it.world.kinds("desk"), it.world.kinds("on-call")) == (["open", "resolve"], [])


async def test_who_refuses_it_is_taken_over_from(watch):
    it = watch(routes=[{"to": ["on-call"], "failover": ["desk"]}])
    it.world.answers["on-call"] = [410]
    it.impairments.set("uplink", True)
    await it.passes(130)
    await it.world.deliver()
    assert it.world.kinds("desk") == ["open"]


async def test_the_trail_is_kept_while_it_lasts(watch):
    it = watch()
    it.impairments.set("uplink", True)
    await it.passes(130)
    await it.world.store.write(lambda c: outbox.forget_before(c, it.world.clock.now() + 1))
    it.impairments.set("uplink", False)
    await it.passes(130)
    assert it.world.kinds("on-call") == ["open", "resolve"]


def test_of_many_probes_that_say_the_same_a_few_are_named():
    impairments = Impairments(lambda _part, _bad: None)
    for number in range(1000):
        impairments.observed(run_that(Failure.RESOLVER_FAILED, probe=f"web-{number:03}"))
    details = impairments.details()["resolver"]
    assert details[0] == "web-000: resolver_failed it is"
    assert (len(details), details[-1]) == (6, "and 995 more")
    for number in range(1000):
        impairments.forget(f"web-{number:03}")
    assert impairments.details() == {}


def test_a_run_that_could_tell_says_nothing_of_the_monitor():
    impairments = Impairments(lambda _part, _bad: None)
    seen = run_that(Failure.WRONG_STATUS, attribution=Attribution.TARGET, effect=Effect.BLOCKED)
    assert seen.outcome is Outcome.FINDING
    impairments.observed(seen)
    assert impairments.details() == {}


@pytest.mark.parametrize("name", HOOKS)
async def test_every_hook_can_tell_it(watch, name):
    it = watch()
    it.impairments.set("uplink", True, detail="no known-good address answers")
    await it.passes(130)
    stand_in = await it.world.store.read(impairment_notices.going_on)
    assert stand_in.status is Status.OPEN
    spec = getattr(HookSpec.model_validate({name: PROVIDERS[name].section}), name)
    for kind in (TransitionKind.OPEN, TransitionKind.REMIND, TransitionKind.RESOLVE):
        change = Change(f"k.{kind}", kind, 1.0, stand_in.reason, stand_in, hook=name, now=1.0)
        told = notice_of(change, Links("https://ours.example"), TemplateSpec())
        assert "Monitor impaired: uplink" in told.title
        assert "Non-production" not in told.title
        talk = HOOKS[name].talk(spec, Parcel(change.key, HOOKS[name].render(spec, told), 1.0))
        assert next(talk) is not None
