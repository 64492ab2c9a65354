"""Numbers of payment cards in a text, however they are grouped: found by their check digit, cut down to the last four digits.

It takes time in proportion to the text, whatever the text is.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from earwitness.transport.remembering import remembering

MASK = "***"

_SHORTEST, _LONGEST = 13, 19  # digits of a card number (ISO/IEC 7812-1)
_PHONE = 15  # digits of the longest international telephone number (ITU-T E.164)
_NARROW = (
    r"[ +\-\u00a0\u2000-\u200b\u2010-\u2015\u202f\u2212\u3000]"
    r"|%20|%2D|%C2%A0|%E2%80%[89][0-9A-F]|&(?:nbsp|thinsp|ensp|emsp|ndash|mdash|#160|#xA0|#820[1-9]|#821[0-3]);"
    r"|\\u00a0|\\u20[01][0-9a-f]"
)
"""What people, forms and pages write between the groups of a card number."""
_WIDE = r"[./_\t]|\r?\n|\\t|(?:\\r)?\\n|%09|(?:%0D)?%0A"
"""What also stands between other numbers (dates, versions, addresses, columns): only groups as cards have them go on after it."""
_RUN = re.compile(rf"(?<!\d)\d(?:(?:{_NARROW}|{_WIDE})?\d){{{_SHORTEST - 1},}}+", re.IGNORECASE)
_GROUP = re.compile(
    rf"(\d+)(?:{_NARROW}|{_WIDE})?", re.IGNORECASE
)  # with its gap, in whose spelling there may be digits
_WIDE_GAP = re.compile(_WIDE, re.IGNORECASE)
_BEFORE_PHONE = re.compile(r"""(?:^|[\s"'(:,>\[])\+$""")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # a digit times two, less nine where it is more


@dataclass(frozen=True, slots=True)
class _Groups:
    """Groups of digits in a row that may belong together, with their places in the text."""

    places: list[tuple[int, int]]
    digits: str
    phone: bool = False  # whether the row begins as an international telephone number
    fraction: bool = False  # whether its first group follows a decimal point


def passes_luhn(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    numbers = [int(digit) for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10 == 0


@remembering
def mask_cards(text: str) -> str:
    """Return the text with every number that can be a payment card's cut down to its last four digits."""
    parts: list[str] = []
    kept = 0
    for run in _RUN.finditer(text):
        for groups in _groups(text, *run.span()):
            for start, end in _cards(groups):
                shown = "".join(found[1] for found in _GROUP.finditer(text, start, end))[-4:]
                parts += [text[kept:start], MASK, shown]
                kept = end
    return "".join([*parts, text[kept:]]) if parts else text


def _groups(text: str, start: int, end: int) -> Iterator[_Groups]:
    """Yield the groups of a run, apart where what is between them says that they are several numbers."""
    row: list[tuple[int, int]] = []
    begin = 0
    places = [found.span(1) for found in _GROUP.finditer(text, start, end)]
    for place in range(1, len(places) + 1):
        if place == len(places) or not _together(text, places[place - 1], places[place]):
            row = places[begin:place]
            before = text[max(0, row[0][0] - 2) : row[0][0]]
            yield _Groups(
                row,
                "".join(text[slice(*span)] for span in row),
                phone=_BEFORE_PHONE.search(before) is not None,
                fraction=len(before) > 1 and before[1] == "." and before[0].isdigit(),
            )
            begin = place


def _together(text: str, one: tuple[int, int], other: tuple[int, int]) -> bool:
    if not _WIDE_GAP.fullmatch(text, one[1], other[0]):
        return True
    return one[1] - one[0] in (4, 6) and 3 <= other[1] - other[0] <= 7


def _cards(groups: _Groups) -> Iterator[tuple[int, int]]:
    """Yield where cards begin and end: groups in a row that make 13 to 19 digits with a right check digit, the longest such."""
    if len(groups.digits) < _SHORTEST:
        return
    ends = list(accumulate((end - start for start, end in groups.places), initial=0))
    sums = _luhn_sums(groups.digits)
    first = 1 if groups.fraction else 0
    while first < len(groups.places):
        last = _last_group(ends, sums, first, at_least=_PHONE + 1 if groups.phone and first == 0 else _SHORTEST)
        if last is None:
            first += 1
            continue
        yield groups.places[first][0], groups.places[last][1]
        first = last + 1


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """Return the running sums of the digits, those at odd places doubled, and those at even places doubled."""
    odd = [int(digit) for digit in digits]
    even = odd.copy()
    odd[1::2] = [_DOUBLED[digit] for digit in odd[1::2]]
    even[::2] = [_DOUBLED[digit] for digit in even[::2]]
    return list(accumulate(odd, initial=0)), list(accumulate(even, initial=0))


def _last_group(ends: list[int], sums: tuple[list[int], list[int]], first: int, *, at_least: int) -> int | None:
    """Return the group with which a card number ends that begins with the group `first`, the longest of them."""
    begin, found = ends[first], None
    for last in range(bisect_left(ends, begin + at_least), len(ends)):
        if ends[last] - begin > _LONGEST:
            break
        running = sums[(ends[last] - 1) % 2]  # the last digit itself is never doubled
        if (running[ends[last]] - running[begin]) % 10 == 0:
            found = last - 1
    return found
