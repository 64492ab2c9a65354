"""Twilio's resources as JSON, field by field as its published description has them."""

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from earwitness.simulator.call import TERMINAL, Call
from earwitness.simulator.carrier import Carrier, Message
from earwitness.simulator.media_stream import MediaStream
from earwitness.simulator.recording import Recording
from earwitness.simulator.twiml import Notice

VERSION = "2010-04-01"
Resource = dict[str, Any]


def root(account: str) -> str:
    return f"/{VERSION}/Accounts/{account}"


def rfc2822(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(moment), UTC))


def start_time(call: Call, elapsed: float) -> float | None:
    """Return when the call was dialled, seconds since the epoch; None for one that never was, or was not yet."""
    reached = min(elapsed, call.plan.ended_at)
    return call.created_at + call.plan.dialled_at if reached >= call.plan.dialled_at else None


def call_json(carrier: Carrier, call: Call) -> Resource:
    """Return the Call. Its times are the wall time of its creation plus the call's own seconds."""
    elapsed, plan = carrier.elapsed(call), call.plan
    status, uri, price = plan.status(elapsed), f"{root(call.account)}/Calls/{call.sid}", carrier.price(call)
    over, started = status in TERMINAL, start_time(call, elapsed)
    return {
        "sid": call.sid,
        "account_sid": call.account,
        "api_version": VERSION,
        "to": call.order.to,
        "to_formatted": call.order.to,
        "from": call.order.from_,
        "from_formatted": call.order.from_,
        "status": status,
        "direction": "outbound-api",
        "date_created": rfc2822(call.created_at),
        "date_updated": rfc2822(call.created_at + max(at for at, _ in plan.stages if at <= max(0.0, elapsed))),
        "start_time": None if started is None else rfc2822(started),
        "end_time": rfc2822(call.created_at + plan.ended_at) if over else None,
        "duration": str(round(plan.talk)) if status == "completed" else None,
        "price": None if price is None else f"-{price:.5f}",
        "price_unit": "USD",
        "queue_time": str(round(plan.dialled_at * 1000)),
        "answered_by": None,
        "caller_name": None,
        "forwarded_from": None,
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": None,
        "trunk_sid": None,
        "uri": f"{uri}.json",
        "subresource_uris": {n: f"{uri}/{n.title()}.json" for n in ("notifications", "recordings", "streams")},
    }


def recording_json(carrier: Carrier, recording: Recording, *, of_call: bool, base_url: str) -> Resource:
    """Return the Recording, as a resource of its call or of its account; Twilio gives the two different fields."""
    call, start = recording.call, recording.start
    elapsed = carrier.elapsed(call)
    status = recording.status(elapsed)
    under = f"{root(call.account)}/Calls/{call.sid}" if of_call else root(call.account)
    body: Resource = {
        "sid": recording.sid,
        "account_sid": call.account,
        "api_version": VERSION,
        "call_sid": call.sid,
        "conference_sid": None,
        "status": status,
        "channels": start.channels,
        "source": start.source,
        "error_code": recording.error_code() if status == "absent" else None,
        "start_time": rfc2822(call.created_at + recording.begins_at),
        "date_created": rfc2822(call.created_at + recording.begins_at),
        "date_updated": rfc2822(call.created_at + min(elapsed, recording.ready_at)),
        "duration": str(round(recording.duration())) if status == "completed" else "-1",
        "price": None,
        "price_unit": "USD",
        "encryption_details": None,
        "uri": f"{under}/Recordings/{recording.sid}.json",
    }
    if of_call:
        return {**body, "track": "both"}
    return {**body, "media_url": f"{base_url}{under}/Recordings/{recording.sid}", "subresource_uris": {}}


def stream_json(carrier: Carrier, stream: MediaStream) -> Resource:
    call = stream.call
    elapsed = carrier.elapsed(call)
    return {
        "sid": stream.sid,
        "account_sid": call.account,
        "call_sid": call.sid,
        "name": stream.start.order.name or None,
        "status": stream.status(elapsed),
        "date_updated": rfc2822(call.created_at + min(elapsed, stream.ends_at)),
        "uri": f"{root(call.account)}/Calls/{call.sid}/Streams/{stream.sid}.json",
    }


def notification_json(call: Call, number: int, notice: Notice, base_url: str) -> Resource:
    sid = "NO" + hashlib.sha256(f"{call.sid}/{number}".encode()).hexdigest()[:32]
    at = rfc2822(call.created_at + (call.plan.answered_at or 0.0))
    uri = f"{root(call.account)}/Calls/{call.sid}/Notifications/{sid}.json"
    return {
        "sid": sid,
        "account_sid": call.account,
        "api_version": VERSION,
        "call_sid": call.sid,
        "date_created": at,
        "date_updated": at,
        "error_code": str(notice.code),
        "log": "1" if notice.warning else "0",
        "message_date": at,
        "message_text": notice.message,
        "more_info": f"https://www.twilio.com/docs/errors/{notice.code}",
        "request_method": "POST",
        "request_url": f"{base_url}{root(call.account)}/Calls.json",
        "uri": uri,
    }


def message_json(message: Message) -> Resource:
    uri = f"{root(message.account)}/Messages/{message.sid}"
    at = rfc2822(message.created_at)
    return {
        "sid": message.sid,
        "account_sid": message.account,
        "api_version": VERSION,
        "body": message.body,
        "to": message.to,
        "from": message.from_,
        "messaging_service_sid": message.service,
        "status": "queued" if message.from_ else "accepted",
        "direction": "outbound-api",
        "num_segments": str(-(-len(message.body) // 160)),
        "num_media": "0",
        "date_created": at,
        "date_updated": at,
        "date_sent": None,
        "price": None,
        "price_unit": "USD",
        "error_code": None,
        "error_message": None,
        "uri": f"{uri}.json",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }


def account_json(account: str, *, suspended: bool) -> Resource:
    created = "Thu, 01 Jan 2026 00:00:00 +0000"
    return {
        "sid": account,
        "owner_account_sid": account,
        "auth_token": None,
        "friendly_name": "Earwitness simulator",
        "status": "suspended" if suspended else "active",
        "type": "Full",
        "date_created": created,
        "date_updated": created,
        "subresource_uris": {n.lower(): f"{root(account)}/{n}.json" for n in ("Calls", "Recordings", "Messages")},
        "uri": f"{root(account)}.json",
    }
