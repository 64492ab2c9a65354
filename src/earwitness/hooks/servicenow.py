"""Incidents in ServiceNow, by its Table API (`/api/now/table/incident`).

`correlation_id` is our incident's id: before a record is opened it is looked for, so that an attempt whose answer was lost opens no
second one. Impact and urgency come from the severity, and ServiceNow makes the priority. What people closed there stays as they left it.
"""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import quote, urlencode

from pydantic import Field, model_validator

from earwitness.config.fields import Duration, SecretValue, WebAddress, WithSecret, problem
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

_STATUSES = provider(200, 201)
_IMPACT_AND_URGENCY = {  # The usual matrix makes them priority 1, 2, 3 and 5.
    Severity.SEV1: ("1", "1"),
    Severity.SEV2: ("1", "2"),
    Severity.SEV3: ("2", "2"),
    Severity.NONPROD: ("3", "3"),
}
_LONGEST_TITLE, _LONGEST_TEXT = 160, 4000  # characters of short_description and of the journals, as delivered
_TableName = Annotated[str, matching(r"[a-z][a-z0-9_]*", "this is no name of a table; use small letters, digits and _")]


class ServiceNowSpec(WithSecret):
    """An instance, and a user or a token that may read and write its incidents."""

    url: WebAddress  # https://INSTANCE.service-now.com
    username: str | None = None
    password: SecretValue | None = None
    password_file: Path | None = None
    token: SecretValue | None = None
    token_file: Path | None = None
    table: _TableName = "incident"
    fields: dict[str, str] = Field(default_factory=dict)  # joined to a new record, such as assignment_group
    new_state: str = "1"  # of what opens again, too: nobody works on it yet
    in_progress_state: str = "2"
    resolved_state: str = "6"
    closed_state: str = "7"
    close_code: str = "Solution provided"
    timeout: AnswerLimit = 20.0
    poll_every: Annotated[Duration, Field(ge=10)] | None = None  # asks what people did with the records

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.username is None) is not (self.password is None):
            raise problem("username and password belong together", "username" if self.username else "password")
        if (self.token is None) is (self.password is None):
            raise problem("write either username and password, or a token")
        return self


def render(spec: ServiceNowSpec, notice: Notice) -> bytes:
    """Return the record to open, and the changes to one that is open."""
    impact, urgency = _IMPACT_AND_URGENCY[notice.incident.severity]
    graded = {"impact": impact, "urgency": urgency}
    text = cut(f"{notice.text}\n\n{notice.links()}", _LONGEST_TEXT)
    record = {
        **spec.fields,
        **graded,
        "short_description": one_line(notice.title, _LONGEST_TITLE),
        "description": text,
        "correlation_id": notice.incident.id,
        "correlation_display": "Earwitness",
    }
    over = notice.kind is TransitionKind.RESOLVE
    return json_body(
        {"incident": notice.incident.id, "over": over, "new": record, "change": _change(spec, notice, text, graded)}
    )


def _change(spec: ServiceNowSpec, notice: Notice, text: str, graded: dict[str, str]) -> dict[str, str]:
    noted = {"work_notes": text}
    if notice.kind is TransitionKind.RESOLVE:
        closing = {"state": spec.resolved_state, "close_code": spec.close_code}
        return closing | {"close_notes": cut(notice.text, 1000)} | noted
    if notice.kind is TransitionKind.ACKNOWLEDGE:
        return {"state": spec.in_progress_state} | noted
    if notice.kind is TransitionKind.REOPEN:
        return {"state": spec.new_state} | graded | noted
    return graded | noted


class _Record(Answer):
    sys_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    state: str = ""


class _One(Answer):
    result: _Record


class _Many(Answer):
    result: list[_Record]


def talk(spec: ServiceNowSpec, parcel: Parcel) -> Talk:
    """Find the record, and change it; or open it."""
    told = parcel.json()
    found = yield from _find(spec, told["incident"], parcel.now)
    if isinstance(found, HookOutcome):
        return found
    if found is None and told["over"]:
        return HookOutcome("delivered", Reason.OK, "no record of this incident is there, so none is open")
    if found is None:
        return _read_record((yield _request(spec, "POST", "", told["new"])), parcel.now, ours=True)
    change = told["change"]
    if told["over"] and found.state in {spec.resolved_state, spec.closed_state}:
        change = {"work_notes": change["work_notes"]}
    reply = yield _request(spec, "PATCH", f"/{found.sys_id}", change)
    return _read_record(reply, parcel.now, remembered(parcel.reference)[1], ours="state" in change)


def _find(spec: ServiceNowSpec, incident: str, now: float) -> Generator[Message, Reply, _Record | HookOutcome | None]:
    """Return the oldest record of the incident, None when there is none, or why nobody knows."""
    query = f"correlation_id={incident}^ORDERBYsys_created_on"
    asked = {"sysparm_query": query, "sysparm_fields": "sys_id,state", "sysparm_limit": "1"}
    reply = yield _request(spec, "GET", "?" + urlencode(asked))
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result != "delivered":
        return outcome
    said = read_answer(reply, _Many)
    if said is None:
        return bad_reply(reply, "the Table API's list of records")
    return said.result[0] if said.result else None


def _request(spec: ServiceNowSpec, method: str, path: str, body: dict[str, Any] | None = None) -> HookRequest:
    if spec.token is not None:
        authorization = bearer(spec.token)
    else:
        assert spec.username is not None
        assert spec.password is not None
        authorization = basic(spec.username, spec.password)
    url = f"{spec.url.rstrip('/')}/api/now/table/{quote(spec.table)}{path}"
    return json_request(method, url, authorization, body)


def _read_record(reply: Reply, now: float, left: str = "", *, ours: bool) -> HookOutcome:
    """Remember where the record stands after what we did to its state (`ours`), which need not be where we wanted it; else what we knew."""
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result != "delivered":
        return outcome
    said = read_answer(reply, _One)
    if said is None:
        return bad_reply(reply, "the Table API's record")
    stands = said.result.state if ours and said.result.state else left
    reference = f"{said.result.sys_id} {stands}" if stands else said.result.sys_id
    return HookOutcome("delivered", Reason.OK, outcome.detail, reference=reference)


class _Theirs(Answer):
    correlation_id: str
    state: str


class _States(Answer):
    result: list[_Theirs]


def poll(spec: ServiceNowSpec, known: Sequence[Known], now: float) -> Poll:
    """Ask for the states of all records at once: what was resolved or closed there is over, what is in progress is acknowledged."""
    open_here = {k.incident: k for k in known}
    query = f"correlation_idIN{','.join(open_here)}^ORDERBYDESCsys_created_on"
    asked = {
        "sysparm_query": query,
        "sysparm_fields": "correlation_id,state",
        "sysparm_limit": str(2 * len(known)),
        "sysparm_display_value": "false",
    }
    reply = yield _request(spec, "GET", "?" + urlencode(asked))
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result != "delivered":
        return outcome
    said = read_answer(reply, _States)
    if said is None:
        return bad_reply(reply, "the Table API's list of records")
    states = {row.correlation_id: row.state for row in said.result}  # the oldest last: it is the one that we change
    return [s for name, k in open_here.items() if (s := _said(spec, k, states.get(name))) is not None]


def _said(spec: ServiceNowSpec, known: Known, state: str | None) -> Said | None:
    if (
        state is None or state == remembered(known.reference)[1]
    ):  # behind the record's name is the state in which we left it
        return None
    if state in {spec.resolved_state, spec.closed_state}:
        return Said(None, known.incident, "resolve", "somebody in ServiceNow")
    if state == spec.in_progress_state and not known.acknowledged:
        return Said(None, known.incident, "acknowledge", "somebody in ServiceNow")
    return None


KIND = HookKind(name="servicenow", spec=ServiceNowSpec, render=render, talk=talk, poll=poll)
