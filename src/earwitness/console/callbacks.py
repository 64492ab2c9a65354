"""Where providers tell what people did there. The signature, which the hook's kind checks, takes the place of our token."""

import structlog
from fastapi import APIRouter, Request, Response

from earwitness.alerting.heard import take
from earwitness.console.api import InHouse
from earwitness.console.house import House
from earwitness.hooks import HOOKS
from earwitness.hooks.base import Callback

PREFIX = "/callbacks/"
_LARGEST = 256 * 1024  # bytes; a provider repeats its whole incident
log = structlog.get_logger()

callbacks = APIRouter(prefix=PREFIX.rstrip("/"), include_in_schema=False)


@callbacks.post("/{hook}")
async def on_callback(house: InHouse, hook: str, request: Request) -> Response:
    """Take a callback: 200, 403 for a wrong signature, 404 where none is awaited, 413 for too much."""
    spec = house.config.hooks.get(hook)
    kind = HOOKS[spec.kind] if spec else None
    if spec is None or kind is None or kind.hear is None:
        return Response(status_code=404)
    body = await read_body(request, _LARGEST)
    if body is None:
        return Response(status_code=413)
    given = Callback(dict(request.headers), body, _given_out(house, request))
    heard = kind.hear(getattr(spec, spec.kind), given, house.clock.now())
    if heard is None:
        log.warning("callback_refused", hook=hook)
        return Response(status_code=403)
    for said in heard:
        await take(house.store, house.clock, house.commit.submit, hook, said, shown=kind.shows_answers)
    media_type, content = kind.answer(heard) if kind.answer else ("text/plain", b"")
    return Response(content, media_type=media_type)


def _given_out(house: House, request: Request) -> str:
    """Return the address as we gave it out, whatever a proxy has made of the request on its way."""
    base = (house.config.http.public_url or "").rstrip("/")
    return f"{base}{request.url.path}" + (f"?{request.url.query}" if request.url.query else "")


async def read_body(request: Request, most: int) -> bytes | None:
    """Return the body, or None when it has more bytes than that."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)
