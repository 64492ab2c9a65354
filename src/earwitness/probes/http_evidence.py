"""What is kept of a run in which something is wrong: its requests and answers as text, without what nobody may see."""

import asyncio
from collections.abc import Sequence

from earwitness.model import Evidence
from earwitness.probes.context import RunContext
from earwitness.probes.endpoint import THEIRS
from earwitness.probes.http_curl import curl_line
from earwitness.probes.http_step import Visit
from earwitness.transport.redaction import Redaction

_LONGEST = 256 * 1024  # characters of a body that are kept


async def keep_visits(visits: Sequence[Visit], redaction: Redaction, ctx: RunContext) -> list[Evidence]:
    """Keep requests and answers up to the last that failed. A run that passed, or failed by our own fault, leaves no file."""
    failed = [place for place, visit in enumerate(visits) if any(f.attribution in THEIRS for f in visit.findings)]
    kept: list[Evidence] = []
    for place, visit in enumerate(visits[: max(failed, default=-1) + 1]):
        prefix = f"{place + 1:02}-{visit.step.name}-" if visit.step.name else ""
        for kind, text in await asyncio.to_thread(_texts, visit, redaction):
            media_type = "text/plain; charset=utf-8"
            kept += await ctx.keep(
                text.encode("utf-8", "replace"), kind=kind, media_type=media_type, name=f"{prefix}{kind}.txt"
            )
    return kept


def _texts(visit: Visit, redaction: Redaction) -> list[tuple[str, str]]:
    """Return what is kept of a step, by kind. It may take a tenth of a second."""
    if visit.request is None:
        return []
    head = f"{visit.request.method} {redaction.url(visit.request.url)}\n"
    head += redaction.headers(visit.request.headers, asked=True)
    body = redaction.beginning(visit.request.content.decode("utf-8", "replace"), _LONGEST)
    kept = [("request", "\n".join([head, body, *(f"-> {redaction.text(hop)}" for hop in visit.trail.hops)]))]
    kept.append(("curl", curl_line(visit.request, redaction)))
    if visit.answer is not None:
        headers = redaction.headers(visit.answer.headers, asked=False)
        lines = f"HTTP {redaction.text(visit.answer.status_line)}\n{headers}\n"
        kept.append(("response", lines + redaction.beginning(visit.answer.text, _LONGEST)))
    return kept
