"""A digest as hooks know it: an incident that stands for several, open while any of them is."""

from collections import Counter
from collections.abc import Iterable

from earwitness.model import Cause, Incident, Severity, Status, TimelineEntry, TransitionKind
from earwitness.presentation import SEVERITY_WORDS
from earwitness.store.digests import Digest

_MOST_LISTED = 40  # lines of a message; the page lists all
_PREFIX = "digest-"


def is_digest(incident_id: str) -> bool:
    return incident_id.startswith(_PREFIX)


def stand_in(digest: Digest) -> Incident:
    """Return the incident that stands for those of the digest: as grave as the gravest of them."""
    first = digest.incidents[0]
    text = listing(digest)
    return Incident(
        id=digest.id,
        severity=first.severity,
        status=Status.OPEN if digest.closed_at is None else Status.RESOLVED,
        title=f"{digest.total} incidents at once: {_counted(digest.counts)}",
        reason=text,
        environment=Counter(i.environment for i in digest.incidents).most_common(1)[0][0],
        journeys=_joined(i.journeys for i in digest.incidents),
        probes=_joined(i.probes for i in digest.incidents),
        cause=Cause(None, 0.0, ()),
        opened_at=digest.at,
        failing_since=min(i.failing_since for i in digest.incidents),
        resolved_at=digest.closed_at,
        timeline=(TimelineEntry(digest.at, TransitionKind.DIGEST, text),),
    )


def listing(digest: Digest) -> str:
    """Return a line for each incident, the gravest first, and how many there are besides."""
    lines = [f"- {SEVERITY_WORDS[i.severity]}, {i.status}: {i.title} ({i.id})" for i in digest.incidents[:_MOST_LISTED]]
    rest = digest.total - len(lines)
    return "\n".join([*lines, *([f"and {rest} more, all on the page of this digest"] if rest else [])])


def _counted(counts: dict[Severity, int]) -> str:
    return ", ".join(f"{counts[s]} × {SEVERITY_WORDS[s]}" for s in Severity if counts.get(s))


def _joined(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for some in names for name in some))
