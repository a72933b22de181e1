"""pydantic's errors in plain words: which setting, what it must be, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

#: By pydantic's error type; {…} are the limits that the error carries.
MUST = {
    "missing": "is required",
    "string_type": "must be text",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "may have at most {max_length} characters",
    "string_pattern_mismatch": "must look like {pattern}",
    "bool_type": "must be yes or no",
    "bool_parsing": "must be yes or no",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "list_type": "must be a list",
    "dict_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "too_short": "needs at least {min_length} items",
    "too_long": "may have at most {max_length} items",
}


def sentence(error: Mapping[str, Any]) -> str:
    """“Seconds must be a number; it is “soon”.” A message that a Config's own validator wrote stands as it is."""
    if error["type"] == "value_error":
        return str(error.get("ctx", {}).get("error") or error["msg"])
    if error["type"] == "field":  # of workflows/fields.py
        return f"{named(error['loc'])}: {error['msg']}."
    must = MUST.get(error["type"])
    words = must.format_map(error.get("ctx", {})) if must else f"is wrong: {error['msg']}"
    has = "" if error["type"] == "missing" else f"; it is {_quoted(error['input'])}"
    return f"{named(error['loc'])} {words}{has}."


def named(loc: tuple[Any, ...]) -> str:
    """("fields", 0, "help_text") -> "Fields 1, help text"."""
    words = [str(part + 1) if isinstance(part, int) else part.replace("_", " ") for part in loc]
    text = "".join(f" {word}" if word.isdigit() else f", {word}" for word in words).lstrip(", ")
    return text[:1].upper() + text[1:] or "It"


def titled(model: type[BaseModel], loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """("conditions", 0, "path") -> ("Conditions", 0, "field"): as the form calls them."""
    words: list[Any] = []
    inside: Any = model
    for part in loc:
        info = getattr(inside, "model_fields", {}).get(part)
        if info is not None:
            title = info.title or part
            words.append(f"{title[:1].lower()}{title[1:]}" if words else title)
            inside = next(iter(get_args(info.annotation)), None)
        else:
            words.append(part)
    return tuple(words)


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f"“{value[:80]}”" if value else "empty"
    return str(value)[:80]
