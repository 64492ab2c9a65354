"""A payment page as most shops have it: the card is typed into a frame of the card processor, on the processor's own host.

The processor answers below /processor; the running simulator serves it on a port of its own too, so that to a browser it is a third
party. The shop sees a token, never the card.
"""

import base64
import hashlib
import secrets
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from earwitness.simulator.faults import ActiveFaults, FaultBoard
from earwitness.simulator.shop import Faults, TheForm, card_processor_down, is_card, page, shop_down

router = APIRouter()
_ANYBODY = {
    "access-control-allow-origin": "*"
}  # whoever uses the script compares its integrity, and has to ask for this
_SCRIPT = """// The card processor's script for shops: it puts the card form into the page, and asks it for a token.
const form = new URL('card-form', document.currentScript.src).href;
window.mountCardForm = place => {
  const frame = document.createElement('iframe');
  Object.assign(frame, {name: 'card-form', title: 'Card', src: form});
  frame.style.cssText = 'width:100%;height:15rem;border:0';
  place.append(frame);
};
window.cardToken = frame => new Promise((good, bad) => {
  window.addEventListener('message', event => event.data.token ? good(event.data.token) : bad(event.data.refusal), {once: true});
  frame.contentWindow.postMessage('tokenize', '*');
});
"""


def _processor(request: Request) -> str:
    """Return where the processor is: another origin once the simulator runs, else the shop's own."""
    return f"{getattr(request.app.state, 'processor_url', '')}/processor"


def _integrity(script: str) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(script.encode()).digest()).decode()


def _script(faults: ActiveFaults) -> str:
    return _SCRIPT + ("// release 2\n" if "card-script-changed" in faults else "")


# --- the shop --------------------------------------------------------------------------------------------------------


@router.get("/shop/card")
async def payment_page(request: Request, faults: Faults) -> Response:
    broken = shop_down(faults)
    if broken:
        return broken
    processor = _processor(request)
    answer = page(
        "card.html",
        processor=processor,
        integrity=_integrity(_script(faults)),
        hangs="shop-page-hangs" in faults,
        error="shop-script-error" in faults,
        skimmer="shop-script-added" in faults,
    )
    if "shop-headers-gone" not in faults:
        origin = f"{urlsplit(processor).scheme}://{urlsplit(processor).netloc}" if "://" in processor else "'self'"
        scripts = f"script-src 'self' 'unsafe-inline' {origin}; frame-src {origin}"
        answer.headers["content-security-policy"] = f"default-src 'self'; style-src 'unsafe-inline'; {scripts}"
        answer.headers["strict-transport-security"] = "max-age=31536000"
        answer.headers["referrer-policy"] = "no-referrer"
    return answer


@router.post("/shop/card")
async def pay_by_token(faults: Faults, form: TheForm) -> Response:
    broken = shop_down(faults) or card_processor_down(faults, "/shop/card")
    if broken:
        return broken
    if not form.get("token", "").startswith("tok_"):
        return page("result.html", 422, title="Payment refused", text="The card was not taken.", good=False)
    text = "Payment accepted. Thank you for your payment."
    return page("result.html", title="Payment accepted", text=text, good=True)


@router.get("/shop/extra.js")
async def extra_script() -> Response:
    return Response("/* what nobody asked for */", media_type="text/javascript")


# --- the card processor ----------------------------------------------------------------------------------------------


async def _processor_waits(request: Request) -> Response | None:
    board: FaultBoard = request.app.state.faults
    now = board.now()
    if "card-form-slow" in now:
        await request.app.state.clock.sleep(now.number("card-form-slow", "seconds"))
    down = "card-form-down" in now or "card-processor-down" in now
    return Response("unavailable", 503, media_type="text/plain") if down else None


@router.get("/processor/card.js")
async def script_for_shops(faults: Faults) -> Response:
    if "card-script-down" in faults:
        return Response("unavailable", 503, _ANYBODY, "text/plain")
    return Response(_script(faults), headers=_ANYBODY, media_type="text/javascript")


@router.get("/processor/card-form")
async def form_in_a_frame(request: Request) -> Response:
    return await _processor_waits(request) or page("card_form.html")


@router.post("/processor/tokens")
async def tokenize(request: Request, form: TheForm) -> Response:
    """Return a token for a card."""
    down = await _processor_waits(request)
    if down:
        return down
    if not is_card(form.get("card", "")):
        return JSONResponse({"refusal": "Please check the card number."}, 422)
    return JSONResponse({"token": f"tok_{secrets.token_hex(12)}"}, 201)
