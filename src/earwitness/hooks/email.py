"""Mail by SMTP: text and HTML, with the recording attached while it is small enough.

`Message-ID` is the idempotency key, so that a mail that arrives twice is shown once; the mails of an incident make a thread by
`In-Reply-To` (RFC 5322, 3.6.4), and `Auto-Submitted` (RFC 3834) keeps absence notes away. A 4xx answer is tried again, and so is one that asks for another password; any other 5xx is final.
"""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from earwitness.config.fields import OneOrMore, SecretValue, Size, WithSecret, problem
from earwitness.hooks.base import (
    DEFERRED,
    AnswerLimit,
    HookKind,
    HookOutcome,
    Mail,
    MailServer,
    Notice,
    Parcel,
    Reason,
    Reply,
    Talk,
    json_body,
    one_line,
    remembered,
)
from earwitness.model import Evidence, Severity
from earwitness.presentation import SEVERITY_WORDS, iso_time

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_LONGEST_SUBJECT = 200
_LOCKED_OUT = frozenset({530, 534, 535, 538})  # RFC 4954


class EmailSpec(WithSecret):
    """The mail server, and who writes to whom."""

    host: str
    port: int | None = Field(default=None, ge=1, le=65535)  # by default 587, or 465 with security: tls
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None  # trust these authorities instead of the system's
    username: str | None = None
    password: SecretValue | None = None
    password_file: Path | None = None
    from_: str = Field(alias="from")
    to: Annotated[tuple[str, ...], OneOrMore()] = Field(min_length=1)
    attach_up_to: Size = 5_000_000  # bytes of recordings in one mail
    timeout: AnswerLimit = 25.0

    @field_validator("from_")
    @classmethod
    def _sender(cls, value: str) -> str:
        return _checked(value)

    @field_validator("to")
    @classmethod
    def _recipients(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_checked, value))

    @model_validator(mode="after")
    def _log_in(self) -> Self:
        if (self.username is None) is not (self.password is None):
            raise problem("username and password belong together", "username" if self.username else "password")
        if self.password is not None and self.security == "none":
            raise problem("a password would be sent in clear; use starttls or tls", "security")
        return self


def _checked(address: str) -> str:
    plain = parseaddr(address)[1]
    if not (plain.isascii() and re.fullmatch(r"[^@\s<>,]+@[^@\s<>,]+", plain)) or re.search(r"[\r\n]", address):
        raise problem(f"{address!r} is not a mail address; write one such as on-call@example.com, in plain ASCII")
    return address


def render(spec: EmailSpec, notice: Notice) -> bytes:
    """Return the parts of the mail as JSON; recordings by the names of their content."""
    attached = _attached(notice, spec.attach_up_to)
    return json_body(
        {
            "subject": one_line(notice.title, _LONGEST_SUBJECT),
            "date": format_datetime(datetime.fromtimestamp(int(notice.at), UTC)),
            "urgent": notice.incident.severity is Severity.SEV1,
            "incident": notice.incident.id,
            "text": _text(notice),
            "html": _html(notice),
            "attachments": [
                {"kind": f.kind, "media_type": f.media_type, "sha256": f.sha256, "size": f.size, "name": f.name}
                for f in attached
            ],
        }
    )


def _attached(notice: Notice, limit: int) -> list[Evidence]:
    """Return the newest recordings that fit."""
    chosen: list[Evidence] = []
    for file in reversed(notice.incident.evidence):
        if file.kind == "recording" and sum(f.size for f in chosen) + file.size <= limit:
            chosen.append(file)
    return chosen


def _facts(notice: Notice) -> dict[str, str]:
    incident = notice.incident
    return {
        "Severity": SEVERITY_WORDS[incident.severity],
        "Journeys": ", ".join(incident.journeys),
        "Probes": ", ".join(incident.probes),
        "Environment": incident.environment,
        "Cause": incident.cause.dependency or "not known",
        "Opened": str(iso_time(incident.opened_at)),
        "Resolved": iso_time(incident.resolved_at) or "not yet",
    }


def _links(notice: Notice) -> dict[str, str]:
    recording = notice.recording()
    links = {"The incident": notice.url} | ({"The recording": notice.link(recording)} if recording else {})
    return links | ({"Acknowledge it": notice.ack_url} if notice.ack_url else {})


def _text(notice: Notice) -> str:
    facts = "\n".join(f"{name}: {value}" for name, value in _facts(notice).items())
    links = "\n".join(f"{name}: {url}" for name, url in _links(notice).items())
    return f"{notice.text}\n\n{facts}\n\n{links}\n"


def _html(notice: Notice) -> str:
    rows = "".join(
        f'<tr><th align="left">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in _facts(notice).items()
    )
    links = " · ".join(f'<a href="{html.escape(url)}">{name}</a>' for name, url in _links(notice).items())
    text = html.escape(notice.text).replace("\n", "<br>")
    return f"<h2>{html.escape(notice.title)}</h2><p>{text}</p><table>{rows}</table><p>{links}</p>"


def talk(spec: EmailSpec, parcel: Parcel) -> Talk:
    told = parcel.json()
    own_id = f"<{parcel.key}@{parseaddr(spec.from_)[1].partition('@')[2]}>"
    first_id, waiting = _progress_of(parcel)
    recipients = tuple(a for _, a in map(parseaddr, spec.to) if waiting is None or a in waiting)
    if not recipients:
        return HookOutcome("delivered", Reason.OK, "those who did not have it get no mail any more", reference=first_id)
    reply = yield Mail(
        server=MailServer(
            spec.host, spec.port or _PORTS[spec.security], spec.security, spec.username, spec.password, spec.ca_file
        ),
        sender=parseaddr(spec.from_)[1],
        recipients=recipients,
        headers=_headers(spec, told, own_id, first_id if first_id != own_id else None),
        text=told["text"],
        html=told["html"],
        attachments=tuple(Evidence(**file) for file in told["attachments"]),
    )
    outcome = read(reply, first_id or own_id)
    if outcome.result == "retry" and (later := reply.headers.get(DEFERRED)):
        return replace(outcome, reference=f"{first_id or own_id} {parcel.key} {later}")
    if outcome.result == "refused" and waiting is not None:  # who has it must hear of the end
        return HookOutcome("delivered", Reason.OK, f"others have it; {outcome.detail}", reference=first_id or own_id)
    return outcome


def _progress_of(parcel: Parcel) -> tuple[str | None, list[str] | None]:
    """Return the first mail of the incident, and for whom this one is still to be taken, where others have it already."""
    first_id, more = remembered(parcel.reference)
    key, *waiting = more.split(" ")
    return first_id, waiting if key == parcel.key else None


def _headers(spec: EmailSpec, told: dict[str, Any], own_id: str, first_id: str | None) -> dict[str, str]:
    headers = {
        "From": spec.from_,
        "To": ", ".join(spec.to),
        "Subject": told["subject"],
        "Date": told["date"],
        "Message-ID": own_id,
        "Auto-Submitted": "auto-generated",
        "X-Earwitness-Incident": told["incident"],
    }
    if told["urgent"]:
        headers |= {"Importance": "high", "X-Priority": "1"}
    if first_id is not None:
        headers |= {"In-Reply-To": first_id, "References": first_id}
    return headers


def read(reply: Reply, reference: str | None = None) -> HookOutcome:
    """Judge an SMTP code (RFC 5321, 4.2.1)."""
    words = " ".join(reply.body.decode(errors="replace").split())
    detail = f"SMTP {reply.status} {words}".rstrip()
    if 200 <= reply.status < 300:
        return HookOutcome("delivered", Reason.OK, detail, reference=reference)
    if reply.status in _LOCKED_OUT:
        return HookOutcome("retry", Reason.AUTHENTICATION, detail)
    if 500 <= reply.status < 600:
        return HookOutcome("refused", Reason.REJECTED, detail)
    return HookOutcome("retry", Reason.SERVER_ERROR if 400 <= reply.status < 500 else Reason.BAD_REPLY, detail)


KIND = HookKind(name="email", spec=EmailSpec, render=render, talk=talk)
