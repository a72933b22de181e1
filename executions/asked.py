"""What somebody asks of the list of executions, as it stands in the address. Pure: it reads no row.

Nothing that is typed is an error page: what cannot be understood becomes a sentence in `problems` and filters nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import parse_qsl, urlencode

#: The tabs: the word in the address -> the states behind it. What has not begun yet stands with what runs.
TABS = {
    "": (),
    "running": ("pending", "running"),
    "waiting": ("waiting",),
    "failed": ("failed",),
    "completed": ("completed",),
    "cancelled": ("cancelled",),
}
#: The ranges of time: the word in the address -> how far back, and how it is said.
RANGES = {
    "hour": (timedelta(hours=1), "the last hour"),
    "day": (timedelta(days=1), "the last 24 hours"),
    "week": (timedelta(days=7), "the last 7 days"),
}
BETWEEN = "between"
LONG = 200  # characters of any text in the address


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the address, cleaned. `before` and `after`: where a page ends or begins; None: the newest."""

    status: str = ""
    q: str = ""
    workflow: int | None = None
    by: str = ""
    when: str = ""
    since: str = ""
    until: str = ""
    before: int | None = None
    after: int | None = None

    @property
    def number(self) -> int | None:
        """“#41” or “41”: an execution's number."""
        found = re.fullmatch(r"#?\s*([0-9]{1,18})", self.q)
        return int(found[1]) if found else None

    @property
    def text(self) -> str:
        """What the error must contain; quotes make a text of a number."""
        quoted = re.fullmatch(r'"(.+)"', self.q)
        return quoted[1] if quoted else "" if self.number is not None else self.q

    @property
    def states(self) -> tuple[str, ...]:
        return TABS[self.status]

    @property
    def is_narrowed(self) -> bool:
        """By more than a tab."""
        return bool(self.q or self.workflow is not None or self.by or self.when)

    @property
    def unnarrowed(self) -> str:
        return Asked(status=self.status).address

    @property
    def is_newest(self) -> bool:
        return self.before is None and self.after is None

    @property
    def problems(self) -> list[str]:
        """What was typed and cannot be understood, each with what would be."""
        if self.when != BETWEEN:
            return []
        typed = {"From": self.since, "To": self.until}
        wrong = [
            f"{label}: “{text}” is not a date. Write it like 2026-11-24."
            for label, text in typed.items()
            if text and _day(text) is None
        ]
        begin, end = _day(self.since), _day(self.until)
        return (
            [*wrong, "From is later than To, so nothing can lie between them."]
            if begin and end and begin > end
            else wrong
        )

    def span(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """From (inclusive) and to (exclusive), in UTC."""
        if self.when in RANGES:
            return now - RANGES[self.when][0], None
        begin, end = (_day(self.since), _day(self.until)) if self.when == BETWEEN else (None, None)
        return _midnight(begin), _midnight(end + timedelta(days=1) if end and end < date.max else None)

    def said(self, workflow: str = "") -> list[str]:
        """Every filter in words, for the page that found nothing."""
        told = [
            f"{'not begun or running' if self.status == 'running' else self.status}" if self.status else "",
            f"“{self.text}” in the error" if self.text else "",
            f"number {self.number}" if self.number is not None else "",
            f"of {workflow or 'one workflow'}" if self.workflow is not None else "",
            f"started by {self.by}" if self.by else "",
            f"in {RANGES[self.when][1]}" if self.when in RANGES else "",
            f"from {self.since}" if self.when == BETWEEN and self.since else "",
            f"until {self.until}" if self.when == BETWEEN and self.until else "",
        ]
        return [words for words in told if words]

    def but(self, **changes: object) -> Asked:
        return replace(self, **changes)  # type: ignore[arg-type]

    def to_tab(self, status: str) -> Asked:
        return self.first_page.but(status=status)

    @property
    def first_page(self) -> Asked:
        return self.but(before=None, after=None)

    @property
    def address(self) -> str:
        """ "?status=failed&workflow=3", the shortest that asks the same."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return "?" + urlencode({name: value for name, value in told.items() if value not in ("", None)})

    def to(self, **changes: object) -> str:
        """The address of the same question with these changes, from its first page."""
        return self.first_page.but(**changes).address


def asked(words: Mapping[str, str]) -> Asked:
    """From the words of an address (a QueryDict), whatever stands in it."""
    status, when = words.get("status", ""), words.get("when", "")
    return Asked(
        status="running" if status == "pending" else status if status in TABS else "",
        q=_text(words.get("q", "")),
        workflow=_number(words.get("workflow", "")),
        by=_text(words.get("by", "")),
        when=when if when in RANGES or when == BETWEEN else "",
        since=_text(words.get("since", "")),
        until=_text(words.get("until", "")),
        before=_number(words.get("before", "")),
        after=_number(words.get("after", "")),
    )


def asked_at(address: str) -> Asked:
    """From the part of an address behind its “?”, as a page or a form says it; of any length and with any signs."""
    return asked(dict(parse_qsl(address.removeprefix("?")[:2_000])))


def _text(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()[:LONG]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) if day else None
