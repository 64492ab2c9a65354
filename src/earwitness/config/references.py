"""Names that point to nothing, and numbers that may not be dialled. Works on the tree, so that it finds them beside other errors."""

from collections.abc import Iterator
from typing import Any

from earwitness.config.known_keys import nearest
from earwitness.config.yaml import Problem, Section, Sequence, locate
from earwitness.probes.http_templates import names_in


def broken_references(tree: Section) -> Iterator[Problem]:
    """Yield a problem for each name that the configuration uses and does not define."""
    journeys, probes = _section(tree, "journeys"), _section(tree, "probes")
    for name, journey in journeys.items():
        where = ("journeys", name, "workaround")
        yield from _unknown(tree, where, _texts(journey, "workaround"), [*journeys, *probes], "journey or probe")
        if name in _texts(journey, "workaround"):
            yield _problem(tree, where, f"{name} cannot be its own workaround; name another way to the same goal")
    for name, probe in probes.items():
        yield from _of_probe(tree, name, probe)
    for name, carrier in _section(tree, "carriers").items():
        yield from _of_carrier(tree, name, carrier)
    yield from _of_environments(tree)
    for index, route in enumerate(tree.get("routes") or ()):
        yield from _of_route(tree, index, route)


def _of_environments(tree: Section) -> Iterator[Problem]:
    """A production environment that nothing belongs to is a slip, and would turn every incident into a defect."""
    if "production_environments" in tree:
        where = ("production_environments",)
        yield from _unknown(
            tree, where, _texts(tree, "production_environments"), _environments(tree), "environment in use"
        )


def _environments(tree: Section) -> list[str]:
    sections = [tree, *_section(tree, "journeys").values(), *_section(tree, "probes").values()]
    return list(dict.fromkeys(name for section in sections for name in _texts(section, "environment")))


def _of_route(tree: Section, index: int, route: Any) -> Iterator[Problem]:
    yield from _unknown(tree, ("routes", index, "to"), _texts(route, "to"), list(_section(tree, "hooks")), "hook")
    match = _section(route, "match")
    journeys = _section(tree, "journeys")
    owners = list(dict.fromkeys(owner for journey in journeys.values() for owner in _texts(journey, "owner")))
    known = {"journey": list(journeys), "owner": owners, "environment": _environments(tree)}
    for key, names in known.items():
        yield from _unknown(tree, ("routes", index, "match", key), _texts(match, key), names, key)


def _of_probe(tree: Section, name: str, probe: Any) -> Iterator[Problem]:
    at = ("probes", name)
    yield from _unknown(tree, (*at, "journey"), _texts(probe, "journey"), list(_section(tree, "journeys")), "journey")
    dependencies = list(_section(tree, "dependencies"))
    yield from _unknown(tree, (*at, "depends_on"), _texts(probe, "depends_on"), dependencies, "dependency")
    named = _texts(probe, "depends_on")
    for index, dependency in enumerate(named):
        if dependency in named[:index]:
            yield _problem(tree, (*at, "depends_on", index), f"{dependency} is named twice; once is enough")
    yield from _of_flow(tree, (*at, "http", "steps"), _section(probe, "http").get("steps"))
    call = probe.get("call") if isinstance(probe, Section) else None
    if isinstance(call, Section):
        yield from _of_call(tree, (*at, "call"), call)


_FILLED_IN = ("url", "headers", "body", "form", "json")


def _of_flow(tree: Section, at: tuple[str, ...], steps: Any) -> Iterator[Problem]:
    """Yield a problem for each value that a step of a flow uses and no step before it captures."""
    captured: list[str] = []
    for index, step in enumerate(steps if isinstance(steps, Sequence) else ()):
        for key in _FILLED_IN:
            found = step.get(key) if isinstance(step, Section) else None
            yield from _not_captured(tree, (*at, index, key), found, captured)
        captured += _section(step, "capture")


def _not_captured(tree: Section, where: tuple[str | int, ...], value: Any, captured: list[str]) -> Iterator[Problem]:
    if isinstance(value, Section | Sequence):
        for key, inner in value.items() if isinstance(value, Section) else enumerate(value):
            yield from _not_captured(tree, (*where, key), inner, captured)
        return
    for name in dict.fromkeys(names_in(value)):
        if name not in captured:
            close = nearest(name, captured)
            known = ", ".join(dict.fromkeys(captured)) or "none"
            advice = f"did you mean {close}?" if close else f"captured by then: {known}"
            yield _problem(tree, where, f"no step before this one captures {name}; {advice}")


def _of_call(tree: Section, at: tuple[str, ...], call: Section) -> Iterator[Problem]:
    carriers = _section(tree, "carriers")
    allowed = _texts(_section(tree, "dial"), "allow")
    for number in _texts(call, "to"):
        if number not in allowed:
            yield _problem(tree, (*at, "to"), f"{number} is not in dial.allow; add it there if it may be telephoned")
    for key in ("carrier", "confirm_carrier"):
        yield from _unknown(tree, (*at, key), _texts(call, key), list(carriers), "carrier")
    yield from _of_what_reaches_us(tree, at, call)
    if not carriers:
        yield _problem(tree, at, "there is no carrier to call through; add one under carriers")
    elif len(carriers) > 1 and "carrier" not in call:
        yield _problem(tree, at, f"there are several carriers; name one as carrier: {' or '.join(carriers)}")


def _of_what_reaches_us(tree: Section, at: tuple[str, ...], call: Section) -> Iterator[Problem]:
    """Yield what keeps a carrier from streaming a call's sound, or its words, to us."""
    carriers = _section(tree, "carriers")
    name = next(iter(_texts(call, "carrier") or carriers), "")
    if "public_url" in _section(_section(carriers, name), "twilio"):
        return
    needs = "needs public_url in the carrier's twilio section, where the carrier can reach this daemon"
    if "live" in _texts(call, "driver"):
        yield _problem(tree, (*at, "driver"), f"the live driver {needs}")
    if "twilio" in _texts(_section(tree, "transcription"), "engine"):
        yield _problem(tree, at, f"Twilio's transcription {needs}")


def _of_carrier(tree: Section, name: str, carrier: Any) -> Iterator[Problem]:
    allowed = _texts(_section(tree, "dial"), "allow")
    for number in _texts(_section(carrier, "control"), "to"):
        if number not in allowed:
            message = f"{number} is not in dial.allow; add it there if it may be telephoned"
            yield _problem(tree, ("carriers", name, "control", "to"), message)


def _unknown(
    tree: Section, where: tuple[str | int, ...], names: list[str], known: list[str], what: str
) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in known:
            continue
        close = nearest(name, known)
        advice = f"did you mean {close}?" if close else f"define it, or name one of: {', '.join(known) or 'none yet'}"
        yield _problem(tree, (*where, index), f"{name} is no {what}; {advice}")


def _problem(tree: Section, where: tuple[str | int, ...], message: str) -> Problem:
    key = ".".join(str(part) for part in where if isinstance(part, str))
    return Problem(locate(tree, where), key, message)


def _section(tree: Any, key: str) -> Section:
    found = tree.get(key) if isinstance(tree, Section) else None
    return found if isinstance(found, Section) else Section(locate(tree, ()))


def _texts(section: Any, key: str) -> list[str]:
    found = section.get(key) if isinstance(section, Section) else None
    if isinstance(found, str):
        return [found]
    return [item for item in found if isinstance(item, str)] if isinstance(found, Sequence) else []
