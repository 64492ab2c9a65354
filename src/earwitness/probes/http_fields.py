"""The scalar types of the HTTP probe's section: web addresses, methods, headers, statuses, patterns, JSON paths."""

import json
import re
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import unquote

import httpx
import regex
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from earwitness.config.fields import problem
from earwitness.config.yaml import Unquoted
from earwitness.probes.http_json import JSON_NUMBER, json_path
from earwitness.transport.errors import BrokenAnswerError
from earwitness.transport.redirects import has_port, pointed_at

_ANY_PAGE = httpx.URL("https://shop.example/")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(r"[1-5](?:\d\d|xx)")


@lru_cache(maxsize=32_768)
def parsed_url(text: str) -> httpx.URL:
    """Return the URL. The same few are asked for again and again, and taking them apart is a tenth of a run's work."""
    return httpx.URL(text)


def web_url(value: Any) -> str:
    text = str(value).strip()
    try:
        url = httpx.URL(text)
        host = url.host
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter of a host that is no international name
        raise problem(f"{text!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not host:
        raise problem(f"{text!r} is not a web address; write http:// or https:// and a host")
    if url.userinfo:
        raise problem("the URL carries a user or password; write them as user and password_file")
    if not has_port(url):
        raise problem(f"{text!r}: there is no such port; write one from 1 to 65535")
    if "%" in url.raw_host.decode("ascii") and ":" not in host:  # how httpx writes what no name holds
        raise problem(f"{unquote(host)!r} is not a host; write a name such as shop.example, or an address")
    return text


def _destination(text: str) -> str:
    """Return the text, once it is known that a redirect may lead there: it may be a path of the same host."""
    try:
        pointed_at(_ANY_PAGE, text)
    except BrokenAnswerError as error:
        raise problem(
            f"{text!r} is no address that a redirect can lead to; write a URL, or a path such as /thanks"
        ) from error
    return text


def _method(value: Any) -> str:
    text = str(value).strip()
    if not _TOKEN.fullmatch(text) or text.upper() == "CONNECT":
        raise problem(f"{text!r} is not an HTTP method; write one such as GET, HEAD or POST")
    return text.upper()


def _headers(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    for name, text in value.items():
        if not _TOKEN.fullmatch(str(name)):
            raise problem(f"{name!r} is not a header name; use letters, digits and dashes", str(name))
        if isinstance(text, str) and re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
            raise problem("the value holds a control character, which no header may carry", str(name))
    return value


def _sent_headers(value: Any) -> Any:
    beyond = (name for name, text in value.items() if not str(text).isascii()) if isinstance(value, dict) else ()
    name = next(iter(beyond), None)
    if name is not None:
        raise problem(
            "the value holds a character beyond ASCII; write it as the server expects it, such as by percent", str(name)
        )
    return _headers(value)


def _cookies(value: Any) -> Any:
    for name, text in value.items() if isinstance(value, dict) else ():
        if not _TOKEN.fullmatch(str(name)):
            raise problem(f"{name!r} is not a cookie's name; use letters, digits and dashes", str(name))
        if not re.fullmatch(r"[\x20-\x3a\x3c-\x7e]*", str(text)):
            raise problem("the value holds a character that no cookie may carry; write it by percent", str(name))
    return value


def _statuses(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    wrong = next((s for s in listed if not _STATUS.fullmatch(str(s))), None)
    if wrong is not None or not listed:
        raise problem(f"{wrong!r} is not a status; write one such as 200, a class such as 2xx, or a list of them")
    return tuple(str(s) for s in listed)


def _regex(value: Any) -> regex.Pattern[str]:
    if isinstance(value, regex.Pattern):
        return value
    try:
        return regex.compile(str(value))
    except regex.error as error:
        raise problem(f"{value!r} is not a regular expression: {error}") from error


def _json_checks(value: Any) -> Any:
    for path in value if isinstance(value, dict) else ():
        try:
            json_path(str(path))
        except PydanticCustomError as error:
            raise problem(error.message(), str(path)) from error
    return value


_JSON_WORDS = {"true": True, "false": False}


def _json_tree(value: Any) -> Any:
    """Return the document that was written, by YAML 1.2's JSON schema: what stands in quotes is text, `10` a number."""
    if isinstance(value, dict):
        return {str(key): _json_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_tree(item) for item in value]
    if not isinstance(value, Unquoted):
        return value
    if value in _JSON_WORDS:
        return _JSON_WORDS[value]
    return json.loads(value) if JSON_NUMBER.fullmatch(value) else str(value)


def _whole_number(value: Any) -> int:
    return whole_number(value, range(10**9), "is not a whole number")


def whole_number(value: Any, among: range, otherwise: str) -> int:
    """Return the number that is written. Raises a problem with the words of `otherwise` for anything that is not `among`."""
    text = str(value).strip()
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) not in among:
        raise problem(f"{value!r} {otherwise}")
    return int(text)


Regex = Annotated[regex.Pattern[str], BeforeValidator(_regex, json_schema_input_type=str)]
Count = Annotated[int, BeforeValidator(_whole_number)]
Destination = Annotated[str, AfterValidator(_destination)]
Method = Annotated[str, BeforeValidator(_method)]
Headers = Annotated[dict[str, str], BeforeValidator(_sent_headers)]
Cookies = Annotated[dict[str, str], BeforeValidator(_cookies)]
HeaderPatterns = Annotated[dict[str, Regex], BeforeValidator(_headers)]
Statuses = Annotated[tuple[str, ...], BeforeValidator(_statuses, json_schema_input_type=str | int | list[str | int])]
JsonTree = Annotated[Any, BeforeValidator(_json_tree)]
JsonChecks = Annotated[dict[str, str], BeforeValidator(_json_checks)]
