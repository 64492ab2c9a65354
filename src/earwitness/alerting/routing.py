"""Who is told of what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earwitness.config.schema import Config, MatchSpec
from earwitness.model import Incident, Transition, TransitionKind

_NEWS = (
    TransitionKind.OPEN,
    TransitionKind.REOPEN,
    TransitionKind.RAISE,
    TransitionKind.LOWER,
    TransitionKind.UNMUTE,
)
_FOLLOW_UPS = (TransitionKind.ACKNOWLEDGE, TransitionKind.RESOLVE)


@dataclass(frozen=True, slots=True)
class Route:
    match: MatchSpec
    to: tuple[str, ...]


class Router:
    """Finds the hooks of a transition. A resolve goes to everyone who was told, whatever the routes say now."""

    def __init__(self, routes: Sequence[Route], owners: Mapping[str, str | None]) -> None:
        self._routes = routes
        self._owners = owners  # of journeys

    @classmethod
    def of(cls, config: Config) -> "Router":
        """Without routes, every hook is told of everything."""
        routes = [Route(route.match, route.to) for route in config.routes] or [Route(MatchSpec(), tuple(config.hooks))]
        return cls(routes, {name: journey.owner for name, journey in config.journeys.items()})

    def recipients(self, transition: Transition, told: Sequence[str]) -> list[str]:
        """Return the names of the hooks, each once; `told` are those that know of the incident already."""
        muted = transition.incident.muted
        if transition.kind in _FOLLOW_UPS:  # of what came back while it was muted, people know the end already
            return [] if muted and muted.known is None else list(told)
        if transition.kind not in _NEWS or muted:
            return []
        matched = (
            hook for route in self._routes if self._matches(route.match, transition.incident) for hook in route.to
        )
        return list(dict.fromkeys([*told, *matched]))

    def _matches(self, match: MatchSpec, incident: Incident) -> bool:
        owners = {self._owners.get(journey) for journey in incident.journeys}
        return (
            (not match.severity or incident.severity in match.severity)
            and (not match.journey or bool(set(match.journey) & set(incident.journeys)))
            and (not match.owner or bool(set(match.owner) & owners))
            and (not match.environment or incident.environment in match.environment)
        )
