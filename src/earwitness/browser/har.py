"""The requests of a run as an HTTP Archive (HAR 1.2), without what nobody may see; and the ones that failed, by host, as text.

Bodies of answers are left out. Of what was sent, values of telling names, secrets of the configuration and card numbers are masked.
"""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from earwitness.browser.traffic import Traffic, WebRequest
from earwitness.transport.cards import MASK
from earwitness.transport.redaction import Redaction, sensitive_field


def har_of(traffic: Traffic, started_at: float, browser: str, redaction: Redaction) -> bytes:
    """Return the archive as JSON. `started_at`: epoch seconds at which the run began."""
    entries = [_entry(request, started_at, redaction) for request in tuple(traffic.requests)]
    log = {
        "version": "1.2",
        "creator": {"name": "Earwitness", "version": "1"},
        "browser": {"name": "Chromium", "version": browser},
        "entries": entries,
    }
    if traffic.left_out:
        log["comment"] = f"{traffic.left_out} more requests were left out"
    return json.dumps({"log": log}, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def _entry(request: WebRequest, started_at: float, redaction: Redaction) -> dict[str, Any]:
    began = datetime.fromtimestamp(started_at + request.started, UTC).isoformat(timespec="milliseconds")
    entry = {
        "startedDateTime": began,
        "time": round((request.seconds or 0.0) * 1000, 1),
        "request": {
            "method": request.method,
            "url": redaction.url(request.url),
            "httpVersion": "",
            "cookies": [],
            "headers": _headers(request.headers, redaction, asked=True),
            "queryString": [{"name": n, "value": MASK} for n, _ in parse_qsl(urlsplit(request.url).query)],
            "headersSize": -1,
            "bodySize": len(request.post),
        },
        "response": {
            "status": request.status or 0,
            "statusText": redaction.text(request.reason),
            "httpVersion": "",
            "cookies": [],
            "headers": _headers(request.answer_headers, redaction, asked=False),
            "content": {"size": -1, "mimeType": redaction.text(request.answer_headers.get("content-type", ""))},
            "redirectURL": redaction.url(request.answer_headers.get("location", "")),
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": _timings(request),
        "_resourceType": request.type,
        "_error": request.failure or "",
    }
    if request.post:
        entry["request"]["postData"] = _post(request, redaction)  # type: ignore[index]  # a document of mixed types
    return entry


def _timings(request: WebRequest) -> dict[str, float]:
    """Return HAR's phases in milliseconds; -1 is what did not happen, or is not known."""
    at = request.timing

    def between(first: str, last: str) -> float:
        begin, end = at.get(first, -1.0), at.get(last, -1.0)
        return round(end - begin, 1) if begin >= 0 and end >= begin else -1.0

    return {
        "dns": between("domainLookupStart", "domainLookupEnd"),
        "connect": between("connectStart", "connectEnd"),
        "ssl": between("secureConnectionStart", "connectEnd"),
        "send": 0,
        "wait": between("requestStart", "responseStart"),
        "receive": between("responseStart", "responseEnd"),
    }


def _headers(headers: dict[str, str], redaction: Redaction, *, asked: bool) -> list[dict[str, str]]:
    return [{"name": name, "value": redaction.header(name, value, asked=asked)} for name, value in headers.items()]


def _post(request: WebRequest, redaction: Redaction) -> dict[str, Any]:
    """Return what was sent: a form by its fields, else the text. What is no text, such as a file, is not shown."""
    kind = redaction.text(request.headers.get("content-type", ""))
    if kind.startswith("application/x-www-form-urlencoded"):
        pairs = parse_qsl(request.post.decode("utf-8", "replace"), keep_blank_values=True)
        params = [{"name": n, "value": MASK if sensitive_field(n) else redaction.entered(v)} for n, v in pairs]
        return {"mimeType": kind, "params": params, "text": ""}
    try:
        text = request.post.decode()
    except UnicodeDecodeError:
        return {"mimeType": kind, "params": [], "text": "", "comment": f"{len(request.post)} bytes that are no text"}
    return {"mimeType": kind, "params": [], "text": redaction.entered(text)}


def failures_of(traffic: Traffic, redaction: Redaction) -> str:
    """Return the failed requests by host, one a line; empty if there is none."""
    lines = []
    for host, failed in traffic.by_host():
        lines.append(f"{host}: {len(failed)} failed")
        lines += [
            f"  {r.started:.2f} s  {r.method} {redaction.url(r.url)}  {r.type}  {r.what_happened}" for r in failed
        ]
    troubles = dict.fromkeys((t.host, t.message) for t in traffic.troubles)
    lines += [f"not reached: {host}: {redaction.text(message)}" for host, message in troubles]
    return "\n".join(lines) + "\n" if lines else ""


def console_of(traffic: Traffic, redaction: Redaction) -> str:
    """Return the console, one line a message; empty if nothing was said."""
    lines = [
        f"{line.at:.2f} s  {line.kind}  {redaction.entered(line.text)}"
        + (f"  ({redaction.url(line.url)})" if line.url else "")
        for line in tuple(traffic.console)
    ]
    return "\n".join(lines) + "\n" if lines else ""
