"""What goes over the wire about workflows, and what all of the API shares: ids, windows on lists, refusals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

from ninja import Schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from workflows.models import Workflow
from workflows.moments import is_path
from workflows.values import clean_text


def keepable(text: str) -> str:
    if clean_text(text) != text:
        raise ValueError("it holds a NUL or half of a surrogate pair, which no database keeps")
    return text


def in_utc(moment: datetime) -> datetime:
    """A naive one is taken as UTC. The first and last hours of the calendar have no UTC."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("it is outside of the calendar") from None


def known_zone(name: str) -> str:
    if name and name not in available_timezones():
        raise ValueError("it is no time zone; they are called like Europe/Berlin or UTC")
    return name


def known_path(text: str) -> str:
    if text and not is_path(text):
        raise ValueError("it is no place in the input; write it like customer.id")
    return text


RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]
Text = Annotated[str, AfterValidator(keepable)]
Moment = Annotated[datetime, AfterValidator(in_utc)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(keepable)]
Definition = Annotated[dict[str, Any], Field(description="`nodes` and `edges`, as React Flow editors save them.")]

READ_ONLY = frozenset({"id", "version", "created_at", "updated_at"})


class Place(Schema):
    """Where it went wrong: the step, the field, the line of the JSON text."""

    node: str | None = None
    field: str | None = None
    line: int | None = None


class Refusal(Schema):
    """Every error of the API: a sentence for people, a code for programs, and where."""

    detail: str
    code: str
    where: Place


class Window(Schema):
    """Which part of a list: newest first, onwards from the `next` of the part before."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: RowId | None = None


class Body(BaseModel):
    """What a client sends: a wrong type is refused and not guessed, a misspelt key is named and not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class WorkflowBody(Body):
    @model_validator(mode="before")
    @classmethod
    def without_what_we_set(cls, data: Any) -> Any:
        """So that what a GET gave can be sent back as it is."""
        return {key: data[key] for key in data if key not in READ_ONLY} if isinstance(data, dict) else data


class Settings(Body):
    """Only what is named changes. Seconds and days; null: none of its own. `on_failure`: a workflow's id."""

    max_parallel: Annotated[int, Field(ge=1, le=1_000)] = 8
    time_zone: Annotated[str, AfterValidator(known_zone)] = ""
    time_limit_s: Annotated[int, Field(ge=1, le=366 * 86_400)] | None = None
    keep_days: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    concurrency_key: Annotated[str, Field(max_length=200), AfterValidator(known_path)] = ""
    concurrency_per_key: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    priority: Annotated[int, Field(ge=-1, le=1)] = 0
    token_budget: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    on_failure: RowId | None = None


class WorkflowNew(WorkflowBody):
    name: Name
    description: Text = ""
    is_active: bool = True
    settings: Settings = Settings()
    definition: Definition
    draft: bool = Field(False, description="Keep the definition as a draft; otherwise it is published at once.")


class WorkflowChange(WorkflowBody):
    """Only what is named changes."""

    name: Name = ""
    description: Text = ""
    is_active: bool = True
    settings: Settings = Settings()
    definition: Definition = {}
    draft: bool = Field(False, description="Keep the definition as a draft. False: publish it, or the draft there is.")


class WorkflowSummary(Schema):
    """`version` is the number of the version that runs now, null where none was published."""

    id: int
    name: str
    description: str
    is_active: bool
    draft: bool
    version: int | None
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_draft(workflow: Workflow) -> bool:
        return workflow.draft is not None

    @staticmethod
    def resolve_version(workflow: Workflow) -> int | None:
        return workflow.published.number if workflow.published else None


class WorkflowDetail(WorkflowSummary):
    """`definition` is the draft where `draft` is true, else what runs now."""

    definition: dict[str, Any]
    settings: dict[str, Any]

    @staticmethod
    def resolve_settings(workflow: Workflow) -> dict[str, Any]:
        told = {name: getattr(workflow, name) for name in Settings.model_fields if name != "on_failure"}
        return {**told, "on_failure": workflow.on_failure_id}


class WorkflowList(Schema):
    items: list[WorkflowSummary]
    next: str | None = Field(description="The cursor of the part that follows; null at the end.")
