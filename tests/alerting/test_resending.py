"""What people send again by hand arrives as long as it is so, and never tells a provider what is not so any more."""

import pytest
from outbox_world import OutboxWorld
from test_impairment_notices import Watch

from earwitness.store import resending
from earwitness.store.resending import NoLongerSoError


@pytest.fixture
def world(tmp_path):
    made = OutboxWorld(tmp_path / "earwitness.db", [{"to": ["pager"]}])
    yield made
    made.close()


async def sent_again(world, key):
    return await world.store.write(lambda c: resending.send_again(c, key, "Ann", world.clock.now()))


async def key_of(world, kind):
    return next(row["key"] for row in await world.rows() if row["kind"] == kind)


async def test_an_old_end_closes_nothing_that_has_opened_again(world):
    (incident,) = await world.opens("a")
    await world.resolves(incident)
    await world.reopens(incident)
    await world.deliver()
    with pytest.raises(NoLongerSoError, match=f"{incident}.2.pager says that it is over, and {incident} is open"):
        await sent_again(world, await key_of(world, "resolve"))
    await world.deliver()
    assert world.kinds("pager") == ["open", "resolve", "reopen"]
    assert {state for _, state in await world.states("pager")} == {"delivered"}
    await world.resolves(incident)
    await world.deliver()
    await sent_again(world, await key_of(world, "resolve"))
    await world.deliver()
    assert world.kinds("pager")[3:] == ["resolve", "resolve"], "it is over again, so it may be said again"


@pytest.mark.parametrize("since", ["resolves", "reopens"])
async def test_an_old_acknowledgement_answers_nothing_that_has_changed(world, since):
    (incident,) = await world.opens("a")
    await world.acknowledges(incident)
    await world.deliver()
    await sent_again(world, await key_of(world, "acknowledge"))
    await world.deliver()
    assert world.kinds("pager") == ["open", "acknowledge", "acknowledge"]
    await world.resolves(incident)
    if since == "reopens":
        await world.reopens(incident)
    await world.deliver()
    with pytest.raises(NoLongerSoError, match=r"says that it is acknowledged, and inc-.* is (open|resolved)"):
        await sent_again(world, await key_of(world, "acknowledge"))


async def test_old_news_does_not_make_it_milder_or_worse_than_it_is(world):
    (incident,) = await world.opens("a")
    world.clock.moment += 60
    await world.raises(incident)
    await world.deliver()
    with pytest.raises(NoLongerSoError, match=r"says sev2, and inc-.* is sev1 by now; send the newest change again"):
        await sent_again(world, await key_of(world, "open"))
    await sent_again(world, await key_of(world, "raise"))
    await world.deliver()
    assert world.kinds("pager") == ["open", "raise", "raise"]
    world.clock.moment += 60
    await world.resolves(incident)
    await world.deliver()
    world.got.clear()
    await sent_again(world, await key_of(world, "open"))
    await world.deliver()
    assert world.kinds("pager") == ["open", "resolve"], "what is over has its end sent after it"


@pytest.mark.parametrize("first", [410, 200])
async def test_what_is_sent_again_after_the_end_is_ended_too(tmp_path, first):
    world = OutboxWorld(tmp_path / "e.db", [{"to": ["pager"]}])
    world.answers["pager"] = [first, 200]
    (incident,) = await world.opens("a")
    await world.deliver()
    await world.resolves(incident)
    await world.deliver()
    world.got.clear()
    await sent_again(world, f"{incident}.1.pager")
    await world.deliver()
    assert world.told("pager") == [("open", incident), ("resolve", incident)]
    rows = [r for r in await world.rows() if r["kind"] == "resolve"]
    assert [r["state"] for r in rows] == ["delivered"], "it has one row, whatever happens"
    world.close()


async def test_a_digest_that_is_sent_again_after_its_end_is_ended_too(tmp_path):
    world = OutboxWorld(tmp_path / "e.db", [{"to": ["pager"], "group_for": "30s"}])
    world.answers["pager"] = [410, 200]
    ids = await world.opens("a", "b")
    world.clock.moment += 31
    await world.deliver()
    await world.resolves(*ids)
    await world.deliver()
    (row,) = [r for r in await world.rows() if r["kind"] == "digest"]
    await sent_again(world, row["key"])
    await world.deliver()
    assert world.kinds("pager") == ["digest", "digest", "resolve"]
    world.close()


async def test_a_notice_of_an_impairment_that_is_sent_again_after_its_end_is_ended_too(tmp_path):
    watch = Watch(tmp_path / "w.db", monitor_alerts={"to": ["desk"], "after": "1s"})
    watch.impairments.set("resolver", True)
    await watch.passes(3)
    watch.impairments.set("resolver", False)
    await watch.passes(3)
    assert watch.world.kinds("desk") == ["open", "resolve"]
    await sent_again(watch.world, await key_of(watch.world, "open"))
    await watch.world.deliver()
    assert watch.world.kinds("desk")[2:] == ["open", "resolve"]
    assert len(await watch.world.rows()) == 2
    watch.world.close()
