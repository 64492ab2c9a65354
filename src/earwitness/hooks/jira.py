"""Issues in Jira and Jira Service Management, by the platform's REST API 2 (Cloud and Data Center).

Each issue carries our incident's id as a label and is looked for by it before it is opened, so that an attempt whose answer was lost
opens no second one; its key is then remembered, and behind it the category in which we left the issue: only another one is people's doing. What follows are comments, and the priority of another severity; a resolve takes a transition into the category "done".
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import Field, StringConstraints

from earwitness.config.fields import Duration, SecretValue, WebAddress, WithSecret
from earwitness.hooks.base import (
    AnswerLimit,
    HookKind,
    HookOutcome,
    HookRequest,
    Known,
    Message,
    Notice,
    Parcel,
    Poll,
    Reason,
    Reply,
    Said,
    Talk,
    basic,
    bearer,
    cut,
    json_body,
    json_request,
    matching,
    one_line,
    remembered,
)
from earwitness.hooks.replies import Answer, bad_reply, provider, read_answer, read_status
from earwitness.model import Severity, TransitionKind

_NOT_OURS_TO_SET = (Reason.REJECTED, Reason.AUTHENTICATION)  # the comment shows whether we may do anything at all
_GRADES = (TransitionKind.RAISE, TransitionKind.LOWER, TransitionKind.REOPEN)  # changes that may tell another severity
_STATUSES = provider(200, 201, 204)
_LONGEST_SUMMARY, _LONGEST_TEXT = 255, 30_000  # characters
_Project = Annotated[
    str, matching(r"[A-Z][A-Z0-9_]*", "this is no key of a project; write it as in its issues: OPS of OPS-7")
]
_Key = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*-[0-9]+$")]


class JiraSpec(WithSecret):
    """A site and a project. With a username the token is an API token of Cloud, without one a personal one of Data Center."""

    url: WebAddress  # https://SITE.atlassian.net, or where your own stands
    username: str | None = None
    token: SecretValue
    token_file: Path | None = None
    project: _Project
    issue_type: str = "Task"  # for Jira Service Management such as "[System] Incident"
    priorities: dict[Severity, str] = Field(default_factory=dict)  # names of your priorities; without, your default
    labels: tuple[str, ...] = ("earwitness",)
    done: str | None = None  # the name of the transition that resolves; by default the first into "done"
    search_lag: Annotated[Duration, Field(ge=0, le=3600)] = 60.0  # until an issue that was opened is surely found
    timeout: AnswerLimit = 20.0
    poll_every: Annotated[Duration, Field(ge=10)] | None = None  # asks what people did with the issues


def render(spec: JiraSpec, notice: Notice) -> bytes:
    """Return the issue to open, and the comment for one that is open."""
    incident = notice.incident
    text = cut(f"{notice.text}\n\n{notice.links()}", _LONGEST_TEXT)
    fields: dict[str, Any] = {
        "project": {"key": spec.project},
        "issuetype": {"name": spec.issue_type},
        "summary": one_line(notice.title, _LONGEST_SUMMARY),
        "description": text,
        "labels": [*spec.labels, incident.id],
    }
    if incident.severity in spec.priorities:
        fields["priority"] = {"name": spec.priorities[incident.severity]}
    comment = f"{one_line(notice.title, _LONGEST_SUMMARY)}\n\n{text}"
    over = notice.kind is TransitionKind.RESOLVE
    new = notice.kind in (TransitionKind.OPEN, TransitionKind.DIGEST)
    again = notice.kind is TransitionKind.REOPEN
    graded = fields.get("priority") if notice.kind in _GRADES else None
    said = {"over": over, "new": new, "again": again, "priority": graded}
    return json_body({"incident": incident.id, **said, "fields": fields, "comment": comment})


class _Issue(Answer):
    key: _Key


class _Found(Answer):
    issues: list[_Issue]


class _Category(Answer):
    key: str


class _Status(Answer):
    statusCategory: _Category  # noqa: N815  Jira's own name.


class _Transition(Answer):
    id: str = Field(pattern=r"^[0-9]+$")
    name: str
    to: _Status


class _Person(Answer):
    displayName: str = ""  # noqa: N815  Jira's own name.


class _Fields(Answer):
    status: _Status
    assignee: _Person | None = None


class _Errors(Answer):
    errorMessages: list[str] = Field(min_length=1)  # noqa: N815  Jira's own name.


class _Standing(Answer):
    fields: _Fields


class _State(Answer):
    fields: _Fields
    transitions: list[_Transition]


def talk(spec: JiraSpec, parcel: Parcel) -> Talk:
    """Find the issue unless it is known; then comment on it, or take it to done, or open it."""
    told, (issue, left) = parcel.json(), remembered(parcel.reference)
    if issue is None:
        found = yield from _find(spec, told["incident"], parcel.now)
        if isinstance(found, HookOutcome):
            return found
        issue = found
    if issue is None and told["over"]:
        return HookOutcome("delivered", Reason.OK, "no issue of this incident is there, so none is open")
    if issue is None and (lag := _lag(spec, parcel)) > 0:
        detail = "an earlier attempt may have opened the issue, and Jira's search may not know it yet"
        return HookOutcome("retry", Reason.NOT_YET, detail, lag)
    if issue is None:
        made = _read_issue((yield _request(spec, "POST", "issue", {"fields": told["fields"]})), parcel.now)
        return (yield from _with_its_beginning(spec, made, parcel.now))
    if told["new"]:
        return HookOutcome("delivered", Reason.OK, f"{issue} was opened by an earlier attempt", reference=issue)
    outcome = yield from _follow_up(spec, issue, told, parcel.now)
    return replace(outcome, reference=f"{issue} {left}") if left and outcome.reference == issue else outcome


def _with_its_beginning(spec: JiraSpec, made: HookOutcome, now: float) -> Talk:
    """Remember in which category a new issue begins, where polls will ask: a workflow may begin it as if somebody worked on it."""
    if made.result != "delivered" or made.reference is None or spec.poll_every is None:
        return made
    standing = yield from _standing_of(spec, made.reference, now)
    if isinstance(standing, HookOutcome):
        return made  # it is there, and what is not remembered of it is asked of people later
    return replace(made, reference=f"{made.reference} {standing.status.statusCategory.key}")


def _lag(spec: JiraSpec, parcel: Parcel) -> float:
    """Return the seconds until the search surely finds what an attempt without an answer may have opened."""
    return 0.0 if parcel.doubt is None else parcel.doubt + spec.search_lag - parcel.now


def _follow_up(spec: JiraSpec, issue: str, told: dict[str, Any], now: float) -> Talk:
    """Comment last: what comes before it may be repeated without a trace."""
    finished = (yield from _finish(spec, issue, now)) if told["over"] else None
    if told.get("again"):  # a body that an earlier version froze does not say so
        finished = yield from _take_up_again(spec, issue, now)
    if finished is not None and finished.result == "retry":
        return finished
    if told.get("priority") is not None:
        graded = yield from _grade(spec, issue, told["priority"], now)
        if graded.result == "retry" and graded.reason not in _NOT_OURS_TO_SET:
            return graded
    said = _on_it((yield _request(spec, "POST", f"issue/{issue}/comment", {"body": told["comment"]})), issue, now)
    if finished is None or said.result != "delivered":
        return said
    return replace(said, reference=finished.reference) if finished.result == "delivered" else finished


def _grade(spec: JiraSpec, issue: str, priority: dict[str, str], now: float) -> Talk:
    """Set the priority. Where a project lets nobody change it, that is refused, and the comment has to do."""
    edit = {"fields": {"priority": priority}}
    return _on_it((yield _request(spec, "PUT", f"issue/{issue}", edit)), issue, now)


def _find(spec: JiraSpec, incident: str, now: float) -> Generator[Message, Reply, str | HookOutcome | None]:
    """Return the oldest issue of the incident, None when there is none, or why nobody knows."""
    asked = {
        "jql": f'project = "{spec.project}" AND labels = "{incident}" ORDER BY created ASC',
        "fields": "status",
        "maxResults": "1",
    }
    search = "search/jql" if spec.username else "search"  # Cloud has taken the old one away; Data Center has no other
    reply = yield _request(spec, "GET", f"{search}?{urlencode(asked)}")
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result != "delivered":
        return outcome
    said = read_answer(reply, _Found)
    if said is None:
        return bad_reply(reply, "Jira's list of issues")
    return said.issues[0].key if said.issues else None


def _finish(spec: JiraSpec, issue: str, now: float) -> Talk:
    """Take the issue to done, unless it is."""
    state = yield from _state_of(spec, issue, now)
    if isinstance(state, HookOutcome):
        return state
    if state.fields.status.statusCategory.key == "done":
        return HookOutcome("delivered", Reason.OK, f"{issue} is done already", reference=f"{issue} done")
    chosen = next((t for t in state.transitions if _resolves(t, spec.done)), None)
    if chosen is None:
        wanted = f"named {spec.done!r}" if spec.done else "into the category done"
        return HookOutcome("refused", Reason.REJECTED, f"{issue} has no transition {wanted} from where it is")
    return (yield from _take(spec, issue, chosen, now))


def _take_up_again(spec: JiraSpec, issue: str, now: float) -> Talk:
    """Take the issue out of done, to where nobody works on it if a way leads there; where none leads out, the comment has to do."""
    state = yield from _state_of(spec, issue, now)
    if isinstance(state, HookOutcome):
        return state
    category = state.fields.status.statusCategory.key
    ways_out = [t for t in state.transitions if t.to.statusCategory.key != "done"]
    chosen = min(ways_out, key=lambda t: t.to.statusCategory.key != "new", default=None)
    if category != "done" or chosen is None:
        return HookOutcome("delivered", Reason.OK, f"{issue} is left as it is", reference=f"{issue} {category}")
    return (yield from _take(spec, issue, chosen, now))


def _state_of(spec: JiraSpec, issue: str, now: float) -> Generator[Message, Reply, _State | HookOutcome]:
    """Return where the issue is and where it can go, or why that cannot be told."""
    reply = yield _request(spec, "GET", f"issue/{issue}?fields=status&expand=transitions")
    outcome = _on_it(reply, issue, now)
    if outcome.result != "delivered":
        return outcome
    return read_answer(reply, _State) or bad_reply(reply, "Jira's transitions")


def _take(spec: JiraSpec, issue: str, transition: _Transition, now: float) -> Talk:
    body = {"transition": {"id": transition.id}}
    outcome = _on_it((yield _request(spec, "POST", f"issue/{issue}/transitions", body)), issue, now)
    left = f"{issue} {transition.to.statusCategory.key}"
    return replace(outcome, reference=left) if outcome.result == "delivered" else outcome


def _resolves(transition: _Transition, wanted: str | None) -> bool:
    return transition.name == wanted if wanted else transition.to.statusCategory.key == "done"


def _request(spec: JiraSpec, method: str, path: str, body: dict[str, Any] | None = None) -> HookRequest:
    authorization = basic(spec.username, spec.token) if spec.username else bearer(spec.token)
    url = f"{spec.url.rstrip('/')}/rest/api/2/{path}"
    return json_request(method, url, authorization, body)


def _on_it(reply: Reply, issue: str, now: float) -> HookOutcome:
    """Judge what was done to an issue. That it is gone is believed of Jira only, not of a gateway before it."""
    outcome = read_status(reply, now, _STATUSES)
    if reply.status == 404 and read_answer(reply, _Errors):
        return HookOutcome("refused", Reason.GONE, f"{issue} is not there any more, or may not be seen")
    if outcome.result != "delivered":
        return outcome
    return HookOutcome("delivered", Reason.OK, outcome.detail, reference=issue)


def _read_issue(reply: Reply, now: float) -> HookOutcome:
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result != "delivered":
        return outcome
    said = read_answer(reply, _Issue)
    if said is None:
        return bad_reply(reply, "the key of the new issue")
    return HookOutcome("delivered", Reason.OK, f"{outcome.detail}: {said.key}", reference=said.key)


def poll(spec: JiraSpec, known: Sequence[Known], now: float) -> Poll:
    """Ask an issue for its status, which no search index delays: done there is over here, in progress is acknowledged."""
    (one,) = known
    issue, left = remembered(one.reference)
    if issue is None:
        return []
    standing = yield from _standing_of(spec, issue, now)
    if isinstance(standing, HookOutcome):  # one that was deleted says nothing of the incident
        return [] if standing.result == "refused" else standing
    return [] if standing.status.statusCategory.key == left else _said(one, standing)


def _standing_of(spec: JiraSpec, issue: str, now: float) -> Generator[Message, Reply, _Fields | HookOutcome]:
    reply = yield _request(spec, "GET", f"issue/{issue}?fields=status,assignee")
    outcome = _on_it(reply, issue, now)
    if outcome.result != "delivered":
        return outcome
    standing = read_answer(reply, _Standing)
    return bad_reply(reply, "Jira's issue") if standing is None else standing.fields


def _said(known: Known, fields: _Fields) -> list[Said]:
    category = fields.status.statusCategory.key
    who = f"{one_line(fields.assignee.displayName if fields.assignee else '', 80) or 'somebody'} in Jira"
    if category == "done":
        return [Said(None, known.incident, "resolve", who)]
    if category == "indeterminate" and not known.acknowledged:
        return [Said(None, known.incident, "acknowledge", who)]
    return []


KIND = HookKind(name="jira", spec=JiraSpec, render=render, talk=talk, poll=poll, poll_at_once=1)
