"""Two lists made into one: one behind the other, side by side by position, or by keys as in SQL."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workflows.transform.columns import matching
from workflows.transform.places import Place, put
from workflows.transform.source import part
from workflows.transform.thread import Stop
from workflows.transform.wrong import require_few

How = Literal["append", "position", "inner", "left", "outer", "without"]
HOW = {
    "append": "put it behind this one",
    "position": "side by side: first with first, second with second",
    "inner": "by keys: only items that have a match",
    "left": "by keys: all items of this list, with their matches",
    "outer": "by keys: all items of both",
    "without": "by keys: only items of this list without a match",
}
BY_KEYS = ["inner", "left", "outer", "without"]
MERGING = ["position", "inner", "left", "outer"]
Clash = Literal["other", "own"]


class Match(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    own: Place = Field(
        "",
        title="Field here",
        description="Of the items of this list, such as customer_id.",
        validate_default=True,
        json_schema_extra={"example": "customer_id"},
    )
    other: Place = Field(
        "",
        title="Field there",
        description="Of the items of the other list, such as id.",
        validate_default=True,
        json_schema_extra={"example": "id"},
    )


def joined(
    items: list[Any], others: list[Any], how: How, keys: list[Match], clash: Clash, under: str, stop: Stop
) -> list[Any]:
    """`under`: the other's fields stand under this name; empty: beside those of the item, as `clash` has it."""
    if how == "append":
        require_few(len(items) + len(others), "Putting these lists behind each other")
        return [*items, *others]
    if how == "position":
        return _side_by_side(items, others, clash, under, stop)
    return _by_keys(items, others, how, keys, clash, under, stop)


def _side_by_side(items: list[Any], others: list[Any], clash: Clash, under: str, stop: Stop) -> list[Any]:
    both = min(len(items), len(others))
    made = [_both(items[at], others[at], clash, under) for at in stop.each(range(both))]
    return [*made, *items[both:], *(_alone(other, under) for other in others[both:])]


def _by_keys(
    items: list[Any], others: list[Any], how: How, keys: list[Match], clash: Clash, under: str, stop: Stop
) -> list[Any]:
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, other in enumerate(stop.each(others)):
        if (key := _key(other, [one.other for one in keys])) is not None:
            found[key].append(number)
    made: list[Any] = []
    used: set[int] = set()
    for item in stop.each(items):
        key = _key(item, [one.own for one in keys])
        matches = found.get(key, []) if key is not None else []
        require_few(len(made) + len(matches), "Joining these lists")
        if how == "without":
            made += [] if matches else [item]
            continue
        used.update(matches)
        made += [_both(item, others[number], clash, under) for number in matches]
        made += [item] if not matches and how in ("left", "outer") else []
    if how == "outer":
        made += [_alone(other, under) for number, other in enumerate(others) if number not in used]
        require_few(len(made), "Joining these lists")
    return made


def _key(item: Any, fields: list[str]) -> tuple[str, ...] | None:
    values = [matching(part(item, field)) for field in fields]
    return None if None in values else tuple(value for value in values if value is not None)


def _both(item: Any, other: Any, clash: Clash, under: str) -> dict[str, Any]:
    own = _fields(item)
    if under:
        made: dict[str, Any] = put(own, under, other)
        return made
    return {**own, **_fields(other)} if clash == "other" else {**own, **_fields(other), **own}


def _alone(other: Any, under: str) -> Any:
    return put({}, under, other) if under else other


def _fields(item: Any) -> dict[str, Any]:
    return item if isinstance(item, dict) else {"item": item}
