"""Values of one field over many items, made comparable: all numbers, all dates, or all text. Never a mixture."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, tzinfo
from typing import Any, Literal

from workflows import paths
from workflows.comparison import kind_of, moment_of, number_of
from workflows.transform.fields import text_of
from workflows.transform.wrong import wrong

As = Literal["auto", "number", "date", "text"]
MUST = {"number": "a number such as 12.5", "date": "a date such as 2026-11-24 or 2026-11-24 08:00"}


def is_nothing(value: Any) -> bool:
    return value is None or value is paths.MISSING or (isinstance(value, str) and not value.strip())


def comparable(values: Sequence[Any], how: As, zone: tzinfo, name: str) -> list[Any]:
    """Each as something that can be put in order; None for nothing. `name`: the field, in a refusal."""
    if how == "auto":
        how = _what_fits(values, zone)
    read = _reader(how, zone)
    made = []
    for number, value in enumerate(values, 1):
        one = None if is_nothing(value) else read(value)
        if one is None and not is_nothing(value):
            raise wrong(_misfit(values, value, how, number, zone, name), item=number, field=name)
        made.append(one)
    return made


def _what_fits(values: Sequence[Any], zone: tzinfo) -> As:
    """By the first value that is there: the others must be alike."""
    some = [value for value in values if not is_nothing(value)]
    if all(number_of(value) is not None for value in some):
        return "number"
    if all(moment_of(value, zone) is not None for value in some):
        return "date"
    if all(isinstance(value, str) for value in some):
        return "text"
    first = some[0]
    return "number" if number_of(first) is not None and not isinstance(first, str) else "text"


def _reader(how: str, zone: tzinfo) -> Callable[[Any], Any]:
    if how == "number":
        return number_of
    if how == "date":
        return lambda value: _instant(value, zone)
    return lambda value: None if isinstance(value, list | dict) else sortable(text_of(value))


def _instant(value: Any, zone: tzinfo) -> datetime | None:
    at = moment_of(value, zone)
    return datetime.combine(at, time(), zone) if isinstance(at, date) and not isinstance(at, datetime) else at


def sortable(text: str) -> tuple[str, str]:
    """As people look things up: without regard to case and accents, and by these where nothing else differs."""
    plain = text if text.isascii() else "".join(c for c in unicodedata.normalize("NFKD", text) if not _is_accent(c))
    return plain.casefold(), text


def _is_accent(letter: str) -> bool:
    return unicodedata.combining(letter) != 0


def _misfit(values: Sequence[Any], value: Any, how: str, number: int, zone: tzinfo, name: str) -> str:
    of = f"“{name}”" if name else "It"
    must = MUST.get(how, "text or a number")
    text = f"Item {number:,}: {of} is {kind_of(value, zone)}; expected {must}"
    return (
        f"{text}, as in the items before it. Choose “as text” to compare them nevertheless."
        if number > 1
        else f"{text}."
    )


def alike(value: Any) -> Any:
    """A key that is equal where the values are, as JSON has it: 1 is 1.0, and neither is true or “1”."""
    if isinstance(value, bool) or value is None:
        return value is None, value, "b"
    if isinstance(value, int | float):
        return value, "n"
    if isinstance(value, str):
        return value
    return None if value is paths.MISSING else (json.dumps(value, sort_keys=True), "j")


def matching(value: Any) -> str | None:
    """A key for joins: a number and the text of it match, as one list often comes from CSV. Nothing matches nothing."""
    if is_nothing(value):
        return None
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
