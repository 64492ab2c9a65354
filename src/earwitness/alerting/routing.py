"""Who is told of what, when, and who takes over."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from earwitness.config.alerting import MatchSpec, RouteSpec
from earwitness.config.schema import Config
from earwitness.model import Channel, Incident, Severity, Transition, TransitionKind
from earwitness.store.owed import FOLLOW_UPS, Recipient

_NEWS = (
    TransitionKind.OPEN,
    TransitionKind.REOPEN,
    TransitionKind.RAISE,
    TransitionKind.LOWER,
    TransitionKind.UNMUTE,
)


def route(match: MatchSpec, to: Sequence[str], **more: object) -> RouteSpec:
    """Return a route as it would be read from a configuration."""
    return RouteSpec.model_validate({"match": match, "to": tuple(to), **more})


@dataclass(frozen=True, slots=True)
class Matcher:
    """Says whether an incident is what a section asks for."""

    owners: Mapping[str, str | None] = field(default_factory=dict)  # of journeys
    channels: Mapping[str, Channel] = field(default_factory=dict)  # of probes
    location: str = "local"  # where this daemon runs

    def matches(self, match: MatchSpec, incident: Incident, now: float) -> bool:
        return (
            (not match.severity or incident.severity in match.severity)
            and _overlap(match.journey, incident.journeys)
            and _overlap(match.owner, (self.owners.get(journey) for journey in incident.journeys))
            and _overlap(match.environment, (incident.environment,))
            and _overlap(match.channel, (self.channels.get(probe) for probe in incident.probes))
            and _overlap(match.location, (self.location,))
            and (match.time is None or match.time.contains(now))
        )


def _overlap(wanted: Collection[object], found: Iterable[object]) -> bool:
    return not wanted or not set(wanted).isdisjoint(found)


class Router:
    """Finds the hooks of a transition. A resolve goes to everyone to whom it is not over yet, whatever the routes say now."""

    def __init__(self, routes: Sequence[RouteSpec], matcher: Matcher | None = None) -> None:
        self.routes = routes
        self.matcher = matcher or Matcher()

    @classmethod
    def of(cls, config: Config, location: str = "local") -> "Router":
        """Without routes, every hook is told of everything."""
        everything = [route(MatchSpec(), tuple(config.hooks))] if config.hooks else []
        owners = {name: journey.owner for name, journey in config.journeys.items()}
        channels = {name: probe.kind.channel for name, probe in config.probes.items()}
        return cls(config.routes or everything, Matcher(owners, channels, location))

    def recipients(
        self, transition: Transition, told: Sequence[str], now: float, refused: Collection[str] = ()
    ) -> list[Recipient]:
        """Return the hooks, each once. `refused` will hear nothing of the incident.

        `told` know of it already; of an acknowledgement or an end, those that were not told of an end since.
        """
        incident, muted = transition.incident, transition.incident.muted
        matched = self.matching(incident, now)
        if transition.kind in FOLLOW_UPS:  # whatever mutes it
            known = told
            return [Recipient(hook, failover=self.after(hook, matched)) for hook in known]
        if muted or transition.kind not in (*_NEWS, TransitionKind.ATTACH):
            return []
        wanted = dict.fromkeys([*told, *_instead_of(refused, matched)])
        if transition.kind is TransitionKind.ATTACH:  # what joins is news to those only whom it concerns first
            wanted = {hook: None for hook in wanted if hook not in told}
        return [self._timed(hook, matched, incident, now) for hook in wanted]

    def taken_along(self, incident: Incident, knew: Mapping[str, Sequence[str]], now: float) -> list[Recipient]:
        """Return those who `knew` another incident that goes on in this one, with who takes over from them by its routes too."""
        matched = self.matching(incident, now)
        timed = [self._timed(hook, matched, incident, now) for hook in knew]
        return [replace(r, failover=tuple(dict.fromkeys((*r.failover, *knew[r.hook])))) for r in timed]

    def _timed(self, hook: str, matched: Sequence[RouteSpec], incident: Incident, now: float) -> Recipient:
        """The route that tells it soonest decides."""
        plans = [_plan(r, incident, now) for r in matched if hook in r.to or hook in r.failover] or [(0.0, None)]
        wait, held = min(plans, key=lambda plan: plan[0])
        urgent = incident.severity is Severity.SEV1 and held is None
        return Recipient(hook, now + wait, held, urgent, self.after(hook, matched))

    def matching(self, incident: Incident, now: float) -> list[RouteSpec]:
        return [r for r in self.routes if self.matcher.matches(r.match, incident, now)]

    def after(self, hook: str, matched: Sequence[RouteSpec]) -> tuple[str, ...]:
        """Return who takes over from the hook, in order."""
        return tuple(dict.fromkeys(other for r in matched for other in _following(hook, r) if other != hook))


def _following(hook: str, of: RouteSpec) -> tuple[str, ...]:
    if hook in of.to:
        return of.failover
    return of.failover[of.failover.index(hook) + 1 :] if hook in of.failover else ()


def _instead_of(refused: Collection[str], matched: Sequence[RouteSpec]) -> Iterator[str]:
    """Yield the hooks of the routes, and for one that refused the incident the next that has not."""
    for r in matched:
        for hook in r.to:
            chosen = hook if hook not in refused else next((f for f in r.failover if f not in refused), None)
            if chosen is not None:
                yield chosen


def _plan(of: RouteSpec, incident: Incident, now: float) -> tuple[float, str | None]:
    """Return how many seconds this route lets the news wait, and why."""
    grave = incident.severity is Severity.SEV1
    if of.quiet is not None and not grave:
        end = of.quiet.end_after(now)
        if end is not None and end > now:
            return end - now, "quiet"
    if of.group_for and (not grave or of.group_sev1):
        return of.group_for, "group"
    return 0.0, None
