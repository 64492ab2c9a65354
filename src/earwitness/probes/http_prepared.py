"""A request that is the same in every run: built once, and sent by a copy each time."""

from dataclasses import dataclass
from typing import Self

import httpx

from earwitness.transport.redaction import secrets_of_request


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that is not sent itself, and what of it nobody may see."""

    request: httpx.Request
    secrets: tuple[str, ...]

    @classmethod
    def of(cls, request: httpx.Request) -> Self:
        return cls(request, tuple(dict.fromkeys(secrets_of_request(request))))

    @property
    def twin(self) -> httpx.Request:
        """The request once more, around the same parts: its terms are its own, and runs may go on side by side."""
        twin = object.__new__(httpx.Request)
        vars(twin).update(vars(self.request))
        return twin
