"""What Twilio tells a call's webhooks, and when: the call's progress, and the fate of its recordings."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from earwitness.simulator.call import TERMINAL, Call
from earwitness.simulator.carrier_json import VERSION, rfc2822, root
from earwitness.simulator.media_stream import MediaStream
from earwitness.simulator.recording import Recording, recordings_of
from earwitness.simulator.webhook import Webhook

Fields = dict[str, str]
_EVENT_OF_STATUS = {"ringing": "ringing", "in-progress": "answered", **dict.fromkeys(TERMINAL, "completed")}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a webhook is told of, `at` seconds after the call was created. `key` is the same whenever it is planned."""

    at: float
    key: str
    webhook: Webhook
    fields: Callable[[], Fields | None]  # asked for when it is sent; None when the webhook did not want this event


def events_of(call: Call, base_url: str) -> list[Event]:
    """Return everything that the webhooks of `call` will be told as its plan is now, in the order in which it happens."""
    events = [*_progress(call, base_url), *_recordings(call, base_url)]
    return sorted(events, key=lambda event: event.at)


def _progress(call: Call, base_url: str) -> list[Event]:
    webhook, plan = call.order.webhook, call.plan
    if webhook is None:
        return []
    happened = [(plan.dialled_at, "initiated", "initiated")] if plan.dialled_at <= plan.ended_at else []
    happened += [(at, _EVENT_OF_STATUS[status], status) for at, status in plan.stages if status in _EVENT_OF_STATUS]
    return [
        Event(at, f"{call.sid}/{name}", webhook, partial(progress_fields, call, at, n, status, base_url))
        for n, (at, name, status) in enumerate(happened)
        if name in webhook.events
    ]


def progress_fields(call: Call, at: float, number: int, status: str, base_url: str) -> Fields:
    """Return the fields of a status callback; `number` counts the call's events, told or not, from 0."""
    to, from_ = call.order.to, call.order.from_
    fields = {
        "AccountSid": call.account,
        "ApiVersion": VERSION,
        "CallSid": call.sid,
        "CallStatus": status,
        "CallbackSource": "call-progress-events",
        "Called": to,
        "Caller": from_,
        "Direction": "outbound-api",
        "From": from_,
        "SequenceNumber": str(number),
        "Timestamp": rfc2822(call.created_at + at),
        "To": to,
        **dict.fromkeys(_PLACES, ""),
    }
    return fields | (_ending(call, base_url) if status in TERMINAL else {})


# Twilio looks up where the two numbers are, and leaves empty what it does not find.
_PLACES = [f"{who}{what}" for who in ("To", "From", "Called", "Caller") for what in ("City", "State", "Zip", "Country")]


def _ending(call: Call, base_url: str) -> Fields:
    talk = call.plan.talk
    fields = {
        "CallDuration": str(round(talk)),
        "Duration": str(math.ceil(talk / 60)),
        "SipResponseCode": str(call.plan.sip_code),
    }
    for recording in recordings_of(call, call.plan.ended_at)[:1]:
        url = f"{base_url}{root(call.account)}/Recordings/{recording.sid}"
        length = str(round(call.plan.talk - recording.start.at))
        fields |= {"RecordingSid": recording.sid, "RecordingUrl": url, "RecordingDuration": length}
    return fields


def _recordings(call: Call, base_url: str) -> list[Event]:
    events: list[Event] = []
    for recording in recordings_of(call, math.inf):
        for at, status in ((recording.begins_at, "in-progress"), (recording.ready_at, "ended")):
            if recording.start.webhook is not None and at < math.inf:
                key = f"{recording.sid}/{status}"
                tell = partial(_wanted_recording_fields, recording, at, base_url)
                events.append(Event(at, key, recording.start.webhook, tell))
    return events


def _wanted_recording_fields(recording: Recording, at: float, base_url: str) -> Fields | None:
    wanted = recording.start.webhook is not None and recording.status(at) in recording.start.webhook.events
    return recording_fields(recording, at, base_url) if wanted else None


def recording_fields(recording: Recording, at: float, base_url: str) -> Fields:
    """Return the fields of a recording's status callback at the moment `at`."""
    call, status = recording.call, recording.status(at)
    url = f"{base_url}{root(call.account)}/Recordings/{recording.sid}"
    fields = {
        "AccountSid": call.account,
        "CallSid": call.sid,
        "RecordingSid": recording.sid,
        "RecordingUrl": url,
        "RecordingStatus": status,
        "RecordingChannels": str(recording.start.channels),
        "RecordingSource": recording.start.source,
        "RecordingStartTime": rfc2822(call.created_at + recording.begins_at),
        "RecordingTrack": "both",
    }
    if status == "completed":
        fields["RecordingDuration"] = str(round(recording.duration()))
    if status == "absent":
        fields["ErrorCode"] = str(recording.error_code())
    return fields


def stream_fields(stream: MediaStream, event: str, at: float, error: str | None = None) -> Fields:
    """Return the fields of a media stream's status callback: stream-started, stream-stopped or stream-error."""
    call, moment = stream.call, datetime.fromtimestamp(stream.call.created_at + at, UTC)
    fields = {
        "AccountSid": call.account,
        "CallSid": call.sid,
        "StreamSid": stream.sid,
        "StreamName": stream.start.order.name or stream.sid,
        "StreamEvent": event,
        "Timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return fields if error is None else {**fields, "StreamError": error}
