"""Journeys in Python: refused when they cannot run, and never the target's fault when they are broken."""

import pytest
from pydantic import ValidationError

from earwitness.model import Attribution, Effect, Failure, Outcome
from earwitness.probes.browser_spec import BrowserSpec

HELLO = "<title>Acme</title><label>Name <input></label><button>Go</button>"


@pytest.fixture
def play(observe, site, tmp_path):
    site.pages["/"] = HELLO

    async def play(body, **options):
        lines = "".join(f"    {line}\n" for line in body.replace("URL", site.url("/")).splitlines())
        (tmp_path / "journey.py").write_text(f"async def run(page, step):\n{lines}")
        return await observe(script="journey.py", folder=tmp_path, **options)

    return play


async def test_a_script_drives_the_page_in_steps_of_its_own(play):
    seen = await play(
        """async with step("arrive", major=9):
    await page.goto("URL")
async with step("sign in"):
    await page.get_by_label("Name").fill(step.values["user"])
    assert await page.get_by_label("Name").input_value() == "ada-canary"
""",
        values={"user": "ada-canary"},
    )
    assert seen.outcome is Outcome.OK, seen.findings
    assert [s.name for s in seen.steps] == ["arrive", "sign in", "script"]
    assert seen.measures["ttfb"] > 0


@pytest.mark.parametrize(
    ("body", "failure", "said"),
    [
        ('assert await page.title() == "Shop", "this is not the shop"', Failure.WRONG_PAGE, "this is not the shop"),
        (
            "from playwright.async_api import expect\nawait expect(page).to_have_title('Shop', timeout=200)",
            Failure.WRONG_PAGE,
            "Shop",
        ),
        (
            'await page.get_by_text("Buy").click(timeout=200)',
            Failure.ELEMENT_MISSING,
            'buy: waited in vain for get_by_text("Buy")',
        ),
        (
            "await page.get_by_text('Go').wait_for(state='hidden', timeout=200)",
            Failure.ELEMENT_MISSING,
            "waited in vain for",
        ),
        ("import asyncio\nawait asyncio.Event().wait()", Failure.ELEMENT_MISSING, "it was not done in time"),
        ('await page.goto("https://nowhere.test/")', Failure.NAME_NOT_FOUND, "nowhere.test does not exist"),
    ],
)
async def test_what_the_page_lacks_is_the_targets(play, body, failure, said):
    inner = body.replace("\n", "\n    ")
    seen = await play(f'await page.goto("URL")\nasync with step("buy", effect="diverted", seconds=1):\n    {inner}')
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution, finding.effect) == (failure, Attribution.TARGET, Effect.DIVERTED)
    assert said in finding.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('await page.goto("URL")\nnothing.there()', "journey.py:3: NameError"),
        ('async with step("x", effect="awful"):\n    pass', "journey.py:2: ValueError"),
        ('raise RuntimeError("with " + step.values["user"])', "journey.py:2: RuntimeError: with ***"),
    ],
)
async def test_a_broken_script_is_our_fault_with_its_line(play, body, said):
    seen = await play(body, values={"user": "ada-canary"})
    assert (seen.outcome, seen.findings[0].failure) == (Outcome.UNKNOWN, Failure.SCRIPT_BROKEN)
    assert said in seen.findings[0].message


async def test_a_script_ends_with_its_time(play):
    seen = await play("import asyncio\nawait asyncio.Event().wait()", timeout="300ms")
    assert seen.findings[0].step == "script"
    assert seen.duration < 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read .*journey.py: No such file"),
        ("async def run(page, step:\n  pass\n", r"journey.py:1: is no Python"),
        ("x = 1\n", "journey.py:1: has no function run"),
        ("\ndef run(page, step):\n  pass\n", "journey.py:2: run cannot be used"),
        ("async def run(page):\n  pass\n", "journey.py:1: run cannot be used"),
    ],
)
def test_a_script_that_cannot_run_is_refused_with_its_line(tmp_path, text, said):
    if text is not None:
        (tmp_path / "journey.py").write_text(text)
    with pytest.raises(ValidationError, match=said):
        BrowserSpec.model_validate({"script": "journey.py"}, context={"folder": tmp_path})
