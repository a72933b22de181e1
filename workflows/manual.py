"""The page about the step kinds, made from the kinds themselves: docs/steps.md, by `manage.py step_kinds --docs`.

It says what the code says and nothing else; what people need to be told beside that stands in pages that it links to.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from workflows.config import bare, extra, looks, row_of
from workflows.steps import AnyStep
from workflows.steps.base import Step

GROUPS = ("In and out", "Data", "Reach out", "Code", "Ways", "Wait")  # in this order, then those of others
WIDTH = 100
HEAD = """# Steps

<!-- Made from the code: manage.py step_kinds --docs > docs/steps.md -->

A step is `{"id", "type", "data"}` in a definition. Its settings stand in `data`, beside `label`, `notes` and, for when
it [fails](failures.md), `policy`. Every kind may be used any number of times. A setting takes an expression such as
`{{ steps.fetch.output.title }}` unless this page says that it does not. Whatever a step hands on is a JSON object."""

Model = type[BaseModel]


def page(kinds: Iterable[type[AnyStep]]) -> str:
    """The whole page, in Markdown, with one line feed at its end."""
    known = list(kinds)
    shared = _shared(known)
    groups = _grouped(known)
    parts = [HEAD, _contents(groups)]
    for group, members in groups.items():
        parts += [f"## {group}", *(_section(kind, shared) for kind in members)]
    if shared:
        parts += ["## Rows", "Rows that the settings of several kinds have.", *map(_rows_section, shared)]
    return "\n\n".join(parts) + "\n"


def _grouped(kinds: Sequence[type[AnyStep]]) -> dict[str, list[type[AnyStep]]]:
    names = dict.fromkeys((*GROUPS, *(kind.group for kind in kinds)))
    grouped = {name: [kind for kind in kinds if kind.group == name] for name in names}
    return {name: members for name, members in grouped.items() if members}


def _contents(groups: Mapping[str, list[type[AnyStep]]]) -> str:
    rows = [
        f"| {group if not number else ''} | [{_cell(kind.label)}](#{anchor(kind.label)}) | `{kind.kind}` "
        f"| {_cell(kind.help)} |"
        for group, members in groups.items()
        for number, kind in enumerate(members)
    ]
    return "\n".join(["| | Step | Kind | |", "|---|---|---|---|", *rows])


def _section(kind: type[AnyStep], shared: Sequence[Model]) -> str:
    parts = [f"### {kind.label}", _about(kind), *_settings(kind, shared), _ending(kind)]
    if kind.example:
        parts.append(f"```json\n{_laid_out(_node(kind))}\n```")
    return "\n\n".join(parts)


def _about(kind: type[AnyStep]) -> str:
    """“`delay`: Waits for some time. [More](delay.md).”"""
    more = f" More: [{kind.page.partition('#')[0]}]({kind.page})." if kind.page else ""
    version = f" Version {kind.version}." if kind.version > 1 else ""
    return f"`{kind.kind}`: {_text(kind.help)}{version}{more}"


def _ending(kind: type[AnyStep]) -> str:
    handles = [_way(kind, handle) for handle in kind.handles_of(kind.example)]
    own = ", as its settings say" if is_overridden(kind, "handles_of") else ""
    gives = f"Hands on {kind.gives}. " if kind.gives else ""
    return f"{gives}Leaves by {_either(handles)}{own}. {_effects(kind)}"


def _way(kind: type[AnyStep], handle: str) -> str:
    name = kind.name_of(kind.example, handle)
    return f"`{handle}`" if name == handle else f"`{handle}` (“{_text(name)}”)"


def _effects(kind: type[AnyStep]) -> str:
    if is_overridden(kind, "effects_of"):
        return "Whether it does something outside depends on its settings."
    return "It does something outside." if kind.effects == "outside" else "It does nothing outside."


def is_overridden(kind: type[AnyStep], method: str) -> bool:
    """Whether the kind answers by itself, as it does where that depends on a step's settings."""
    return getattr(kind, method).__func__ is not getattr(Step, method).__func__


def _node(kind: type[AnyStep]) -> dict[str, Any]:
    return {"id": _slug(kind.kind), "type": kind.kind, "data": {"label": kind.label, **kind.example}}


# Settings


def _settings(kind: type[AnyStep], shared: Sequence[Model]) -> list[str]:
    lines = list(_lines(kind.Config, shared, kind.literal))
    return [_table(lines)] if lines else ["It has no settings."]


def _table(lines: Iterable[str]) -> str:
    return "\n".join(["| Setting | | Takes | Default |", "|---|---|---|---|", *lines])


def _lines(
    model: Model, shared: Sequence[Model], literal: frozenset[str] = frozenset(), before: str = ""
) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if looks(info) == "hidden" and not before:
            continue
        row = row_of(info)
        takes = _takes(info, row if row in shared else None, name in literal)
        title = info.title or name.replace("_", " ").capitalize()
        told = f"**{_cell(title)}**: {_cell(info.description or '')}"
        yield f"| `{before}{name}` | {told} | {takes} | {_default(info)} |"
        if row and row not in shared:
            yield from _lines(row, shared, before=f"{before}{name}[].")


def _rows_section(model: Model) -> str:
    return f"### {model.__name__}\n\n{_table(_lines(model, ()))}"


def _shared(kinds: Iterable[type[AnyStep]]) -> list[Model]:
    """Models of rows that stand in more than one place."""
    seen = Counter(model for kind in kinds for model in _row_models(kind.Config))
    return [model for model, times in seen.items() if times > 1]


def _row_models(model: Model) -> Iterator[Model]:
    for info in model.model_fields.values():
        if row := row_of(info):
            yield row
            yield from _row_models(row)


def _takes(info: FieldInfo, shared: Model | None, is_literal: bool) -> str:
    words = [_sort(info), *_limits(info)]
    if shared:
        words[0] += f" of [{shared.__name__}](#{anchor(shared.__name__)})"
    if is_literal and looks(info) not in ("secret", "hidden"):
        words.append("no expression")
    for other, wanted in (extra(info, "when", {}) or {}).items():
        words.append(f"where `{other}` is {_either([_code(one) for one in wanted])}")
    return _cell(", ".join(words))


SORTS = {
    "text": "text",
    "long": "text",
    "switch": "yes or no",
    "lines": "a list of texts",
    "rows": "rows",
    "json": "JSON",
    "secret": "the name of a secret, no expression",
    "workflow": "the number of a workflow",
    "hidden": "text; the builder makes it",
}


def _sort(info: FieldInfo) -> str:
    look, kind = looks(info), bare(info)
    if look == "choice":
        words = extra(info, "words", {})
        return _either([f"`{one}`" + (f" ({words[one]})" if one in words else "") for one in map(str, get_args(kind))])
    if look == "number":
        return "a whole number" if kind is int else "a number"
    if look == "text" and kind is Any:
        return "any JSON"
    if look == "json" and get_origin(kind) is dict:
        return "a JSON object"
    if look == "json" and get_origin(kind) is list:
        return "a JSON list"
    return SORTS.get(look, look)


def _limits(info: FieldInfo) -> list[str]:
    """“1 to 100”, “more than 0”, “at most 200 characters”."""
    found = {name: limit for one in info.metadata for name in LIMITS if (limit := getattr(one, name, None)) is not None}
    if "ge" in found and "le" in found:
        return [f"{_number(found['ge'])} to {_number(found['le'])}"]
    unit = {"rows": "", "lines": "", "json": " items"}.get(looks(info), " characters")
    return [LIMITS[name].format(_number(found[name]), unit) for name in LIMITS if name in found]


def _number(limit: Any) -> str:
    return f"{int(limit):,}" if float(limit).is_integer() else f"{limit:,}"


LIMITS = {
    "gt": "more than {0}",
    "ge": "at least {0}",
    "lt": "less than {0}",
    "le": "at most {0}",
    "min_length": "at least {0}{1}",
    "max_length": "at most {0}{1}",
}


def _default(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "required"
    if default in (None, "", [], {}) and not isinstance(default, bool):
        return ""
    return _code(default)


# Markdown


def anchor(title: str) -> str:
    """As a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", title.casefold()).replace(" ", "-")


def _slug(kind: str) -> str:
    return re.sub(r"\W+", "-", kind)[:64]


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _code(value: Any) -> str:
    return _cell(f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)}`")


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """One line, in which nothing is taken for a tag."""
    return " ".join(text.split()).replace("<", "&lt;")


def _laid_out(value: Any, indent: int = 0, taken: int = 0) -> str:
    """JSON in which whatever fits into a line stands in one; `taken`: characters that stand before it there."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + taken + len(flat) <= WIDTH or not isinstance(value, dict | list):
        return flat
    start, end = "{}" if isinstance(value, dict) else "[]"
    keys = [f"{json.dumps(key, ensure_ascii=False)}: " for key in value] if isinstance(value, dict) else []
    items = list(value.values()) if isinstance(value, dict) else value
    inner = indent + 2
    parts = [
        f"{' ' * inner}{key}{_laid_out(one, inner, len(key))}"
        for key, one in zip(keys or [""] * len(items), items, strict=True)
    ]
    return "\n".join([start, ",\n".join(parts), f"{' ' * indent}{end}"])
