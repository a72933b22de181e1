"""One operation on a list: what a row of a `list` step asks for, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from workflows.comparison import said
from workflows.conditions import Condition, decide
from workflows.conditions import Match as AllOrAny
from workflows.transform import joins, places, summaries
from workflows.transform.columns import alike, is_nothing
from workflows.transform.fields import MOST, Renames, Value, renamed
from workflows.transform.order import SortKey, ordered
from workflows.transform.source import listed, part
from workflows.transform.thread import Stop
from workflows.transform.wrong import MOST_ROWS, require_few, setting, wrong

# fmt: off
Do = Literal[
    "filter", "sort", "limit", "unique", "pick", "drop", "rename", "set", "split", "group", "summarise", "join",
    "batches",
]
# fmt: on
DO: dict[str, Any] = {
    "filter": "Filter: keep items that fit",
    "sort": "Sort",
    "limit": "Limit: keep some from the beginning or end",
    "unique": "Remove duplicates",
    "pick": "Keep only some fields of each item",
    "drop": "Leave out fields of each item",
    "rename": "Rename fields of each item",
    "set": "Set fields of each item",
    "split": "Split: an item for each part of a field",
    "group": "Group: an item for each value of a field",
    "summarise": "Summarise: count, add up, average …",
    "join": "Join with another list",
    "batches": "Batches: lists of so many items each",
}


def _when(*of: str, how: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """Beside which operations a field means something; for a join, also beside which ways of it."""
    return {"when": {"do": list(of)} | ({"how": how} if how else {}), **more}


class Operation(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    do: Do = Field("filter", title="Do", description="What happens to the list.", json_schema_extra={"words": DO})
    match: AllOrAny = Field(
        "all",
        title="Keep an item when",
        description="For several conditions.",
        json_schema_extra=_when("filter", words={"all": "all conditions hold", "any": "any condition holds"}),
    )
    conditions: Annotated[list[Condition], Field(max_length=50)] = Field(
        [],
        title="Conditions",
        description="Fields of the item, such as status or customer.age; an item that is no object is called item.",
        validate_default=True,
        json_schema_extra=_when("filter"),
    )
    keys: Annotated[list[SortKey], Field(max_length=20)] = Field(
        [],
        title="Sort by",
        description="The first counts most. Empty: by the items themselves.",
        json_schema_extra=_when("sort"),
    )
    fields: places.Places = Field(
        [],
        title="Fields",
        description="Of the items, such as email or customer.id.",
        max_length=MOST,
        validate_default=True,
        json_schema_extra=_when("unique", "pick", "drop", "group", "summarise", example="email\ncustomer.id"),
    )
    size: int = Field(
        10,
        ge=0,
        le=MOST_ROWS,
        title="How many",
        description="Such as 10.",
        json_schema_extra=_when("limit", "batches"),
    )
    skip: int = Field(
        0, ge=0, le=MOST_ROWS, title="Leave out before", description="Such as 20.", json_schema_extra=_when("limit")
    )
    end: Literal["first", "last"] = Field(
        "first",
        title="Keep",
        description="From which end; of duplicates, which one.",
        json_schema_extra=_when(
            "limit", "unique", words={"first": "from the beginning (the first)", "last": "from the end (the last)"}
        ),
    )
    renames: Renames = Field(
        [],
        title="New names",
        description="Each of a field of the items, with its value.",
        validate_default=True,
        json_schema_extra=_when("rename"),
    )
    values: Annotated[list[Value], Field(max_length=MOST)] = Field(
        [],
        title="Fields to set",
        description="Each gets the same value in every item.",
        validate_default=True,
        json_schema_extra=_when("set"),
    )
    field: places.AnyPlace = Field(
        "",
        title="Field to split",
        description="Such as lines or tags. Empty: the item itself, which is a list.",
        json_schema_extra=_when("split", example="order.lines"),
    )
    separator: str = Field(
        "",
        title="Text is split at",
        description="Such as a comma. Empty: the field holds a list.",
        max_length=100,
        json_schema_extra=_when("split", example=","),
    )
    carry: Literal["item", "part"] = Field(
        "item",
        title="Each new item is",
        description="Such as an order with one of its lines, or the line alone.",
        json_schema_extra=_when(
            "split", words={"item": "the old item with one part in the field", "part": "the part alone"}
        ),
    )
    measures: summaries.Measures = Field(
        [],
        title="What is worked out",
        description="For each value of the fields above; without fields, over the whole list.",
        json_schema_extra=_when("summarise"),
    )
    other: Any = Field(
        "",
        title="Other list",
        description="Where it stands in the data, such as customers, or an expression.",
        validate_default=True,
        json_schema_extra=_when("join", look="text", example="customers"),
    )
    how: joins.How = Field(
        "left",
        title="How",
        description="Which items the new list has.",
        json_schema_extra=_when("join", words=joins.HOW),
    )
    on: Annotated[list[joins.Match], Field(max_length=20)] = Field(
        [],
        title="Keys",
        description="Fields that must be the same in both: customer_id here, id there.",
        validate_default=True,
        json_schema_extra=_when("join", how=joins.BY_KEYS),
    )
    clash: joins.Clash = Field(
        "other",
        title="Where both have a field",
        description="Whose value stays.",
        json_schema_extra=_when(
            "join", how=joins.MERGING, words={"other": "the other list's counts", "own": "this list's counts"}
        ),
    )
    under: places.AnyPlace = Field(
        "",
        title="Other's fields under the name",
        description="Such as customer. Empty: beside the item's own fields.",
        json_schema_extra=_when("join", how=joins.MERGING, example="customer"),
    )
    name: places.Place = Field(
        "items",
        title="Call the list of items",
        description="In each group or batch.",
        json_schema_extra=_when("group", "batches"),
    )

    @field_validator("conditions", "fields", "renames", "values", "other", "on", "size")
    @classmethod
    def _has_what_it_needs(cls, value: Any, known: ValidationInfo) -> Any:
        do, name = known.data.get("do", ""), known.field_name or ""
        if name == "on" and (do != "join" or known.data.get("how") not in joins.BY_KEYS):
            return value
        if value in ("", [], None) and (why := NEEDS.get((do, name))):
            raise setting(why)
        if name == "size" and do == "batches" and value == 0:
            raise setting("a batch has at least one item")
        if name == "other" and do == "join" and not isinstance(value, str | list):
            raise setting(f"expected a list, or its name in the data; it is {said(value)}")
        return value


NEEDS = {
    ("filter", "conditions"): "add at least one",
    ("pick", "fields"): "name at least one field, such as id",
    ("drop", "fields"): "name at least one field, such as password",
    ("group", "fields"): "name the field by which items belong together, such as country",
    ("rename", "renames"): "add at least one",
    ("set", "values"): "add at least one",
    ("join", "other"): "name the list to join with, such as customers",
    ("join", "on"): "add the fields by which items of both lists belong together",
}


def done(
    operation: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop
) -> tuple[list[Any], str]:
    """The new list, and a line for the log."""
    before, made = len(items), OPERATIONS[operation.do](operation, items, data, zone, stop)
    require_few(len(made), f"“{DO[operation.do]}”")
    return made, f"{DO[operation.do].partition(':')[0]}: {before:,} → {len(made):,}"


def _filter(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    return [item for item in stop.each(items) if decide(one.conditions, one.match, _object(item), zone).holds]


def _object(item: Any) -> dict[str, Any]:
    return item if isinstance(item, dict) else {"item": item}


def _sort(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    return ordered(items, one.keys, zone, stop)


def _limit(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    if one.end == "first":
        return items[one.skip : one.skip + one.size]
    end = max(0, len(items) - one.skip)
    return items[max(0, end - one.size) : end]


def _unique(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    seen: dict[Any, Any] = {}
    for item in stop.each(items if one.end == "first" else items[::-1]):
        seen.setdefault(tuple(alike(part(item, field)) for field in one.fields or [""]), item)
    made = list(seen.values())
    return made if one.end == "first" else made[::-1]


def _each(change: Callable[[Operation, Any], Any]) -> Callable[..., list[Any]]:
    """Of items that are objects; any other would have no fields."""

    def work(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
        return [change(one, _required_object(item, number)) for number, item in enumerate(stop.each(items), 1)]

    return work


def _required_object(item: Any, number: int) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise wrong(f"Item {number:,} must be an object with fields; it is {said(item)}.", item=number)
    return item


def _drop(one: Operation, item: Any) -> Any:
    for field in one.fields:
        item = places.without(item, field)
    return item


def _set(one: Operation, item: Any) -> Any:
    for value in one.values:
        item = places.put(item, value.name, value.value)
    return item


def _split(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    made: list[Any] = []
    for number, item in enumerate(stop.each(items), 1):
        parts = _parts(one, part(item, one.field), number)
        require_few(len(made) + len(parts), "Splitting")
        is_alone = one.carry == "part" or not one.field or not isinstance(item, dict)
        made += parts if is_alone else [places.put(item, one.field, piece) for piece in parts]
    return made


def _parts(one: Operation, value: Any, number: int) -> list[Any]:
    """Nothing has no parts."""
    if is_nothing(value):
        return []
    if one.separator and isinstance(value, str):
        return [piece.strip() for piece in value.split(one.separator) if piece.strip()]
    if isinstance(value, list):
        return value
    must = "text or a list" if one.separator else "a list (for text, say where it is split)"
    raise wrong(f"Item {number:,}: “{one.field or 'item'}” is {said(value)}; expected {must}.", item=number)


def _group(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    return [
        places.put({**named, "count": len(inside)}, one.name, inside)
        for named, inside in summaries.groups(items, one.fields, stop)
    ]


def _summarise(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    return list(summaries.summarised(items, one.fields, one.measures, zone, stop))


def _join(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    return joins.joined(items, listed(data, one.other, "The other list"), one.how, one.on, one.clash, one.under, stop)


def _batches(one: Operation, items: list[Any], data: Mapping[str, Any], zone: tzinfo, stop: Stop) -> list[Any]:
    return [
        places.put({"number": number, "count": len(items[at : at + one.size])}, one.name, items[at : at + one.size])
        for number, at in enumerate(range(0, len(items), one.size), 1)
    ]


OPERATIONS: dict[str, Callable[[Operation, list[Any], Mapping[str, Any], tzinfo, Stop], list[Any]]] = {
    "filter": _filter,
    "sort": _sort,
    "limit": _limit,
    "unique": _unique,
    "pick": _each(lambda one, item: places.picked(item, one.fields)),
    "drop": _each(_drop),
    "rename": _each(lambda one, item: renamed(item, one.renames)),
    "set": _each(_set),
    "split": _split,
    "group": _group,
    "summarise": _summarise,
    "join": _join,
    "batches": _batches,
}
