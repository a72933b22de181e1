"""How a value of the data compares with one that somebody wrote down. Pure: no Django; never raises.

Each function answers yes, no, or None: these two cannot be compared. What was typed into a form is text, and is read
as what it is compared with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from workflows.answers import DATE, DECIMAL, NO, WHOLE, YES
from workflows.errors import InputError
from workflows.values import MAX_BITS, parse, same
from workflows.words import as_json, count

SAID = 60  # characters of a value that are repeated in a sentence
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.{0,24}", re.ASCII)
Answer = bool | None


# Reading


def number_of(value: Any) -> int | float | None:
    """A finite number, also one that is written as text."""
    if isinstance(value, str):
        bare = value.strip()
        value = int(bare) if WHOLE.fullmatch(bare) else float(bare) if DECIMAL.fullmatch(bare) else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def moment_of(value: Any, zone: tzinfo) -> date | datetime | None:
    """A date, or a time of a day in UTC; one without a zone is meant in `zone`."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        if DATE.fullmatch(text):
            return date.fromisoformat(text)
        at = datetime.fromisoformat(text) if MOMENT.fullmatch(text) else None
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC) if at else None
    except (ValueError, OverflowError):
        return None


def truth_of(value: Any) -> bool | None:
    if isinstance(value, str):
        bare = value.strip().lower()
        return True if bare in YES else False if bare and bare in NO else None
    return value if isinstance(value, bool) else None


def texts_of(value: Any) -> list[Any]:
    """What may be meant by “one of”: a list, also one that was typed with commas."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        listed = _json(value)
        value = listed if isinstance(listed, list) else value
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str | None:
    """Text, or a number as it is written."""
    if isinstance(value, str):
        return value
    return _digits(value) if number_of(value) is not None else None


def _json(text: Any) -> Any:
    try:
        return parse(text) if isinstance(text, str) else text
    except InputError:
        return None


# Comparing: (what came, what it is compared with, the zone of dates without one)


def equals(came: Any, value: Any, zone: tzinfo) -> Answer:
    if isinstance(came, bool):
        wanted = truth_of(value)
        return None if wanted is None else came is wanted
    if isinstance(came, int | float):
        one, other = number_of(came), number_of(value)
        return None if one is None or other is None else one == other
    if isinstance(came, str):
        return came == (_digits(value) if not isinstance(value, str) else value)
    if isinstance(came, list | dict):
        return _is_same(came, _json(value))
    return False


def _is_same(one: Any, other: Any) -> Answer:
    try:
        return same(one, other)
    except RecursionError:
        return None


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, tzinfo], Answer]:
    def compare(came: Any, value: Any, zone: tzinfo) -> Answer:
        one, other = number_of(came), number_of(value)
        if one is not None and other is not None:
            return holds(one, other)
        return _by_time(came, value, zone, holds)

    return compare


def _timed(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, tzinfo], Answer]:
    return lambda came, value, zone: _by_time(came, value, zone, holds)


def _by_time(came: Any, value: Any, zone: tzinfo, holds: Callable[[Any, Any], bool]) -> Answer:
    """Where one of both is a whole day, days are compared: noon of a day is not after that day."""
    one, other = moment_of(came, zone), moment_of(value, zone)
    if one is None or other is None:
        return None
    if isinstance(one, datetime) and isinstance(other, datetime):
        return holds(one, other)
    first, second = _day(one, zone), _day(other, zone)
    return None if first is None or second is None else holds(first, second)


def _day(at: date | datetime, zone: tzinfo) -> date | None:
    try:
        return at.astimezone(zone).date() if isinstance(at, datetime) else at
    except (ValueError, OverflowError):  # the first or the last day of all
        return None


greater = _ordered(lambda one, other: one > other)
at_least = _ordered(lambda one, other: one >= other)
less = _ordered(lambda one, other: one < other)
at_most = _ordered(lambda one, other: one <= other)
before = _timed(lambda one, other: one < other)
after = _timed(lambda one, other: one > other)


def contains(came: Any, value: Any, zone: tzinfo) -> Answer:
    """Of a text a part, of a list an item, of an object a key."""
    if isinstance(came, list):
        return any(equals(item, value, zone) is True for item in came)
    if isinstance(came, dict):
        return _text(value) in came
    return _of_texts(came, value, lambda text, part: part in text)


def starts_with(came: Any, value: Any, zone: tzinfo) -> Answer:
    return _of_texts(came, value, str.startswith)


def ends_with(came: Any, value: Any, zone: tzinfo) -> Answer:
    return _of_texts(came, value, str.endswith)


def matches(came: Any, value: Any, zone: tzinfo) -> Answer:
    return _of_texts(came, value, _is_like)


def _of_texts(came: Any, value: Any, holds: Callable[[str, str], bool]) -> Answer:
    text, part = _text(came), _text(value)
    return None if text is None or part is None else holds(text, part)


def _is_like(text: str, pattern: str) -> bool:
    """`*` stands for anything. Looks for the pieces one after another: no pattern can make this slow."""
    first, *middle = pattern.split("*")
    if not middle:
        return text == pattern
    last = middle.pop()
    at, end = len(first), len(text) - len(last)
    if not (text.startswith(first) and text.endswith(last)) or at > end:
        return False
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def one_of(came: Any, value: Any, zone: tzinfo) -> Answer:
    return any(equals(came, item, zone) is True for item in texts_of(value))


def is_empty(came: Any, value: Any, zone: tzinfo) -> Answer:
    """Missing, null, blank and empty are the same to whoever needs it; 0 and no are values."""
    return came is None or came in ([], {}) or (isinstance(came, str) and not came.strip())


def is_yes(came: Any, value: Any, zone: tzinfo) -> Answer:
    return truth_of(came) is True


def is_no(came: Any, value: Any, zone: tzinfo) -> Answer:
    return truth_of(came) is False


def _by_length(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, tzinfo], Answer]:
    def compare(came: Any, value: Any, zone: tzinfo) -> Answer:
        wanted = number_of(value)
        is_long = isinstance(came, str | list | dict)
        return holds(len(came), wanted) if is_long and wanted is not None else None

    return compare


long_at_least = _by_length(lambda one, other: one >= other)
long_at_most = _by_length(lambda one, other: one <= other)


# Saying


def said(value: Any) -> str:
    """120, “open”, yes, nothing, a list of 3 items."""
    if isinstance(value, str):
        return f"“{_cut(value)}”" if value else "empty"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return f"a list of {count(len(value), 'item')}" if value else "an empty list"
    if isinstance(value, dict):
        return f"an object of {count(len(value), 'entry')}" if value else "an empty object"
    return "nothing" if value is None else _cut(_digits(value))


def kind_of(value: Any, zone: tzinfo) -> str:
    """The same with its type: text “abc”, the number 18, the date 2026-11-24."""
    if number_of(value) is not None:
        return f"the number {said(value).strip('“”')}"
    if moment_of(value, zone) is not None:
        return f"the date {said(value).strip('“”')}"
    return f"text {said(value)}" if isinstance(value, str) else said(value)


def _digits(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:  # Python refuses to write it out
        return "a number of more than 4,200 digits"
    try:
        return as_json(value)
    except (TypeError, ValueError, RecursionError):
        return "something that cannot be written"


def _cut(text: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in text[: SAID + 1])
    return line if len(line) <= SAID else f"{line[:SAID]}…"
