"""A step's settings as a form: fields out of the kind's Config, and values back out of what was typed. No Django.

What was typed is kept even where it is wrong, as the text that it is: the draft loses nothing, the problem stands at
its field, and publishing is what refuses. A field that was left at its default is not written down.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from workflows.errors import InputError
from workflows.expressions import holds_one
from workflows.values import parse
from workflows.words import as_json

Errors = Mapping[str, Sequence[str]]  # by place, such as "fields.0.name"
TAKEN = frozenset(
    (
        *("do", "base", "revision", "label", "notes", "csrfmiddlewaretoken"),  # what stands in the same form
        *("form", "elements", "id", "name", "method", "action", "target", "submit", "reset", "length", "attributes"),
        *("children", "parent", "closest", "matches", "contains", "append", "remove", "before", "after", "dataset"),
    )
)
LONG_TEXT = 300  # characters that a setting may have, beyond which it gets more than one line
MOST_ROWS = 100
WHOLE = ("switch", "choice", "lines", "rows")  # where an expression gives the whole value, it needs a field of text


@dataclass(frozen=True, slots=True)
class Preview:
    """What comes of a field's expressions: `text`, cut short, and `kind`, what that is; “wrong”: why there is none."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a list of settings, such as one declared field."""

    name: str
    title: str
    fields: list[Setting]


@dataclass(frozen=True, slots=True)
class Setting:
    """One labelled field. `look`: text, long, number, switch, choice, lines, json or rows, or one that the Config names
    itself (`json_schema_extra={"look": …}`: text for any JSON, workflow, secret, hidden); “expression” where one stands
    in the place of a whole switch, choice or list. `value` stands in it.

    `when`: it means something only where another field beside it has one of these values, as JSON for the browser
    (`json_schema_extra={"when": {"operation": ["sort", "limit"]}}`). `is_off`: now it does not. What it holds is kept.
    """

    name: str
    label: str
    help: str
    look: str
    value: Any
    is_required: bool
    placeholder: str = ""
    choices: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()  # the choices with what people call them
    errors: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    when: str = ""
    is_off: bool = False
    takes: str = ""  # what an expression may do in it: see dynamic.py
    preview: Preview | None = None

    @property
    def dom_id(self) -> str:
        return "setting-" + self.name.replace(".", "-")

    @property
    def control(self) -> str:
        return control(self.name)


def control(place: str) -> str:
    """What its field is called in the page's form. A field called “form” would hide form.form from every script, and
    one called “do” would be taken for a button: such settings get a name beside it."""
    return f"{place}." if place in TAKEN else place


def settings(config: type[BaseModel], data: Mapping[str, Any], errors: Errors, prefix: str = "") -> list[Setting]:
    """The form of a Config for the values in `data`."""
    shown = ((name, info) for name, info in config.model_fields.items() if looks(info) != "hidden")
    made = [_setting(f"{prefix}{name}", name, info, data, errors) for name, info in shown]
    return [_conditional(one, config, data, prefix) for one in made]


def read(
    config: type[BaseModel], typed: Mapping[str, str], data: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """`data` with what was typed; keys that the Config does not know stay as they are."""
    made = dict(data)
    for name, info in config.model_fields.items():
        place = f"{prefix}{name}"
        value = _read(info, place, typed, made.get(name))
        is_off = looks(info) == "switch" and control(place) not in typed
        if is_off and not isinstance(made.get(name, False), bool):
            continue  # a switch that is off says nothing about what is neither yes nor no
        if value is MISSING and name in made and made[name] is None:
            continue  # null was written there, and an empty field changes nothing about that
        if value is MISSING or (name not in made and _is_default(info, value)):
            made.pop(name, None)
        else:
            made[name] = value
    return made


def arranged(config: type[BaseModel], data: Mapping[str, Any], verb: str, place: str) -> dict[str, Any]:
    """`data` with a row added ("fields"), removed, or moved ("fields.2"); also inside a row ("cases.0.rows.2")."""
    name, _, at = place.partition(".")
    rows = list(data.get(name) or []) if isinstance(data.get(name) or [], list) else []
    if name not in config.model_fields or looks(config.model_fields[name]) != "rows":
        return dict(data)
    at, _, inside = at.partition(".")
    index = int(at) if at.isdecimal() and len(at) < 10 and int(at) < len(rows) else None
    if inside:
        if index is not None and isinstance(rows[index], dict):
            rows[index] = arranged(_row_of(config.model_fields[name]), rows[index], verb, inside)
    elif verb == "add" and len(rows) < MOST_ROWS:
        rows.append({})
    elif verb != "add" and index is not None:
        row = rows.pop(index)
        if verb != "remove":
            rows.insert(max(0, index - 1 if verb == "up" else index + 1), row)
    return {**data, name: rows}


class _Missing:
    pass


MISSING: Any = _Missing()


# Out of the Config


def _setting(place: str, name: str, info: FieldInfo, data: Mapping[str, Any], errors: Errors) -> Setting:
    look, value = looks(info), data.get(name, MISSING)
    default = info.get_default(call_default_factory=True)
    if look in WHOLE and holds_one(value):
        look = "expression"
    rows = _rows(info, place, value, errors) if look == "rows" else []
    shown = default if value is MISSING and look in ("choice", "switch") else value
    wrong = [text for at, texts in errors.items() if _belongs(at, place, bool(rows)) for text in texts]
    choices = tuple(map(str, get_args(bare(info)))) if look == "choice" else ()
    return Setting(
        name=place,
        label=info.title or name.replace("_", " ").capitalize(),
        help=info.description or "",
        look=look,
        value=_shown(look, shown),
        is_required=info.is_required(),
        placeholder=_placeholder(info, look, default),
        choices=choices,
        options=tuple((one, extra(info, "words", {}).get(one, one)) for one in choices),
        errors=tuple(wrong),
        rows=rows,
    )


def _placeholder(info: FieldInfo, look: str, default: Any) -> str:
    """The default, which an empty field means, else an example where the Config has one."""
    if default in (PydanticUndefined, None, "", []) or look in ("rows", "json", "lines", "expression"):
        return str(extra(info, "example", ""))
    return f"{default}"


def _conditional(setting: Setting, config: type[BaseModel], data: Mapping[str, Any], prefix: str) -> Setting:
    """What is wrong is always shown: nobody can mend what they do not see."""
    when = extra(config.model_fields[setting.name.removeprefix(prefix)], "when", None)
    if not when:
        return setting
    is_off = not setting.errors and not all(_is_now(config, data, *one) for one in when.items())
    return replace(
        setting, when=json.dumps({control(prefix + name): wanted for name, wanted in when.items()}), is_off=is_off
    )


def _is_now(config: type[BaseModel], data: Mapping[str, Any], name: str, wanted: Sequence[Any]) -> bool:
    """Where only a run will know the choice, the field counts."""
    value = data.get(name, config.model_fields[name].get_default(call_default_factory=True))
    return value in wanted or not isinstance(value, str | bool) or (isinstance(value, str) and "{{" in value)


def _belongs(at: str, place: str, has_rows: bool) -> bool:
    """A problem deeper inside stands at the field that can mend it: the row's own, where there are rows."""
    return at == place or (at.startswith(f"{place}.") and not has_rows)


def _nearer(errors: Errors, title: str, n: int) -> Errors:
    """Inside of a row nobody need be told which: “Fields 1, name: …” becomes “Name: …”."""
    return {at: [_without(f"{title} {n + 1}, ", text) for text in texts] for at, texts in errors.items()}


def _without(start: str, text: str) -> str:
    if not text.lower().startswith(start.lower()):
        return text
    rest = text[len(start) :]
    return f"{rest[:1].upper()}{rest[1:]}"


def _rows(info: FieldInfo, place: str, value: Any, errors: Errors) -> list[Row]:
    model = _row_of(info)
    items = value if isinstance(value, list) else []
    title = info.title or place.rpartition(".")[2].replace("_", " ")
    return [
        Row(
            f"{place}.{n}",
            _numbered(f"{place}.{n}"),
            settings(model, item if isinstance(item, dict) else {}, _nearer(errors, title, n), f"{place}.{n}."),
        )
        for n, item in enumerate(items)
    ]


def _numbered(place: str) -> str:
    """ "cases.0.conditions.1" -> "1.2": which row, as people count."""
    return ".".join(str(int(part) + 1) for part in place.split(".") if part.isdecimal())


def extra(info: FieldInfo, name: str, otherwise: Any) -> Any:
    """What a Config says of a field's form."""
    given = info.json_schema_extra
    return given.get(name, otherwise) if isinstance(given, dict) else otherwise


def looks(info: FieldInfo) -> str:
    """Which form of field an annotation gets."""
    if look := extra(info, "look", ""):
        return str(look)
    kind = bare(info)
    if get_origin(kind) is Literal:
        return "choice"
    if get_origin(kind) is list and get_args(kind):
        inner = get_args(kind)[0]
        return "rows" if isinstance(inner, type) and issubclass(inner, BaseModel) else _looks_of_list(inner)
    simple = {bool: "switch", int: "number", float: "number", str: "text"}
    look = simple.get(kind, "json")
    return "long" if look == "text" and _longest(info) > LONG_TEXT else look


def _looks_of_list(inner: Any) -> str:
    return "lines" if inner is str else "json"


def row_of(info: FieldInfo) -> type[BaseModel] | None:
    """The model of a field's rows, where it has such."""
    return _row_of(info) if looks(info) == "rows" else None


def _row_of(info: FieldInfo) -> type[BaseModel]:
    model: type[BaseModel] = get_args(bare(info))[0]
    return model


def bare(info: FieldInfo) -> Any:
    """The annotation without its None."""
    kind = info.annotation
    if get_origin(kind) in (Union, types.UnionType):
        others = [one for one in get_args(kind) if one is not type(None)]
        return others[0] if len(others) == 1 else Any
    return kind


def _longest(info: FieldInfo) -> int:
    return max((getattr(limit, "max_length", None) or 0 for limit in info.metadata), default=0)


def _shown(look: str, value: Any) -> Any:
    if value is MISSING or value is None:
        return "" if look != "switch" else False
    if look == "switch":
        return value is True
    if look == "lines" and isinstance(value, list):
        return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in value)
    if isinstance(value, str):
        return value
    return as_json(value)


# Back out of what was typed


def _read(info: FieldInfo, place: str, typed: Mapping[str, str], old: Any) -> Any:
    look, name = looks(info), control(place)
    if name in typed and _stood_as_text(look, typed[name], old):
        return _read_whole(look, typed[name])
    if look == "rows":
        return _read_rows(info, place, typed, old)
    if look == "switch":
        return typed.get(name) == "on"
    text = typed.get(name) if look != "hidden" else None
    if text is None:
        return MISSING if old is None else old  # this field was not in the form
    text = text.replace("\r\n", "\n")
    is_untouched = old is not None and text == _shown(look, old)
    return old if is_untouched else _value(look, text)


def _stood_as_text(look: str, text: str, old: Any) -> bool:
    """Whether an expression stood there, or what was left of one: rows and a switch have no such text otherwise."""
    return text != "on" if look == "switch" else look == "rows" or (look in WHOLE and holds_one(old))


def _read_whole(look: str, text: str) -> Any:
    """Out of the field of text that stood there; what is no expression any more is read as its look has it."""
    text = text.replace("\r\n", "\n")
    return text if holds_one(text) else _value("json" if look == "switch" else look, text)


def _value(look: str, text: str) -> Any:
    if not text.strip() and (look not in ("text", "long") or not text):
        return MISSING  # emptied: the default again
    if look in ("text", "long", "choice", "secret", "code"):
        return text
    if look == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    return _number(text) if look in ("number", "workflow") else _json(text)


def _read_rows(info: FieldInfo, place: str, typed: Mapping[str, str], old: Any) -> Any:
    """What is no row has no fields in the form: it stays as it came."""
    if not isinstance(old, list):
        return MISSING if old is None else old
    model = _row_of(info)
    return [_read_row(model, f"{place}.{n}.", typed, item) for n, item in enumerate(old)]


def _read_row(model: type[BaseModel], place: str, typed: Mapping[str, str], old: Any) -> Any:
    made = read(model, typed, old if isinstance(old, dict) else {}, place)
    return made if made or isinstance(old, dict) else old


def _number(text: str) -> Any:
    """A whole number where it is one; the text itself where it is no number at all."""
    try:
        number = float(text) if len(text) < 100 and "_" not in text else None
    except ValueError:
        return text
    if number is None or number != number or number in (float("inf"), float("-inf")):
        return text
    return int(text) if text.strip().lstrip("+-").isdecimal() else number


def _json(text: str) -> Any:
    try:
        return parse(text)
    except InputError:  # kept as the text that it is
        return text


def _is_default(info: FieldInfo, value: Any) -> bool:
    default = info.get_default(call_default_factory=True)
    return type(value) is type(default) and value == default
