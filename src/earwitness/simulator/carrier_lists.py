"""Twilio's lists: filters, and pages with the address of the next."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlencode

from earwitness.simulator.carrier import Form
from earwitness.simulator.carrier_errors import bad_request
from earwitness.simulator.carrier_json import Resource

Item = TypeVar("Item")
_DEFAULT_PAGE, _LONGEST_PAGE = 50, 1000


def page(items: Sequence[Item], key: str, path: str, query: Form, show: Callable[[Item], Resource]) -> Resource:
    """Return one page of `items` as Twilio shows it, the resources under `key`. Raises TwilioError."""
    size = min(_LONGEST_PAGE, _number(query, "PageSize", _DEFAULT_PAGE))
    number = _number(query, "Page", 0)
    if size == 0:
        raise bad_request(20001, "PageSize is not valid: it must be 1 to 1000")
    first = number * size
    shown = items[first : first + size]

    def uri(at: int) -> str:
        return f"{path}?{urlencode({**query, 'PageSize': size, 'Page': at})}"

    return {
        key: [show(item) for item in shown],
        "start": first,
        "end": first + max(0, len(shown) - 1),
        "page": number,
        "page_size": size,
        "uri": uri(number),
        "first_page_uri": uri(0),
        "previous_page_uri": uri(number - 1) if number else None,
        "next_page_uri": uri(number + 1) if first + size < len(items) else None,
    }


def within(query: Form, name: str, moment: float | None) -> bool:
    """Whether `moment` (seconds since the epoch) passes the filters NAME, NAME< and NAME>. Raises TwilioError.

    As at Twilio, the bounds are included, times have whole seconds, a bare date means that day (UTC), and what has no
    such moment yet passes no such filter.
    """
    if moment is None:
        return not {name, f"{name}<", f"{name}>"} & set(query)
    second = int(moment)
    if f"{name}>" in query and second < _bound(query[f"{name}>"])[0]:
        return False
    if f"{name}<" in query and second > _bound(query[f"{name}<"])[1]:
        return False
    if name in query:
        first, last = _bound(query[name])
        return first <= second <= last
    return True


def _bound(text: str) -> tuple[float, float]:
    """Return the first and the last second that `text` names."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(20001, f"{text!r} is not a date; write 2026-11-23 or 2026-11-23T12:00:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole_day = re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None
    last = moment + timedelta(days=1, seconds=-1) if whole_day else moment
    return moment.timestamp(), last.timestamp()


def _number(query: Form, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text):
        raise bad_request(20001, f"{name} is not valid: {text!r} is not a number")
    return int(text)
