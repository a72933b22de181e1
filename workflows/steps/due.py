"""How long a question stays open: shared by the kinds that somebody else answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, Field

from workflows.fields import NAME

Unit = Literal["seconds", "minutes", "hours", "days"]

#: For a Config.
Due = Annotated[
    float | None,
    Field(gt=0, le=10_000, description="For how long an answer counts, in the unit below. Empty: without end."),
]
DueUnit = Annotated[Unit, Field(description="What that number counts.")]


class HasDue(Protocol):
    @property
    def due(self) -> float | None: ...
    @property
    def due_unit(self) -> Unit: ...


def due_at(asked: datetime, config: HasDue) -> datetime | None:
    return asked + timedelta(**{config.due_unit: config.due}) if config.due is not None else None


def _key(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("Save as must begin with a letter and have at most 64 letters, digits, “_” and “-”.")
    return name


SaveAs = Annotated[
    str, AfterValidator(_key), Field(title="Save as", description="The name that the answer gets in the data.")
]
