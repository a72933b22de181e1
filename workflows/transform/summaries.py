"""Groups of items, and what is counted, added up or gathered over them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from decimal import Decimal, InvalidOperation, Overflow
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from workflows import paths
from workflows.comparison import kind_of, number_of
from workflows.transform.columns import alike, comparable, is_nothing
from workflows.transform.fields import text_of
from workflows.transform.places import AnyPlace
from workflows.transform.source import part
from workflows.transform.thread import Stop
from workflows.transform.wrong import setting, wrong

Of = Literal["count", "sum", "average", "min", "max", "first", "last", "concatenate", "list", "distinct"]


class Measure(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    of: Of = Field(
        "count",
        title="What",
        description="Such as the sum of amount.",
        json_schema_extra={
            "words": {
                "count": "how many",
                "sum": "the sum",
                "average": "the average",
                "min": "the smallest",
                "max": "the largest",
                "first": "the first",
                "last": "the last",
                "concatenate": "all as one text",
                "list": "all as a list",
                "distinct": "how many different ones",
            }
        },
    )
    field: AnyPlace = Field(
        "",
        title="Of the field",
        description="Such as amount. Empty: the item itself.",
        json_schema_extra={"example": "amount"},
    )
    name: AnyPlace = Field(
        "",
        title="Call it",
        description="Empty: for example sum_amount, or count.",
        json_schema_extra={"example": "total"},
    )
    separator: str = Field(
        ", ",
        title="Between them",
        description="Such as a comma.",
        max_length=100,
        json_schema_extra={"when": {"of": ["concatenate"]}},
    )

    @property
    def title(self) -> str:
        return self.name or "_".join(filter(None, (self.of, self.field.replace(".", "_"))))


def _once(measures: list[Measure]) -> list[Measure]:
    titles = [one.title for one in measures]
    if twice := next((title for title in titles if titles.count(title) > 1), None):
        raise setting(f"two of them are called “{twice}”, and one would be lost: give one another name")
    return measures


Measures = Annotated[list[Measure], Field(max_length=50), AfterValidator(_once)]


def groups(items: list[Any], fields: list[str], stop: Stop) -> list[tuple[dict[str, Any], list[Any]]]:
    """({field: value}, its items), in the order in which each first came. Without fields: one group."""
    if not fields:
        return [({}, items)]
    found: dict[Any, tuple[dict[str, Any], list[Any]]] = {}
    for item in stop.each(items):
        values = [part(item, field) for field in fields]
        key = tuple(map(alike, values))
        if key not in found:
            named = {
                field: None if value is paths.MISSING else value for field, value in zip(fields, values, strict=True)
            }
            found[key] = named, []
        found[key][1].append(item)
    return list(found.values())


def summarised(
    items: list[Any], fields: list[str], measures: list[Measure], zone: tzinfo, stop: Stop
) -> list[dict[str, Any]]:
    """One object for each group: its fields, and each measure by its name."""
    return [
        {**named, **{one.title: measured(one, inside, zone) for one in measures or [Measure.model_validate({})]}}
        for named, inside in stop.each(groups(items, fields, stop))
    ]


def measured(measure: Measure, items: list[Any], zone: tzinfo) -> Any:
    values = [part(item, measure.field) for item in items]
    there = [value for value in values if not is_nothing(value)]
    return MEASURES[measure.of](there, values, measure, zone)


def _numbers(values: list[Any], measure: Measure, zone: tzinfo) -> list[int | float]:
    made = []
    for number, value in enumerate(values, 1):
        if is_nothing(value):
            continue
        if (one := number_of(value)) is None:
            text = (
                f"Item {number:,}: “{measure.field or 'item'}” is {kind_of(value, zone)}; expected a number to add up."
            )
            raise wrong(text, item=number, field=measure.field)
        made.append(one)
    return made


def _sum(values: list[int | float]) -> Decimal | int:
    """Exact for whole numbers; as people add up decimals: 0.1 and 0.2 are 0.3."""
    if all(isinstance(value, int) for value in values):
        return int(sum(values))
    return sum((Decimal(repr(value)) for value in values), Decimal())


def _number(value: Decimal | int, measure: Measure) -> int | float:
    if isinstance(value, int):
        return value
    made = number_of(float(value))
    if made is None:
        raise wrong(f"The {measure.of} of “{measure.field or 'item'}” is too large to be written as a number.")
    return made


def _total(there: list[Any], values: list[Any], measure: Measure, zone: tzinfo) -> Any:
    return _safely(lambda: _number(_sum(_numbers(values, measure, zone)), measure), measure)


def _average(there: list[Any], values: list[Any], measure: Measure, zone: tzinfo) -> Any:
    numbers = _numbers(values, measure, zone)
    return _safely(lambda: _number(Decimal(_sum(numbers)) / len(numbers), measure), measure) if numbers else None


def _safely(work: Callable[[], int | float], measure: Measure) -> int | float:
    try:
        return work()
    except (OverflowError, InvalidOperation, Overflow, ValueError):
        raise wrong(
            f"The {measure.of} of “{measure.field or 'item'}” is too large to be written as a number."
        ) from None


def _extreme(pick: Callable[..., int]) -> Callable[..., Any]:
    def measure(there: list[Any], values: list[Any], measure: Measure, zone: tzinfo) -> Any:
        ranks = comparable(there, "auto", zone, measure.field)
        return there[pick(range(len(ranks)), key=ranks.__getitem__)] if there else None

    return measure


MEASURES: dict[str, Callable[[list[Any], list[Any], Measure, tzinfo], Any]] = {
    "count": lambda there, values, measure, zone: len(there) if measure.field else len(values),
    "sum": _total,
    "average": _average,
    "min": _extreme(min),
    "max": _extreme(max),
    "first": lambda there, values, measure, zone: there[0] if there else None,
    "last": lambda there, values, measure, zone: there[-1] if there else None,
    "concatenate": lambda there, values, measure, zone: measure.separator.join(map(text_of, there)),
    "list": lambda there, values, measure, zone: there,
    "distinct": lambda there, values, measure, zone: len(set(map(alike, there))),
}
