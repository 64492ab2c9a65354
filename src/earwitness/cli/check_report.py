"""How `check` shows its verdict: a table, JSON, or JUnit XML."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any
from xml.etree import ElementTree as ET

from rich.table import Column, Table
from rich.text import Text

from earwitness.cli.terminal import Terminal, clean
from earwitness.cli.verdict import Verdict
from earwitness.model import Incident, Observation, Outcome
from earwitness.presentation import SEVERITY_WORDS, argument_json, observation_json

_COLOUR = {Outcome.OK: "green", Outcome.FINDING: "red", Outcome.UNKNOWN: "yellow", Outcome.SKIPPED: "yellow"}
_TAGS = {Outcome.FINDING: "failure", Outcome.UNKNOWN: "error", Outcome.SKIPPED: "skipped"}


def print_verdict(verdict: Verdict, repeat: int) -> None:
    """Print a line for each run, or with many runs for each probe; then what the daemon would have opened."""
    terminal = Terminal()
    runs = [*verdict.asked, *verdict.added]
    terminal.print(_summary(verdict.asked) if repeat > 1 else _table(runs))
    for incident in verdict.incidents:
        terminal.print(f"{SEVERITY_WORDS[incident.severity]}: {incident.title}", style="bold", soft_wrap=True)
        terminal.print(incident.reason, soft_wrap=True)
    believed = {probe for incident in verdict.incidents for probe in incident.probes}
    for name in sorted({o.run.probe for o in verdict.asked if o.outcome is Outcome.FINDING} - believed):
        terminal.print(f"{name}: found, but not confirmed by further runs; the daemon would open nothing yet")
    _print_evidence(terminal, verdict, runs)


def _print_evidence(terminal: Terminal, verdict: Verdict, runs: Sequence[Observation]) -> None:
    """Say where the evidence is, by run; or how to keep it."""
    for folder in dict.fromkeys(file.parent for file in verdict.files.values()):
        names = ", ".join(file.name for file in verdict.files.values() if file.parent == folder)
        terminal.print(f"evidence: {folder}: {names}", soft_wrap=True)
    lost = sum(len(seen.evidence) for seen in runs) - len(verdict.files)
    if lost:
        told = f"{lost} files of evidence, such as {_example(runs)}, are not kept; --evidence DIR keeps them"
        terminal.print(told, soft_wrap=True)


def _example(runs: Sequence[Observation]) -> str:
    return next(file.name for seen in runs for file in seen.evidence)


def _table(runs: Iterable[Observation]) -> Table:
    table = Table("probe", "why", "outcome", "took", _found_column("what was found"))
    for o in runs:
        outcome = Text(o.outcome, _COLOUR[o.outcome])
        table.add_row(o.run.probe, o.run.why.value, outcome, f"{o.duration:.2f} s", Text(_found(o)))
    return table


def _summary(runs: Iterable[Observation]) -> Table:
    counted = ("runs", "passed", "found", "not told", "median", "slowest")
    table = Table("probe", *counted, _found_column("what was found most"))
    by_probe: dict[str, list[Observation]] = {}
    for o in runs:
        by_probe.setdefault(o.run.probe, []).append(o)
    for name, seen in by_probe.items():
        count = Counter(o.outcome for o in seen)
        took = [o.duration for o in seen]
        most = Counter(text for o in seen if (text := _found(o))).most_common(1)
        untold = count[Outcome.UNKNOWN] + count[Outcome.SKIPPED]
        numbers = (str(n) for n in (len(seen), count[Outcome.OK], count[Outcome.FINDING], untold))
        found = Text(f"{most[0][1]} x {most[0][0]}" if most else "")
        table.add_row(name, *numbers, f"{median(took):.2f} s", f"{max(took):.2f} s", found)
    return table


def _found_column(title: str) -> Column:
    return Column(title, overflow="fold")  # an address that is cut off leads nowhere


def _found(seen: Observation) -> str:
    return clean("; ".join(f.message for f in seen.findings) or seen.skipped or "")


def as_json_text(verdict: Verdict) -> str:
    """Return a list of all runs, each with the judgement on its failure."""
    return json.dumps([_run_json(verdict, o) for o in (*verdict.asked, *verdict.added)], ensure_ascii=False)


def _run_json(verdict: Verdict, seen: Observation) -> dict[str, Any]:
    incident = verdict.of(seen.run.probe) if seen.outcome is Outcome.FINDING else None
    told = observation_json(seen, "")
    for file in told["evidence"]:
        kept = verdict.files.get((seen.run.id, file["name"]))
        file["url"] = None if kept is None else str(kept)
    return {**told, "judgement": _judgement_json(incident) if incident else None}


def _judgement_json(incident: Incident) -> dict[str, Any]:
    return {
        "severity": incident.severity.value,
        "title": incident.title,
        "reason": incident.reason,
        "argument": argument_json(incident.argument) if incident.argument else None,
    }


def junit_report(verdict: Verdict) -> bytes:
    """Return JUnit XML: a finding is a failure of its severity's type, what the monitor could not tell is an error."""
    seen = verdict.asked
    suite = ET.Element("testsuite", name="earwitness", tests=str(len(seen)))
    for outcome, tag in _TAGS.items():
        name = {"failure": "failures", "error": "errors"}.get(tag, tag)
        suite.set(name, str(sum(o.outcome is outcome for o in seen)))
    for o in seen:
        case = ET.SubElement(suite, "testcase", classname=o.run.journey, name=o.run.probe, time=f"{o.duration:.3f}")
        if o.outcome in _TAGS:
            case.append(_trouble(verdict, o))
    report: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return report


def _trouble(verdict: Verdict, seen: Observation) -> ET.Element:
    told = ET.Element(_TAGS[seen.outcome], message=_found(seen))
    if seen.outcome is Outcome.FINDING:
        incident = verdict.of(seen.run.probe)
        told.set("type", incident.severity.value if incident else "not confirmed")
        told.text = incident.reason if incident else "A failure that further runs did not confirm."
    return told
