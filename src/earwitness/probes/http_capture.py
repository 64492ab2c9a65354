"""What one answer gives to the requests after it: a token, an order number, a hidden field."""

import json
from collections.abc import Iterable
from http.cookiejar import Cookie, CookieJar
from typing import Annotated, Any, Self

import httpx
from pydantic import BeforeValidator, Field, model_validator

from earwitness.config.fields import Flag, Spec, problem
from earwitness.model import Finding
from earwitness.probes.http_checks import Answer, cannot_tell, search
from earwitness.probes.http_fields import Regex
from earwitness.probes.http_json import UnsearchableError, json_path, values_at
from earwitness.probes.http_templates import UnusableValueError
from earwitness.transport.base import ascii_host

_FIELDS = "input, textarea, select"


def _path(value: Any) -> str:
    json_path(str(value))
    return str(value)


class CaptureSpec(Spec):
    """Where in the answer a value stands: exactly one of the places. It is a secret unless you say that it is none."""

    json_: Annotated[str, BeforeValidator(_path)] | None = Field(default=None, alias="json")
    header: str | None = None
    cookie: str | None = None
    regex: Regex | None = None
    form: str | None = None  # the name of a field of a form
    secret: Flag = True

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        places = [name for name in _PLACES if getattr(self, name) is not None]
        if len(places) != 1:
            raise problem("write exactly one of json, header, cookie, regex, form: where the value stands")
        if self.form is not None:
            import selectolax.lexbor  # noqa: F401, PLC0415  Here already, so that no run waits for it.
        if self.regex is not None and self.regex.groups != 1:
            raise problem("has to have one group: what is captured; write it in parentheses", "regex")
        return self

    @property
    def looked_for(self) -> str:
        """What a sentence says was looked for."""
        if self.json_ is not None:
            return f"{self.json_} in a JSON body"
        if self.header is not None:
            return f"a header {self.header}"
        if self.cookie is not None:
            return f"a cookie {self.cookie}"
        if self.regex is not None:
            return f"something like {self.regex.pattern!r} in the body"
        return f"a form field {self.form} in the page"


_PLACES = ("json_", "header", "cookie", "regex", "form")


def captured(spec: CaptureSpec, answer: Answer, cookies: CookieJar) -> Any:
    """Return the value: a text, for JSON whatever stands there, None if there is none, a Finding if nobody could tell.

    Raises UnusableValueError for what no later request could carry.
    """
    value = _found(spec, answer, cookies)
    if not isinstance(value, Finding) and not _sendable(value):
        raise UnusableValueError(f"{spec.looked_for} holds what no request can carry: half a character, or no number")
    return value


def _sendable(value: Any) -> bool:
    """Whether JSON has a word for it: Python also reads lone surrogates, NaN, and numbers that are too large for it."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _found(spec: CaptureSpec, answer: Answer, cookies: CookieJar) -> Any:
    if spec.json_ is not None:
        return _from_json(spec.json_, answer)
    if spec.header is not None:
        return answer.headers.get(spec.header)
    if spec.cookie is not None:
        return _from_jar(spec.cookie, answer.url, cookies)
    if spec.regex is not None:
        found = search(spec.regex, answer.text)
        return found if found is None or isinstance(found, Finding) else found[1]
    return _from_form(spec.form or "", answer.text)


def _from_jar(name: str, url: httpx.URL, cookies: CookieJar) -> str | None:
    """Return the cookie that goes to this address, of the longest path as browsers send it first; else any other, the last."""
    host, path = ascii_host(url), url.path

    def fits(cookie: Cookie) -> tuple[bool, bool, int]:
        wide = cookie.domain.startswith(".") and host.endswith(cookie.domain)
        at_host = wide or cookie.domain.lstrip(".") in (host, f"{host}.local")  # as the jar calls a host without a dot
        return at_host, path.startswith(cookie.path), len(cookie.path)

    named = [cookie for cookie in reversed(list(cookies)) if cookie.name == name]
    return max(named, key=fits).value if named else None


def _from_json(path: str, answer: Answer) -> Any:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    try:
        return next(values_at(path, document, answer.patience), None)
    except UnsearchableError as error:
        return cannot_tell(str(error))


def _from_form(name: str, page: str) -> str | None:
    """Return the value that a browser would send for the field: of a list of choices, the one that is chosen."""
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415  2 MB, which only forms need.

    for node in LexborHTMLParser(page).css(_FIELDS):
        if node.attributes.get("name") != name:
            continue
        if node.tag == "textarea":
            return node.text()
        if node.tag == "select":
            return _chosen(node.css("option"))
        return node.attributes.get("value") or ""
    return None


def _chosen(options: Iterable[Any]) -> str | None:
    listed = list(options)
    marked = next((option for option in listed if "selected" in option.attributes), listed[0] if listed else None)
    if marked is None:
        return None
    value = marked.attributes.get("value")
    return str(marked.text() if value is None else value)
