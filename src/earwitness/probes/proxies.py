"""The section of a proxy on the way out, the same for every kind of probe that can go through one."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, model_validator

from earwitness.config.fields import OrText, SecretValue, WithSecret, problem
from earwitness.probes.http_fields import parsed_url, web_url
from earwitness.transport.exchange import Proxy


class ProxySpec(WithSecret):
    """The proxy that requests go through. Its own address is guarded by `allow`, names are looked up by the proxy."""

    url: Annotated[str, BeforeValidator(web_url)]
    user: str | None = None
    password: SecretValue | None = None
    password_file: Path | None = None
    allow: tuple[IPv4Network | IPv6Network, ...] = ()

    @model_validator(mode="after")
    def _somebodys_password(self) -> Self:
        if self.password is not None and self.user is None:
            raise problem("a password without a user; add user", "password")
        return self

    def proxy(self) -> Proxy:
        """Return it as the transport knows it."""
        password = self.password.reveal() if self.password else ""
        return Proxy(parsed_url(self.url), self.allow, self.user, password)


def _named(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


ProxySection = Annotated[ProxySpec, BeforeValidator(_named), OrText()]
"""The section, or its URL alone."""
