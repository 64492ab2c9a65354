"""Names that point to nothing, and numbers that may not be dialled. Works on the tree, so that it finds them beside other errors."""

from collections.abc import Iterator
from typing import Any

from earwitness.config.known_keys import nearest
from earwitness.config.tree import problem_at, section, texts, unknown_names
from earwitness.config.yaml import Problem, Section, Sequence
from earwitness.probes.http_templates import names_in
from earwitness.telephony.dial_guard import DialRefusedError, check_dial


def broken_references(tree: Section) -> Iterator[Problem]:
    """Yield a problem for each name that the configuration uses and does not define."""
    journeys, probes = section(tree, "journeys"), section(tree, "probes")
    for name, journey in journeys.items():
        where = ("journeys", name, "workaround")
        yield from unknown_names(tree, where, texts(journey, "workaround"), [*journeys, *probes], "journey or probe")
        if name in texts(journey, "workaround"):
            yield problem_at(tree, where, f"{name} cannot be its own workaround; name another way to the same goal")
    for name, probe in probes.items():
        yield from _of_probe(tree, name, probe)
    for name, carrier in section(tree, "carriers").items():
        yield from _of_carrier(tree, name, carrier)
    yield from _of_environments(tree)
    for index, route in enumerate(tree.get("routes") or ()):
        yield from _of_route(tree, index, route)
    for name, hook in section(tree, "hooks").items():
        yield from _of_alert_call(tree, name, section(hook, "call"))
    told = texts(section(tree, "monitor_alerts"), "to")
    yield from unknown_names(tree, ("monitor_alerts", "to"), told, list(section(tree, "hooks")), "hook")
    for name, ladder in section(tree, "escalations").items():
        yield from _of_escalation(tree, name, ladder)


def _of_environments(tree: Section) -> Iterator[Problem]:
    """A production environment that nothing belongs to is a slip, and would turn every incident into a defect."""
    if "production_environments" in tree:
        where = ("production_environments",)
        yield from unknown_names(
            tree, where, texts(tree, "production_environments"), _environments(tree), "environment in use"
        )


def _environments(tree: Section) -> list[str]:
    sections = [tree, *section(tree, "journeys").values(), *section(tree, "probes").values()]
    return list(dict.fromkeys(name for section in sections for name in texts(section, "environment")))


def _of_route(tree: Section, index: int, route: Any) -> Iterator[Problem]:
    for key in ("to", "failover"):
        yield from unknown_names(tree, ("routes", index, key), texts(route, key), list(section(tree, "hooks")), "hook")
    yield from _of_match(tree, ("routes", index, "match"), section(route, "match"))


def _of_alert_call(tree: Section, name: str, call: Section) -> Iterator[Problem]:
    """Yield what keeps an alert call from being made, or its key from being heard."""
    at = ("hooks", name, "call")
    if call and "public_url" not in section(tree, "http"):
        message = (
            "a call asks for a key, and Twilio tells it to this daemon; set http.public_url to where Twilio reaches it"
        )
        yield problem_at(tree, at, message)
    for number in texts(call, "to"):
        try:
            check_dial(number, texts(section(tree, "dial"), "allow"))
        except DialRefusedError as error:
            yield problem_at(tree, (*at, "to"), str(error))


def _of_escalation(tree: Section, name: str, ladder: Any) -> Iterator[Problem]:
    at = ("escalations", name)
    steps = ladder.get("steps") if isinstance(ladder, Section) else None
    for index, step in enumerate(steps if isinstance(steps, Sequence) else ()):
        for key in ("to", "failover"):
            where = (*at, "steps", index, key)
            yield from unknown_names(tree, where, texts(step, key), list(section(tree, "hooks")), "hook")
    yield from _of_match(tree, (*at, "match"), section(ladder, "match"))


def _of_match(tree: Section, where: tuple[str | int, ...], match: Section) -> Iterator[Problem]:
    journeys = section(tree, "journeys")
    owners = list(dict.fromkeys(owner for journey in journeys.values() for owner in texts(journey, "owner")))
    known = {"journey": list(journeys), "owner": owners, "environment": _environments(tree)}
    for key, names in known.items():
        yield from unknown_names(tree, (*where, key), texts(match, key), names, key)


def _of_probe(tree: Section, name: str, probe: Any) -> Iterator[Problem]:
    at = ("probes", name)
    yield from unknown_names(
        tree, (*at, "journey"), texts(probe, "journey"), list(section(tree, "journeys")), "journey"
    )
    dependencies = list(section(tree, "dependencies"))
    yield from unknown_names(tree, (*at, "depends_on"), texts(probe, "depends_on"), dependencies, "dependency")
    named = texts(probe, "depends_on")
    for index, dependency in enumerate(named):
        if dependency in named[:index]:
            yield problem_at(tree, (*at, "depends_on", index), f"{dependency} is named twice; once is enough")
    yield from _of_flow(tree, (*at, "http", "steps"), section(probe, "http").get("steps"))
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
        captured += section(step, "capture")


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
            yield problem_at(tree, where, f"no step before this one captures {name}; {advice}")


def _of_call(tree: Section, at: tuple[str, ...], call: Section) -> Iterator[Problem]:
    carriers = section(tree, "carriers")
    allowed = texts(section(tree, "dial"), "allow")
    for number in texts(call, "to"):
        if number not in allowed:
            yield problem_at(tree, (*at, "to"), f"{number} is not in dial.allow; add it there if it may be telephoned")
    for key in ("carrier", "confirm_carrier"):
        yield from unknown_names(tree, (*at, key), texts(call, key), list(carriers), "carrier")
    yield from _of_what_reaches_us(tree, at, call)
    if not carriers:
        yield problem_at(tree, at, "there is no carrier to call through; add one under carriers")
    elif len(carriers) > 1 and "carrier" not in call:
        yield problem_at(tree, at, f"there are several carriers; name one as carrier: {' or '.join(carriers)}")


def _of_what_reaches_us(tree: Section, at: tuple[str, ...], call: Section) -> Iterator[Problem]:
    """Yield what keeps a carrier from streaming a call's sound, or its words, to us."""
    carriers = section(tree, "carriers")
    name = next(iter(texts(call, "carrier") or carriers), "")
    if "public_url" in section(section(carriers, name), "twilio"):
        return
    needs = "needs public_url in the carrier's twilio section, where the carrier can reach this daemon"
    if "live" in texts(call, "driver"):
        yield problem_at(tree, (*at, "driver"), f"the live driver {needs}")
    if "twilio" in texts(section(tree, "transcription"), "engine"):
        yield problem_at(tree, at, f"Twilio's transcription {needs}")


def _of_carrier(tree: Section, name: str, carrier: Any) -> Iterator[Problem]:
    allowed = texts(section(tree, "dial"), "allow")
    for number in texts(section(carrier, "control"), "to"):
        if number not in allowed:
            message = f"{number} is not in dial.allow; add it there if it may be telephoned"
            yield problem_at(tree, ("carriers", name, "control", "to"), message)
