"""What a JSON value must be before it is kept: pure, no Django.

PostgreSQL refuses NUL and lone surrogates, JSON has no NaN, and deep nesting breaks readers. What people send in is
refused with a sentence that says where (`require`); what a step produced is made keepable (`clean`), because a page
that contains one odd byte must not cost the whole run.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from workflows.errors import InputError

MAX_DEPTH = 64
# Tuples: each execution asks some hundred times, and a union is made anew each time.
LISTS, CONTAINERS, COLLECTIONS = (list, tuple), (dict, list, tuple), (list, tuple, set, frozenset)
MAX_BITS = 13_952  # 4,200 decimal digits
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")


def parse(text: str | bytes, field: str = "input_data", *, once: bool = False) -> Any:
    """Reads JSON text as the standard has it (no NaN); raises InputError with line and column.

    `once`: a key that stands twice in one object is refused, where Python would silently take the last.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_each_once if once else None)
    except json.JSONDecodeError as error:
        raise InputError(
            f"This is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.", field
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"This is not valid JSON: {_reason(error)}.", field) from None


def require(value: Any, field: str = "input_data", max_bytes: int | None = None) -> Any:
    """Gives the value back, or raises InputError naming the first place that cannot be kept."""
    _check(value, field, 0)
    if max_bytes is not None and (size := len(_encode(value).encode())) > max_bytes:
        raise InputError(f"{field} has {size:,} bytes of JSON; the limit is {max_bytes:,}.", field)
    return value


def require_object(value: Any, field: str = "input_data", max_bytes: int | None = None) -> dict[str, Any]:
    """As require(), and the value must be a JSON object."""
    if not isinstance(value, dict):
        raise InputError(f'{field} must be a JSON object such as {{"name": "Ada"}}, not {_word(value)}.', field)
    require(value, field, max_bytes)
    return value


def clean(value: Any, depth: int = 0) -> Any:
    """A JSON value that both databases keep: U+FFFD for NUL and lone surrogates, null for NaN and infinities.

    Tuples and sets become lists, other objects their text. Raises InputError beyond 64 levels.
    """
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _writable(value, "output")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= MAX_DEPTH:
        raise InputError(f"The value is nested more than {MAX_DEPTH} levels deep.", "output")
    if isinstance(value, dict):
        return {clean_text(str(key)): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, COLLECTIONS):
        return [clean(item, depth + 1) for item in value]
    return clean_text(str(value))


def copied(value: Any) -> Any:
    """The same JSON value in containers of its own: what a step changes in its data must not reach another step's."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def weight(value: Any, limit: int) -> int:
    """About how many bytes of JSON a value is, as long as that is no more than `limit`: then it stops looking.

    What is no JSON weighs more than any limit: nobody knows how long its text takes.
    """
    total, todo = 0, [value]
    while todo and total <= limit:
        value = todo.pop()
        if isinstance(value, str):
            total += len(value) + 2
        elif isinstance(value, dict):
            total += 16 * len(value)
            if total <= limit:
                todo += value
                todo += value.values()
        elif isinstance(value, LISTS):
            total += 4 * len(value)
            if total <= limit:
                todo.extend(value)
        elif isinstance(value, int):
            total += 8 + value.bit_length() // 3
        elif value is not None and not isinstance(value, float):
            return limit + 1
    return total


def same(one: Any, other: Any) -> bool:
    """As JSON has it: in Python, true is 1, 1 is 1.0 and 0.0 is -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other and (not isinstance(one, float) or repr(one) == repr(other)))


def clean_text(text: str) -> str:
    return text if text.isascii() and "\x00" not in text else UNKEEPABLE.sub("\ufffd", text)


def _check(value: Any, where: str, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}, which JSON cannot hold.", where)
    elif isinstance(value, CONTAINERS):
        if depth >= MAX_DEPTH:
            raise InputError(f"{where} is nested more than {MAX_DEPTH} levels deep.", where.split(".", maxsplit=1)[0])
        _check_items(value, where, depth)
    elif isinstance(value, int):
        _writable(value, where)
    elif value is not None and not isinstance(value, float):
        raise InputError(f"{where} is a {type(value).__name__}, which JSON cannot hold.", where)


def _check_items(value: dict[Any, Any] | list[Any] | tuple[Any, ...], where: str, depth: int) -> None:
    if isinstance(value, LISTS):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]", depth + 1)
        return
    for key, item in value.items():
        if not isinstance(key, str):
            raise InputError(f"{where} has the key {key!r:.80}; the keys of a JSON object are text.", where)
        _check_text(key, f"a key in {where}")
        _check(item, f"{where}.{key}", depth + 1)


def _check_text(text: str, where: str) -> None:
    if clean_text(text) != text:
        raise InputError(f"{where} holds a NUL or half of a surrogate pair, which no database keeps.", where)


def _writable(number: int, where: str) -> int:
    """Python refuses to write out whole numbers of more than 4,300 digits."""
    if number.bit_length() > MAX_BITS:
        raise InputError(f"{where} holds a whole number with more than 4,200 digits.", where)
    return number


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(
                f"the key “{clean_text(key[:80])}” stands twice in one object, so one of both would be lost"
            )
        made[key] = value
    return made


def _reason(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)[:200]


def _word(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
