"""How the monitor reaches the network, and which private addresses it may reach."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from earwitness.config.fields import Duration, NameServer, OneOrMore, Spec, WebAddress


class NetworkSpec(Spec):
    """Private, loopback and other special addresses are refused unless `allow` names a network that holds them.

    What `deny` holds is refused whatever else is allowed, here or in a probe.
    """

    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    deny: tuple[IPv4Network | IPv6Network, ...] = ()
    ca_file: Path | None = None  # trust these authorities instead of the system's
    nameservers: tuple[NameServer, ...] = ()  # instead of the system's
    resolve_timeout: Duration = 5.0
    transport: Literal["curl", "httpx"] = "curl"
    known_good: Annotated[tuple[WebAddress, ...], OneOrMore()] = ()  # looked at before a target is blamed
