"""Public holidays by country, from the `holidays` package, which is an extra: 14 MB of dates that not everybody needs."""

from datetime import UTC, date, datetime
from functools import lru_cache

from earwitness.config.fields import problem

_YEARS = 15  # ahead, which a daemon runs at most without being started anew


@lru_cache(maxsize=64)
def public_holidays(place: str) -> frozenset[date]:
    """Return the holidays of `GB`, or of a part of it such as `GB-SCT`, from last year on. Raises a problem for what is no such place."""
    try:
        from holidays import country_holidays  # noqa: PLC0415  An extra, and slow to load.
    except ImportError as error:
        message = (
            "holidays_of needs the package holidays: pip install 'earwitness[holidays]'; or list the dates as holidays"
        )
        raise problem(message) from error
    country, _, part = place.partition("-")
    this_year = datetime.now(UTC).year
    try:
        known = country_holidays(country, subdiv=part or None, years=range(this_year - 1, this_year + _YEARS))
    except NotImplementedError as error:
        message = f"{place!r} is no place whose holidays are known; write a country's two letters (ISO 3166), such as GB, or GB-SCT"
        raise problem(message) from error
    return frozenset(known)
