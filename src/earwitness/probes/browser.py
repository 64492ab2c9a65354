"""The browser probe: a real browser on the way that a customer takes, to the payment and through the card form of somebody else."""

from typing import Any

from earwitness.model import Attribution, Channel, Effect, Failure, Finding, Observation
from earwitness.probes.browser_spec import BrowserSpec
from earwitness.probes.context import Kind, RunContext


async def run(spec: BrowserSpec, ctx: RunContext) -> Observation:
    """Take the journey once, in a window of its own.

    Facts: url (of the first step, query values masked), final_url, browser, proxy. Measures: duration, ttfb, first_contentful_paint,
    largest_contentful_paint and load in seconds and cumulative_layout_shift of the first page, requests, failed_requests,
    step_NAME in seconds for each step that has a name.
    """
    if ctx.browser is None or ctx.web is None:
        raise RuntimeError("a browser probe needs a browser")
    from earwitness.browser.engine import BrowserFailedError  # noqa: PLC0415  A megabyte, where there is a browser.

    proxy = None if spec.proxy is None else spec.proxy.proxy()
    try:
        async with ctx.browser.visit(spec.allow, proxy, **_window(spec)) as visit:
            from earwitness.browser.stay import Stay  # noqa: PLC0415  It needs Playwright, which is an extra.

            return await Stay(spec, ctx, visit, ctx.browser).observe()
    except BrowserFailedError as error:
        finding = Finding(Failure.BROWSER_FAILED, str(error), Effect.NONE, Attribution.MONITOR)
        return ctx.observe(findings=[finding])


def _window(spec: BrowserSpec) -> dict[str, Any]:
    """Return Playwright's options for the window that the section describes."""
    options: dict[str, Any] = {
        "viewport": {"width": spec.viewport.width, "height": spec.viewport.height},
        "locale": spec.locale,
        "timezone_id": spec.timezone,
        "user_agent": spec.user_agent,
    }
    if spec.user is not None and spec.password is not None:
        options["http_credentials"] = {"username": spec.user, "password": spec.password.reveal(), "origin": spec.home}
    return {name: value for name, value in options.items() if value is not None}


KIND = Kind(channel=Channel.BROWSER, spec=BrowserSpec, run=run, budget=lambda spec: spec.longest)
