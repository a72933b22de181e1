"""Which statuses are expected: “2xx”, “200, 404”, “200-299”. Pure."""

from __future__ import annotations

import re

STATUS = r"[1-5]\d\d"
PART = re.compile(rf"(?P<family>[1-5])xx|(?P<first>{STATUS})(\s*-\s*(?P<last>{STATUS}))?", re.IGNORECASE)

Ranges = tuple[range, ...]


def parse(text: str) -> Ranges:
    """Raises ValueError with a sentence."""
    parts = [part.strip() for part in text.split(",")]
    return tuple(map(_range, parts))


def _range(part: str) -> range:
    found = PART.fullmatch(part)
    if not found:
        raise ValueError(f"Expected statuses are written like 2xx, 200-299 or 200, 404; “{part[:40]}” is none.")
    if family := found["family"]:
        return range(int(family) * 100, int(family) * 100 + 100)
    first, last = int(found["first"]), int(found["last"] or found["first"])
    if last < first:
        raise ValueError(f"Expected statuses: {last} comes before {first}.")
    return range(first, last + 1)
