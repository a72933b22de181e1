"""Where something stands in the data: `customer.items.0.price`. Pure: no Django; never raises."""

from __future__ import annotations

from typing import Any

DEEP = 64  # parts of a path; data is nested no deeper
LONG = 200  # characters of a path


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING: Any = _Missing()


def found(data: Any, path: str) -> Any:
    """What stands there, or MISSING. A key that has dots of its own is found too, where no shorter one leads on."""
    parts = path.split(".")
    return MISSING if len(parts) > DEEP or len(path) > LONG else _found(data, parts)


def _found(value: Any, parts: list[str]) -> Any:
    if not parts:
        return value
    if isinstance(value, list):
        return _found(value[int(parts[0])], parts[1:]) if _is_index(parts[0], len(value)) else MISSING
    if not isinstance(value, dict):
        return MISSING
    for size in range(1, len(parts) + 1):
        key = ".".join(parts[:size])
        if key in value and (inner := _found(value[key], parts[size:])) is not MISSING:
            return inner
    return MISSING


def _is_index(text: str, size: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) < size


def wrong(path: str) -> str:
    """What is wrong with a path, as the end of a sentence; empty where nothing is."""
    if not path.strip():
        return "name a field of the data, such as amount or customer.items.0.price"
    if len(path) > LONG or path.count(".") >= DEEP:
        return f"a path has at most {LONG} characters and {DEEP} parts"
    return "" if all(path.split(".")) else "two dots in a row, or one at an end, lead nowhere"
