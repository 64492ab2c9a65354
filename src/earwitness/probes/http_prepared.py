"""A request that is the same in every run: built once, and sent each time."""

from dataclasses import dataclass
from typing import Self

import httpx

from earwitness.transport.exchange import WRITTEN
from earwitness.transport.redaction import secrets_of_request


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request, which nothing that sends it changes, and what of it nobody may see."""

    request: httpx.Request
    secrets: tuple[str, ...]

    @classmethod
    def of(cls, request: httpx.Request) -> Self:
        request.extensions.setdefault(WRITTEN, None)
        return cls(request, tuple(dict.fromkeys(secrets_of_request(request))))
