"""Which fields of a step's form take expressions, and how a choice, a switch or a list becomes one. Pure: no Django."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from workflows import config
from workflows.config import MISSING, Preview, Setting
from workflows.errors import InputError
from workflows.expressions import Expression, holds_any, holds_one
from workflows.values import parse

TEXT = ("text", "long", "number", "json")  # an expression is typed right into these
VERBS = ("expression", "plain")
EMPTY = '{{ "" }}'


def taking(
    settings: Sequence[Setting], literal: Collection[str] = (), previews: Mapping[str, Preview] | None = None
) -> list[Setting]:
    """The fields of a step as the builder shows them. `takes`: “text”, where an expression is typed into it; “either”,
    where it may stand instead; “only”, where it does now. `literal`: those in which {{ }} means nothing."""
    return [one if one.name in literal else _taking(one, previews or {}) for one in settings]


def _taking(setting: Setting, previews: Mapping[str, Preview]) -> Setting:
    rows = [replace(row, fields=taking(row.fields, (), previews)) for row in setting.rows]
    takes = "only" if setting.look == "expression" else "either" if setting.look in config.WHOLE else ""
    takes = takes or ("text" if setting.look in TEXT else "")
    return replace(setting, rows=rows, takes=takes, preview=previews.get(setting.name))


def toggled(model: type[BaseModel], data: Mapping[str, Any], verb: str, place: str) -> dict[str, Any]:
    """`data` with one setting turned into an expression that gives the same, or back into what a form chooses."""
    name, _, inside = place.partition(".")
    info, made = model.model_fields.get(name), dict(data)
    if info is None or config.looks(info) not in config.WHOLE:
        return made
    if inside:
        made[name] = _inside(config.row_of(info), data.get(name), verb, inside)
        return made
    value = data.get(name, info.get_default(call_default_factory=True))
    if verb == "expression":
        made[name] = written(value)
    elif (plain := _plain(value)) is not MISSING and _fits(config.looks(info), plain):
        made[name] = plain
    else:
        made.pop(name, None)
    return made


def written(value: Any) -> str:
    """An expression that gives this value; an empty text where none can say it."""
    if holds_one(value):
        return str(value)
    if holds_any(value) or _has_none(value):
        return EMPTY
    text = re.sub(r"\}(?=\})", "} ", json.dumps(value, ensure_ascii=False))
    return f"{{{{ {text} }}}}" if _plain(f"{{{{ {text} }}}}") == value else EMPTY


def _inside(row: type[BaseModel] | None, rows: Any, verb: str, place: str) -> Any:
    at, _, inside = place.partition(".")
    if not (isinstance(rows, list) and at.isdecimal() and len(at) < 10 and int(at) < len(rows) and row):
        return rows
    made, index = list(rows), int(at)
    if isinstance(made[index], dict):
        made[index] = toggled(row, made[index], verb, inside)
    return made


def _plain(value: Any) -> Any:
    """The value that an expression writes down, where it is nothing but that."""
    if not isinstance(value, str) or not Expression((), value).is_whole:
        return MISSING
    try:
        return parse(value.strip()[2:-2])
    except InputError:
        return MISSING


def _has_none(value: Any) -> bool:
    """Expressions and JSON have different words for it."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(_has_none, inside))


def _fits(look: str, value: Any) -> bool:
    kinds = {"switch": bool, "choice": str, "lines": list, "rows": list}
    return isinstance(value, kinds[look])
