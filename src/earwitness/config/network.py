"""How the monitor reaches the network, and which private addresses it may reach."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from earwitness.config.fields import Duration, Spec


class NetworkSpec(Spec):
    """Private, loopback and other special addresses are refused unless `allow` names a network that holds them."""

    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    ca_file: Path | None = None  # trust these authorities instead of the system's
    nameservers: tuple[str, ...] = ()  # instead of the system's
    resolve_timeout: Duration = 5.0
    transport: Literal["curl", "httpx"] = "curl"
