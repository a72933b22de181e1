"""Fields that get a value or another name: what `set` and `list` ask for in rows, and how it is done."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from workflows import paths
from workflows.comparison import number_of, said, truth_of
from workflows.errors import InputError
from workflows.transform import places
from workflows.transform.wrong import setting
from workflows.values import parse

MOST = 100
Type = Literal["as_is", "text", "number", "boolean", "json"]
MUST = {
    "number": "a number such as 12.5",
    "boolean": "yes or no",
    "json": 'JSON such as [1, 2] or {"a": 1}',
}


class Value(BaseModel):
    """A field and what it becomes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: places.Place = Field(
        "",
        title="Name",
        description="Such as total, or customer.name for a field inside another.",
        validate_default=True,
        json_schema_extra={"example": "customer.name"},
    )
    type: Type = Field(
        "as_is",
        title="Type",
        description="What the value shall be. “As it is”: typed text is text, an expression keeps its type.",
        json_schema_extra={
            "words": {
                "as_is": "as it is",
                "text": "text",
                "number": "a number",
                "boolean": "yes or no",
                "json": "a list or an object (JSON)",
            }
        },
    )
    value: Any = Field(
        "",
        title="Value",
        description="Any text or number, or an expression such as {{ input.amount * 1.19 }}.",
        json_schema_extra={"look": "text", "example": "{{ input.amount * 1.19 }}"},
    )

    @field_validator("value")
    @classmethod
    def _value_fits_the_type(cls, value: Any, known: ValidationInfo) -> Any:
        return typed(value, known.data.get("type", "as_is"))


class Rename(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    old: places.Place = Field(
        "",
        title="From",
        description="Its name now, such as mail.",
        validate_default=True,
        json_schema_extra={"example": "mail"},
    )
    new: places.Place = Field(
        "",
        title="To",
        description="Its new name, such as customer.email.",
        validate_default=True,
        json_schema_extra={"example": "customer.email"},
    )


def _once(renames: list[Rename]) -> list[Rename]:
    seen: set[str] = set()
    for one in renames:
        if one.new in seen:
            raise setting(f"two fields would both become “{one.new}”, and one would be lost")
        seen.add(one.new)
    return renames


Renames = Annotated[list[Rename], Field(max_length=MOST), AfterValidator(_once)]


def renamed(whole: Any, renames: list[Rename]) -> Any:
    """All at once: two fields may change their names with each other."""
    if len(renames) == 1:
        return places.renamed(whole, renames[0].old, renames[0].new)
    found = [(one.new, paths.found(whole, one.old)) for one in renames]
    for one in renames:
        whole = places.without(whole, one.old)
    for name, value in found:
        if value is not paths.MISSING:
            whole = places.put(whole, name, value)
    return whole


def typed(value: Any, kind: str) -> Any:
    """The value as what it shall be; a pydantic error where it cannot be."""
    if kind == "as_is" or value is None:
        return value
    if kind == "text":
        return value if isinstance(value, str) else text_of(value)
    made = number_of(value) if kind == "number" else truth_of(value) if kind == "boolean" else _json(value)
    if made is None:
        raise setting(f"expected {MUST[kind]}; it is {said(value)}")
    return made


def text_of(value: Any) -> str:
    """A text as it is; yes, numbers, lists and objects as JSON has them; nothing for null."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value if isinstance(value, list | dict) else None
    try:
        return parse(value)
    except InputError:
        return None
