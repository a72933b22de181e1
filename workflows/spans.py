"""Spans of time as people type and read them: “30 min”, “2 h 15 min”, “1 day”. Pure."""

from __future__ import annotations

import re

UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
PART = re.compile(r"(\d{1,9}(?:[.,]\d{1,3})?)\s*([a-z]+)", re.ASCII)
LONGEST_S = 366 * 86_400


def seconds(text: str) -> int | None:
    """Whole seconds; None for an empty text. Raises ValueError with a sentence."""
    typed = text.strip().lower()
    if not typed:
        return None
    parts = PART.findall(typed)
    if not parts or PART.sub("", typed).replace(",", "").replace("and", "").strip():
        unit = " Say the unit too." if typed.replace(".", "").isdigit() else ""
        raise ValueError(
            f"“{text.strip()[:60]}” is no length of time.{unit} Write it like 45 s, 30 min, 2 h 15 min or 3 d."
        )
    unknown = next((word for _, word in parts if word not in WORDS), None)
    if unknown:
        raise ValueError(f"“{unknown[:20]}” is no unit of time: use s, min, h, d or w.")
    total = round(sum(float(number.replace(",", ".")) * UNITS[WORDS[word]] for number, word in parts))
    if not 1 <= total <= LONGEST_S:
        raise ValueError("It must be between 1 s and 366 d.")
    return total


def said(whole: int | None) -> str:
    """As it is typed: 5400 -> "1 h 30 min"; "" for None."""
    if whole is None:
        return ""
    parts = []
    for unit in ("d", "h", "min", "s"):
        many, whole = divmod(whole, UNITS[unit])
        parts += [f"{many} {unit}"] if many else []
    return " ".join(parts) or "0 s"
