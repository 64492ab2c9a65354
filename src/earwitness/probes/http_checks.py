"""What must be true of an answer, each check on its own, each failure in one exact sentence."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import regex

from earwitness.model import Attribution, Effect, Failure, Finding
from earwitness.probes import http_json
from earwitness.probes.http_json import JSON_NUMBER, UnsearchableError, values_at
from earwitness.transport.cards import MASK
from earwitness.transport.errors import BrokenAnswerError
from earwitness.transport.exchange import Certificate, values_of
from earwitness.transport.redaction import Redaction, is_long, sensitive_header
from earwitness.transport.redirects import REDIRECTS, location_in, pointed_at

if TYPE_CHECKING:
    from earwitness.probes.http_spec import StepSpec, TimeLeft

_EXCERPT = 80  # characters
_SHOWN = 3  # values of a JSON path that a finding tells
_LOOKED_AT = 2000  # characters of a text that is quoted, blank ones included
_DAY = 86400.0
_CHARSET = re.compile(r"""(?:^|[;\s])charset\s*=\s*["']?([A-Za-z0-9._:-]{1,40})["']?\s*(?:;|$)""", re.IGNORECASE)
_CHARSETS = re.compile(
    r"ascii|utf-8|utf-8-sig|utf-16(-[lb]e)?|iso8859-\d+|cp125\d|cp866|cp874|cp932|cp949|koi8-[ru]|mac-(roman|cyrillic)|tis-620"
    r"|gb2312|gbk|gb18030|big5|big5hkscs|euc_jp|euc_kr|shift_jis|iso2022_jp"
)
"""What web pages are written in (the names of WHATWG's Encoding Standard, as Python calls them). Other codecs of Python are no
character sets, take quadratic time, or give characters that nothing can be written in."""


@dataclass(frozen=True)
class Answer:
    """The last answer of a step, read to its end. `raw_headers` are as they came, `seconds` is the whole step.

    `redaction` knows what its text may not show.
    """

    asked: httpx.URL  # where the step began
    url: httpx.URL
    status: int
    reason: str
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    seconds: float
    certificates: Sequence[Certificate] = ()
    redaction: Redaction = field(default_factory=Redaction)

    @cached_property
    def headers(self) -> httpx.Headers:
        """The headers by their names. To sort them takes longer than most checks, which need none."""
        return httpx.Headers(self.raw_headers)

    @cached_property
    def text(self) -> str:
        """The body as text; what does not fit its character set becomes U+FFFD."""
        named = values_of(self.raw_headers, b"content-type")
        return self.body.decode(_charset(b", ".join(named)), "replace")

    def excerpt(self, text: str) -> str:
        """Return the beginning of a text on one line, without what nobody may see, in quotes."""
        line = " ".join(self.redaction.beginning(text, _LOOKED_AT).split())
        whole = len(line) <= _EXCERPT and len(text) <= _LOOKED_AT
        return repr(line if whole else line[:_EXCERPT] + "...")

    @property
    def patience(self) -> float:
        """Seconds that a JSON path may take on the body: a long one is searched beside the event loop."""
        return http_json.BESIDE_IT if is_long(self.body) else http_json.ON_THE_LOOP

    @property
    def status_line(self) -> str:
        return f"{self.status} {self.reason or _phrase(self.status)}".strip()


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""


@lru_cache(maxsize=256)
def _charset(content_type: bytes) -> str:
    """Return the codec of the character set that is named, of UTF-8 where none or none of the web's is."""
    named = _CHARSET.search(content_type.decode("latin-1"))
    try:
        codec = codecs.lookup(named[1]).name if named else "utf-8"
    except LookupError:
        return "utf-8"
    return codec if _CHARSETS.fullmatch(codec) else "utf-8"


def _matches(status: int, patterns: Sequence[str]) -> bool:
    return any(str(status) == p or (p.endswith("xx") and str(status)[0] == p[0]) for p in patterns)


def _wanted_status(step: "StepSpec") -> tuple[str, ...]:
    expect = step.expect
    if "status" not in expect.model_fields_set and expect.redirect_to is not None and not step.follow_redirects:
        return ("3xx",)
    return expect.status


def _check_status(step: "StepSpec", answer: Answer) -> Iterator[Finding]:
    wanted = _wanted_status(step)
    if not _matches(answer.status, wanted):
        message = f"expected status {' or '.join(wanted)}, got {answer.status_line}"
        yield Finding(Failure.WRONG_STATUS, message, step.harm)


_PATTERN_TIME = 0.25  # seconds on the event loop; what takes longer would stop every other probe


def search(pattern: regex.Pattern[str], text: str) -> regex.Match[str] | Finding | None:
    """Return where the text holds the pattern, or that nobody could tell in time: some patterns take for ever on some texts."""
    try:
        return pattern.search(text, timeout=_PATTERN_TIME)
    except TimeoutError:
        return cannot_tell(
            f"the pattern {pattern.pattern!r} takes too long on this answer; write it without nested repeats"
        )


def cannot_tell(message: str) -> Finding:
    """Return that we could not look for something: nothing that the target did."""
    return Finding(Failure.MONITOR_ERROR, message, Effect.NONE, Attribution.MONITOR)


def _shown(name: str, value: str, answer: Answer) -> str:
    return repr(MASK) if sensitive_header(name) else answer.excerpt(value)


def _check_headers(step: "StepSpec", answer: Answer) -> Iterator[Finding]:
    for name, pattern in step.expect.headers.items():
        value = answer.headers.get(name)
        if value is None:
            message = f"expected a header {name} like {pattern.pattern!r}, there is none"
            yield Finding(Failure.WRONG_HEADER, message, step.harm)
            continue
        found = search(pattern, value)
        if isinstance(found, Finding):
            yield found
        elif found is None:
            message = f"expected the header {name} to be like {pattern.pattern!r}, got {_shown(name, value, answer)}"
            yield Finding(Failure.WRONG_HEADER, message, step.harm)


def _check_redirect(step: "StepSpec", answer: Answer) -> Iterator[Finding]:
    if step.expect.redirect_to is None:
        return
    wanted = answer.asked.join(step.expect.redirect_to)
    if step.follow_redirects:
        where, what = answer.url, "to end at"
    else:
        location = location_in(answer.raw_headers) if answer.status in REDIRECTS else None
        if location is None:
            message = f"expected a redirect to {answer.redaction.url(wanted)}, got {answer.status_line}"
            yield Finding(Failure.WRONG_REDIRECT, message, step.harm)
            return
        try:
            where, what = pointed_at(answer.url, location), "a redirect to"
        except BrokenAnswerError as error:
            yield Finding(error.failure, str(error), step.harm)
            return
    if where.copy_with(fragment=None) != wanted.copy_with(fragment=None):
        message = f"expected {what} {answer.redaction.url(wanted)}, got {answer.redaction.url(where)}"
        yield Finding(Failure.WRONG_REDIRECT, message, step.harm)


def _check_size(step: "StepSpec", answer: Answer) -> Iterator[Finding]:
    least, most, size = step.expect.min_size, step.expect.max_size, len(answer.body)
    if least is not None and size < least:
        yield Finding(Failure.WRONG_SIZE, f"expected at least {least} bytes of body, got {size}", step.harm)
    if most is not None and size > most:
        yield Finding(Failure.WRONG_SIZE, f"expected at most {most} bytes of body, got {size}", step.harm)


def _check_body(step: "StepSpec", answer: Answer) -> Iterator[Finding]:
    for text in step.expect.body:
        if text not in answer.text:
            message = f"expected the body to contain {text!r}; {_beginning(answer)}"
            yield Finding(Failure.WRONG_BODY, message, step.harm)
    pattern = step.expect.body_regex
    found = None if pattern is None else search(pattern, answer.text)
    if isinstance(found, Finding):
        yield found
    elif pattern is not None and found is None:
        message = f"expected the body to hold something like {pattern.pattern!r}; {_beginning(answer)}"
        yield Finding(Failure.WRONG_BODY, message, step.harm)


def _beginning(answer: Answer) -> str:
    return f"it begins {answer.excerpt(answer.text)}" if answer.body else "it is empty"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check_json(step: "StepSpec", answer: Answer) -> Iterator[Finding]:
    if not step.expect.json_:
        return
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        message = f"expected a JSON body; it begins {answer.excerpt(answer.text)}"
        yield Finding(Failure.WRONG_BODY, message, step.harm)
        return
    for path, wanted in step.expect.json_.items():
        try:
            there = _other_values(path, wanted, document, answer)
        except UnsearchableError as error:
            yield cannot_tell(str(error))
            continue
        if there is not None:
            message = f"expected {path} in the JSON body to be {wanted!r}, got {there or 'nothing there'}"
            yield Finding(Failure.WRONG_BODY, message, step.harm)


def _other_values(path: str, wanted: str, document: Any, answer: Answer) -> str | None:
    """Return the first values found there in words, or None if one of all is the wanted one. Raises UnsearchableError."""
    first: list[str] = []
    for value in values_at(path, document, answer.patience):
        text = _as_text(value)
        if text == wanted or _same_number(value, text, wanted):
            return None
        if len(first) < _SHOWN:
            first.append(text)
    return ", ".join(answer.excerpt(text) for text in first)


def _same_number(value: Any, text: str, wanted: str) -> bool:
    """Whether a number of the document is the wanted one in another spelling: 10.00 is read as 10.0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not JSON_NUMBER.fullmatch(wanted):
        return False
    return Decimal(text) == Decimal(wanted)


def _check_time(step: "StepSpec", answer: Answer) -> Iterator[Finding]:
    limits, took = step.expect.within, answer.seconds
    if limits.major is not None and took > limits.major:
        message = f"expected the answer within {limits.major:g} s, it took {took:.2f} s"
        yield Finding(Failure.SLOW, message, step.harm)
    elif limits.minor is not None and took > limits.minor:
        message = f"expected the answer within {limits.minor:g} s, it took {took:.2f} s"
        yield Finding(Failure.SLOW, message, Effect.NUISANCE)


def next_to_end(certificates: Iterable[Certificate], now: float) -> Certificate | None:
    """Return the first certificate to run out of those that have not yet."""
    living = (certificate for certificate in certificates if certificate.not_after > now)
    return min(living, key=lambda certificate: certificate.not_after, default=None)


def check_time_left(limits: "TimeLeft", certificates: Sequence[Certificate], now: float) -> Iterator[Finding]:
    """Yield what is wrong with the time that is left. An expired one that verified all the same plays no part."""
    first = next_to_end(certificates, now)
    if first is None:
        return
    left = first.not_after - now
    if left >= limits.minor:
        return
    day = datetime.fromtimestamp(first.not_after, UTC).strftime("%Y-%m-%d %H:%M UTC")
    limit = limits.major if left < limits.major else limits.minor
    message = (
        f"expected the certificate to be valid for {limit / _DAY:g} more days, "
        f"{first.subject} expires on {day}, in {left / _DAY:.1f} days"
    )
    effect = Effect.BLOCKED if left < limits.major else Effect.NUISANCE
    yield Finding(Failure.CERTIFICATE_EXPIRING, message, effect)


def check_head(step: "StepSpec", answer: Answer, now: float) -> list[Finding]:
    """Return what is wrong before the body is looked at. `now` is seconds since the epoch."""
    return [
        *_check_status(step, answer),
        *_check_redirect(step, answer),
        *_check_headers(step, answer),
        *check_time_left(step.expect.certificate_left, answer.certificates, now),
    ]


def check_rest(step: "StepSpec", answer: Answer) -> list[Finding]:
    """Return what is wrong with a body that was read to its end, and with the time it all took."""
    return [
        *_check_body(step, answer),
        *_check_json(step, answer),
        *_check_size(step, answer),
        *_check_time(step, answer),
    ]
