"""Addresses that the carrier calls back: read from a request or from TwiML, and kept from leading off this machine."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from earwitness.simulator.carrier_errors import bad_request

CALL_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
RECORDING_EVENTS = frozenset({"in-progress", "completed", "absent"})


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told of `events` by an HTTP request of the given method."""

    url: str
    method: str = "POST"
    events: frozenset[str] = frozenset()


def webhook_of(form: Mapping[str, str], name: str, known: frozenset[str]) -> Webhook | None:
    """Return the webhook in the parameters NAME, NAMEMethod and NAMEEvent, if there is one. Raises TwilioError.

    Several events are separated by spaces; without any, it is told of `completed`, as at Twilio.
    """
    url = form.get(name, "")
    if not url:
        return None
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise bad_request(21609, f"The {name} URL {url} is not a valid URL")
    method = form.get(f"{name}Method", "POST").upper()
    if method not in ("GET", "POST"):
        raise bad_request(20001, f"{name}Method is not valid: {method!r} is not GET or POST")
    events = frozenset(form.get(f"{name}Event", "completed").split())
    if events - known:
        unknown = min(events - known)
        raise bad_request(20001, f"{name}Event is not valid: {unknown!r} is none of {', '.join(sorted(known))}")
    return Webhook(url, method, events)


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this machine: to `localhost`, or to a loopback address written in figures.

    Names are not looked up: what a name leads to can change between the look and the call.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
