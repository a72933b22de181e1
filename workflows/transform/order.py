"""Sorting a list by several fields."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workflows.transform.columns import As, comparable
from workflows.transform.places import AnyPlace
from workflows.transform.source import part
from workflows.transform.thread import Stop


class SortKey(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    field: AnyPlace = Field(
        "",
        title="By",
        description="A field of the items, such as price. Empty: the item itself.",
        json_schema_extra={"example": "price"},
    )
    direction: Literal["up", "down"] = Field(
        "up",
        title="Direction",
        description="Which comes first.",
        json_schema_extra={"words": {"up": "smallest first (A to Z)", "down": "largest first (Z to A)"}},
    )
    compare: As = Field(
        "auto",
        title="Compare",
        description="Numbers, dates and text by themselves; a mixture only as text.",
        json_schema_extra={
            "words": {"auto": "as they are", "number": "as numbers", "date": "as dates", "text": "as text"}
        },
    )
    empty: Literal["last", "first"] = Field(
        "last",
        title="Items without it",
        description="Where they go.",
        json_schema_extra={"words": {"last": "come last", "first": "come first"}},
    )


def ordered(items: list[Any], keys: list[SortKey], zone: tzinfo, stop: Stop) -> list[Any]:
    """By the first key, then by the others; what is equal stays in its order."""
    for key in reversed(keys or [SortKey.model_validate({})]):
        stop.ask()
        items = _by(items, key, zone, stop)
    return items


def _by(items: list[Any], key: SortKey, zone: tzinfo, stop: Stop) -> list[Any]:
    values = [part(item, key.field) for item in stop.each(items)]
    ranks = comparable(values, key.compare, zone, key.field)
    there = [number for number, rank in enumerate(ranks) if rank is not None]
    there.sort(key=ranks.__getitem__, reverse=key.direction == "down")
    without = [item for item, rank in zip(items, ranks, strict=True) if rank is None]
    made = [items[number] for number in there]
    return [*without, *made] if key.empty == "first" else [*made, *without]
