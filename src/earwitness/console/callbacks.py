"""Where providers tell what people did there. The signature, which the hook's kind checks, takes the place of our token."""

import hashlib

import structlog
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from earwitness.alerting.digests import is_digest
from earwitness.console.api import InHouse
from earwitness.console.house import House
from earwitness.hooks import HOOKS
from earwitness.hooks.base import Callback, Said
from earwitness.model import Commanded
from earwitness.store import digests, used, verdicts

PREFIX = "/callbacks/"
_LARGEST = 256 * 1024  # bytes; a provider repeats its whole incident
log = structlog.get_logger()

callbacks = APIRouter(prefix=PREFIX.rstrip("/"), include_in_schema=False)


@callbacks.post("/{hook}")
async def on_callback(house: InHouse, hook: str, request: Request) -> Response:
    """Take a callback: 200, 403 for a wrong signature, 404 where none is awaited, 413 for too much."""
    spec = house.config.hooks.get(hook)
    hear = HOOKS[spec.kind].hear if spec else None
    if spec is None or hear is None:
        return Response(status_code=404)
    body = await read_body(request, _LARGEST)
    if body is None:
        return Response(status_code=413)
    given = Callback(dict(request.headers), body, _given_out(house, request))
    heard = hear(getattr(spec, spec.kind), given, house.clock.now())
    if heard is None:
        log.warning("callback_refused", hook=hook)
        return Response(status_code=403)
    for said in heard:
        await take(house, hook, said)
    answer = HOOKS[spec.kind].answer
    media_type, content = answer(heard) if answer else ("text/plain", b"")
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


async def take(house: House, hook: str, said: Said) -> None:
    """Do here what was done there, once. What the hook's provider said is not sent back to it."""
    key = f"{hook} {hashlib.sha256(said.key.encode()).hexdigest()}"
    if await house.store.read(lambda c: used.is_used(c, key)):
        return
    for incident in await house.store.read(lambda c: _meant(c, said)):
        now = house.clock.now()
        await house.commit.submit(Commanded(now, incident, said.action, said.who, said.note, via=hook))
        log.info("told_by_provider", hook=hook, incident=incident, action=said.action)
    await house.store.write(lambda c: used.use(c, key, house.clock.now()))


def _meant(connection: Connection, said: Said) -> list[str]:
    """Return the incidents that are meant. Who acknowledges a digest looks after all that it told; who resolves it ends none of them."""
    if is_digest(said.incident):
        return digests.members(connection, said.incident) if said.action == "acknowledge" else []
    return [said.incident] if verdicts.incident(connection, said.incident) is not None else []
