"""Which shared dependency explains the failures: it has to explain all of them and be contradicted by no probe that passes.

A host or a number that failing probes share is suspected only where no dependency explains more than one of them, and never for one
probe alone. A dependency whose own host failed, as a finding says, goes before those that are only declared; a pass of a probe that only declares to need
it weakens it, one of a probe that asks its hosts itself rules it out. A pass contradicts only if its run started after the failures began: what passed before the outage says nothing about it.
Order comes from the configuration, never from names.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from math import inf

from earwitness.judge.state import SERIOUS, ProbeState, State, is_watched
from earwitness.model import Cause, Incident, Rules


def serious(probe: ProbeState) -> bool:
    """Whether the probe's failure keeps customers from their goal or sends them on a detour."""
    return probe.effect in SERIOUS


def _is_its_own(probe: ProbeState, rules: Rules) -> bool:
    """Whether its payment page alone is amiss: it has changed, or cannot be looked over, and nothing worse than slowness came with that."""
    return is_watched(probe) or (not serious(probe) and probe.stays_changed(rules))


def recent(probe: ProbeState, rules: Rules, now: float) -> bool:
    """Whether the probe's latest decided run is young enough to speak for now: two of its intervals."""
    rule = rules.probes[probe.probe]
    return probe.started_at >= now - 2 * (rule.interval + rule.budget)


@dataclass(frozen=True, slots=True)
class Group:
    """Failing probes with one explanation, in the order of the configuration."""

    cause: Cause
    members: tuple[str, ...]
    since: float  # when the first of them began to fail


def correlate(state: State, rules: Rules, seeds: Iterable[str], since: float, now: float) -> Group:
    """Return the group of failures that the seeds belong to; `since` is when the first of them began to fail.

    The seeds are failing probes that are known to belong together: one probe, or the members of an open incident. Members of an
    incident do not contradict it when they recover one by one, only when others that failed before still fail afterwards.
    """
    seeds = _without_the_well(tuple(sorted(set(seeds), key=rules.order.__getitem__)), state)
    seeds = _without_changed_pages(seeds, state, rules)
    groups = _explanations(_shared(_needs(name, state, rules) for name in seeds), seeds, state, rules, since, now)
    accused = _accused(seeds, state, rules, since)
    if accused is not None:
        uncontradicted = [g for g in groups if g.cause.dependency == accused]
        groups = uncontradicted or [_despite_passes(accused, seeds, state, rules, since, now)]
    elif not any(len(g.members) > 1 for g in groups):
        ways = _shared(_reaches(name, state, rules) for name in seeds)
        reached = _explanations(ways, seeds, state, rules, since, now)
        groups = [g for g in reached if len(g.members) > 1] or groups
    if not groups:
        suspects = {
            d for name in seeds for d in rules.probes[name].depends_on if not _is_its_own(state.probes[name], rules)
        }
        against = _contradicting(state, rules, suspects, seeds, since)
        return Group(Cause(None, 0.0, seeds, against), seeds, since)
    best = max(groups, key=lambda g: len(g.members))
    equals = [g.cause.dependency for g in groups if g is not best and set(g.members) == set(best.members)]
    return _with_alternatives(best, tuple(name for name in equals if name))


def confidence(supporting: int, contradicting: int, explanations: int) -> float:
    """Laplace's rule of succession over the probes that depend on the cause, shared among equally good explanations."""
    return round((supporting + 1) / (supporting + contradicting + 2) / explanations, 2)


def shown_by(group: Group, state: State) -> bool:
    """Whether more speaks for the group's cause than that one probe needs it: others need it and fail, or its own host failed."""
    members = (state.probes[name].failed for name in group.members)
    blamed = {failed.dependency for failed in members if failed is not None}
    return len(group.cause.supporting) > 1 or group.cause.dependency in blamed


def _without_the_well(seeds: tuple[str, ...], state: State) -> tuple[str, ...]:
    """Leave out the seeds that recovered for sure while others failed from before their recovery until after it."""
    probes = [state.probes[name] for name in seeds]
    failing = sorted((p.since, p.started_at) for p in probes if p.failing)
    since = [began for began, _ in failing]
    failed_at = list(accumulate((latest for _, latest in failing), max))  # by those that began so early, the latest
    well = set()
    for p in probes:
        earlier = bisect_left(since, p.since)
        if p.well_at is not None and earlier and failed_at[earlier - 1] > p.well_at:
            well.add(p.probe)
    return tuple(name for name in seeds if name not in well) if well else seeds


def _without_changed_pages(seeds: tuple[str, ...], state: State, rules: Rules) -> tuple[str, ...]:
    """Leave out the pages that changed, which nothing explains, unless nothing else still fails: then nothing else is to be explained."""
    own = dict.fromkeys(name for name in seeds if _is_its_own(state.probes[name], rules))
    if not own:
        return seeds
    others = tuple(name for name in seeds if name not in own)
    well = all(state.probes[name].recovered(rules.resolve_after) for name in others)
    if well and any(state.probes[name].failing for name in own):
        return tuple(own)
    return others or seeds


def _blamed(name: str, state: State, rules: Rules) -> str | None:
    """Return the dependency whose host failed, as the probe's latest finding says."""
    failed = state.probes[name].failed
    return failed.dependency if failed is not None and failed.dependency in rules.dependencies else None


def _accused(seeds: tuple[str, ...], state: State, rules: Rules, since: float) -> str | None:
    """Return the dependency that all seeds need and whose own host failed one of them at least, while none blames another.

    None also where a probe whose own requests go to its hosts passed since.
    """
    accused = {_blamed(name, state, rules) for name in seeds} - {None}
    suspects = _shared(_needs(name, state, rules) for name in seeds) if len(accused) == 1 else []
    found = next((d for d in suspects if d in accused), None)
    if found is None:
        return None
    passing = _contradicting(state, rules, {found}, seeds, since)
    return None if any(found in rules.probes[name].asks for name in passing) else found


def _needs(name: str, state: State, rules: Rules) -> tuple[str, ...]:
    """Return what the probe depends on, as declared or as it turned out. A page that changed needs nothing: it works."""
    if _is_its_own(state.probes[name], rules):
        return ()
    declared, blamed = rules.probes[name].depends_on, _blamed(name, state, rules)
    return declared if blamed is None or blamed in declared else (*declared, blamed)


def _reaches(name: str, state: State, rules: Rules) -> tuple[str, ...]:
    """Return the hosts and numbers that the probe goes to. Those of a page that changed explain nothing: it works."""
    return () if _is_its_own(state.probes[name], rules) else rules.probes[name].reaches


def explains(dependency: str | None, name: str, state: State, rules: Rules) -> bool:
    """Whether the probe needs the dependency, or goes that way, and its finding blames no other."""
    if dependency is None or _blamed(name, state, rules) not in (None, dependency):
        return False
    return dependency in _needs(name, state, rules) or dependency in _reaches(name, state, rules)


def _shared(of_each: Iterable[tuple[str, ...]]) -> list[str]:
    """Return what every seed has."""
    first, *others = dict.fromkeys(of_each)
    return [d for d in first if all(d in other for other in others)]


def _explanations(
    suspects: list[str], seeds: tuple[str, ...], state: State, rules: Rules, since: float, now: float
) -> list[Group]:
    return [g for g in (_explained_by(d, seeds, state, rules, since, now) for d in suspects) if g]


def _explained_by(
    dependency: str, seeds: tuple[str, ...], state: State, rules: Rules, since: float, now: float
) -> Group | None:
    """Return the seeds with all that fails for the same reason; None if the dependency was seen to work since they fail."""
    environment, kind = rules.probes[seeds[0]].environment, serious(state.probes[seeds[0]])
    known = frozenset(seeds)
    undeclared = [n for n in seeds if dependency not in (*rules.probes[n].depends_on, *rules.probes[n].reaches)]
    probes = [
        probe
        for name in (*rules.dependents[dependency], *undeclared)
        if (probe := state.probes.get(name)) and rules.probes[name].environment == environment
    ]
    worked_at = max((p.started_at for p in probes if not p.failing and p.probe not in known), default=-inf)
    if worked_at > since:
        return None
    members = [p for p in probes if p.probe in known or (p.since >= worked_at and _fails_so(p, kind, rules, now))]
    began = min([since, *(p.since for p in members if p.failing)])
    supporting = tuple(p.probe for p in members)
    return Group(Cause(dependency, confidence(len(supporting), 0, 1), supporting), supporting, began)


def _fails_so(probe: ProbeState, is_serious: bool, rules: Rules, now: float) -> bool:
    """Whether it fails now, and keeps customers from their goal or does not, as is said."""
    return (
        probe.failing and serious(probe) is is_serious and recent(probe, rules, now) and not _is_its_own(probe, rules)
    )


def _despite_passes(
    dependency: str, seeds: tuple[str, ...], state: State, rules: Rules, since: float, now: float
) -> Group:
    """Return the seeds with a dependency whose own host failed one of them, though others get through to it.

    What passes uses another part of it, such as the API behind the script: it speaks against the cause and does not hide it.
    """
    known, kind = frozenset(seeds), serious(state.probes[seeds[0]])
    others = (state.probes[n] for n in rules.dependents[dependency] if n in state.probes and n not in known)
    same = [
        p.probe
        for p in others
        if _fails_so(p, kind, rules, now)
        and _blamed(p.probe, state, rules) == dependency
        and rules.probes[p.probe].environment == rules.probes[seeds[0]].environment
    ]
    supporting = (*seeds, *same)
    against = _contradicting(state, rules, {dependency}, seeds, since)
    return Group(
        Cause(dependency, confidence(len(supporting), len(against), 1), supporting, against), supporting, since
    )


def _with_alternatives(group: Group, alternatives: tuple[str, ...]) -> Group:
    if not alternatives:
        return group
    share = confidence(len(group.members), 0, 1 + len(alternatives))
    cause = Cause(group.cause.dependency, share, group.cause.supporting, alternatives=alternatives)
    return Group(cause, group.members, group.since)


def _contradicting(
    state: State, rules: Rules, suspects: set[str], seeds: tuple[str, ...], since: float
) -> tuple[str, ...]:
    """Return the probes whose passing speaks against the suspected dependencies of the seeds."""
    others = {
        name: rule for name, rule in rules.probes.items() if name not in seeds and suspects & set(rule.depends_on)
    }
    environment = rules.probes[seeds[0]].environment
    return tuple(
        name
        for name, rule in others.items()
        if rule.environment == environment and (probe := state.probes.get(name)) and passed_since(probe, since)
    )


def passed_since(probe: ProbeState, since: float) -> bool:
    return not probe.failing and probe.started_at > since


# --- which open incident a failure belongs to ------------------------------------------------------------------------


def kind_of(incident: Incident, state: State) -> bool:
    """Whether the incident is of a serious failure, rather than of a nuisance."""
    return any(serious(state.probes[name]) for name in incident.probes if name in state.probes)


def home_of(
    state: State, group: Group, rules: Rules, probe: ProbeState, now: float
) -> tuple[Incident | None, Group | None]:
    """Return the oldest open incident that this failure belongs to, and their common group: one cause has to explain both."""
    for incident in state.open_incidents():
        if incident.environment != rules.probes[probe.probe].environment or group.cause.dependency is None:
            continue
        if serious(probe) is not kind_of(incident, state) or probe.probe in incident.parted:
            continue
        if _may_have_its_cause(incident, group, state, rules):
            members = (*incident.probes, probe.probe)
            joined = in_common(state, rules, members, min(incident.failing_since, group.since), now)
            if joined is not None:
                return incident, joined
    return None, None


def _may_have_its_cause(incident: Incident, group: Group, state: State, rules: Rules) -> bool:
    """Whether the group's cause may be the incident's: it is, or they have probes in common, or all of the incident's need it.

    What the incident says of its cause may be older than what is known by now: what spoke against it may fail too. Pages that
    changed are left out, as where its cause is looked for.
    """
    cause = group.cause.dependency
    if incident.cause.dependency == cause or not set(group.members).isdisjoint(incident.probes):
        return True
    needing = (explains(cause, name, state, rules) for name in incident.probes)  # false of a page that changed
    return all(_needs_or_is_its_own(cause, name, state, rules) for name in incident.probes) and any(needing)


def _needs_or_is_its_own(cause: str | None, name: str, state: State, rules: Rules) -> bool:
    if name not in rules.probes or name not in state.probes:
        return False
    return explains(cause, name, state, rules) or _is_its_own(state.probes[name], rules)


def in_common(state: State, rules: Rules, members: tuple[str, ...], since: float, now: float) -> Group | None:
    """Return the members as one group if one cause explains them all: by nothing else do failures become one incident."""
    found = correlate(state, rules, (n for n in members if n in rules.probes and n in state.probes), since, now)
    return replace(found, members=members) if found.cause.dependency is not None else None
