"""Each step on a real page in a real browser: what it does, and what it says when it cannot."""

import asyncio

import pytest
from structlog.testing import capture_logs
from virtual import until
from web_servers import answering, raw_server

from earwitness.model import Attribution, Effect, Failure, Outcome
from earwitness.probes import leaving

FORM = """<!doctype html><title>Checkout of Acme</title>
<form method="post" action="/paid">
  <label for="card">Card number</label><input id="card" name="card">
  <input name="coupon" placeholder="Coupon code"><input name="note" data-testid="note">
  <label for="country">Country</label><select id="country" name="country"><option value="GB">United Kingdom</option><option value="US">United States</option></select>
  <label><input type="checkbox" name="terms" value="yes"> I accept</label>
  <button>Pay now</button><a href="/other">Pay later</a>
</form>
<div role="status">Ready</div>"""


@pytest.fixture
def checkout(site):
    site.pages |= {"/": FORM, "/paid": "<title>Paid</title><p>Payment accepted", "/other": "<p>Another page"}
    return {"open": site.url("/")}


async def test_every_step_of_a_customer_who_pays(observe, site, checkout):
    seen = await observe(
        checkout,
        {"expect_title": "^Checkout"},
        {"wait_for": {"element": "role=status"}},
        {"fill": {"Card number": "4111 1111", "Coupon code": "SAVE", "testid=note": "at the door"}},
        {"select": {"Country": "United States"}},
        {"check": "I accept"},
        {"press": {"key": "Enter", "on": "css=#card"}},
        {"wait_for": {"url": "/paid$"}},
        {"expect_text": "Payment accepted"},
        {"expect_url": r"shop\.test:\d+/paid$"},
        {"wait_for": {"text": "accepted"}},
        {"expect_no_console_error": True},
        {"expect_no_failed_request": True},
    )
    assert seen.outcome is Outcome.OK, seen.findings
    assert all(step.ok for step in seen.steps)
    assert len(seen.steps) == 13
    assert site.posted == ["card=4111+1111&coupon=SAVE&note=at+the+door&country=US&terms=yes"]
    assert seen.evidence == ()


async def test_a_click_finds_buttons_and_links_by_their_words(observe, checkout):
    for words, shown in (
        ("Pay now", "Payment accepted"),
        ("Pay later", "Another page"),
        ("role=link:Pay later", "Another"),
    ):
        seen = await observe(checkout, {"click": words}, {"expect_text": shown})
        assert seen.findings == (), words


async def test_keys_go_to_what_has_the_focus(observe, site, checkout):
    seen = await observe(
        checkout, {"click": "css=#card"}, {"press": "7"}, {"click": "Pay now"}, {"expect_text": "accepted"}
    )
    assert seen.findings == ()
    assert site.posted[0].startswith("card=7&")


async def test_a_good_run_measures_how_the_first_page_felt(observe, checkout):
    seen = await observe({**checkout, "name": "front"}, {"click": "Pay later"})
    measures = seen.measures
    assert 0 < measures["ttfb"] <= measures["largest_contentful_paint"] < 10
    assert measures["first_contentful_paint"] <= measures["largest_contentful_paint"]
    assert 0 < measures["load"] < 10
    assert measures["cumulative_layout_shift"] == 0
    assert measures["step_front"] > 0
    assert measures["requests"] >= 2


@pytest.mark.parametrize(
    ("step", "failure", "said"),
    [
        ({"click": "Buy"}, Failure.ELEMENT_MISSING, "nothing on the page is Buy"),
        ({"fill": {"Iban": "x"}}, Failure.ELEMENT_MISSING, "nothing on the page is Iban"),
        ({"select": {"Country": "Atlantis"}}, Failure.ELEMENT_MISSING, "cannot be used in time"),
        ({"expect_text": "Payment accepted"}, Failure.ELEMENT_MISSING, "expected the text 'Payment accepted'"),
        ({"expect_url": "/paid"}, Failure.WRONG_PAGE, "expected an address like /paid"),
        ({"expect_title": "Paid"}, Failure.WRONG_PAGE, "it is 'Checkout of Acme'"),
        ({"wait_for": {"element": "role=alert"}}, Failure.ELEMENT_MISSING, "nothing on the page is role=alert"),
        ({"click": "Pay", "frame": {"url": "cards"}}, Failure.ELEMENT_MISSING, "there is no frame"),
    ],
)
async def test_what_is_not_there_is_told_with_what_was_looked_for(observe, checkout, step, failure, said):
    seen = await observe(checkout, {**step, "timeout": "400ms"}, {"expect_text": "never reached"})
    (finding,) = seen.findings
    assert (finding.failure, finding.effect, finding.attribution) == (failure, Effect.BLOCKED, Attribution.TARGET)
    assert said in finding.message
    assert finding.step == seen.steps[1].name
    assert len(seen.steps) == 2


async def test_words_that_fit_several_elements_are_the_configurations_fault(observe, site):
    site.pages["/"] = "<button>Pay</button><button>Pay</button>"
    seen = await observe({"open": site.url("/")}, {"click": "Pay"})
    assert seen.outcome is Outcome.UNKNOWN
    assert "several elements fit" in seen.findings[0].message


async def test_an_exact_match_wins_over_one_that_only_contains_the_words(observe, site):
    site.pages |= {"/": "<a href=/no>Pay later</a><a href=/yes>Pay</a>", "/yes": "right", "/no": "wrong"}
    assert (await observe({"open": site.url("/")}, {"click": "role=link:Pay"}, {"expect_text": "right"})).findings == ()


async def test_errors_of_scripts_are_a_finding_where_a_step_asks(observe, site):
    site.pages["/"] = "<script>console.error('basket lost'); nothing.there()</script><p>Hello"
    assert (await observe({"open": site.url("/")}, {"expect_text": "Hello"})).findings == ()
    seen = await observe({"open": site.url("/")}, {"expect_no_console_error": True})
    assert seen.findings[0].failure is Failure.CONSOLE_ERROR
    assert "basket lost, and 1 more" in seen.findings[0].message


async def test_a_failed_request_is_a_finding_where_a_step_asks_for_its_host(observe, site):
    site.pages["/"] = "<img src=/gone.png><p>Hello"
    for asked, found in ((True, True), ({"hosts": ["shop.test"]}, True), ({"hosts": ["*.cdn.test"]}, False)):
        seen = await observe({"open": site.url("/")}, {"expect_no_failed_request": asked})
        assert bool(seen.findings) is found
    seen = await observe({"open": site.url("/")}, {"expect_no_failed_request": True})
    assert seen.findings[0].failure is Failure.REQUEST_FAILED
    assert "/gone.png (HTTP 404)" in seen.findings[0].message


async def test_a_page_that_answers_badly_is_told_by_its_status(observe, site):
    site.pages["/"] = (503, {}, "sorry")
    seen = await observe({"open": site.url("/")})
    assert (seen.findings[0].failure, seen.findings[0].effect) == (Failure.WRONG_STATUS, Effect.BLOCKED)
    assert "answered 503" in seen.findings[0].message


@pytest.mark.parametrize("end", ["\r\n", "\n"])
async def test_the_lines_of_a_head_end_as_browsers_take_them(observe, end):
    lines = ["HTTP/1.1 103 Early Hints", "", "HTTP/1.1 200 OK", "Content-Type: text/html", "", "<p>Pay here</p>"]
    async with raw_server(answering(end.join(lines).encode())) as port:
        seen = await observe({"open": f"http://shop.test:{port}/"}, {"expect_text": "Pay here"})
    assert seen.outcome is Outcome.OK, seen.findings


async def test_a_step_past_its_limits_is_a_nuisance_then_blocked(observe, site):
    site.pages["/"] = "<script src=/slow.js></script>Hello"
    for within, effect in (
        ({"minor": "100ms", "major": "1900ms"}, Effect.NUISANCE),
        ({"major": "100ms"}, Effect.BLOCKED),
    ):
        seen = await observe({"open": site.url("/"), "within": within}, {"expect_text": "Hello"})
        (finding,) = seen.findings
        assert (finding.failure, finding.effect) == (Failure.SLOW, effect)
        assert "the slowest request was" in finding.message
        assert len(seen.steps) == 2


async def test_clean_up_steps_run_after_a_failure_and_are_a_nuisance_at_most(observe, checkout, site):
    site.pages["/bye"] = "Goodbye"
    seen = await observe(
        checkout,
        {"click": "Buy", "timeout": "300ms"},
        {"expect_text": "skipped"},
        {"open": site.url("/bye"), "always": True},
        {"expect_text": "See you", "always": True, "timeout": "300ms"},
    )
    assert [(f.step, f.effect) for f in seen.findings] == [
        ("click Buy", Effect.BLOCKED),
        ("expect text See you", Effect.NUISANCE),
    ]
    assert [step.ok for step in seen.steps] == [True, False, True, False]


async def test_a_step_that_only_annoys_does_not_stop_the_journey(observe, checkout):
    seen = await observe(
        checkout,
        {"expect_text": "Gift", "effect": "nuisance", "timeout": "300ms"},
        {"click": "Pay now"},
        {"expect_text": "accepted"},
    )
    assert [f.effect for f in seen.findings] == [Effect.NUISANCE]
    assert len(seen.steps) == 4


async def test_a_page_that_asks_for_a_password_gets_it_and_no_other_host_does(observe, site):
    site.pages["/inside"] = "Welcome"
    options = {"user": "tester", "password": "open-sesame"}
    assert (await observe({"open": site.url("/inside")}, {"expect_text": "Welcome"}, **options)).findings == ()
    assert (await observe({"open": site.url("/inside")})).findings[0].failure is Failure.WRONG_STATUS
    site.pages["/"] = "Hello"
    elsewhere = await observe({"open": site.url("/", "cards.test")}, {"open": site.url("/inside")}, **options)
    assert elsewhere.findings[0].failure is Failure.WRONG_STATUS


async def test_each_run_begins_as_a_new_visitor(observe, site):
    site.pages["/"] = "<script>document.write(document.cookie ? 'known' : 'new'); document.cookie = 'a=b'</script>"
    for _ in range(2):
        assert (await observe({"open": site.url("/")}, {"expect_text": "new"})).findings == ()


FOR_EVER = "(?:a|aa)+$"


@pytest.mark.parametrize(
    "step", [{"expect_url": FOR_EVER}, {"expect_title": FOR_EVER}, {"click": "Pay", "frame": {"url": FOR_EVER}}]
)
async def test_a_pattern_that_takes_for_ever_stops_nobody(observe, site, step):
    long = "a" * 60 + "!"
    site.pages["/" + long] = f"<title>{long}</title><iframe src='/{long}x'></iframe>"
    seen = await observe({"open": site.url("/" + long)}, step)
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution) == (Failure.MONITOR_ERROR, Attribution.MONITOR)
    assert "takes too long" in finding.message


BANK = "<title>Bank</title><label>PIN <input></label><button onclick='{}'>Confirm</button>"
PAYING = (
    {"click": "Pay at the bank"},
    {"fill": {"PIN": "1234"}, "window": "newest"},
    {"expect_title": "Bank", "window": "newest"},
    {"click": "Confirm", "window": "newest"},
    {"expect_text": "Thank you"},
)


@pytest.fixture
def bank(site):
    """A shop that sends its customers to a window of their bank's."""
    site.pages[
        "/"
    ] = f"""<button onclick="window.open('http://cards.test:{site.port}/bank')">Pay at the bank</button><p id=said>
      <script>onmessage = () => {{ document.getElementById('said').textContent = 'Thank you' }}</script>"""

    def bank(confirm):
        site.pages["/bank"] = BANK.format(confirm)

    return bank


async def test_a_customer_pays_in_another_window(observe, site, bank):
    bank('opener.postMessage(1, "*"); window.close()')
    seen = await observe({"open": site.url("/")}, *PAYING)
    assert seen.outcome is Outcome.OK, seen.findings


async def test_a_window_that_does_not_open_is_missing(observe, site):
    site.pages["/"] = "<button>Pay at the bank</button>"
    steps = (PAYING[0], {**PAYING[1], "timeout": "500ms"})
    (finding,) = (await observe({"open": site.url("/")}, *steps)).findings
    assert (finding.failure, finding.attribution) == (Failure.ELEMENT_MISSING, Attribution.TARGET)
    assert "no other window has opened" in finding.message


async def test_a_window_that_closes_too_soon_is_the_doing_of_whose_it_is(observe, site, bank):
    bank("")
    site.pages["/bank"] += "<script>setTimeout(close, 300)</script>"
    step = {"wait_for": {"text": "never"}, "window": "newest"}
    (finding,) = (await observe({"open": site.url("/")}, PAYING[0], step)).findings
    assert (finding.failure, finding.dependency) == (Failure.ELEMENT_MISSING, "card-processor")
    assert "the window closed" in finding.message


BYE = "<p id=t>leaving<script>fetch('/gone', {method: 'POST', body: 'bye'}).then(() => t.textContent = 'left')</script>"


async def cut_off(observe, site, *steps):
    """Cancel a journey once it waits in vain at the page /stays, as a daemon that stops does."""
    site.pages |= {
        "/": "Hello",
        "/stays": "<script>fetch('/here', {method: 'POST', body: 'here'})</script>",
        "/bye": BYE,
    }
    running = asyncio.create_task(observe(*steps, step_timeout="20s"))
    await until(lambda: "here" in site.posted, 15)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_journey_that_is_cut_off_cleans_up(observe, site):
    await cut_off(
        observe,
        site,
        {"open": site.url("/stays")},
        {"wait_for": {"text": "never"}},
        {"open": site.url("/"), "name": "not-taken"},
        {"open": site.url("/bye"), "always": True},
        {"expect_text": "left", "always": True},
    )
    assert site.posted == ["here", "bye"]


async def test_a_clean_up_that_is_cut_off_begins_anew_and_has_a_limit(observe, site, monkeypatch):
    monkeypatch.setattr(leaving, "LEAVING", 1.0)
    with capture_logs() as logs:
        await cut_off(
            observe,
            site,
            {"open": site.url("/")},
            {"open": site.url("/"), "always": True},
            {"open": site.url("/stays"), "always": True},
            {"wait_for": {"text": "never"}, "always": True, "timeout": "20s"},
        )
    assert set(site.posted) == {"here"}
    told = [line for line in logs if line["event"] == "not_cleaned_up"]
    assert [line["step"] for line in told] == ["wait for never"]
