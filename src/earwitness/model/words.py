"""The words of Earwitness, frozen and typed: what a run saw, what the judge concluded, what people are told.

Times are seconds since the epoch (UTC), durations are seconds. This module imports nothing of ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Scalar = str | int | float | bool | None


class Channel(StrEnum):
    """How a probe reaches the customer's world."""

    CALL = "call"
    HTTP = "http"
    TLS = "tls"
    DNS = "dns"
    TCP = "tcp"
    BROWSER = "browser"


class Why(StrEnum):
    """What asked for a run."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    CONFIRM = "confirm"
    CONTROL = "control"
    WORKAROUND = "workaround"


class Outcome(StrEnum):
    """How a run ended. UNKNOWN: the monitor could not tell, and nobody may read it as the customer's outage."""

    OK = "ok"
    FINDING = "finding"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Effect(StrEnum):
    """What a finding does to a customer: cannot finish, finishes by a detour, finishes annoyed, notices nothing."""

    BLOCKED = "blocked"
    DIVERTED = "diverted"
    NUISANCE = "nuisance"
    NONE = "none"


class Attribution(StrEnum):
    """Whose fault a finding is."""

    TARGET = "target"
    THIRD_PARTY = "third_party"
    CARRIER = "carrier"
    MONITOR = "monitor"
    UNKNOWN = "unknown"


class Layer(StrEnum):
    """Where on its way to the customer's goal a call failed."""

    ACCOUNT = "account"  # ours, at the carrier
    CARRIER = "carrier"
    NUMBER = "number"  # the number called, and the lines behind it
    IVR = "ivr"
    BACKEND = "backend"  # what is behind the IVR


class Failure(StrEnum):
    """The class of a finding, before any cause: a closed list, safe as a metric label."""

    # reaching a web address
    NAME_NOT_FOUND = "name_not_found"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_FAILED = "connection_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    CERTIFICATE_INVALID = "certificate_invalid"
    CERTIFICATE_EXPIRING = "certificate_expiring"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_SELF_SIGNED = "certificate_self_signed"
    CERTIFICATE_WRONG_NAME = "certificate_wrong_name"
    CERTIFICATE_CHAIN_INCOMPLETE = "certificate_chain_incomplete"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_WEAK = "certificate_weak"
    CERTIFICATE_REVOKED = "certificate_revoked"
    WRONG_PROTOCOL = "wrong_protocol"
    WRONG_CIPHER = "wrong_cipher"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    TRANSFER_TIMEOUT = "transfer_timeout"
    CONNECTION_LOST = "connection_lost"
    PROTOCOL_ERROR = "protocol_error"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    # what the web said
    WRONG_REDIRECT = "wrong_redirect"
    WRONG_STATUS = "wrong_status"
    WRONG_HEADER = "wrong_header"
    WRONG_BODY = "wrong_body"
    WRONG_SIZE = "wrong_size"
    BODY_TOO_LARGE = "body_too_large"
    CAPTURE_FAILED = "capture_failed"
    WRONG_BANNER = "wrong_banner"
    # what a name server said
    NAME_SERVER_SILENT = "name_server_silent"
    WRONG_RCODE = "wrong_rcode"
    WRONG_ANSWER = "wrong_answer"
    NOT_AUTHENTICATED = "not_authenticated"
    # what any of them said
    SLOW = "slow"
    # what a browser met
    ELEMENT_MISSING = "element_missing"
    WRONG_PAGE = "wrong_page"
    CONSOLE_ERROR = "console_error"
    REQUEST_FAILED = "request_failed"
    PAGE_HUNG = "page_hung"
    PAGE_CRASHED = "page_crashed"
    PAGE_SCRIPTS_CHANGED = "page_scripts_changed"
    SECURITY_HEADERS_CHANGED = "security_headers_changed"
    PAGE_NOT_WATCHED = "page_not_watched"
    # reaching a telephone number
    NEVER_CONNECTED = "never_connected"
    BUSY = "busy"
    UNOBTAINABLE = "unobtainable"
    NO_ANSWER = "no_answer"
    EARLY_HANGUP = "early_hangup"
    # what the line said
    DEAD_AIR = "dead_air"
    ONE_WAY = "one_way"
    WRONG_PROMPT = "wrong_prompt"
    PROMPT_MISSING = "prompt_missing"
    PROMPT_TRUNCATED = "prompt_truncated"
    DTMF_IGNORED = "dtmf_ignored"
    PROMPT_CHANGED = "prompt_changed"
    MISROUTED = "misrouted"
    HOLD_TOO_LONG = "hold_too_long"
    NOT_SILENT = "not_silent"
    POOR_AUDIO = "poor_audio"
    # the monitor could not tell
    ADDRESS_REFUSED = "address_refused"
    RESOLVER_FAILED = "resolver_failed"
    NO_TRUST_STORE = "no_trust_store"
    UPLINK_DOWN = "uplink_down"
    PROXY_FAILED = "proxy_failed"
    CLIENT_CERTIFICATE_UNUSABLE = "client_certificate_unusable"
    BROWSER_FAILED = "browser_failed"
    SCRIPT_BROKEN = "script_broken"
    ACCOUNT_REFUSED = "account_refused"
    CARRIER_API_FAILED = "carrier_api_failed"
    RECORDING_MISSING = "recording_missing"
    RECORDING_UNREADABLE = "recording_unreadable"
    WORDS_NOT_CHECKED = "words_not_checked"
    CONTROL_FAILED = "control_failed"
    TRANSCRIPTION_FAILED = "transcription_failed"
    NOT_ALLOWED_TO_DIAL = "not_allowed_to_dial"
    OVER_BUDGET = "over_budget"
    INTERRUPTED = "interrupted"
    MONITOR_ERROR = "monitor_error"


CALL_FAILURES = frozenset(  # what only a call can meet
    {
        Failure.NEVER_CONNECTED,
        Failure.BUSY,
        Failure.UNOBTAINABLE,
        Failure.NO_ANSWER,
        Failure.EARLY_HANGUP,
        Failure.DEAD_AIR,
        Failure.ONE_WAY,
        Failure.WRONG_PROMPT,
        Failure.PROMPT_MISSING,
        Failure.PROMPT_TRUNCATED,
        Failure.DTMF_IGNORED,
        Failure.PROMPT_CHANGED,
        Failure.MISROUTED,
        Failure.HOLD_TOO_LONG,
        Failure.NOT_SILENT,
        Failure.POOR_AUDIO,
    }
)


BROWSER_FAILURES = frozenset(  # what only a browser can meet
    {
        Failure.ELEMENT_MISSING,
        Failure.WRONG_PAGE,
        Failure.CONSOLE_ERROR,
        Failure.REQUEST_FAILED,
        Failure.PAGE_HUNG,
        Failure.PAGE_CRASHED,
        Failure.PAGE_SCRIPTS_CHANGED,
        Failure.SECURITY_HEADERS_CHANGED,
        Failure.PAGE_NOT_WATCHED,
    }
)

WATCH_FAILURES = frozenset(  # what the payment page watch tells: what a page is made of, not whether it works
    {Failure.PAGE_SCRIPTS_CHANGED, Failure.SECURITY_HEADERS_CHANGED, Failure.PAGE_NOT_WATCHED}
)

OUR_FAILURES = frozenset(  # what the monitor met on its own side, which is no customer's outage
    {
        Failure.ADDRESS_REFUSED,
        Failure.RESOLVER_FAILED,
        Failure.NO_TRUST_STORE,
        Failure.UPLINK_DOWN,
        Failure.PROXY_FAILED,
        Failure.CLIENT_CERTIFICATE_UNUSABLE,
        Failure.BROWSER_FAILED,
        Failure.SCRIPT_BROKEN,
        Failure.ACCOUNT_REFUSED,
        Failure.CARRIER_API_FAILED,
        Failure.RECORDING_MISSING,
        Failure.RECORDING_UNREADABLE,
        Failure.WORDS_NOT_CHECKED,
        Failure.CONTROL_FAILED,
        Failure.TRANSCRIPTION_FAILED,
        Failure.NOT_ALLOWED_TO_DIAL,
        Failure.OVER_BUDGET,
        Failure.INTERRUPTED,
        Failure.MONITOR_ERROR,
    }
)


class Workaround(StrEnum):
    """How a blocked journey's workarounds fare: one lets customers through, all fail, nobody could tell of one lately, none is named."""

    PASSES = "passes"
    FAILS = "fails"
    UNTESTED = "untested"
    NONE = "none"


class Scope(StrEnum):
    """How far a failure reaches: everywhere, or only through one carrier, from one number of ours or from some of our locations."""

    EVERYWHERE = "everywhere"
    CARRIER = "carrier"
    NUMBER = "number"
    LOCATION = "location"


class Severity(StrEnum):
    """How bad an incident is, worst first."""

    SEV1 = "sev1"
    SEV2 = "sev2"
    SEV3 = "sev3"
    NONPROD = "nonprod"


class Status(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class TransitionKind(StrEnum):
    OPEN = "open"
    RAISE = "raise"
    LOWER = "lower"
    ATTACH = "attach"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    NOTE = "note"
    REOPEN = "reopen"
    MUTE = "mute"
    UNMUTE = "unmute"
    # What alerting tells without a change of the incident.
    REMIND = "remind"  # it is still open
    ESCALATE = "escalate"  # nobody acknowledged it in time
    DIGEST = "digest"  # several incidents in one message


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file that a run left behind, named by its content."""

    kind: str  # recording, transcript, response, request, ...
    media_type: str
    sha256: str
    size: int  # bytes
    name: str  # a file name a person can read


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong."""

    failure: Failure
    message: str  # one sentence for a person: what was expected, what was there
    effect: Effect = Effect.BLOCKED
    attribution: Attribution = Attribution.TARGET
    step: str | None = None
    at: float | None = None  # seconds into the run, or into the recording for a call
    dependency: str | None = None  # whose host it was that failed, where the configuration names it
    differences: tuple[
        str, ...
    ] = ()  # of a payment page: by what each difference is known again; the message names some


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the run did or waited for."""

    name: str
    ok: bool
    started: float  # seconds into the run
    duration: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One planned try of a probe."""

    id: str
    probe: str
    journey: str
    channel: Channel
    location: str
    environment: str
    why: Why
    scheduled_at: float
    slot: int | None = None  # the slot's nominal time in ms since the epoch; None for requested runs
    request: str | None = None  # the key of the request that asked for it


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a run saw."""

    run: Run
    started_at: float
    duration: float
    findings: tuple[Finding, ...] = ()
    steps: tuple[Step, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    facts: Mapping[str, Scalar] = field(default_factory=dict)  # numbers dialled, URL, address, call SID, certificate
    measures: Mapping[str, float] = field(default_factory=dict)  # seconds and ratios that metrics publish
    skipped: str | None = None  # why the run did not happen

    @property
    def outcome(self) -> Outcome:
        if self.skipped is not None:
            return Outcome.SKIPPED
        return outcome_of(self.findings)

    @property
    def ended_at(self) -> float:
        return self.started_at + self.duration


def outcome_of(findings: tuple[Finding, ...]) -> Outcome:
    """Return what a run with these findings ended as."""
    if not findings:
        return Outcome.OK
    if any(f.attribution in (Attribution.MONITOR, Attribution.UNKNOWN) for f in findings):
        return Outcome.UNKNOWN
    return Outcome.FINDING if any(f.effect is not Effect.NONE for f in findings) else Outcome.OK


_EFFECT_ORDER = (Effect.BLOCKED, Effect.DIVERTED, Effect.NUISANCE, Effect.NONE)
_SEVERITY_ORDER = (Severity.SEV1, Severity.SEV2, Severity.SEV3, Severity.NONPROD)


def worst_effect(findings: tuple[Finding, ...]) -> Effect:
    return min((f.effect for f in findings), key=_EFFECT_ORDER.index, default=Effect.NONE)


def without_doubt(findings: Sequence[Finding]) -> list[Finding]:
    """Return what was seen to fail, or else all: what we could not tell of one step hides nothing that was seen in another."""
    seen = [f for f in findings if f.attribution not in (Attribution.MONITOR, Attribution.UNKNOWN)]
    return seen if any(f.effect is not Effect.NONE for f in seen) else list(findings)


def worse(a: Severity, b: Severity) -> bool:
    """Whether `a` is worse than `b`."""
    return _SEVERITY_ORDER.index(a) < _SEVERITY_ORDER.index(b)
