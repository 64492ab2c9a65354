"""The watch over a payment page: proposed, accepted, and told when it changes."""

import asyncio
import json
from hashlib import sha256

import pytest

from earwitness.browser.pages import Difference, PageBaselines, PageInventory, PageScript, difference
from earwitness.browser.scripts import ScriptListener
from earwitness.browser.workers import WorkerListener
from earwitness.model import Attribution, Effect, Failure, Outcome


@pytest.fixture
def pages(tmp_path):
    return PageBaselines(tmp_path)


@pytest.fixture
def watch(observe, shop, pages):
    async def watch(**section):
        steps = (
            {"open": f"{shop.url}/shop/card"},
            {"fill": {"Name on the card": "Ada"}},
            {"check": "I accept the terms"},
        )
        return await observe(*steps, pages=pages, watch=section or "payment_page", name="pay")

    return watch


@pytest.fixture
def accept(watch, pages):
    async def accept():
        await watch()
        pages.accept(pages.proposal("pay"))

    return accept


async def test_the_first_inventory_waits_for_somebodys_word(watch, pages):
    seen = await watch()
    assert (seen.outcome, seen.findings) == (Outcome.OK, ())
    assert "earwitness baseline accept --probe pay --seen " in seen.facts["page_watch"]
    (proposal,) = pages.proposals()
    inventory = proposal.inventory
    external = next(s for s in inventory.scripts if s.source.endswith("/processor/card.js"))
    assert external.integrity.startswith("sha384-")
    assert len(external.sha256) == 64
    assert external.loaded_by == "the page"
    inline = [s for s in inventory.scripts if not s.source]
    assert {s.frame.rpartition("/")[2] for s in inline} == {
        "the page",
        "card-form",
    }  # the page's, and that in the frame
    assert inventory.headers["strict-transport-security"] == "max-age=31536000"
    assert "script-src" in inventory.headers["content-security-policy"]


async def test_a_page_as_it_was_accepted_says_nothing(watch, accept, pages):
    await accept()
    seen = await watch()
    assert (seen.outcome, seen.facts["page_watch"], seen.evidence) == (Outcome.OK, "as accepted", ())
    assert pages.proposals() == []


async def test_a_script_that_nobody_accepted_is_told_with_the_difference(watch, accept, shop, pages, drawer):
    await accept()
    shop.faults.turn_on("shop-script-added")
    seen = await watch()
    (finding,) = seen.findings
    assert (finding.failure, finding.effect) == (Failure.PAGE_SCRIPTS_CHANGED, Effect.NUISANCE)
    assert "new: " in finding.message
    assert "/shop/extra.js" in finding.message
    told = json.loads(drawer.text("page-watch.json"))["difference"]
    assert told["headers"] == []
    assert "/shop/extra.js" in drawer.text("page-watch.txt")
    pages.accept(pages.proposal("pay"))
    assert (await watch()).findings == ()


async def test_a_change_is_told_though_the_disk_keeps_nothing(watch, accept, shop, tmp_path):
    """It is found by what was accepted; that it cannot be accepted now is no reason to hide it."""
    await accept()
    (tmp_path / "pages/proposed").rmdir()
    (tmp_path / "pages/proposed").write_text("a disk that refuses")
    shop.faults.turn_on("shop-script-added")
    seen = await watch()
    assert [f.failure for f in seen.findings] == [Failure.PAGE_SCRIPTS_CHANGED]
    assert "/shop/extra.js" in seen.findings[0].message
    assert seen.findings[0].message.endswith("; not kept: the disk refuses")


async def test_a_baseline_that_cannot_be_read_is_our_own_trouble_until_another_is_accepted(watch, accept, tmp_path):
    await accept()
    (file,) = (tmp_path / "pages" / "accepted").iterdir()
    file.write_text(file.read_text()[:100])
    seen = await watch()
    (finding,) = seen.findings
    assert (seen.outcome, finding.attribution) == (Outcome.UNKNOWN, Attribution.MONITOR)
    assert finding.message.startswith("what was accepted of the payment page cannot be read")
    assert "to accept this one, run: earwitness baseline accept --probe pay" in finding.message
    await accept()
    assert (await watch()).outcome is Outcome.OK


async def test_a_script_of_another_content_is_told_unless_its_host_may_change(watch, accept, shop):
    await accept()
    shop.faults.turn_on("card-script-changed")
    (finding,) = (await watch()).findings
    assert "/processor/card.js, SHA-256" in finding.message
    assert (await watch(changing=["localhost"])).findings == ()
    assert (await watch(ignore=[r"/card\.js$"])).findings[0].message.count("gone: ") == 1


async def test_lost_security_headers_are_told_as_such(watch, accept, shop):
    await accept()
    shop.faults.turn_on("shop-headers-gone")
    seen = await watch(effect="none")
    (finding,) = seen.findings
    assert (finding.failure, finding.effect) == (Failure.SECURITY_HEADERS_CHANGED, Effect.NONE)
    assert "gone: content-security-policy" in finding.message
    assert seen.outcome is Outcome.OK
    assert {e.name for e in seen.evidence} == {"page-watch.json", "page-watch.txt"}


async def test_what_is_missing_from_a_visit_that_met_our_own_trouble_is_not_gone(accept, observe, shop, pages):
    """Our resolver or uplink may have kept the script from coming."""
    shop.faults.turn_on("shop-script-added")
    await accept()
    shop.faults.turn_off("shop-script-added")
    steps = ({"open": f"{shop.url}/shop/card"}, {"fill": {"Name on the card": "Ada"}})
    watched = {"pages": pages, "watch": "payment_page", "name": "pay"}
    assert "gone: " in (await observe(*steps, **watched)).findings[0].message
    seen = await observe(*steps, {"open": "http://169.254.169.254/"}, **watched)
    assert (seen.outcome, [f.failure for f in seen.findings]) == (Outcome.UNKNOWN, [Failure.ADDRESS_REFUSED])


async def test_a_script_that_our_own_name_server_kept_from_coming_is_not_gone(observe, site, zone, pages):
    watched = {"pages": pages, "watch": "payment_page", "name": "pay"}
    site.pages["/"] = f"<script src='{site.url('/tag.js', 'tags.test')}'></script>"
    site.scripts["/tag.js?"] = "console.log('a tag')"
    zone.addresses["tags.test"] = ["127.0.0.1"]
    await observe({"open": site.url("/")}, **watched)
    pages.accept(pages.proposal("pay"))
    zone.failing.add("tags.test")
    try:
        seen = await observe({"open": site.url("/")}, **watched)
        assert (seen.outcome, seen.findings) == (Outcome.OK, ())
        site.pages["/"] += "<script>steal()</script>"
        (finding,) = (await observe({"open": site.url("/")}, **watched)).findings
    finally:
        zone.failing.remove("tags.test")
    assert "new: " in finding.message
    assert "gone: " not in finding.message


async def test_a_changed_page_is_told_though_nobody_can_tell_how_its_journey_went_on(accept, observe, shop, pages):
    await accept()
    shop.faults.turn_on("shop-script-added")
    steps = (
        {"open": f"{shop.url}/shop/card"},
        {"fill": {"Name on the card": "Ada"}},
        {"open": "http://169.254.169.254/"},
    )
    seen = await observe(*steps, pages=pages, watch="payment_page", name="pay")
    assert (seen.outcome, [f.failure for f in seen.findings]) == (Outcome.FINDING, [Failure.PAGE_SCRIPTS_CHANGED])
    shop.faults.turn_off("shop-script-added")
    seen = await observe(*steps, pages=pages, watch="payment_page", name="pay")
    assert (seen.outcome, [f.failure for f in seen.findings]) == (Outcome.UNKNOWN, [Failure.ADDRESS_REFUSED])


async def test_scripts_and_headers_that_changed_at_once_are_told_in_one_breath(watch, accept, shop):
    """Of the findings of a run, an alert tells the first."""
    await accept()
    shop.faults.turn_on("shop-headers-gone")
    shop.faults.turn_on("shop-script-added")
    scripts, headers = (await watch()).findings
    assert "nor are its security headers: gone: content-security-policy" in scripts.message
    assert scripts.message.count("changed") == 0
    assert headers.failure is Failure.SECURITY_HEADERS_CHANGED
    assert len(scripts.differences) > len(headers.differences) > 0
    assert set(headers.differences) < set(scripts.differences)


async def test_nonces_and_scripts_that_hold_only_data_are_no_change(observe, site, pages):
    for nonce in ("one", "two"):
        headers = {"content-security-policy": f"script-src 'nonce-{nonce}'"}
        data = f'<script type=application/json>{{"now": "{nonce}"}}</script>'
        site.pages["/"] = (200, headers, f"<script nonce={nonce}>var a = 1</script>{data}")
        seen = await observe({"open": site.url("/")}, pages=pages, watch="payment_page")
        if nonce == "one":
            pages.accept(pages.proposal("p"))
    assert seen.facts["page_watch"] == "as accepted"


async def test_a_script_that_removes_itself_is_in_the_inventory(observe, site, pages):
    site.pages |= {"/": "<script src=/loader.js></script>", "/skim.js": "1"}
    site.pages["/loader.js"] = """const s = document.createElement('script'); s.src = '/skim.js';
      s.onload = () => { s.remove(); document.title = 'done' }; document.head.append(s)"""
    await observe({"open": site.url("/")}, {"expect_title": "done", "name": "end"}, pages=pages, watch={"at": "end"})
    scripts = {s.source.rpartition("/")[2]: s for s in pages.proposal("p").inventory.scripts}
    assert scripts["skim.js"].loaded_by.endswith("/loader.js")


def script(**changes):
    whole = {
        "frame": "https://a/",
        "source": "https://a/x.js",
        "integrity": "sha384-a",
        "sha256": "1" * 64,
        "loaded_by": "https://a/",
    }
    return PageScript(**{**whole, **changes})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([script()], [script()], []),
        ([script()], [], ["gone: https://a/x.js"]),
        ([script()], [script(integrity="")], ["changed: https://a/x.js has lost its integrity attribute"]),
        ([script()], [script(integrity="sha384-b")], ["changed: https://a/x.js has another integrity attribute"]),
        (
            [script()],
            [script(sha256="")],
            ["changed: https://a/x.js, SHA-256 111111111111 is now that could not be read"],
        ),
        ([script(sha256="")], [script(sha256="")], []),
        (
            [script()],
            [script(), script(sha256="2" * 64)],
            ["new: https://a/x.js with other content (222222222222), loaded by https://a/"],
        ),
        ([script(), script(sha256="2" * 64)], [script()], ["gone: https://a/x.js with the content 222222222222"]),
        (
            [script()],
            [script(integrity="sha384-b"), script()],
            ["changed: https://a/x.js has another integrity attribute"],
        ),
    ],
)
def test_what_counts_as_a_difference(before, after, said):
    made = [PageInventory("p", "https://a/", 0.0, tuple(scripts)) for scripts in (before, after)]
    assert list(difference(*made).scripts) == said


@pytest.mark.parametrize("more", [0, 40])
def test_each_difference_is_known_again_however_long_and_many_they_are(more):
    """A message is cut, and names three: what is beyond was as if it were not there."""
    policy = "script-src " + "https://shop.example " * 200
    lines = tuple(f"new: {number}.js" for number in range(more))
    one, other = (Difference((*lines, f"new: z{n}.js"), (f"csp: {policy}{n}.example",)) for n in (1, 2))
    assert len(set(one.known_by)) == min(more, 31) + 2
    assert len(set(one.known_by) & set(other.known_by)) == min(more, 32)
    assert sum(map(len, one.known_by)) < 1500


def test_files_that_are_no_inventory_count_as_none(tmp_path, pages):
    for text in ("", "[]", "{}", '{"scripts": 1}'):
        (tmp_path / "pages/proposed").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pages/proposed/p.json").write_text(text)
        assert pages.proposals() == []


FORM = "<label>Name <input></label><script>var ours = 1</script><script src='/q.js?id=GOOD'></script>"
SKIMMERS = {
    "a script that removes itself": "<script>var theirs = 1;document.currentScript.remove()</script>",
    "a handler": "<img src=/nope onerror='window.theirs = 1'>",
    "a handler that waits": "<button onclick='window.theirs = 1'>Pay</button>",
    "an address that is code": "<a href=' javascript:window.theirs = 1'>Pay</a>",
    "a shadow root": """<div id=h></div><script>var ours = 1</script><template id=t></template><script>
      const s = document.createElement('script'); s.textContent = 'window.theirs = 1';
      document.getElementById('h').attachShadow({mode: 'closed'}).append(s)</script>""",
    "SVG": "<svg><script>window.theirs = 1</script></svg>",
    "another query": "<script src='/q.js?id=EVIL'></script>",
    "text that is executed": "<script>var ours = 1</script><img src=/nope onerror='eval(`var ours = 2`)'>",
    "text for later": "<script>setTimeout('window.theirs = 1', 1)</script>",
    "a module": "<script type=module>import '/theirs.js'</script>",
    "an address in the page": "<script src='data:text/javascript,window.theirs=1'></script>",
    "a frame": "<iframe srcdoc='<script>window.theirs = 1</script>'></iframe>",
}


@pytest.fixture
def look(observe, site, pages):
    """Watch a page of this markup, from the path given."""
    site.pages |= {"/q.js": "var q = location", "/theirs.js": "1"}

    async def look(markup, path="/", **watch):
        site.pages[path] = markup
        steps = ({"open": site.url(path)}, {"fill": {"Name": "Ada"}}, {"wait_for": {"text": "Name"}, "name": "end"})
        return await observe(*steps, pages=pages, watch={"at": "end", **watch})

    return look


@pytest.fixture
def accepted(look, pages):
    async def accepted(markup, **options):
        await look(markup, **options)
        pages.accept(pages.proposal("p"))

    return accepted


@pytest.mark.parametrize("kind", SKIMMERS)
async def test_a_skimmer_is_seen_however_it_comes(look, accepted, site, kind):
    await accepted(FORM)
    site.scripts["/q.js?id=EVIL"] = "var evil = 1"
    for added in (SKIMMERS[kind] + FORM, FORM + SKIMMERS[kind]):
        seen = await look(added)
        assert [f.failure for f in seen.findings] == [Failure.PAGE_SCRIPTS_CHANGED], seen.facts
        assert "new: " in seen.findings[0].message
        assert seen.measures["page_watched"] == 1.0


async def test_what_steps_do_is_no_script_of_the_page(look, accepted):
    await accepted(FORM)
    for _ in range(2):
        assert (await look(FORM)).facts["page_watch"] == "as accepted"


async def test_a_debugger_statement_stops_nothing(look):
    seen = await look(FORM + "<script>debugger</script>")
    assert seen.findings == ()
    assert "--seen" in seen.facts["page_watch"]


async def test_a_visit_id_in_the_pages_path_is_no_change(look, accepted, site):
    inner = f"<iframe src='http://cards.test:{site.port}/f/%s'></iframe>"
    site.pages |= {f"/f/{visit}": "<script>var framed = 1</script>" for visit in (1, 2)}
    frames = {"card-form": "/f/[0-9]+$"}
    await accepted(FORM + inner % 1, path="/c/1", frames=frames)
    seen = await look(FORM + inner % 2, path="/c/2", frames=frames)
    assert (seen.findings, seen.facts["page_watch"]) == ((), "as accepted")


async def test_a_frame_that_hangs_hides_nothing(look, accepted, site, pages):
    await accepted(FORM)
    site.pages["/spin"] = "<script>setTimeout(() => { for (;;) {} }, 50)</script>"
    frame = f"<iframe src='http://cards.test:{site.port}/spin'></iframe>"
    seen = await look(FORM + "<script>var theirs = 1</script>" + frame)
    assert {f.failure for f in seen.findings} == {Failure.PAGE_NOT_WATCHED, Failure.PAGE_SCRIPTS_CHANGED}
    assert "the frame http://cards.test" in seen.findings[0].message
    assert seen.measures["page_watched"] == 0.0
    assert pages.proposal("p") is None


@pytest.mark.parametrize(
    "markup",
    [
        "<script src='data:text/javascript," + "a=1;" * 18_000 + "'></script>",
        "<script src='http://[::1'></script>",
        "<script>history.pushState({}, '', '/' + 'a'.repeat(70000))</script>",
    ],
    ids=["a long script", "no address", "a long address"],
)
async def test_addresses_that_are_none_break_nothing(look, markup, pages):
    seen = await look(FORM + markup)
    assert (seen.outcome, seen.findings, seen.measures["page_watched"]) == (Outcome.OK, (), 1.0)
    assert len(pages.proposal("p").inventory.document()) < 10_000


async def test_what_nobody_is_to_see_is_in_no_difference(observe, site, pages):
    site.pages["/AB-77.js"] = "1"
    steps = ({"open": site.url("/")}, {"fill": {"Name": "Ada"}})
    for markup in (FORM, FORM + "<script src='/AB-77.js'></script>"):
        site.pages["/"] = markup
        seen = await observe(*steps, pages=pages, watch="payment_page", redact=lambda text: text.replace("AB-77", "~"))
        pages.accept(pages.proposal("p"))
    (told,) = seen.findings[0].differences
    assert "/~.js, loaded by" in told


async def test_scripts_without_number_are_told(look):
    seen = await look(FORM + "<script>for (let i = 0; i < 3000; i++) eval('var a' + i)</script>")
    assert [f.failure for f in seen.findings] == [Failure.PAGE_NOT_WATCHED]
    assert "more than 2000 scripts" in seen.findings[0].message


async def test_inline_scripts_are_ignored_by_their_text(look, accepted):
    ignore = ["visit=[0-9]+"]
    await accepted(FORM, ignore=ignore)
    for visit in (1, 2):
        seen = await look(FORM + f"<script>var visit={visit}; document.currentScript.remove()</script>", ignore=ignore)
        assert seen.facts["page_watch"] == "as accepted"


# --- workers, and other windows --------------------------------------------------------------------------------------


def sha(text):
    return sha256(text.encode()).hexdigest()


async def inventory_of(observe, pages, site, script, **more):
    """Return by their hashes the scripts of a page that runs `script`, which sets the title when it is done."""
    site.pages["/"] = f"<script>{script}</script>"
    steps = ({"open": site.url("/")}, {"expect_title": "done", "name": "end"})
    seen = await observe(*steps, pages=pages, watch={"at": "end", **more.pop("watch", {})}, **more)
    assert seen.findings == (), seen.findings
    return {s.sha256: s for s in pages.proposal("p").inventory.scripts}


SHOP, CARDS = "shop.test", "cards.test"  # as the zone of the fixtures knows them
BLOB = "URL.createObjectURL(new Blob([{!r}]))"


async def test_the_scripts_of_workers_are_in_the_inventory_even_of_those_that_end_at_once(observe, site, pages):
    """Made from a text or loaded, what they import, make from text, and the workers that they make."""
    inner = "var inner = 1; parent = 2"
    outer = f"eval('var secret = 7'); new Worker({BLOB.format(inner)}); setTimeout(() => {{ postMessage(1); close() }}, 300)"
    site.pages |= {"/w.js": "importScripts('/lib.js'); postMessage(1); close()", "/lib.js": "var lib = 1"}
    made = f"""let said = 0; const heard = () => {{ if (++said === 2) document.title = 'done' }};
    new Worker({BLOB.format(outer)}).onmessage = heard; new Worker('/w.js').onmessage = heard"""
    found = await inventory_of(observe, pages, site, made)
    for text in (outer, inner, "var secret = 7", site.pages["/w.js"], "var lib = 1"):
        assert sha(text) in found, text
        assert found[sha(text)].frame == "a worker of the page"
    assert found[sha("var lib = 1")].source.endswith("/lib.js")
    assert found[sha(outer)].source == ""


class Told:
    """A session of the DevTools protocol that answers nothing, and tells what the test tells."""

    def __init__(self):
        self.tell = {}

    def on(self, event, heard):
        self.tell[event] = heard

    async def send(self, method, _params=None):
        if method == "Target.sendMessageToTarget":
            await asyncio.Event().wait()
        return {}


async def test_what_a_worker_executed_counts_though_it_is_told_after_its_end():
    scripts, session = ScriptListener(), Told()
    workers = WorkerListener(scripts)
    await workers.attach(session, "main")
    info = {"targetId": "t", "type": "worker", "url": "https://shop.example/w.js"}
    session.tell["Target.attachedToTarget"]({"sessionId": "s", "targetInfo": info})
    session.tell["Target.detachedFromTarget"]({"sessionId": "s"})
    parsed = {"scriptId": "1", "hash": sha("close()"), "length": 7, "embedderName": info["url"]}
    message = json.dumps({"method": "Debugger.scriptParsed", "params": parsed})
    session.tell["Target.receivedMessageFromTarget"]({"sessionId": "s", "message": message})
    assert [script.sha256 for script in scripts.scripts.values()] == [sha("close()")]
    assert workers.silent == []


async def test_a_worker_that_is_the_same_each_time_is_no_change(observe, site, pages):
    code = f"new Worker({BLOB.format('postMessage(1)')}).onmessage = () => document.title = 'done'"
    await inventory_of(observe, pages, site, code)
    pages.accept(pages.proposal("p"))
    steps = ({"open": site.url("/")}, {"expect_title": "done", "name": "end"})
    assert (await observe(*steps, pages=pages, watch={"at": "end"})).facts["page_watch"] == "as accepted"
    site.pages["/"] = f"<script>{code.replace('postMessage(1)', 'postMessage(2)')}</script>"
    (finding,) = (await observe(*steps, pages=pages, watch={"at": "end"})).findings
    assert f"new: an inline script of a worker of the page ({sha('postMessage(2)')[:12]})" in finding.message


async def test_a_shared_worker_is_in_the_inventory(observe, site, pages):
    text = "var shared = 1; onconnect = event => event.ports[0].postMessage(1)"
    code = f"new SharedWorker({BLOB.format(text)}).port.onmessage = () => document.title = 'done'"
    found = await inventory_of(observe, pages, site, code)
    assert found[sha(text)].frame == "a shared worker"


async def test_the_worker_of_a_frame_of_somebody_else_is_the_frames(observe, site, pages):
    text = "postMessage(1)"
    site.pages["/f"] = f"<script>new Worker({BLOB.format(text)}).onmessage = () => parent.postMessage(1, '*')</script>"
    code = "onmessage = () => document.title = 'done'</script><iframe src={}></iframe><script>1"
    found = await inventory_of(observe, pages, site, code.format(site.url("/f", CARDS)))
    assert found[sha(text)].frame == f"a worker of http://cards.test:{site.port}/f"


async def test_a_worker_may_be_named_under_ignore_by_its_text(observe, site, pages):
    text = "/* visit 4711 */ postMessage(1)"
    code = f"new Worker({BLOB.format(text)}).onmessage = () => document.title = 'done'"
    found = await inventory_of(observe, pages, site, code, watch={"ignore": "visit [0-9]+"})
    assert sha(text) not in found


async def test_a_worker_that_never_ends_is_listed_and_holds_nothing_up(observe, site, pages):
    text = "postMessage(1); for (;;) ;"
    code = f"new Worker({BLOB.format(text)}).onmessage = () => document.title = 'done'"
    assert sha(text) in await inventory_of(observe, pages, site, code)


@pytest.mark.parametrize("host", [SHOP, CARDS], ids=["own", "another's"])
async def test_the_scripts_of_a_window_that_the_page_opens_are_in_the_inventory(observe, site, pages, host):
    site.pages |= {
        "/pop": "<script>var pop = 1; opener.postMessage(1, '*')</script><script src=/p.js></script>",
        "/p.js": "var p",
    }
    code = f"onmessage = () => setTimeout(() => document.title = 'done', 500); open('{site.url('/pop', host)}')"
    found = await inventory_of(observe, pages, site, code)
    for text in ("var pop = 1; opener.postMessage(1, '*')", "var p"):
        assert found[sha(text)].frame == site.url("/pop", host), text


async def test_a_window_that_does_not_answer_is_told(observe, site, pages):
    site.pages["/pop"] = "<p>Bank<script>opener.postMessage(1, '*'); setTimeout(() => { for (;;) ; }, 200)</script>"
    site.pages["/"] = f"""<script>onmessage = () => setTimeout(() => document.title = 'done', 600);
    open('{site.url("/pop", CARDS)}')</script>"""
    steps = ({"open": site.url("/")}, {"expect_title": "done", "name": "end"})
    (finding,) = (await observe(*steps, pages=pages, watch={"at": "end"})).findings
    assert finding.failure is Failure.PAGE_NOT_WATCHED
    assert f"the window http://cards.test:{site.port}/pop did not answer" in finding.message
