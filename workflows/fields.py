"""Declared fields: what somebody is asked for. Pure: no Django.

`read` takes a form's texts, `check` takes JSON; both end in the same rules (answers.py), so a page, the API and a
terminal refuse the same value in the same words. Knows nothing of steps: whatever asks people may use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic_core import InitErrorDetails, PydanticCustomError

from workflows.answers import problem, value_of
from workflows.errors import InputError
from workflows.values import copied

Values = dict[str, Any]
Type = Literal["text", "number", "boolean", "choice", "date", "json"]

NAME = re.compile(r"[^\W\d][\w-]{0,63}")
MAX_FIELDS, MAX_CHOICES = 100, 500


def _wrong(sentence: str) -> PydanticCustomError:
    """An error whose message is the sentence as it is: braces in it are no template."""
    return PydanticCustomError("field", "{sentence}", {"sentence": sentence})


class Field(pydantic.BaseModel):
    """One thing that is asked for. Unknown keys are left alone, as everywhere in a definition."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    name: str = pydantic.Field(
        title="Name", description="Its key in the data, such as invoice_number: letters, digits, _ and -."
    )
    type: Type = pydantic.Field("text", title="Type", description="What may be given.")
    label: str = pydantic.Field("", title="Label", description="What people read. Empty: the name.", max_length=200)
    help: str = pydantic.Field("", title="Help", description="A sentence below the field.", max_length=1000)
    required: bool = pydantic.Field(False, title="Required", description="It must be there and not be empty.")
    choices: list[str] = pydantic.Field(
        [], title="Choices", description="For a choice: what can be chosen.", validate_default=True
    )
    default: Any = pydantic.Field(None, title="Default", description="Taken where nothing is given.")

    @property
    def title(self) -> str:
        """What people call it: the label, else the name in plain writing."""
        return self.label.strip() or f"{self.name[:1].upper()}{self.name[1:]}".replace("_", " ")

    @pydantic.field_validator("name")
    @classmethod
    def _name_is_a_key(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise _wrong("A name begins with a letter and has at most 64 letters, digits, “_” and “-”")
        return name

    @pydantic.field_validator("choices")
    @classmethod
    def _choices_can_be_chosen(cls, choices: list[str], known: pydantic.ValidationInfo) -> list[str]:
        if known.data.get("type") == "choice" and not choices:
            raise _wrong("A choice needs something to choose from")
        if len(choices) > MAX_CHOICES:
            raise _wrong(f"At most {MAX_CHOICES} choices are possible")
        if len(set(choices)) < len(choices) or not all(choice.strip() for choice in choices):
            raise _wrong("No choice may be empty or stand there twice")
        return choices

    @pydantic.field_validator("default")
    @classmethod
    def _default_fits(cls, default: Any, known: pydantic.ValidationInfo) -> Any:
        if {"name", "type", "label", "choices"} <= known.data.keys():
            field = cls.model_construct(**{**known.data, "required": False})
            if wrong := problem(field, default):
                raise _wrong(f"The default does not fit: {wrong[:-1]}")
        return default


def _distinct(fields: list[Field]) -> list[Field]:
    """Points at each name that was there before."""
    names = [field.name for field in fields]
    errors = [
        InitErrorDetails(type=_wrong(f"Two fields have the name “{name}”"), loc=(number, "name"), input=name)
        for number, name in enumerate(names)
        if name in names[:number]
    ]
    if errors:
        raise pydantic.ValidationError.from_exception_data("fields", errors)
    return fields


#: For a Config: the fields that a step declares.
Fields = Annotated[list[Field], pydantic.Field(max_length=MAX_FIELDS), pydantic.AfterValidator(_distinct)]


def check(fields: Iterable[Field], given: Mapping[str, Any], where: str = "input_data") -> Values:
    """The given values, with defaults where a field is absent. What no field declares passes as it came.

    Raises InputError with every problem by field name; `where` is what its sender calls the whole.
    """
    values, wrong = dict(given), {}
    for field in fields:
        if field.name not in values and field.default is not None:
            values[field.name] = copied(field.default)
        wrong[field.name] = problem(field, values.get(field.name))
    _refuse(wrong, where)
    return values


def read(fields: Iterable[Field], texts: Mapping[str, str], where: str = "input_data") -> Values:
    """As check(), from a form's texts."""
    fields = list(fields)
    values, unreadable = taken(fields, texts)
    wrong = {field.name: unreadable.get(field.name) or problem(field, values.get(field.name)) for field in fields}
    _refuse(wrong, where)
    return values


def taken(fields: Iterable[Field], texts: Mapping[str, str]) -> tuple[Values, dict[str, str]]:
    """The values as far as the texts can be read, and by field name what is wrong with the others.

    A field that was left empty is left out; where it has a default it is null, since that was taken away on purpose.
    """
    values: Values = {}
    unreadable: dict[str, str] = {}
    for field in fields:
        try:
            value = value_of(field, texts.get(field.name, ""))
        except InputError as error:
            unreadable[field.name] = f"“{field.title}” {error.message.removeprefix('This ')}"
            continue
        if value is not None or field.default is not None:
            values[field.name] = value
    return values, unreadable


def offered(fields: Iterable[Field], last: Mapping[str, Any]) -> Values:
    """What to begin with: what was given last, and the default of each field for which that does not fit any more."""
    values = dict(last)
    for field in fields:
        if field.name not in values or problem(field, values[field.name]):
            values.pop(field.name, None)
            if field.default is not None:
                values[field.name] = copied(field.default)
    return values


def _refuse(wrong: Mapping[str, str | None], where: str) -> None:
    problems = {name: sentence for name, sentence in wrong.items() if sentence}
    if problems:
        raise InputError(" ".join(problems.values()), f"{where}.{next(iter(problems))}", problems)
