"""Whose host it is: the dependency that a web address belongs to, so that a finding names who failed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from earwitness.model import Attribution, Finding


@dataclass(frozen=True, slots=True)
class Owner:
    """A dependency of the configuration."""

    dependency: str
    third_party: bool


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
