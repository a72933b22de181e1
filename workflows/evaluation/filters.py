"""The filters that expressions have beside the engine's own, and how a value stands in a text. No clock, no chance.

Each has a limit of its own. The words of a refusal never hold the value.
"""

from __future__ import annotations

import calendar
import json
import math
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from workflows.evaluation.frozen import frozen, rows

LONGEST_FORMAT, LONGEST_SLUG, LONGEST_JSON = 100, 200, 1024 * 1024
MOST_YEARS = 9_999
DATE_CODES = re.compile(r"(?:[^%]|%-?[aAbBdHIjmMpSyYfzFTuVGWU]|%%)*")
OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


class Refused(Exception):
    """What a filter cannot do, as a sentence."""

    def __init__(self, name: str, sentence: str) -> None:
        self.name = name
        super().__init__(sentence)


def text(value: Any) -> str:
    """As it stands in a text: JSON, but text as it is, and null as nothing."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("", "The result is no finite number.")
    return _json("", value)


def _date(value: Any = None, format: str = "%Y-%m-%d", tz: str = "") -> str:
    if not isinstance(format, str) or len(format) > LONGEST_FORMAT or not DATE_CODES.fullmatch(format):
        raise Refused("date", "The format of “date” is made of codes such as %d.%m.%Y %H:%M, at most 100 characters.")
    moment = _moment("date", value)
    return (moment if not tz else moment.astimezone(_zone(tz))).strftime(format)


def _shift(value: Any = None, **by: Any) -> str:
    allowed = {"years", "months", "weeks", "days", "hours", "minutes", "seconds"}
    if not by or not by.keys() <= allowed or not all(_is_number(n) for n in by.values()):
        raise Refused("shift", "“shift” takes numbers, such as shift(days=3, hours=-2); also years, months, weeks.")
    moment = _moment("shift", value)
    months = 12 * by.pop("years", 0) + by.pop("months", 0)
    try:
        moved = _by_months(moment, months) + timedelta(**by)
    except (OverflowError, ValueError):
        raise Refused("shift", "“shift” leaves the years 1 to 9999.") from None
    is_day = isinstance(value, str) and len(value) == 10 and moved.time() == moment.time()
    return moved.date().isoformat() if is_day else moved.isoformat()


def _by_months(moment: datetime, months: float) -> datetime:
    if months != int(months) or abs(months) > 12 * MOST_YEARS:
        raise Refused("shift", "“shift” takes whole years and months.")
    at = moment.year * 12 + moment.month - 1 + int(months)
    year, month = at // 12, at % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


def _from_json(value: Any = None) -> Any:
    if not isinstance(value, str) or len(value) > LONGEST_JSON:
        raise Refused("from_json", "“from_json” takes a text of at most 1 MiB.")
    try:
        made = json.loads(value, object_hook=frozen)
    except (ValueError, RecursionError):
        raise Refused("from_json", "“from_json” got a text that is no JSON.") from None
    return rows(made) if type(made) is list else made


def _to_json(value: Any = None, indent: Any = None) -> str:
    if indent is not None and (not _is_number(indent) or not 0 <= indent <= 8):
        raise Refused("to_json", "The indent of “to_json” is a number from 0 to 8.")
    return _json("to_json", value, None if indent is None else int(indent))


def _json(name: str, value: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, default=listed)
    except (ValueError, RecursionError):
        raise Refused(name, "A number here is not finite, or the value is nested too deeply for JSON.") from None


def listed(value: Any) -> Any:
    """What JSON has no form for: the pairs of an object are a list, anything else is no value."""
    if type(value).__name__ in ("dict_items", "dict_keys", "dict_values", "Rows"):
        return list(value)
    raise Refused("", "The result is no value, but a function or something like it.")


def _slug(value: Any = None, length: Any = LONGEST_SLUG) -> str:
    if not isinstance(value, str | int | float) or not _is_number(length):
        raise Refused("slug", "“slug” takes a text.")
    plain = unicodedata.normalize("NFKD", str(value)[: 4 * LONGEST_SLUG].replace("ß", "ss"))
    words = re.findall(r"[a-z0-9]+", plain.encode("ascii", "ignore").decode().lower())
    return "-".join(words)[: max(1, min(int(length), LONGEST_SLUG))].strip("-")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _moment(name: str, value: Any) -> datetime:
    """A date or a time as ISO has it, or seconds since 1970 (UTC)."""
    try:
        if _is_number(value):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and len(value) <= 40:
            return datetime.fromisoformat(value.strip())
    except (ValueError, OverflowError, OSError):
        pass
    raise Refused(name, f"“{name}” takes a date such as 2026-11-24 or 2026-11-24T12:30:00Z, or seconds since 1970.")


def _zone(tz: Any) -> timezone:
    found = OFFSET.fullmatch(tz) if isinstance(tz, str) else None
    if tz in ("UTC", "Z"):
        return UTC
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        raise Refused("date", "The tz of “date” is an offset such as +02:00, or UTC.")
    return timezone((1 if found[1] == "+" else -1) * timedelta(hours=int(found[2]), minutes=int(found[3])))


FILTERS: dict[str, Callable[..., Any]] = {
    "date": _date,
    "shift": _shift,
    "from_json": _from_json,
    "to_json": _to_json,
    "tojson": _to_json,
    "slug": _slug,
}

# The engine's own that stay. `format`, `indent`, `batch`, `slice` and `pprint` make anything large out of nothing.
ENGINE = (
    *("abs", "attr", "bool", "capitalize", "chain", "count", "d", "default", "dictsort", "e", "escape"),
    *("filesizeformat", "first", "float", "groupby", "int", "items", "join", "last", "length", "lines", "list"),
    *("lower", "map", "max", "min", "pluralize", "reject", "rejectattr", "replace", "reverse", "round"),
    *("select", "selectattr", "sort", "split", "string", "striptags", "sum", "title", "trim", "truncate", "unique"),
    *("upper", "urlencode", "wordwrap", "zip"),
)
NAMES = (*FILTERS, *ENGINE)
