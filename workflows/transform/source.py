"""Where a step finds what it works on: at a place in its data, or in a value that an expression gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflows import paths
from workflows.comparison import said
from workflows.transform.wrong import MOST_ROWS, wrong


def at(data: Any, place: str, of: str = "the data") -> Any:
    """What stands there. Raises WorkflowStepError that says what there is instead."""
    value = paths.found(data, place)
    if value is paths.MISSING:
        raise wrong(f"There is no “{place[:200]}” in {of}; there is {_names(data)}.")
    return value


def listed(data: Mapping[str, Any], given: Any, what: str) -> list[Any]:
    """A list that was given, or the one that stands at the place `given`."""
    value = at(data, given) if isinstance(given, str) else given
    name = f"“{given[:200]}”" if isinstance(given, str) else what
    if not isinstance(value, list):
        raise wrong(f"{name} must be a list; it is {said(value)}.")
    if len(value) > MOST_ROWS:
        raise wrong(f"{name} has {len(value):,} items; at most {MOST_ROWS:,} are possible.")
    return value


def part(item: Any, place: str) -> Any:
    """Of an item of a list. What is no object is called “item”, and so is any item where no place is named."""
    if not place or (place == "item" and not isinstance(item, dict)):
        return item
    return paths.found(item, place)


def _names(data: Any) -> str:
    names = list(data)[:8] if isinstance(data, Mapping) else []
    return ", ".join(f"“{name[:40]}”" for name in names) or ("nothing" if isinstance(data, Mapping) else said(data))
