"""How the words of the model look outside: the JSON of the API, the alerts and the command line."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from earwitness.model import (
    Argument,
    Attribution,
    Cause,
    Evidence,
    Incident,
    Match,
    Observation,
    ProbeRule,
    QuietPeriod,
    Severity,
    Status,
    TimelineEntry,
    TransitionKind,
)

SEVERITY_WORDS = {
    Severity.SEV1: "Sev1",
    Severity.SEV2: "Sev2",
    Severity.SEV3: "Sev3",
    Severity.NONPROD: "Non-production defect",
}
_CHANGE_WORDS = {
    TransitionKind.RAISE: "raised to {}",
    TransitionKind.LOWER: "lowered to {}",
    TransitionKind.ACKNOWLEDGE: "{}, acknowledged",
    TransitionKind.RESOLVE: "{}, resolved",
    TransitionKind.REMIND: "reminder, {} still open",
    TransitionKind.ESCALATE: "escalated, {}",
    TransitionKind.REOPEN: "{}, reopened",
    TransitionKind.UNMUTE: "{}, no longer muted",
}
_IMPAIRMENT_WORDS = {TransitionKind.REMIND: "Also: {}", TransitionKind.RESOLVE: "Over: {}"}


def headline(kind: TransitionKind, incident: Incident) -> str:
    """Return one line for a subject: what changed, how bad it is, and what it is about."""
    if incident.of_monitor:
        return _IMPAIRMENT_WORDS.get(kind, "{}").format(incident.title)
    said = _CHANGE_WORDS.get(kind, "{}").format(SEVERITY_WORDS[incident.severity])
    return f"{said[0].upper()}{said[1:]}: {incident.title}"


def sample_incident(incident_id: str, at: float) -> Incident:
    """Return a made-up incident that says so, to try a template or a hook with."""
    text = "This is a test of the way alerts take. Nothing is wrong."
    return Incident(
        id=incident_id,
        severity=Severity.SEV3,
        status=Status.OPEN,
        title="Test alert: nothing is wrong",
        reason=text,
        environment="test",
        journeys=("test-journey",),
        probes=("test-probe",),
        cause=Cause(None, 1.0, ("test-probe",)),
        opened_at=at,
        failing_since=at,
        timeline=(TimelineEntry(at, TransitionKind.OPEN, text),),
    )


def accept_command(probe: str, data_dir: Path, seen: str = "") -> str:
    """Return the command that accepts what waits for a probe, as it can be run anywhere on this machine; `seen`: a list's mark."""
    mark = f" --seen {seen}" if seen else ""
    return f"earwitness baseline accept --probe {probe}{mark} --data-dir {shlex.quote(str(data_dir.absolute()))}"


def iso_time(moment: float | None) -> str | None:
    """Return ISO 8601 in UTC with milliseconds."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def incident_json(incident: Incident, evidence_url: str) -> dict[str, Any]:
    """Return an incident as the API, the alerts and the command line show it; evidence is below `evidence_url`."""
    cause, muted = incident.cause, incident.muted
    return {
        "id": incident.id,
        "severity": incident.severity.value,
        "status": incident.status.value,
        "title": incident.title,
        "reason": incident.reason,
        "environment": incident.environment,
        "journeys": list(incident.journeys),
        "probes": list(incident.probes),
        "cause": {
            "dependency": cause.dependency,
            "confidence": cause.confidence,
            "for": list(cause.supporting),
            "against": list(cause.contradicting),
            "alternatives": list(cause.alternatives),
        },
        "attribution": (incident.argument.attribution if incident.argument else Attribution.UNKNOWN).value,
        "opened_at": iso_time(incident.opened_at),
        "resolved_at": iso_time(incident.resolved_at),
        "acknowledged_by": incident.acknowledged_by,
        "outgrown_at": iso_time(incident.outgrown_at),
        "argument": argument_json(incident.argument) if incident.argument else None,
        "muted": {"by": muted.by, "why": muted.why, "until": iso_time(muted.until)} if muted else None,
        "flapping": incident.flapping,
        "reopened": incident.reopened,
        "merged_into": incident.merged_into,
        "timeline": [{"at": iso_time(e.at), "kind": e.kind.value, "text": e.text} for e in incident.timeline],
        "evidence": [evidence_json(e, evidence_url) for e in incident.evidence],
    }


def observation_json(seen: Observation, evidence_url: str) -> dict[str, Any]:
    """Return an observation as the API and the command line show it."""
    return {
        "run": seen.run.id,
        "probe": seen.run.probe,
        "journey": seen.run.journey,
        "channel": seen.run.channel.value,
        "location": seen.run.location,
        "environment": seen.run.environment,
        "why": seen.run.why.value,
        "outcome": seen.outcome.value,
        "started_at": iso_time(seen.started_at),
        "duration_seconds": round(seen.duration, 3),
        "skipped": seen.skipped,
        "findings": [
            {
                "failure": f.failure.value,
                "message": f.message,
                "effect": f.effect.value,
                "attribution": f.attribution.value,
                "step": f.step,
                "dependency": f.dependency,
                "at_seconds": f.at,
            }
            for f in seen.findings
        ],
        "steps": [
            {"name": s.name, "ok": s.ok, "started_seconds": s.started, "duration_seconds": s.duration, "note": s.note}
            for s in seen.steps
        ],
        "facts": dict(seen.facts),
        "measures": dict(seen.measures),
        "evidence": [evidence_json(e, evidence_url) for e in seen.evidence],
    }


def quiet_json(period: QuietPeriod, now: float) -> dict[str, Any]:
    """Return a maintenance or a silence that a person set."""
    named = {key: list(getattr(period.match, key)) for key in Match.__dataclass_fields__}
    return {
        "id": period.id,
        "kind": period.kind.value,
        "mode": period.mode.value,
        "active": period.begins <= now < period.ends,
        "begins": iso_time(period.begins),
        "ends": iso_time(period.ends),
        "who": period.who,
        "why": period.why,
        "match": {key: names for key, names in named.items() if names},
    }


def suspicion_json(probe: str, since: float, message: str, rule: ProbeRule) -> dict[str, Any]:
    """Return a failure that is not believed yet, in the shape of an incident as far as it is one."""
    return {
        "id": None,
        "status": "suspected",
        "title": f"{probe} fails: {message}",
        "journeys": [rule.journey],
        "probes": [probe],
        "environment": rule.environment,
        "failing_since": iso_time(since),
    }


def argument_json(argument: Argument) -> dict[str, Any]:
    return {
        "rule": argument.rule,
        "why": argument.why,
        "production": argument.production,
        "scope": argument.scope.value,
        "attribution": argument.attribution.value,
        "locations": {"failing": list(argument.failing_from), "passing": list(argument.passing_from)},
        "critical_periods": list(argument.periods),
        "journeys": [
            {
                "journey": harm.journey,
                "effect": harm.effect.value,
                "workaround": harm.workaround.value,
                "failing": list(harm.failing),
                "workarounds_passing": list(harm.passing),
                "workarounds_not_passing": [*harm.broken, *harm.untested],
                "workarounds_untested": list(harm.untested),
            }
            for harm in argument.harms
        ],
        "would_be": [{"severity": w.severity.value, "condition": w.condition} for w in argument.would_be],
    }


def evidence_json(file: Evidence, evidence_url: str) -> dict[str, Any]:
    return {
        "kind": file.kind,
        "name": file.name,
        "url": f"{evidence_url}/{file.sha256}",
        "media_type": file.media_type,
        "sha256": file.sha256,
        "size": file.size,
    }
