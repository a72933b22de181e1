"""A workflow as a file: written for others, and read from what others wrote. Pure, no Django.

The file is {"name", "description", "tags", "max_parallel", "time_zone", "settings", "definition"}. A bare React Flow
object, as `toObject()` saves it, is read too. The definition is kept as it came, every unknown key included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workflows import values
from workflows.errors import InputError
from workflows.graph import MAX_EDGES, MAX_NODES
from workflows.moments import is_path
from workflows.sayings import cut, listed

MAX_NAME, MAX_TAG, MAX_TAGS, MAX_DESCRIPTION = 200, 40, 50, 20_000
KNOWN = ("name", "description", "tags", "max_parallel", "time_zone", "settings", "definition")
#: What else a workflow is set to: name -> (least, most). None is written for what is not set.
NUMBERS = {
    "time_limit_s": (1, 366 * 86_400),
    "keep_days": (0, 2**31 - 1),
    "concurrency": (1, 2**31 - 1),
    "concurrency_per_key": (1, 2**31 - 1),
    "priority": (-1, 1),
    "token_budget": (1, 2**31 - 1),
}
N8N = (
    "This is an n8n export (“nodes” with “parameters”, and “connections”). Its steps are not ours, so it cannot be"
    " imported yet."
)
NEITHER = "This is neither an exported workflow (with “definition”) nor a React Flow graph (with “nodes” and “edges”)."


@dataclass(frozen=True, slots=True)
class Parcel:
    """A definition and what its file says of it. `unused`: keys of the file that nothing here reads."""

    definition: dict[str, Any]
    name: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    max_parallel: int | None = None
    time_zone: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def write(parcel: Parcel) -> str:
    """The file: JSON that people can read and compare line by line."""
    told = {
        "name": parcel.name,
        "description": parcel.description,
        "tags": list(parcel.tags),
        "max_parallel": parcel.max_parallel,
        "time_zone": parcel.time_zone,
        "settings": dict(parcel.settings),
        "definition": parcel.definition,
    }
    return json.dumps(told, ensure_ascii=False, indent=2) + "\n"


def read(content: str | bytes, max_bytes: int | None = None) -> Parcel:
    """What a file holds. Raises InputError with a sentence for whatever cannot be taken in."""
    text = decoded(content, max_bytes)
    if not text.strip():
        raise InputError("The file is empty.", "file")
    whole = values.parse(text, "file", once=True)
    _refuse_n8n(whole)
    if not isinstance(whole, dict):
        raise InputError(NEITHER, "file")
    if isinstance(whole.get("nodes"), list):
        return Parcel(_definition(whole), name=_bare_name(whole))
    if "definition" in whole:
        return _unpacked(whole)
    raise InputError(NEITHER, "file")


def decoded(content: str | bytes, max_bytes: int | None = None) -> str:
    """The text of a file: UTF-8, with or without a byte order mark."""
    if isinstance(content, str):
        content = content.encode(errors="surrogatepass")
    if max_bytes is not None and len(content) > max_bytes:
        raise InputError(f"The file has {len(content):,} bytes; at most {said_size(max_bytes)} are taken.", "file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"The file is not UTF-8 text: byte {error.start + 1:,} fits into no letter.", "file") from None


def said_size(size: int) -> str:
    return f"{size / 1024 / 1024:g} MB" if size >= 1024 * 1024 else f"{size:,} bytes"


def _refuse_n8n(whole: Any) -> None:
    first = whole[0] if isinstance(whole, list) and whole else whole
    if not isinstance(first, dict) or "edges" in first or not isinstance(first.get("connections"), dict):
        return
    nodes = first.get("nodes")
    if isinstance(nodes, list) and all(_is_n8ns(node) for node in nodes):
        raise InputError(N8N, "file")


def _is_n8ns(node: Any) -> bool:
    return isinstance(node, dict) and ("parameters" in node or "typeVersion" in node)


def _unpacked(whole: Mapping[str, Any]) -> Parcel:
    return Parcel(
        definition=_definition(whole["definition"]),
        name=" ".join(_text(whole, "name", MAX_NAME).split()),
        description=_text(whole, "description", MAX_DESCRIPTION),
        tags=_tags(whole.get("tags")),
        max_parallel=_max_parallel(whole.get("max_parallel")),
        time_zone=_time_zone(_text(whole, "time_zone", 64)),
        settings=_settings(whole.get("settings")),
        unused=tuple(cut(key) for key in whole if key not in KNOWN),
    )


def _definition(value: Any) -> dict[str, Any]:
    """It may be a draft that cannot run, but not what no page could show."""
    if not isinstance(value, dict):
        raise InputError("“definition” must be an object with “nodes” and “edges”.", "definition")
    _refuse_n8n(value)
    for key, word, most in (("nodes", "steps", MAX_NODES), ("edges", "connections", MAX_EDGES)):
        if isinstance(value.get(key), list) and len(value[key]) > most:
            raise InputError(f"It has {len(value[key]):,} {word}; at most {most:,} are taken.", f"definition.{key}")
    return values.require_object(value, "definition")


def _text(whole: Mapping[str, Any], key: str, most: int) -> str:
    value = whole.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"“{key}” must be text.", key)
    if len(value) > most:
        raise InputError(f"“{key}” has {len(value):,} characters; at most {most:,} are taken.", key)
    return str(values.require(value, f"“{key}”")).strip()


def _bare_name(whole: Mapping[str, Any]) -> str:
    """A graph has no name of its own; where its editor left one, it is a good suggestion."""
    name = whole.get("name")
    return " ".join(values.clean_text(name).split())[:MAX_NAME] if isinstance(name, str) else ""


def _tags(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise InputError("“tags” must be a list of words.", "tags")
    if len(value) > MAX_TAGS:
        raise InputError(f"“tags” has {len(value):,} words; at most {MAX_TAGS} are taken.", "tags")
    if long := [tag for tag in value if len(tag) > MAX_TAG]:
        raise InputError(f"The tag {listed(long, 1)} has more than {MAX_TAG} characters.", "tags")
    return tuple(values.require(value, "tags"))


def _time_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key if name else ""
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise InputError(f"“time_zone” names “{cut(name)}”, which is no time zone that is known here.") from None


def _settings(value: Any) -> dict[str, Any]:
    """Only what is set and known; what a later version may have written beside is left out."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError("“settings” must be an object.", "settings")
    known = {name: _number(value[name], name) for name in NUMBERS if value.get(name) is not None}
    path = _text(value, "concurrency_key", 200)
    if path and not is_path(path):
        raise InputError(f"“concurrency_key” names “{cut(path)}”, which is no place in the input.", "settings")
    return known | ({"concurrency_key": path} if path else {})


def _number(value: Any, name: str) -> int:
    least, most = NUMBERS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"“{name}” must be a whole number from {least:,} to {most:,}.", "settings")
    return value


def _max_parallel(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000):
        raise InputError("“max_parallel” must be a whole number from 1 to 1,000.", "max_parallel")
    return value
