"""The hundred services that have no hook of their own, through the library apprise (the extra `notify`).

A service is an address in apprise's own writing, such as `ntfy://topic` or `matrix://...`, and holds its secrets. The library says only
whether it worked, so every failure is tried again.
"""

from importlib.util import find_spec
from pathlib import Path

from pydantic import field_validator

from earwitness.config.fields import Secret, SecretValue, WithSecret, problem
from earwitness.hooks.base import (
    Announcement,
    AnswerLimit,
    HookKind,
    HookOutcome,
    Notice,
    Parcel,
    Reason,
    Reply,
    cut,
    json_body,
    one_line,
    one_request,
)
from earwitness.model import Severity, TransitionKind

_LEVEL = {Severity.SEV1: "failure", Severity.SEV2: "failure", Severity.SEV3: "warning", Severity.NONPROD: "info"}
_MISSING = "apprise is not installed; pip install 'earwitness[notify]'"


class AppriseSpec(WithSecret):
    """One service; several want a hook each, so that each is told for sure."""

    url: SecretValue
    url_file: Path | None = None
    timeout: AnswerLimit = 25.0

    @field_validator("url")
    @classmethod
    def _installed(cls, value: Secret) -> Secret:
        if find_spec("apprise") is None:
            raise problem(_MISSING)
        if "://" not in value.reveal():
            raise problem("this is not an address for apprise; write one such as ntfy://topic")
        return value


def render(_spec: AppriseSpec, notice: Notice) -> bytes:
    over = notice.kind is TransitionKind.RESOLVE
    recording = notice.recording()
    links = [notice.url, *([notice.link(recording)] if recording else [])]
    links += [f"Acknowledge: {notice.ack_url}"] if notice.ack_url else []
    return json_body(
        {
            "title": one_line(notice.title, 250),
            "text": "\n\n".join([cut(notice.text, 3000), *links]),
            "level": "success" if over else _LEVEL[notice.incident.severity],
        }
    )


def request(spec: AppriseSpec, parcel: Parcel) -> Announcement:
    told = parcel.json()
    return Announcement(spec.url, told["title"], told["text"], told["level"])


def read(reply: Reply, _now: float) -> HookOutcome:
    if reply.status == 200:
        return HookOutcome("delivered", Reason.OK, "apprise says that it is told")
    return HookOutcome("retry", Reason.SERVER_ERROR, "apprise says that it could not tell; its log says why")


KIND = HookKind(name="apprise", spec=AppriseSpec, render=render, talk=one_request(request, read))
