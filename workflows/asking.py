"""Conditions and cases of a definition as people read them. No Django; a draft may hold anything."""

from __future__ import annotations

from typing import Any

from workflows.comparison import said, texts_of
from workflows.conditions import MEANINGS

LONG = 300  # characters; beyond, nobody reads them in a sentence


def asked(value: Any) -> str:
    """“amount is more than 100; country is one of “de”, “fr””; empty for what is no list of conditions or cases."""
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        return ""
    words = [_condition(one) or _case(one) for one in value]
    text = "; ".join(words)
    return text if all(words) and len(text) <= LONG else ""


def _condition(one: dict[str, Any]) -> str:
    operator = one.get("operator", "equals")
    meaning = MEANINGS.get(operator) if isinstance(operator, str) else None
    if meaning is None or not isinstance(one.get("path"), str) or not one["path"]:
        return ""
    value = one.get("value", "")
    words = f"{one['path']} {meaning.words}"
    if meaning.of == "nothing":
        return words
    if operator in ("one_of", "not_one_of"):
        return f"{words} {', '.join(map(said, texts_of(value)))}"
    return f"{words} {said(value) if meaning.of == 'anything' else said(value).strip('“”')}"


def _case(one: dict[str, Any]) -> str:
    conditions = one.get("conditions")
    parts = conditions if isinstance(conditions, list) else []
    words = [_condition(part) if isinstance(part, dict) else "" for part in parts]
    joint = " or " if one.get("match") == "any" else " and "
    name = said(str(one.get("label") or one.get("id") or ""))
    return f"{name} if {joint.join(words)}" if words and all(words) else ""
