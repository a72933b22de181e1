"""Dates and times: read from the forms that people and systems write, moved, compared, and written down.

A day stays a day ("2026-11-24") while only days are counted; anything else is a time with its offset. What has no zone
is read in the given one, and no clock is asked: `now` comes in.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from workflows.comparison import number_of, said
from workflows.transform.wrong import wrong

Unit = Literal["seconds", "minutes", "hours", "days", "weeks", "months", "years"]
SECONDS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400, "weeks": 604_800}
FORMS = "2026-11-24, 2026-11-24 08:00, 2026-11-24T08:00:00Z, Tue, 24 Nov 2026 08:00:00 GMT, or seconds since 1970"
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
MILLISECONDS = 100_000_000_000  # from here on, a number counts milliseconds: as seconds it would be the year 5138
Moment = date | datetime


def moment(value: Any, zone: ZoneInfo, now: datetime) -> Moment:
    """A day, or a time in `zone`. Raises WorkflowStepError."""
    if isinstance(value, str) and value.strip().lower() == "now":
        return now.astimezone(zone)
    made = _read(value, zone)
    if made is None:
        raise wrong(f"Expected a date such as {FORMS}; it is {said(value)}. Other forms: “Date: read by a pattern”.")
    return made


def _read(value: Any, zone: ZoneInfo) -> Moment | None:
    try:
        if (number := number_of(value)) is not None:
            seconds = number / 1_000 if abs(number) >= MILLISECONDS else number
            return datetime.fromtimestamp(seconds, UTC).astimezone(zone)
        if not isinstance(value, str) or len(value) > 100:
            return None
        text = value.strip()
        if DAY.fullmatch(text):
            return date.fromisoformat(text)
        at = datetime.fromisoformat(text) if DAY.match(text) else parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(zone)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def written(at: Moment) -> str:
    """As JSON has it: 2026-11-24, or 2026-11-24T08:00:00+01:00."""
    return at.isoformat()


def as_time(at: Moment, zone: ZoneInfo) -> datetime:
    return at if isinstance(at, datetime) else datetime.combine(at, time(), zone)


def shifted(at: Moment, amount: float, unit: Unit, zone: ZoneInfo) -> Moment:
    """Days and more by the calendar, so that eight o'clock stays eight o'clock; hours and less by the clock.

    From the 31st, a month later is the last day of a shorter month.
    """
    try:
        if unit in ("months", "years"):
            return _by_months(at, _whole(amount, unit) * (12 if unit == "years" else 1))
        if unit in ("days", "weeks") and float(amount).is_integer():
            return at + timedelta(**{unit: amount})
        moved = as_time(at, zone).astimezone(UTC) + timedelta(seconds=amount * SECONDS[unit])
        return moved.astimezone(zone)
    except (ValueError, OverflowError):
        raise wrong(
            f"{written(at)} and {amount:,g} {unit} lead out of the calendar: years go from 1 to 9999."
        ) from None


def _whole(amount: float, unit: str) -> int:
    if not float(amount).is_integer():
        raise wrong(f"Expected a whole number of {unit}; it is {amount}.")
    return int(amount)


def _by_months(at: Moment, months: int) -> Moment:
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    if not 1 <= year <= 9_999:
        raise OverflowError
    return at.replace(year=year, month=month + 1, day=min(at.day, calendar.monthrange(year, month + 1)[1]))


def between(first: Moment, second: Moment, unit: Unit, zone: ZoneInfo) -> int | float:
    """How many from the first to the second; less than nothing where the second is earlier. Months and years: whole."""
    if unit in ("months", "years"):
        months = _months(as_time(first, zone), as_time(second, zone))
        return months if unit == "months" else int(months / 12)
    if not isinstance(first, datetime) and not isinstance(second, datetime) and unit in ("days", "weeks"):
        return _plain((second - first).days / (7 if unit == "weeks" else 1))
    one, other = as_time(first, zone).astimezone(UTC), as_time(second, zone).astimezone(UTC)
    return _plain((other - one).total_seconds() / SECONDS[unit])


def _plain(number: float) -> int | float:
    return int(number) if float(number).is_integer() else round(number, 6)


def _months(one: datetime, other: datetime) -> int:
    if other < one:
        return -_months(other, one)
    months = (other.year - one.year) * 12 + other.month - one.month
    return months - (1 if months and _by_months(one, months) > other else 0)


def start(at: Moment, unit: Unit, zone: ZoneInfo) -> Moment:
    """The beginning of its hour, day, week (Monday), month or year."""
    if unit in ("seconds", "minutes", "hours"):
        whole = as_time(at, zone).replace(microsecond=0)
        return whole.replace(
            second=0 if unit != "seconds" else whole.second, minute=0 if unit == "hours" else whole.minute
        )
    day = at.astimezone(zone).date() if isinstance(at, datetime) else at
    first = {
        "days": day,
        "weeks": date.fromordinal(max(1, day.toordinal() - day.weekday())),
        "months": day.replace(day=1),
        "years": day.replace(month=1, day=1),
    }[unit]
    return datetime.combine(first, time(), zone) if isinstance(at, datetime) else first


def end(at: Moment, unit: Unit, zone: ZoneInfo) -> Moment:
    """The last day of it, or its last microsecond."""
    first = start(at, unit, zone)
    if isinstance(first, datetime):
        return shifted(first, 1, unit, zone) - timedelta(microseconds=1)
    return shifted(first, 1, unit, zone) - timedelta(days=1)


def parts(at: Moment, zone: ZoneInfo) -> dict[str, Any]:
    whole = as_time(at, zone)
    return {
        **{name: getattr(whole, name) for name in ("year", "month", "day", "hour", "minute", "second")},
        "weekday": whole.isoweekday(),
        "weekday_name": calendar.day_name[whole.weekday()],
        "month_name": calendar.month_name[whole.month],
        "week": whole.isocalendar().week,
        "day_of_year": whole.timetuple().tm_yday,
        "quarter": (whole.month + 2) // 3,
        "is_weekend": whole.isoweekday() > 5,
        "timestamp": int(whole.timestamp()),
        "zone": str(zone),
    }


# Patterns: yyyy-MM-dd HH:mm

TOKEN = re.compile(r"'([^']*)'|(yyyy|yy|MMMM|MMM|MM|M|dd|d|EEEE|EEE|HH|H|hh|h|mm|m|ss|s|SSS|a|xxx|z)|(.)", re.DOTALL)
WRITE: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda at: f"{at.year:04}",
    "yy": lambda at: f"{at.year % 100:02}",
    "MMMM": lambda at: calendar.month_name[at.month],
    "MMM": lambda at: calendar.month_abbr[at.month],
    "MM": lambda at: f"{at.month:02}",
    "M": lambda at: f"{at.month}",
    "dd": lambda at: f"{at.day:02}",
    "d": lambda at: f"{at.day}",
    "EEEE": lambda at: calendar.day_name[at.weekday()],
    "EEE": lambda at: calendar.day_abbr[at.weekday()],
    "HH": lambda at: f"{at.hour:02}",
    "H": lambda at: f"{at.hour}",
    "hh": lambda at: f"{at.hour % 12 or 12:02}",
    "h": lambda at: f"{at.hour % 12 or 12}",
    "mm": lambda at: f"{at.minute:02}",
    "m": lambda at: f"{at.minute}",
    "ss": lambda at: f"{at.second:02}",
    "s": lambda at: f"{at.second}",
    "SSS": lambda at: f"{at.microsecond // 1_000:03}",
    "a": lambda at: "AM" if at.hour < 12 else "PM",
    "xxx": lambda at: at.isoformat()[-6:],
    "z": lambda at: at.tzname() or "",
}
DIGITS = {"yyyy": 4, "yy": 2, "MM": 2, "dd": 2, "HH": 2, "hh": 2, "mm": 2, "ss": 2, "SSS": 3}
NAMES = {
    "MMMM": [name.lower() for name in calendar.month_name],
    "MMM": [name.lower() for name in calendar.month_abbr],
}


def formatted(at: Moment, pattern: str, zone: ZoneInfo) -> str:
    """By a pattern such as dd.MM.yyyy HH:mm; text between apostrophes stands as it is."""
    whole = as_time(at, zone)
    return "".join(
        WRITE[token](whole) if token else quoted or plain or "'" for quoted, token, plain in TOKEN.findall(pattern)
    )


def read_by(text: Any, pattern: str, zone: ZoneInfo) -> Moment:
    """A day where the pattern has no hour. Raises WorkflowStepError where the text is not like the pattern."""
    misfit = wrong(f"Expected a date like “{pattern[:60]}”; it is {said(text)}.")
    if not isinstance(text, str | int) or isinstance(text, bool):
        raise misfit
    tokens = [token for _, token, _ in TOKEN.findall(pattern) if token]
    found = re.fullmatch("".join(map(_expression, TOKEN.findall(pattern))), str(text).strip()[:200], re.IGNORECASE)
    if not found:
        raise misfit
    try:
        return _made(dict(zip(tokens, found.groups(), strict=True)), zone)
    except (ValueError, OverflowError):
        raise misfit from None


def _expression(piece: tuple[str, str, str]) -> str:
    quoted, token, plain = piece
    if not token:
        return re.escape(quoted or plain)
    if token in DIGITS:
        return f"([0-9]{{{DIGITS[token]}}})"
    if token in NAMES or token in ("EEEE", "EEE"):
        return r"([^\W\d]{3,9})"
    return {"a": "([ap]m)", "xxx": "([+-][0-9]{2}:?[0-9]{2}|z)", "z": "([A-Za-z]{1,5})"}.get(token, "([0-9]{1,2})")


def _made(found: dict[str, str], zone: ZoneInfo) -> Moment:
    number = {token: int(text) for token, text in found.items() if text.isascii() and text.isdigit()}
    year = number.get("yyyy") or 2_000 + number["yy"] if "yyyy" in number or "yy" in number else None
    month = number.get("MM") or number.get("M") or _named(found)
    if year is None or month is None:
        raise ValueError
    day = date(year, month, number.get("dd") or number.get("d") or 1)
    if not {"HH", "H", "hh", "h"} & found.keys():
        return day
    clock = time(_hour(number, found), number.get("mm", number.get("m", 0)), number.get("ss", number.get("s", 0)))
    at = datetime.combine(day, clock).replace(microsecond=number.get("SSS", 0) * 1_000)
    offset = found.get("xxx", "")
    if not offset:
        is_utc = found.get("z", "").upper() in ("UTC", "GMT", "Z")
        return at.replace(tzinfo=UTC if is_utc else zone).astimezone(zone)
    return datetime.fromisoformat(f"{at.isoformat()}{'+00:00' if offset in 'zZ' else offset}").astimezone(zone)


def _named(found: dict[str, str]) -> int | None:
    for token, names in NAMES.items():
        if token in found:
            return names.index(found[token].lower())
    return None


def _hour(number: dict[str, int], found: dict[str, str]) -> int:
    if "HH" in number or "H" in number:
        return number.get("HH", number.get("H", 0))
    hour = number.get("hh", number.get("h", 0))
    if "a" not in found:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError
    return hour % 12 + (12 if found["a"].lower() == "pm" else 0)


def wrong_pattern(pattern: str) -> str:
    """What is wrong with it, as the end of a sentence; a letter that means nothing would be written as it is."""
    unknown = next((c for _, _, c in TOKEN.findall(pattern) if c.isascii() and (c.isalpha() or c == "%")), "")
    if unknown:
        return (
            f"“{unknown}” means nothing in “{pattern[:60]}”; expected a pattern such as yyyy-MM-dd HH:mm, and other "
            "letters between apostrophes"
        )
    return "" if pattern.strip() else "expected a pattern such as dd.MM.yyyy HH:mm"
