"""Names in severity rules, calendars, critical periods, test windows and maintenance that point to nothing, and circles of dependencies."""

from collections.abc import Iterator, Mapping

from earwitness.config.tree import problem_at, section, texts, unknown_names
from earwitness.config.yaml import Problem, Section

_Path = tuple[str | int, ...]


def broken_judging_references(tree: Section) -> Iterator[Problem]:
    """Yield a problem for each name that does not exist, and for each circle."""
    known = _known(tree)
    for name, dependency in section(tree, "dependencies").items():
        where = ("dependencies", name, "depends_on")
        yield from unknown_names(tree, where, texts(dependency, "depends_on"), known["dependency"], "dependency")
    yield from _circles(tree, "dependencies", "depends_on", "is a circle; name only what fails first")
    advice = "is a circle; name only the way on which you would send customers"
    yield from _circles(tree, "journeys", "workaround", advice)
    for index, rule in enumerate(tree.get("severity_rules") or ()):
        at = ("severity_rules", index, "match")
        yield from _of_match(tree, at, section(rule, "match"), known)
    for key in ("critical_periods", "test_windows", "maintenance"):
        for name, period in section(tree, key).items():
            yield from _of_match(tree, (key, name, "match"), section(period, "match"), known)
            for way in ("calendar", "outside"):
                names = texts(period, way)
                yield from unknown_names(tree, (key, name, way), names, known["calendar"], "calendar")


def _known(tree: Section) -> dict[str, list[str]]:
    journeys, probes = section(tree, "journeys"), section(tree, "probes")
    sections = [tree, *journeys.values(), *probes.values()]
    calendars = list(section(tree, "calendars"))
    return {
        "probe": list(probes),
        "journey": list(journeys),
        "environment": list(dict.fromkeys(name for part in sections for name in texts(part, "environment"))),
        "owner": list(dict.fromkeys(owner for journey in journeys.values() for owner in texts(journey, "owner"))),
        "dependency": list(section(tree, "dependencies")),
        "calendar": calendars,
        "outside": calendars,
    }


def _of_match(tree: Section, at: _Path, match: Section, known: Mapping[str, list[str]]) -> Iterator[Problem]:
    for key, names in known.items():
        what = "calendar" if key == "outside" else key
        yield from unknown_names(tree, (*at, key), texts(match, key), names, what)


def _circles(tree: Section, of: str, key: str, advice: str) -> Iterator[Problem]:
    """Yield one problem for each circle, at the first of its members in the configuration. A probe stands for its journey."""
    journey_of = {name: next(iter(texts(probe, "journey")), name) for name, probe in section(tree, "probes").items()}
    edges = {name: [journey_of.get(n, n) for n in texts(part, key)] for name, part in section(tree, of).items()}
    if of == "journeys":  # its own probe may be a way round another
        edges = {name: [n for n in others if n != name] for name, others in edges.items()}
    told: set[str] = set()
    for name in edges:
        circle = _circle_from(name, edges)
        if circle and told.isdisjoint(circle):
            told.update(circle)
            yield problem_at(tree, (of, name, key), f"{' -> '.join([*circle, circle[0]])} {advice}")


def _circle_from(start: str, edges: Mapping[str, list[str]]) -> list[str]:
    """Return the members of a circle through `start`, in order; none if there is none."""
    paths: list[list[str]] = [[start]]
    seen = {start}
    while paths:
        path = paths.pop(0)
        for name in edges.get(path[-1], ()):
            if name == start:
                return path
            if name not in seen:
                seen.add(name)
                paths.append([*path, name])
    return []
