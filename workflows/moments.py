"""Which moment a text means: a date and time, a date, a time of day, or a path into the data that holds one of them.

Pure. What has no time zone of its own is read in the given one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from workflows.errors import InputError

PATH = re.compile(r"[^\W\d][\w-]*(\.[\w-]+)*")
CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(:[0-5]\d)?", re.ASCII)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
FORMS = "2026-12-24 08:00, 2026-12-24, or 08:00 for the next time that it is eight"
SAID = 60  # so many characters of a wrong text are repeated


def is_path(text: str) -> bool:
    return PATH.fullmatch(text.strip()) is not None


def moment_of(text: str, now: datetime, zone: str, data: Mapping[str, Any]) -> datetime:
    """In UTC. `now` must be aware; `zone` is a name such as "Europe/Berlin". Raises InputError with the reason."""
    if is_path(text):
        return read(_found(text.strip(), data), now, zone, f"“{text.strip()[:SAID]}” in the data")
    return read(text, now, zone, "“until”")


def read(value: Any, now: datetime, zone: str, what: str = "It") -> datetime:
    """As moment_of(), for the text of a moment itself; `what` is how a refusal calls it."""
    if not isinstance(value, str):
        raise InputError(f"{what} must be text such as {FORMS}, not {_said(value)}.", "until")
    try:
        return _read(value.strip(), now.astimezone(ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{what} is “{value[:SAID]}”, which is no time. Write {FORMS}.", "until") from None


def _read(text: str, now: datetime) -> datetime:
    if clock := CLOCK.fullmatch(text):
        return _next(time.fromisoformat(f"{clock[1]:0>2}:{clock[2]}{clock[3] or ''}"), now)
    if DAY.fullmatch(text):
        return datetime.combine(date.fromisoformat(text), time(), now.tzinfo)
    if not DAY.match(text):  # Python would take 20261224 and 2026-W52-4 as well, which few people can read
        raise ValueError
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=now.tzinfo)


def _next(at: time, now: datetime) -> datetime:
    """Today where that is still to come, else tomorrow: by the clock on the wall, whatever summer time does."""
    today = datetime.combine(now.date(), at, now.tzinfo)
    is_over = today.astimezone(UTC) <= now.astimezone(UTC)
    return datetime.combine(now.date() + timedelta(days=1), at, now.tzinfo) if is_over else today


def _found(path: str, data: Mapping[str, Any]) -> Any:
    value: Any = data
    for name in path.split("."):
        if isinstance(value, list) and name.isdecimal() and int(name[:9]) < len(value):
            value = value[int(name[:9])]
        elif isinstance(value, Mapping) and name in value:
            value = value[name]
        else:
            has = ", ".join(f"“{key}”" for key in list(data)[:12]) or "nothing"
            raise InputError(f"The data has no “{path[:SAID]}”, which should hold the time. It has {has}.", "until")
    return value


def _said(value: Any) -> str:
    named = {type(None): "null", bool: "true or false", dict: "an object", list: "a list"}
    return named.get(type(value), f"the number {value!s:.40}")
