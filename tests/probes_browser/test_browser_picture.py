"""Where a page paints what nobody may see, the picture covers it, or there is none."""

import io

import pytest
from PIL import Image

from earwitness.browser.screenshot import COVER

SECRET = "4111111111111111"
BASE = """<!doctype html><style>body { margin: 0; background: #fff }
div.box { position: absolute; left: 0; width: 300px; height: 40px; background: #0f0 }</style>
<input aria-label=S style="position: absolute; top: 300px">"""
CASES = {
    "open shadow text": f"<div class=box id=h></div><script>h.attachShadow({{mode:'open'}}).innerHTML='<p style=margin:0>{SECRET}</p>'</script>",
    "closed shadow text": f"<div class=box id=h></div><script>h.attachShadow({{mode:'closed'}}).innerHTML='<p style=margin:0>{SECRET}</p>'</script>",
    "closed shadow field": f"<div class=box id=h></div><script>h.attachShadow({{mode:'closed'}}).innerHTML='<input style=\"width:290px;height:36px;background:#0f0;border:0\" value={SECRET}>'</script>",
    "open shadow field": f"<div class=box id=h></div><script>h.attachShadow({{mode:'open'}}).innerHTML='<input style=\"width:290px;height:36px;background:#0f0;border:0\" value={SECRET}>'</script>",
    "before content": f"<style>#h::before{{content:'{SECRET}'}}</style><div class=box id=h></div>",
    "split spans": "<div class=box id=h><span>4111</span> <span>1111</span> <span>1111</span> <span>1111</span></div>",
    "split blocks": "<div class=box id=h style='display:flex'><p>4111</p><p>1111</p><p>1111</p><p>1111</p></div>",
    "svg text": f"<svg class=box style='position:absolute;left:0;width:300px;height:40px;background:#0f0'><text y=20>{SECRET}</text></svg>",
    "contenteditable": f"<div class=box id=h contenteditable>{SECRET}</div>",
    "text-transform": "<style>#h{text-transform:uppercase}</style><div class=box id=h>canary secret one</div>",
    "button": f"<button class=box style='position:absolute;left:0;width:300px;height:40px;background:#0f0'>{SECRET}</button>",
    "input button": f"<input type=button value={SECRET} style='position:absolute;left:0;top:0;width:300px;height:40px;background:#0f0;border:0'>",
    "two in one line": f"<div class=box id=h>Card {SECRET} and {SECRET}</div>",
    "srcdoc frame": f"<iframe class=box style='position:absolute;left:0;width:300px;height:40px;border:0;background:#0f0' srcdoc='{SECRET}'></iframe>",
    "placeholder": f"<input placeholder={SECRET} style='position:absolute;left:0;top:0;width:300px;height:40px;background:#0f0;border:0'>",
    "nbsp groups": "<div class=box id=h>4111&nbsp;1111&nbsp;1111&nbsp;1111</div>",
    "alt of broken image": f"<img class=box style='position:absolute;left:0;width:300px;height:40px;background:#0f0' src=/gone.png alt='{SECRET}'>",
    "datalist/summary": f"<details open><summary class=box style='position:absolute;left:0;width:300px;height:40px;background:#0f0'>{SECRET}</summary></details>",
    "fixed later": f"<div style='height:0;overflow:visible'><div class=box>{SECRET}</div></div>",
}


NONE = {"closed shadow text", "closed shadow field", "before content", "split blocks", "alt of broken image"}


@pytest.mark.parametrize("case", CASES)
async def test_what_is_painted_is_covered(observe, site, drawer, case):
    site.pages["/"] = BASE + CASES[case]
    steps = (
        {"open": site.url("/")},
        {"fill": {"S": "canary secret one"}},
        {"expect_text": "never", "timeout": "200ms"},
    )
    assert [f.step for f in (await observe(*steps)).findings] == ["expect text never"]
    assert ("screenshot.png" not in drawer.files) is (case in NONE), "no picture at all, where nothing else helps only"
    if case not in NONE:
        picture = Image.open(io.BytesIO(drawer.files["screenshot.png"])).convert("RGB")
        cover = tuple(int(COVER[i : i + 2], 16) for i in (1, 3, 5))
        assert {picture.getpixel((x, y)) for x in range(10, 60) for y in range(10, 16)} == {cover}


async def test_an_empty_field_does_not_cost_the_picture(observe, site, drawer):
    """The browser tells of no value, and what stands last among its texts is another thing."""
    site.pages["/"] = "<input><p>Hello<script>const TEST_CARD = '4111111111111111'</script>"
    await observe({"open": site.url("/")}, {"expect_text": "never", "timeout": "200ms"})
    assert "screenshot.png" in drawer.files


CANVAS = """<canvas id=c width=300 height=40 style="position: absolute; left: 0; top: 0"></canvas><script>
const paint = document.getElementById('c').getContext('2d');
paint.fillStyle = '#0f0'; paint.fillRect(0, 0, 300, 40);
paint.fillStyle = '#000'; paint.fillText('4111111111111111', 10, 20);</script>"""
FRAMED = "<iframe src=/drawn style='position: absolute; left: 0; top: 0; border: 0; margin: 0'></iframe>"


@pytest.mark.parametrize("where", ["page", "frame"])
@pytest.mark.parametrize("filled", [True, False])
async def test_what_is_drawn_on_a_canvas_is_covered_once_something_was_filled_in(observe, site, drawer, filled, where):
    site.pages |= {"/": BASE + (CANVAS if where == "page" else FRAMED), "/drawn": BASE + CANVAS}
    fill = [{"fill": {"S": "canary secret one"}}] if filled else []
    await observe({"open": site.url("/")}, *fill, {"expect_text": "never", "timeout": "200ms"})
    picture = Image.open(io.BytesIO(drawer.files["screenshot.png"])).convert("RGB")
    cover = tuple(int(COVER[i : i + 2], 16) for i in (1, 3, 5))
    assert picture.getpixel((5, 5)) == (cover if filled else (0, 255, 0))


async def test_what_is_drawn_on_a_canvas_is_covered_with_a_script(observe, site, drawer, tmp_path):
    site.pages["/"] = BASE + CANVAS
    text = f"async def run(page, step):\n    await page.goto({site.url('/')!r})\n    assert False, 'no'\n"
    (tmp_path / "journey.py").write_text(text)
    await observe(script="journey.py", folder=tmp_path)
    picture = Image.open(io.BytesIO(drawer.files["screenshot.png"])).convert("RGB")
    assert picture.getpixel((5, 5)) != (0, 255, 0)


FORM = """<input aria-label=Number style='position:absolute;left:0;top:0;width:290px;height:36px;border:0;background:#0f0'>"""
PAYING = """<!doctype html><style>body { margin: 0; background: #fff }</style>
<iframe src=http://cards.test:PORT/form style='position:absolute;left:0;top:0;width:300px;height:40px;border:0'></iframe>
<button style="position:absolute;top:100px" onclick="GOES">Pay</button>"""


@pytest.mark.parametrize("goes", ["location = '/declined'", "document.querySelector('iframe').remove()"])
async def test_a_page_that_left_the_card_form_behind_has_its_picture(observe, site, drawer, goes):
    """Where the payment failed after the card was filled in, which is when somebody wants to see it."""
    site.pages |= {
        "/": PAYING.replace("PORT", str(site.port)).replace("GOES", goes),
        "/form": FORM,
        "/declined": "<p>Something went wrong",
    }
    fill = {"fill": {"Number": SECRET}, "frame": {"url": "/form"}}
    never = {"expect_text": "never", "timeout": "500ms"}
    seen = await observe({"open": site.url("/")}, fill, {"click": "Pay"}, never)
    assert [f.step for f in seen.findings] == ["expect text never"]
    assert "screenshot.png" in drawer.files


@pytest.mark.parametrize("host", ["shop.test", "cards.test"])
async def test_a_frame_that_is_still_to_come_is_covered_and_the_page_is_seen(observe, site, drawer, host):
    site.pages["/"] = PAYING.replace("http://cards.test:PORT/form", site.url("/hang", host))
    await observe({"open": site.url("/")}, {"expect_text": "never", "timeout": "1s"}, step_timeout="1s")
    picture = Image.open(io.BytesIO(drawer.files["screenshot.png"])).convert("RGB")
    cover = tuple(int(COVER[i : i + 2], 16) for i in (1, 3, 5))
    assert picture.getpixel((150, 20)) == cover
    assert picture.getpixel((150, 60)) == (255, 255, 255)
