"""pydantic's errors in plain words: which setting, what it must be, and what it is."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Any, Union, get_args, get_origin

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


def told(model: type[BaseModel], errors: Iterable[Mapping[str, Any]]) -> list[tuple[tuple[Any, ...], str]]:
    """Each error's place, and a sentence that calls it as the form does. Where a field takes one form or another, and
    what came is neither, that is one sentence: “To must be text or a list; it is 5.”"""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for number, error in enumerate(errors):
        loc = _of_the_field(model, error["loc"])
        found.setdefault((loc, "" if loc != error["loc"] else number), []).append({**error, "loc": loc})
    return [(loc, _one_of(model, forms)) for (loc, _), forms in found.items()]


def _of_the_field(model: type[BaseModel], loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without pydantic's name for the form that it tried: ("to", "list[any]") -> ("to",)."""
    info = model.model_fields.get(loc[0]) if len(loc) > 1 else None
    return loc[:1] if info is not None and _has_forms(info.annotation) and isinstance(loc[1], str) else loc


def _has_forms(annotation: Any) -> bool:
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return is_union and len([one for one in get_args(annotation) if one is not types.NoneType]) > 1


def _one_of(model: type[BaseModel], forms: list[Mapping[str, Any]]) -> str:
    first = {**forms[0], "loc": titled(model, forms[0]["loc"])}
    others = [MUST[form["type"]].removeprefix("must be ") for form in forms[1:] if form["type"].endswith("_type")]
    if len(forms) == 1 or not first["type"].endswith("_type"):
        return sentence(first)
    return _said(first, " or ".join([MUST[first["type"]], *others]))


def sentence(error: Mapping[str, Any]) -> str:
    """“Seconds must be a number; it is “soon”.” A message that a Config's own validator wrote stands as it is."""
    if error["type"] == "value_error":
        return str(error.get("ctx", {}).get("error") or error["msg"])
    if error["type"] == "field":  # of workflows/fields.py
        return f"{named(error['loc'])}: {error['msg']}."
    must = MUST.get(error["type"])
    return _said(error, must.format_map(error.get("ctx", {})) if must else f"is wrong: {error['msg']}")


def _said(error: Mapping[str, Any], words: str) -> str:
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
            words.append(_inside(title) if words else title)
            inside = next(iter(get_args(info.annotation)), None)
        else:
            words.append(part)
    return tuple(words)


def _inside(title: str) -> str:
    """“field”, but “CSS selector”."""
    return title if title[:2].isupper() else f"{title[:1].lower()}{title[1:]}"


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f"“{value[:80]}”" if value else "empty"
    return str(value)[:80]
