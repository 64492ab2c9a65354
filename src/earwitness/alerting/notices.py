"""Makes what a hook is to tell, in our words or in those of the hook's templates."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from earwitness.alerting.ack_links import AckLinks
from earwitness.alerting.digests import is_digest
from earwitness.config.templates import TemplateSpec, WordingError, known_to_templates, worded
from earwitness.hooks.base import Notice
from earwitness.model import Incident, TransitionKind, is_impairment
from earwitness.presentation import headline

log = structlog.get_logger()
_TEST = "Test alert, nothing is wrong"
_LONGEST_TITLE, _LONGEST_TEXT = 1000, 20_000  # characters that a template may make


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses at which people reach what an alert speaks of."""

    base: str
    acks: AckLinks | None = None  # without a public address nobody could follow them

    def incident(self, incident_id: str) -> str:
        if is_impairment(incident_id):
            return f"{self.base}/"  # the first page shows what is impaired
        return f"{self.base}/{'digests' if is_digest(incident_id) else 'incidents'}/{incident_id}"

    def evidence(self) -> str:
        return f"{self.base}/api/v1/evidence"


@dataclass(frozen=True, slots=True)
class Change:
    """One transition of one incident, as it is owed to a hook under its key."""

    key: str
    kind: TransitionKind
    at: float
    text: str
    incident: Incident
    told: tuple[str, ...] = ()  # of a digest: the ids of all incidents that it tells
    hook: str = ""  # that is told
    now: float = 0.0  # when it is first told


async def written(change: Change, links: Links, template: TemplateSpec, *, test: bool = False) -> Notice:
    """Return the notice. Templates of people may take their time, so they are filled in where nothing else waits."""
    if template == TemplateSpec():
        return notice_of(change, links, template, test=test)
    return await asyncio.to_thread(notice_of, change, links, template, test=test)


def notice_of(change: Change, links: Links, template: TemplateSpec, *, test: bool = False) -> Notice:
    incident = change.incident
    url, evidence = links.incident(incident.id), links.evidence()
    ours = Notice(
        key=change.key,
        kind=change.kind,
        at=change.at,
        title=headline(change.kind, incident),
        text=change.text,
        incident=incident,
        url=url,
        evidence_url=evidence,
        test=test,
        told=change.told,
        hook=change.hook,
    )
    if links.acks is not None and ours.asks:
        ours = replace(ours, ack_url=links.acks.url(incident.id, change.hook, change.now))
    if template == TemplateSpec():
        return ours
    known = known_to_templates(change.kind, incident, change.text, url, evidence)
    title = _worded(template.title, known, ours.title, _LONGEST_TITLE)
    text = _worded(template.body, known, ours.text, _LONGEST_TEXT)
    if test:  # whatever the template makes of it
        title, text = f"{_TEST}: {title}", f"{_TEST}. {text}"
    return replace(ours, title=title, text=text)


def _worded(template: str | None, known: Mapping[str, Any], ours: str, longest: int) -> str:
    """Fill in the template; when it fails on this incident, our words are better than none."""
    if template is None:
        return ours
    try:
        return worded(template, known)[:longest] or ours
    except WordingError as error:
        log.warning("template_failed", incident=known["incident"]["id"], error=str(error))
        return ours
