"""What is given for a declared field: its text in a form, its value in JSON, and the sentence where it does not fit.

Pure. All rules stand in `problem`; reading a text never judges: what it cannot read stays a text, and is judged there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Protocol

from workflows import words
from workflows.errors import InputError
from workflows.values import parse, require

NAMED = 8  # so many choices are named in a sentence
SAID = 60  # so many characters of a wrong value are repeated
WHOLE = re.compile(r"[+-]?\d{1,4000}", re.ASCII)
DECIMAL = re.compile(r"[+-]?(\d{1,400}\.?\d{0,400}|\.\d{1,400})([eE][+-]?\d{1,4})?", re.ASCII)
COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
YES, NO = ("on", "true", "yes", "1"), ("", "off", "false", "no", "0")


class Asked(Protocol):
    """What is needed of a field."""

    @property
    def title(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def choices(self) -> list[str]: ...


# Text


def value_of(field: Asked, text: str) -> Any:
    """What a form's text means; None for an empty one. Raises InputError for what is no JSON."""
    bare = text.strip()
    if field.type == "boolean":
        return True if bare.lower() in YES else False if bare.lower() in NO else text
    if not bare:
        return None
    match field.type:
        case "number":
            return _number(bare, text)
        case "json":
            return parse(text)
        case "date":
            return bare
        case _:
            return text.replace("\r\n", "\n")


def _number(bare: str, text: str) -> int | float | str:
    if WHOLE.fullmatch(bare):
        return int(bare)
    return float(bare) if DECIMAL.fullmatch(bare) else text


def text_of(field: Asked, value: Any) -> str:
    """How a value stands in a form: value_of() gives it back."""
    if value is None:
        return ""
    if field.type == "boolean" and isinstance(value, bool):
        return "on" if value else ""
    return value if isinstance(value, str) and field.type != "json" else words.as_json(value)


# Judgement


def problem(field: Asked, value: Any) -> str | None:
    """What is wrong with a value, as a sentence that names the field; None where nothing is."""
    is_blank = isinstance(value, str) and field.type != "json" and not value.strip()
    if value is None or (is_blank and (field.required or field.type == "text")):
        return f"“{field.title}” is required." if field.required else None
    if expected := _expected(field, value):
        return f"“{field.title}” must be {expected}, not {_said(value)}{_hint(field, value)}."
    return _unkeepable(field, value)


def _expected(field: Asked, value: Any) -> str:
    """What is asked for, where the value is something else."""
    match field.type:
        case "text":
            return "" if isinstance(value, str) else "text"
        case "number":
            return "" if _is_number(value) else "a number such as 3 or 3.5"
        case "boolean":
            return "" if isinstance(value, bool) else "yes or no (true or false)"
        case "choice":
            return "" if value in field.choices else _any_of(field.choices)
        case "date":
            return "" if _is_date(value) else "a date such as 2026-11-24"
        case _:
            return ""


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or not DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _any_of(choices: Sequence[str]) -> str:
    more = len(choices) - NAMED
    named = ", ".join(f"“{choice[:SAID]}”" for choice in choices[:NAMED])
    return f"{'one of ' if len(choices) > 1 else ''}{named}{f' and {more} more' if more > 0 else ''}"


def _said(value: Any) -> str:
    """The value as the one who gave it knows it, cut where it is long."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = value if isinstance(value, str) else words.as_json(value)
    cut = text if len(text) <= SAID else f"{text[:SAID]}…"
    return f"“{cut}”" if isinstance(value, str) else cut


def _hint(field: Asked, value: Any) -> str:
    """What one may have meant."""
    if not isinstance(value, str):
        return ""
    bare = value.strip()
    if field.type == "number" and COMMA.fullmatch(bare):
        return f": write {bare.replace(',', '.')} with a point"
    if field.type == "number" and not isinstance(_number(bare, value), str):
        return ", which is text: leave out the quotes"
    if field.type == "boolean" and bare.lower() in ("true", "false"):
        return ", which is text: leave out the quotes"
    if field.type == "date" and DATE.fullmatch(bare):
        return ", which is no day of the calendar"
    return ""


def _unkeepable(field: Asked, value: Any) -> str | None:
    try:
        require(value, f"“{field.title}”")
    except InputError as error:
        return error.message
    return None
