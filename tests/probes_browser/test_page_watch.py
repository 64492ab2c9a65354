"""The watch over a payment page: proposed, accepted, and told when it changes."""

import json

import pytest

from earwitness.browser.pages import PageBaselines, PageInventory, PageScript, difference
from earwitness.model import Effect, Failure, Outcome


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
    assert "earwitness baseline accept --probe pay" in seen.facts["page_watch"]
    (proposal,) = pages.proposals()
    inventory = proposal.inventory
    external = next(s for s in inventory.scripts if s.source.endswith("/processor/card.js"))
    assert external.integrity.startswith("sha384-")
    assert len(external.sha256) == 64
    assert external.loaded_by.endswith("/shop/card")
    inline = [s for s in inventory.scripts if not s.source]
    assert {s.frame.rpartition("/")[2] for s in inline} == {"card", "card-form"}  # the page's, and that in the frame
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
        ([script()], [script(sha256="")], []),  # its body could not be read: nothing can be said of it
    ],
)
def test_what_counts_as_a_difference(before, after, said):
    made = [PageInventory("p", "https://a/", 0.0, tuple(scripts)) for scripts in (before, after)]
    assert list(difference(*made).scripts) == said


def test_files_that_are_no_inventory_count_as_none(tmp_path, pages):
    for text in ("", "[]", "{}", '{"scripts": 1}'):
        (tmp_path / "pages/proposed").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pages/proposed/p.json").write_text(text)
        assert pages.proposals() == []
