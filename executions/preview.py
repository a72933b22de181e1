"""A value as a page shows it: laid out, and where it is large its beginning, its size, and where to get the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from executions.blobs import Large, NotReadable, is_small, said
from executions.entry import as_json as packed
from workflows.words import as_json

SHOWN = 64 * 1024  # characters of one value on a page
OF_ONE = 16 * 1024  # of one of its keys that is kept in a file
SMALL = 48 * 1024  # up to here it is laid out well


@dataclass(frozen=True, slots=True)
class Preview:
    """`size`: of the whole, in words, where `text` is only its beginning. `problem`: why some of it is not there."""

    text: str
    size: str = ""
    problem: str = ""


def preview(value: Any) -> Preview | None:
    """None for no value at all. What is kept in files is not read but for its beginning."""
    if value is None:
        return None
    if is_small(value, SMALL):
        return Preview(as_json(value))
    if isinstance(value, dict) and any(isinstance(item, Large) for item in value.values()):
        return _of_parts(value)
    text = packed(_named(value)) or ""
    return Preview(text[:SHOWN], said(len(text.encode())) if len(text) > SHOWN else "")


def _of_parts(value: dict[str, Any]) -> Preview:
    """The small values first, since they say most; then the beginning of each large one."""
    parts, problems, size = [], [], 0
    for key in sorted(value, key=lambda key: isinstance(value[key], Large)):
        text, weight, problem = _part(value[key])
        parts.append(f"  {packed(key)}: {text}")
        size += weight
        problems.append(problem)
    text = "{\n" + ",\n".join(parts) + "\n}"
    return Preview(text[:SHOWN], said(size), " ".join(filter(None, problems)))


def _part(value: Any) -> tuple[str, int, str]:
    """(its text, bytes of the whole, what is wrong with it)."""
    if not isinstance(value, Large):
        text = packed(_named(value)) or "null"
        return _cut(text, len(text.encode())), len(text), ""
    try:
        return _cut(value.head(OF_ONE), value.size), value.size, ""
    except NotReadable as error:
        return "…", value.size, error.message


def _cut(text: str, size: int) -> str:
    return text if len(text) < OF_ONE and size < OF_ONE else f"{text[:OF_ONE]} … {said(size)} in all"


def _named(value: Any) -> Any:
    """What lies deeper, as in the output of an `output` step, is only named."""
    if isinstance(value, Large):
        return f"… {said(value.size)}"
    return {key: _named(item) for key, item in value.items()} if isinstance(value, dict) else value
