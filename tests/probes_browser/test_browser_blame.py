"""Whose failure it is: the shop's, the card processor's in its frame, or ours."""

import asyncio
import ssl

import pytest
from web_servers import free_port, raw_server, self_signed

from earwitness.model import Attribution, Effect, Failure, Outcome

CARD = {"Card number": "4111111111111111", "Expiry": "12/30", "Security code": "123"}
PAY = (
    {"fill": {"Name on the card": "Ada Example"}},
    {"check": "I accept the terms"},
    {"fill": CARD, "frame": "card-form", "name": "card"},
    {"click": "Pay now"},
    {"expect_text": "Payment accepted"},
)


@pytest.fixture
def pay(observe, shop):
    async def pay(*steps, **options):
        return await observe({"open": f"{shop.url}/shop/card"}, *(steps or PAY), **options)

    return pay


async def test_a_customer_pays_through_the_frame_of_the_card_processor(pay):
    for frame in ("card-form", {"url": "/card-form$"}, {"selector": "form iframe"}):
        steps = [{**step, "frame": frame} if "frame" in step else step for step in PAY]
        seen = await pay(*steps)
        assert seen.outcome is Outcome.OK, seen.findings


async def test_a_card_form_that_does_not_load_is_the_card_processors_failure(pay, shop):
    shop.faults.turn_on("card-form-down")
    (finding,) = (await pay(step_timeout="3s")).findings
    assert (finding.step, finding.effect) == ("card", Effect.BLOCKED)
    assert (finding.attribution, finding.dependency) == (Attribution.THIRD_PARTY, "card-processor")
    assert "behind it: http://localhost" in finding.message
    assert "card-form (HTTP 503)" in finding.message


async def test_a_script_of_the_card_processor_that_does_not_load_is_its_failure(pay, shop, drawer):
    shop.faults.turn_on("card-script-down")
    (finding,) = (await pay(step_timeout="3s")).findings
    assert (finding.failure, finding.step) == (Failure.ELEMENT_MISSING, "card")
    assert (finding.attribution, finding.dependency) == (Attribution.THIRD_PARTY, "card-processor")
    assert "/processor/card.js (HTTP 503)" in finding.message
    assert "screenshot.png" in drawer.files


async def test_an_error_whose_stack_a_page_writes_itself_holds_nobody_up(observe, site):
    site.pages["/"] = """<p>Hello<script>
        const error = new Error("no"); error.stack = "http://".repeat(200000); throw error</script>"""
    began = asyncio.get_running_loop().time()
    seen = await observe({"open": site.url("/")}, {"expect_text": "Hello"})
    assert seen.outcome is Outcome.OK
    assert asyncio.get_running_loop().time() - began < 20, "else it is searched for minutes"


async def test_a_page_that_waits_for_the_card_processor_says_so(pay, shop):
    shop.faults.turn_on("card-form-slow", {"seconds": 9})
    (finding,) = (await pay(step_timeout="3s")).findings
    assert finding.failure is Failure.TRANSFER_TIMEOUT
    assert (finding.attribution, finding.dependency) == (Attribution.THIRD_PARTY, "card-processor")
    assert "card-form (no answer yet)" in finding.message


async def test_a_slow_request_to_a_dependency_is_told_as_its_slowness(pay, shop):
    shop.faults.turn_on("card-form-slow", {"seconds": 0.3})
    seen = await pay(dependency_within={"minor": "200ms", "major": "9s"})
    (finding,) = seen.findings
    assert (finding.failure, finding.effect) == (Failure.SLOW, Effect.NUISANCE)
    assert (finding.attribution, finding.dependency) == (Attribution.THIRD_PARTY, "card-processor")


async def test_a_failed_request_to_a_dependency_is_told_though_the_journey_goes_on(observe, site):
    site.pages["/"] = f"<script src=http://cards.test:{site.port}/gone.js></script><p>Hello"
    seen = await observe({"open": site.url("/")}, {"expect_text": "Hello"})
    (finding,) = seen.findings
    assert (finding.failure, finding.effect, finding.dependency) == (
        Failure.REQUEST_FAILED,
        Effect.NUISANCE,
        "card-processor",
    )
    assert "though the journey went on" in finding.message


async def test_a_failed_request_to_anybody_else_is_no_finding_by_itself(observe, site):
    site.pages["/"] = "<script src=/gone.js></script><p>Hello"
    assert (await observe({"open": site.url("/")}, {"expect_text": "Hello"})).findings == ()


async def test_the_shops_own_trouble_stays_its_own(pay, shop):
    shop.faults.turn_on("shop-down")
    (finding,) = (await pay()).findings
    assert (finding.failure, finding.attribution, finding.dependency) == (
        Failure.WRONG_STATUS,
        Attribution.TARGET,
        None,
    )


@pytest.mark.parametrize("first", [(), ({"open": "/"},)], ids=["at once", "after a page"])
async def test_a_server_that_does_not_answer_is_told_as_such_and_is_no_page_that_hangs(observe, site, drawer, first):
    site.pages["/"] = "<p>Hello"
    steps = [{"open": site.url(step["open"])} for step in first]
    began = asyncio.get_running_loop().time()
    seen = await observe(*steps, {"open": site.url("/hang", "cards.test"), "timeout": "1s"})
    (finding,) = seen.findings
    assert (finding.failure, finding.dependency) == (Failure.FIRST_BYTE_TIMEOUT, "card-processor")
    assert f"no answer came in time; behind it: http://cards.test:{site.port}/hang (no answer yet)" in finding.message
    assert asyncio.get_running_loop().time() - began < 8
    assert "screenshot.png" in drawer.files


async def test_a_page_that_was_answered_once_and_is_not_again_is_no_poll(observe, site):
    site.pages["/"] = "<p>Hello"
    site.scripts["/?again=1"] = "hang"
    seen = await observe({"open": site.url("/")}, {"open": site.url("/?again=1"), "timeout": "600ms"})
    assert [f.failure for f in seen.findings] == [Failure.FIRST_BYTE_TIMEOUT]


async def test_a_page_that_a_click_leads_to_and_that_does_not_answer_is_the_cause(observe, site, drawer):
    site.pages["/"] = f"<a href='http://cards.test:{site.port}/hang'>Pay</a>"
    seen = await observe({"open": site.url("/")}, {"click": "Pay"}, {"expect_text": "Paid", "timeout": "600ms"})
    (finding,) = seen.findings
    assert (finding.failure, finding.dependency) == (Failure.ELEMENT_MISSING, "card-processor")
    assert "/hang (no answer yet)" in finding.message
    assert "screenshot.png" in drawer.files


async def test_a_payment_page_that_hangs_is_the_shops_failure(pay, shop):
    shop.faults.turn_on("shop-page-hangs")
    finding = (await pay(step_timeout="4s")).findings[-1]
    assert (finding.failure, finding.attribution) == (Failure.PAGE_HUNG, Attribution.TARGET)


async def test_a_script_error_of_the_shop_is_found_where_a_step_asks(pay, shop):
    shop.faults.turn_on("shop-script-error")
    seen = await pay({"expect_no_console_error": True})
    assert "the basket could not be read" in seen.findings[0].message


@pytest.mark.parametrize(
    ("host", "failure"),
    [("nowhere.test", Failure.NAME_NOT_FOUND), (f"127.0.0.1:{free_port()}", Failure.CONNECTION_REFUSED)],
    ids=["no name", "refused"],
)
async def test_a_site_that_is_not_reached_is_told_by_why(observe, host, failure):
    (finding,) = (await observe({"open": f"https://{host}/"})).findings
    assert (finding.failure, finding.attribution, finding.effect) == (failure, Attribution.TARGET, Effect.BLOCKED)


async def test_a_certificate_that_no_browser_trusts_is_the_targets(observe, tmp_path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(self_signed(tmp_path, "shop.test"))

    async def silent(reader, _writer):
        await reader.read()

    async with raw_server(silent, ssl=context) as port:
        (finding,) = (await observe({"open": f"https://shop.test:{port}/"})).findings
    assert (finding.failure, finding.attribution) == (Failure.CERTIFICATE_INVALID, Attribution.TARGET)
    assert "CERT_AUTHORITY_INVALID" in finding.message


async def test_interim_answers_without_end_are_cut_off(observe):
    async def hints(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
            await writer.drain()

    async with raw_server(hints) as port:
        (finding,) = (await observe({"open": f"http://127.0.0.1:{port}/", "timeout": "5s"})).findings
    assert (finding.failure, finding.attribution) == (Failure.CONNECTION_LOST, Attribution.TARGET)


async def test_an_address_that_leads_to_a_download_is_no_page(observe, site):
    site.pages["/"] = (200, {"content-type": "application/octet-stream"}, "0")
    (finding,) = (await observe({"open": site.url("/")})).findings
    assert (finding.failure, finding.attribution) == (Failure.WRONG_PAGE, Attribution.TARGET)
    assert "it leads to a download, not to a page" in finding.message


async def test_a_request_that_our_guard_refuses_hides_no_failure_of_the_page(observe, site):
    site.pages["/"] = "<p>Hello<script>fetch('http://10.1.2.3/').catch(() => document.title = 'done')</script>"
    seen = await observe({"open": site.url("/")}, {"expect_title": "done"}, {"click": "Pay now", "timeout": "300ms"})
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution) == (Failure.ELEMENT_MISSING, Attribution.TARGET)
    assert "behind it: http://10.1.2.3/ (10.1.2.3 is a private address" in finding.message


async def test_a_frame_that_our_guard_refuses_leaves_its_steps_unknown(observe, site):
    site.pages["/"] = "<iframe name=card src='http://10.1.2.3/form'></iframe>"
    seen = await observe({"open": site.url("/")}, {"fill": {"Number": "1"}, "frame": "card", "timeout": "300ms"})
    assert (seen.findings[0].failure, seen.outcome) == (Failure.ADDRESS_REFUSED, Outcome.UNKNOWN)


POLICY = {"content-security-policy": "script-src 'self'; frame-src 'self'"}


@pytest.mark.parametrize(
    ("markup", "frame"),
    [
        ("<script src=http://cards.test:PORT/card.js></script>", {"url": "cards.test"}),
        ("<iframe name=card src=http://cards.test:PORT/form></iframe>", "card"),
    ],
    ids=["script", "frame"],
)
async def test_what_the_shops_own_policy_forbids_is_the_shops_doing(observe, site, markup, frame):
    site.pages |= {"/": (200, POLICY, markup.replace("PORT", str(site.port))), "/form": "<input aria-label=Number>"}
    seen = await observe({"open": site.url("/")}, {"fill": {"Number": "1"}, "frame": frame, "timeout": "500ms"})
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution, finding.dependency) == (
        Failure.ELEMENT_MISSING,
        Attribution.TARGET,
        None,
    )
    assert "Content" in finding.message
    assert "Security" in finding.message


async def test_a_frame_that_its_own_server_forbids_to_be_shown_is_that_ones_doing(observe, site):
    site.pages["/"] = f"<iframe name=card src=http://cards.test:{site.port}/form></iframe>"
    site.pages["/form"] = (200, {"x-frame-options": "DENY"}, "<input aria-label=Number>")
    seen = await observe({"open": site.url("/")}, {"fill": {"Number": "1"}, "frame": "card", "timeout": "500ms"})
    (finding,) = seen.findings
    assert finding.dependency == "card-processor"
    assert "/form (HTTP 200, ERR_BLOCKED_BY_RESPONSE)" in finding.message


async def test_a_call_that_was_refused_and_an_error_that_nobody_caught_are_named(observe, site):
    """They make nobody guilty: a shop may be refused by a processor for what it asks."""
    site.pages[
        "/"
    ] = f"""<p>Hello<script>fetch('http://cards.test:{site.port}/tokens', {{method: 'POST'}}).then(() => {{
      document.title = 'asked'; console.error('no payment with 737'); null.token }})</script>"""
    site.pages["/tokens"] = (402, {"access-control-allow-origin": "*"}, "{}")
    steps = ({"expect_title": "asked"}, {"expect_text": "Paid", "timeout": "300ms"})
    (finding,) = (await observe({"open": site.url("/")}, *steps)).findings
    assert (finding.attribution, finding.dependency) == (Attribution.TARGET, None)
    assert f"it was refused http://cards.test:{site.port}/tokens (HTTP 402)" in finding.message
    assert "Cannot read properties of null" in finding.message
    assert f"at http://shop.test:{site.port}/" in finding.message


async def test_what_was_filled_in_is_in_no_reason_however_short(observe, site):
    site.pages["/"] = """<label>Code <input oninput="console.error('no code ' + this.value);
      document.title = 'said'"></label>"""
    steps = ({"open": site.url("/")}, {"fill": {"Code": "737"}}, {"expect_title": "said"})
    asked = await observe(*steps, {"expect_no_console_error": True})
    missing = await observe(*steps, {"expect_text": "Paid", "timeout": "300ms"})
    for seen in (asked, missing):
        assert "no code ***" in seen.findings[0].message
        assert "737" not in f"{seen.findings[0].message} {[step.note for step in seen.steps]}"


async def test_a_page_that_is_another_is_named(observe, site):
    site.pages["/login"] = "<h1>Sign in</h1>"
    seen = await observe(
        {"open": site.url("/to?url=/login%3Fnext=/pay")}, {"expect_text": "Amount due", "timeout": "300ms"}
    )
    assert f"does not show it; the page is http://shop.test:{site.port}/login?next=***" in seen.findings[0].message


@pytest.mark.parametrize(
    ("markup", "said"),
    [
        ("<button>Pay</button><div id=consent style='position:fixed;inset:0'>We value your privacy</div>", "consent"),
        ("<button disabled>Pay</button>", "it is disabled"),
        ("<button style='visibility:hidden'>Pay</button>", "it is hidden"),
    ],
    ids=["banner", "disabled", "hidden"],
)
async def test_what_cannot_be_used_is_told_with_the_reason(observe, site, markup, said):
    site.pages["/"] = markup
    seen = await observe({"open": site.url("/")}, {"click": "css=button", "timeout": "2s"})
    assert said in seen.findings[0].message
    assert "We value your privacy" not in seen.findings[0].message


async def test_an_open_stream_is_not_taken_for_the_cause(observe, site):
    site.pages["/"] = f"<p>Hello<script>new EventSource('http://cards.test:{site.port}/hang')</script>"
    seen = await observe({"open": site.url("/")}, {"click": "Pay now", "timeout": "300ms"})
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution) == (Failure.ELEMENT_MISSING, Attribution.TARGET)


async def test_a_poll_that_waits_is_not_taken_for_the_cause(observe, site):
    site.pages["/poll"] = (200, {"access-control-allow-origin": "*"}, "{}")
    site.scripts["/poll?again"] = "hang"
    site.pages["/"] = f"""<p>Hello<script>const poll = 'http://cards.test:{site.port}/poll';
      fetch(poll).then(() => {{ document.title = 'polled'; fetch(poll + '?again') }})</script>"""
    steps = ({"expect_title": "polled"}, {"click": "Pay now", "timeout": "300ms"})
    (finding,) = (await observe({"open": site.url("/")}, *steps)).findings
    assert (finding.failure, finding.attribution) == (Failure.ELEMENT_MISSING, Attribution.TARGET)


async def test_a_request_to_a_dependency_that_never_ends_is_told(observe, site):
    site.pages["/"] = f"<p>Hello<script>fetch('http://cards.test:{site.port}/hang')</script>"
    steps = ({"expect_text": "Hello"}, {"expect_no_console_error": True})
    seen = await observe({"open": site.url("/")}, *steps, dependency_within={"minor": "1ms", "major": "1h"})
    (finding,) = seen.findings
    assert (finding.failure, finding.dependency) == (Failure.SLOW, "card-processor")
    assert "/hang has not ended after" in finding.message
