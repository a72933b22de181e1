"""How times and numbers are said, here and in every page. Pure: no Django, no clock of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

LONG = 100_000  # characters of JSON, beyond which laying it out well is not worth the time
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def duration(ms: float) -> str:
    """1200 -> "1.2 s", 184000 -> "3 m 04 s". What still runs, times.js says."""
    seconds = max(ms, 0) / 1000
    if ms < 1:
        return "<1 ms"
    if ms < 1000:
        return f"{int(ms)} ms"
    if seconds < MINUTE:
        return f"{int(seconds * 10) / 10:g} s"
    whole = int(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} m {whole % MINUTE:02} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02} m"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def age(then: datetime, now: datetime) -> str:
    """How long ago, roughly: "just now", "12 min ago", "3 days ago"."""
    seconds = int((now - then).total_seconds())
    for size, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "min")):
        if seconds >= size:
            many = seconds // size
            return f"{many} {word}{'s' if many != 1 and word != 'min' else ''} ago"
    return "just now" if seconds < 10 else f"{seconds} s ago"


def instant(at: datetime) -> str:
    """For sentences in which no page can say it in the reader's zone: "24 Nov 2026, 12:03:07 UTC"."""
    return f"{at.astimezone(UTC):%d %b %Y, %H:%M:%S} UTC"


def iso(at: datetime) -> str:
    """As browsers read it: UTC, with milliseconds."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def count(number: int, word: str) -> str:
    """count(1, "step") -> "1 step"; count(2000, "entry") -> "2,000 entries"; count(2, "day") -> "2 days"."""
    many = f"{word[:-1]}ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else f"{word}s"
    return f"{number:,} {word if number == 1 else many}"


def as_json(value: Any, indent: str = "", width: int = 88) -> str:
    """JSON as people write it: whatever fits stands on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= width or not isinstance(value, dict | list) or not value:
        return flat
    if len(flat) > LONG:
        return json.dumps(value, ensure_ascii=False, indent=2)
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(str(key), ensure_ascii=False)}: {as_json(value[key], inner)}" for key in value]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + as_json(item, inner) for item in value) + f"\n{indent}]"
