"""What every hook is: a pure function to the body, and a pure talk with the provider that ends in an outcome.

A talk is a generator. It yields what is to be sent, is sent the reply, and returns the outcome; it never sends anything itself.
Most kinds ask once (`one_request`). Those whose provider wants to be asked first, such as a ticket system that has to be searched
before a ticket is opened, yield several requests. Where no reply comes, the talk is closed, and the whole of it is tried again.
"""

import base64
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from earwitness.config.fields import Duration, Money, Secret, Spec, problem
from earwitness.model import Evidence, Incident, Status, TransitionKind

LONGEST_ATTEMPT = 25.0  # seconds, of all requests of one attempt together
AnswerLimit = Annotated[Duration, Field(gt=0, le=LONGEST_ATTEMPT)]  # seconds that one reply may take


class Reason(StrEnum):
    """Why an attempt ended as it did: a closed list, safe as a metric label."""

    OK = "ok"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    ADDRESS_REFUSED = "address_refused"
    REDIRECT = "redirect"
    AUTHENTICATION = "authentication"
    REJECTED = "rejected"
    GONE = "gone"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    BAD_REPLY = "bad_reply"
    NO_HOOK = "no_hook"
    TOO_OLD = "too_old"
    INTERRUPTED = "interrupted"
    MONITOR_FAULT = "monitor_fault"
    NOT_YET = "not_yet"
    OVER_BUDGET = "over_budget"


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told: one transition, with the incident as it is when it is first told."""

    key: str  # idempotency key
    kind: TransitionKind
    at: float
    title: str  # one line
    text: str
    incident: Incident
    url: str  # the incident's page
    evidence_url: str  # its files are below
    test: bool = False  # sent by a person to try the hook
    told: tuple[str, ...] = ()  # of a digest: the ids of all incidents that it tells
    hook: str = ""  # that is told; empty where nobody may answer
    ack_url: str | None = None  # a link that acknowledges it once, after a question

    @property
    def home(self) -> str:
        """The address of the console."""
        return self.url.rsplit("/", 2)[0]

    @property
    def asks(self) -> bool:
        """Whether it asks for somebody who looks after the incident: nobody does, or it is told that somebody did too long ago."""
        grown_old = self.kind is TransitionKind.ESCALATE and self.incident.status is Status.ACKNOWLEDGED
        return bool(self.hook) and not self.incident.of_monitor and (self.incident.unanswered or grown_old)

    def recording(self) -> Evidence | None:
        """Return the newest recording of the incident."""
        return next((e for e in reversed(self.incident.evidence) if e.kind == "recording"), None)

    def link(self, file: Evidence) -> str:
        return f"{self.evidence_url}/{file.sha256}"

    def links(self) -> str:
        """Return where to read and hear more, as lines of plain text."""
        recording = self.recording()
        lines = [f"Incident: {self.url}"]
        lines += [f"Recording: {self.link(recording)}"] if recording else []
        lines += [f"Acknowledge: {self.ack_url}"] if self.ack_url else []
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one attempt carries: the frozen body under its key."""

    key: str
    body: bytes
    now: float
    reference: str | None = None  # what an earlier outcome of this incident and hook asked to be remembered
    doubt: float | None = None  # when an attempt last ended without word of whether it had arrived
    owed_since: float = 0.0  # attempts before that were of an earlier wish to send it

    def json(self) -> Any:
        """Return the body of a kind that renders JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One HTTP request. Its parts may hold secrets, so none is shown."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class MailServer:
    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    username: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """One message for a mail server; its reply's status is the SMTP code."""

    server: MailServer
    sender: str
    recipients: tuple[str, ...]
    headers: Mapping[str, str]
    text: str
    html: str
    attachments: tuple[Evidence, ...] = ()


DEFERRED = (
    "deferred"  # header of a mail server's reply: the recipients for whom it is to be tried again; the others have it
)


@dataclass(frozen=True, slots=True)
class Announcement:
    """One message for a library that knows the service by its address; the reply's status is 200 or 502."""

    url: Secret
    title: str
    text: str
    level: Literal["info", "success", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """A call that the carrier knows of."""

    sid: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Dialling:
    """A request that makes a telephone ring: sent only if the number may be dialled, the money is there, and it is wanted still."""

    request: HookRequest
    to: str = field(repr=False)
    from_: str = field(repr=False)
    cost: Money
    key: str  # of the alert: it rings once ...
    since: float = 0.0  # ... for what was attempted from then on
    asks: tuple[str, float] | None = (
        None  # the incident or digest that somebody is to look after, and since when it asks for that
    )
    placed: tuple[PlacedCall, ...] | None = (
        None  # calls between the two numbers; None: nobody looked, as no attempt is in doubt
    )
    sid_of: Callable[["Reply"], str | None] = lambda _reply: None


Message = HookRequest | Mail | Announcement | Dialling


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HookOutcome:
    """`delivered`, `retry` (not before `retry_after` seconds) or `refused`, which no retry will change.

    `reference` is handed to the later talks about the same incident; None keeps the one before.
    """

    result: str
    reason: Reason
    detail: str = ""
    retry_after: float | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """What a provider sent to us: header names in lower case, and the body as it came."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(default="", repr=False)  # as we gave it to the provider, with what it added


@dataclass(frozen=True, slots=True)
class Said:
    """What people did at the provider, to be done here."""

    key: str | None  # the same when it is told again; None: it is how things stand there, whenever that is asked
    incident: str  # or a digest
    action: Literal["acknowledge", "resolve"]
    who: str
    note: str = ""
    at: float | None = None  # when they did it, where the provider says so


@dataclass(frozen=True, slots=True)
class Known:
    """An open incident or digest that the hook was told of, as a poll needs to know it."""

    incident: str
    reference: str | None  # what the hook asked to be remembered of it
    acknowledged: bool


Talk = Generator[Message, Reply, HookOutcome]
Poll = Generator[Message, Reply, list[Said] | HookOutcome]


@dataclass(frozen=True, slots=True)
class HookKind:
    """`render` makes the body once, without any secret; `talk` carries it for one attempt; `hear` reads what comes back, `poll` asks for it."""

    name: str  # as in the configuration
    spec: type[Spec]
    render: Callable[[Any, Notice], bytes]
    talk: Callable[[Any, Parcel], Talk]
    hear: Callable[[Any, Callback, float], list[Said] | None] | None = None  # reads a callback; None: it is not signed
    answer: Callable[[Sequence[Said]], tuple[str, bytes]] | None = (
        None  # media type and body that a callback is answered with
    )
    poll: Callable[[Any, Sequence[Known], float], Poll] | None = None  # asks what became of incidents there
    poll_at_once: int = 100  # tickets that one poll asks for
    shows_answers: bool = True  # whether people see there what they did there; else we tell it, as we tell everybody


def one_request(
    make: Callable[[Any, Parcel], Message], read: Callable[[Reply, float], HookOutcome]
) -> Callable[[Any, Parcel], Talk]:
    """Return the talk of a kind that asks once."""

    def talk(spec: Any, parcel: Parcel) -> Talk:
        reply = yield make(spec, parcel)
        return read(reply, parcel.now)

    return talk


# --- what several kinds need -----------------------------------------------------------------------------------------


def remembered(reference: str | None) -> tuple[str | None, str]:
    """Return what the provider calls the incident, and what the kind keeps behind that name."""
    name, _, more = (reference or "").partition(" ")
    return name or None, more


def cut(text: str, longest: int) -> str:
    """Return at most `longest` characters."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def json_body(told: object) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def one_line(text: str, longest: int) -> str:
    """Return the text on one line, for subjects and summaries."""
    return cut(" ".join(text.split()), longest)


def basic(user: str, password: Secret) -> str:
    """Return an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()


def bearer(token: Secret) -> str:
    """Return an Authorization header (RFC 6750)."""
    return f"Bearer {token.reveal()}"


def json_request(method: str, url: str, authorization: str, body: dict[str, Any] | None = None) -> HookRequest:
    """Return a request of an API that takes and gives JSON."""
    headers = {"authorization": authorization, "accept": "application/json", "content-type": "application/json"}
    return HookRequest(url, headers, b"" if body is None else json_body(body), method)


def matching(pattern: str, advice: str) -> AfterValidator:
    """Return a validator for texts of which all has to match; `advice` says what to write instead."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise problem(advice)
        return value

    return AfterValidator(check)


def check_address(value: Secret) -> Secret:
    """Return a web address that is a secret, once it is known to be one. Errors do not show it."""
    try:
        parts = urlsplit(value.reveal())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise problem("this is not a web address; write http:// or https:// and a host")
    return value
