"""What a failed run leaves behind, and what it does not show."""

import io
import json
import re
import zipfile

import pytest
import pytest_asyncio
import regex
from PIL import Image

from earwitness.browser.screenshot import COVER
from earwitness.transport.redaction import redacted

CARD, PASSWORD, NAME, SESSION, TOKEN = (
    "4111111111111111",
    'pass&canary/1"é+<2',
    "Ada & Canary/é",
    "session-canary-77",
    "bearer-canary-42",
)
JWT = "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl"
PAGE = f"""<!doctype html><style>body {{ margin: 0; background: #fff }}
  input, iframe, p {{ position: absolute; left: 0; width: 300px; height: 40px; margin: 0; border: 0; background: #0f0; }}</style>
<input aria-label="Card number" name="card" style="top:0">
<input aria-label="Password" type="password" style="top:50px">
<input aria-label="Full name" style="top:100px">
<input autocomplete="cc-csc" value="123" style="top:150px">
<input name="city" value="London" style="top:200px">
<p id="echo" style="top:250px"></p>
<p class="private" style="top:300px">balance</p>
<input readonly value="" id="again" style="top:500px">
<input name="number" value="4111 1111 1111 1111" style="top:550px">
<p style="top:600px">Customer <b>AB-77</b>123</p>
<textarea style="position:absolute;left:0;top:650px;width:300px;height:40px;background:#0f0;border:0">737</textarea>
<input aria-label="Code" style="top:700px">
<iframe name="frame" src="http://cards.test:PORT/frame" style="top:350px"></iframe>
<script>
document.cookie = 'session={SESSION}';
function send() {{
  document.getElementById('again').value = document.querySelector('[type=password]').value;
  document.getElementById('echo').textContent = document.querySelector('[name=card]').value;
  console.error('could not pay with ' + document.querySelector('[name=card]').value);
  fetch('/api?card=' + document.querySelector('[name=card]').value, {{method: 'POST', headers: {{authorization: 'Bearer {TOKEN}'}},
    body: JSON.stringify({{pan: document.querySelector('[name=card]').value, password: '{PASSWORD}', city: 'London'}})}});
  const code = document.querySelector('[aria-label=Code]').value, multi = new FormData();
  multi.append('cvv', code); multi.append('csrf_token', '{TOKEN}'); multi.append('town', 'Leeds');
  fetch('/api', {{method: 'POST', body: multi}});
  fetch('/api', {{method: 'POST', body: JSON.stringify({{securityCode: code, cvn: code, note: code, id: '17373'}})}});
  console.log('code ' + code + ', Authorization: Bearer {TOKEN} and {JWT}');
  const form = new URLSearchParams({{cvc: '123', note: '{NAME}', town: 'Leeds'}});
  fetch('/form', {{method: 'POST', body: form}});
}}
</script><button onclick="send()" style="position:absolute;top:450px">Send</button>"""
FRAME = """<style>body { margin: 0; background: #0f0 }</style>
<input autocomplete="cc-number" aria-label="Number" style="width:290px;height:38px;background:#0f0;border:0">"""
STEPS = (
    {"fill": {"Card number": CARD, "Password": PASSWORD, "Full name": NAME, "Code": "737"}},
    {"fill": {"Number": CARD}, "frame": "frame"},
    {"click": "Send"},
    {"wait_for": {"text": CARD}},
    {"expect_text": "never", "timeout": "300ms"},
)


@pytest_asyncio.fixture(loop_scope="session")
async def failed(observe, site):
    site.pages |= {
        "/": PAGE.replace("PORT", str(site.port)),
        "/frame": FRAME,
        "/api": (500, {"set-cookie": f"t={TOKEN}", "content-type": f"text/html; v={TOKEN}"}, "{}"),
    }

    def redact(text):
        return redacted(text, [regex.compile("AB-[0-9]+")])

    window = {"width": 800, "height": 900}
    seen = await observe({"open": site.url("/")}, *STEPS, mask=[".private"], trace=True, redact=redact, viewport=window)
    assert [f.step for f in seen.findings] == ["expect text never"]
    return seen


@pytest.mark.usefixtures("failed")
async def test_the_picture_covers_what_nobody_may_see_and_nothing_else(drawer):
    picture = Image.open(io.BytesIO(drawer.files["screenshot.png"])).convert("RGB")
    cover = tuple(int(COVER[i : i + 2], 16) for i in (1, 3, 5))
    for top, what in (
        (0, "card"),
        (50, "password"),
        (100, "filled"),
        (150, "code"),
        (250, "echo"),
        (300, "own"),
        (352, "frame"),
        (500, "password again"),
        (550, "card in a field of another name"),
        (600, "pattern of the configuration"),
        (650, "short secret in a field"),
    ):
        colours = {picture.getpixel((x, top + y)) for x in range(2, 280, 3) for y in range(2, 34, 4)}
        assert colours == {cover}, what
    assert picture.getpixel((250, 220)) == (0, 255, 0)  # a field that nobody filled, of no telling name


async def test_no_text_that_is_kept_shows_a_secret(failed, drawer):
    assert set(drawer.files) == {"screenshot.png", "failed-requests.txt", "console.txt", "requests.har", "trace.zip"}
    told = [drawer.text(name) for name in ("failed-requests.txt", "console.txt", "requests.har")]
    told += (
        [f.message for f in failed.findings]
        + [s.name + s.note for s in failed.steps]
        + list(map(str, failed.facts.values()))
    )
    for text in told:
        assert CARD not in text
        assert JWT not in text
        assert "canary" not in text.lower()  # whatever was escaped around it
    console = drawer.text("console.txt")
    assert "code ***, Authorization: Bearer *** and ***" in console
    log = json.loads(drawer.files["requests.har"])["log"]
    posted = [json.dumps(entry["request"]["postData"]) for entry in log["entries"] if "postData" in entry["request"]]
    assert len(posted) == 4
    for text in posted:
        assert not re.search(r"\b737\b", text)
    assert any("17373" in text for text in posted)
    assert any("Leeds" in text for text in posted)


@pytest.mark.usefixtures("failed")
async def test_the_archive_tells_what_was_asked_and_what_came(drawer, site):
    log = json.loads(drawer.files["requests.har"])["log"]
    assert (log["version"], log["browser"]["name"]) == ("1.2", "Chromium")
    by_path = {entry["request"]["url"].partition(str(site.port))[2]: entry for entry in log["entries"]}
    api, form = by_path["/api?card=***"], by_path["/form"]
    assert (api["response"]["status"], api["request"]["method"]) == (500, "POST")
    assert {h["name"]: h["value"] for h in api["request"]["headers"]}["authorization"] == "***"
    assert json.loads(api["request"]["postData"]["text"]) == {"pan": "***", "password": "***", "city": "London"}
    fields = {p["name"]: p["value"] for p in form["request"]["postData"]["params"]}
    assert fields == {"cvc": "***", "note": "***", "town": "Leeds"}
    assert by_path["/"]["timings"]["wait"] >= 0


@pytest.mark.usefixtures("failed")
async def test_failed_requests_are_listed_by_host_and_the_console_line_by_line(drawer):
    listed = drawer.text("failed-requests.txt")
    assert listed.startswith("shop.test: ")
    assert "/api?card=***  fetch  HTTP 500" in listed
    assert "error  could not pay with ***" in drawer.text("console.txt")


def documents(drawer):
    """The trace's files, by name: JSON, a document a line."""
    with zipfile.ZipFile(io.BytesIO(drawer.files["trace.zip"])) as trace:
        texts = {name: trace.read(name).decode() for name in trace.namelist()}
    return {name: [json.loads(line) for line in text.splitlines()] for name, text in texts.items()}


@pytest.mark.usefixtures("failed")
async def test_the_trace_shows_what_was_done_and_what_the_page_was_and_no_secret(drawer):
    files = documents(drawer)
    assert set(files) == {"trace.trace", "trace.network"}
    told = json.dumps(files, ensure_ascii=False)
    for secret in (CARD, PASSWORD, json.dumps(PASSWORD)[1:-1], NAME, SESSION, TOKEN, JWT, "AB-77"):
        assert secret not in told, secret
    assert not re.search(r"(?<![\w.])737(?![\w.])", told), "what was filled in, however short"
    steps = [d.get("method") for d in files["trace.trace"] if d["type"] == "before"]
    assert {"goto", "fill", "click"} <= set(steps)
    fill = next(d for d in files["trace.trace"] if d.get("method") == "fill")
    assert fill["params"]["value"] == "***"
    assert "Card number" in fill["params"]["selector"]
    pages = json.dumps([d for d in files["trace.trace"] if d["type"] == "frame-snapshot"])
    assert '"__playwright_value_": "***"' in pages
    assert "Customer " in pages, "what is no secret is there"
    asked = [d["snapshot"] for d in files["trace.network"]]
    assert any(d["request"]["url"].endswith("/api?card=***") and d["response"]["status"] == 500 for d in asked)


async def test_a_secret_in_pieces_is_masked_in_the_trace(observe, site, drawer):
    site.pages["/"] = """<input aria-label=S><p id=p>Paid with <span></span><i></i><b></b></p>"""
    site.pages["/"] += "<ul><li>4111</li><li>1111</li><li>1111</li><li>1111</li></ul><ol><li>one</li><li>two</li></ol>"
    await observe({"open": site.url("/")}, {"expect_text": "never", "timeout": "200ms"}, trace=True)
    told = json.dumps(documents(drawer)["trace.trace"])
    assert '["LI", {}, "one"], ["LI", {}, "two"]' in told
    assert "4111" not in told


async def test_a_trace_is_kept_only_where_it_is_asked_for(drawer, observe, site):
    await observe({"open": site.url("/nowhere")})
    assert "requests.har" in drawer.files
    assert "trace.zip" not in drawer.files


async def test_a_picture_is_not_kept_of_a_disk_that_refuses(observe, site, drawer, monkeypatch):
    async def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(drawer), "save", full)
    seen = await observe({"open": site.url("/nowhere")})
    assert seen.findings
    assert seen.facts["evidence_lost"] >= 2
