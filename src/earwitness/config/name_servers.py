"""Name servers that the configuration names and at once forbids: they are asked unguarded, so they are looked at here."""

from collections.abc import Iterator
from ipaddress import ip_address

from earwitness.config.schema import Config
from earwitness.config.tree import problem_at
from earwitness.config.yaml import Problem, Section
from earwitness.transport.guard import denial
from earwitness.transport.server_address import server_address


def denied_name_servers(tree: Section, config: Config) -> Iterator[Problem]:
    """Yield a problem for each name server, of the network or of a probe, that `network.deny` holds."""
    for where, server in _named(config):
        address, _ = server_address(server)
        why = denial(ip_address(address), config.network.deny)
        if why is not None:
            yield problem_at(tree, where, why)


def _named(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each name server that is asked for names, and where it is written. What a DNS probe asks is a target, and guarded."""
    for place, server in enumerate(config.network.nameservers):
        yield ("network", "nameservers", place), server
    for name, probe in config.probes.items():
        own: str | None = getattr(probe.spec, "resolver", None)
        if own is not None:
            yield ("probes", name, probe.kind.channel.value, "resolver"), own
