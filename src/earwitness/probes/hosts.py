"""Whose host it is: the dependency that a web address belongs to, so that a finding names who failed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
from pydantic import BeforeValidator

from earwitness.config.fields import problem
from earwitness.model import Attribution, Finding
from earwitness.transport.base import ascii_host
from earwitness.transport.resolver import literal

_HOST = r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"


def _host_pattern(value: Any) -> str:
    text = _in_ascii(str(value).strip().lower())
    if not re.fullmatch(_HOST, text) and literal(text) is None:
        raise problem(f"{value!r} is not a host; write one such as js.shop.example, or *.shop.example for all below it")
    return text.strip("[]")


def _in_ascii(text: str) -> str:
    """Return the pattern with an international name as requests are made to it; as it is where it holds none."""
    stars = "*." if text.startswith("*.") else ""
    try:
        return text if text.isascii() else stars + ascii_host(httpx.URL(scheme="https", host=text.removeprefix(stars)))
    except (httpx.InvalidURL, UnicodeError):
        return text


HostPattern = Annotated[str, BeforeValidator(_host_pattern)]


@dataclass(frozen=True, slots=True)
class Owner:
    """A dependency of the configuration."""

    dependency: str
    third_party: bool


def host_of(url: str) -> str:
    """Return the host in a URL; "" if there is none, or it is no address: a page may ask for anything."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def matches(host: str, patterns: Iterable[str]) -> bool:
    """Whether the host is one of the patterns, or below one that begins with `*.`."""
    name = host.lower().rstrip(".")
    return any(name == pattern or (pattern[:2] == "*." and name.endswith(pattern[1:])) for pattern in patterns)


class HostMap:
    """Finds the owner of a host. Patterns are `host.example` or `*.host.example`, which stands for every name below it."""

    def __init__(self, owners: Mapping[str, Owner] | None = None) -> None:
        """`owners` by pattern."""
        self._owners = {pattern.lower(): owner for pattern, owner in (owners or {}).items()}

    def owner(self, host: str) -> Owner | None:
        """Return whom the host belongs to: by its own name, else by the longest pattern that holds it."""
        name = host.lower().rstrip(".")
        if name in self._owners:
            return self._owners[name]
        labels = name.split(".")
        above = (".".join(("*", *labels[place:])) for place in range(1, len(labels)))
        return next((self._owners[pattern] for pattern in above if pattern in self._owners), None)

    def attributed(self, finding: Finding, host: str) -> Finding:
        """Return the finding with the dependency that its host belongs to; what is our own trouble stays ours."""
        owner = self.owner(host)
        if owner is None or finding.attribution is not Attribution.TARGET:
            return finding
        attribution = Attribution.THIRD_PARTY if owner.third_party else Attribution.TARGET
        return replace(finding, dependency=owner.dependency, attribution=attribution)
