"""The web application: console pages, API, metrics and health, behind one guard."""

import asyncio
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.base import RequestResponseEndpoint
from starlette.types import ASGIApp

from earwitness.console.acknowledging import acknowledging
from earwitness.console.api import api
from earwitness.console.baselines import baselines
from earwitness.console.callbacks import callbacks
from earwitness.console.guard import Guard
from earwitness.console.house import House
from earwitness.console.pages import pages
from earwitness.console.quiet import quiet
from earwitness.console.sharing import sharing
from earwitness.console.telephone import telephone

_HERE = Path(__file__).parent
_HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer, forms send "Origin: null", which the guard refuses
    "cache-control": "no-store",
}


def create_app(house: House) -> ASGIApp:
    app = FastAPI(title="Earwitness", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    app.state.house = house
    app.include_router(api)
    app.include_router(baselines)
    app.include_router(quiet)
    app.include_router(sharing)  # before the pages, which take any other action on an incident
    app.include_router(pages)
    app.include_router(acknowledging)
    app.include_router(callbacks)
    app.state.switchboard = house.switchboard
    app.include_router(telephone)
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    _health(app, house)

    @app.middleware("http")
    async def careful_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return Guard(app, house.config.http.token)


def _health(app: FastAPI, house: House) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        text = await asyncio.to_thread(house.metrics.render)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return _answer(house.alive(), "alive")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        return _answer(house.ready(), "ready")


def _answer(good: bool, word: str) -> Response:
    return Response(f"{word}\n" if good else f"not {word}\n", 200 if good else 503, media_type="text/plain")
