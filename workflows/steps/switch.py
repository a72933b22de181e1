"""switch: goes on by the first of its cases that holds, else by “default”.

A case's id is the handle by which connections leave: the builder makes it once, and it stays when the label changes.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pydantic
from django.conf import settings
from pydantic import Field
from pydantic_core import InitErrorDetails, PydanticCustomError

from workflows.conditions import Conditions, Match, decide, with_expressions
from workflows.edits import slug
from workflows.graph import EACH, ERROR, NODE_ID
from workflows.steps import base

DEFAULT = "default"
RESERVED = (DEFAULT, ERROR, EACH)
MOST = 50


class Case(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    id: str = Field("", description="The handle of its connections.", json_schema_extra={"look": "hidden"})
    label: str = Field("", title="Name", description="What people call this way.", max_length=60)
    match: Match = Field(
        "all",
        title="Taken when",
        description="For several conditions.",
        json_schema_extra={"words": {"all": "all conditions hold", "any": "any condition holds"}},
    )
    conditions: Conditions = Field(
        [], title="Conditions", description="What is compared in the data.", validate_default=True
    )

    @property
    def title(self) -> str:
        return self.label.strip() or self.id


def _ways(cases: list[Case]) -> list[Case]:
    """Each case has an id of its own: without, connections could not tell them apart."""
    ids = [case.id for case in cases]
    errors = [
        InitErrorDetails(type=PydanticCustomError("field", "{why}", {"why": why}), loc=(number, "label"), input=one)
        for number, one in enumerate(ids)
        if (why := _why_not(one, ids[:number]))
    ]
    if errors:
        raise pydantic.ValidationError.from_exception_data("cases", errors)
    return cases


def _why_not(case_id: str, earlier: list[str]) -> str:
    if not NODE_ID.match(case_id):
        return f"the case needs an id of 1 to 64 letters, digits, “_” or “-”, not “{case_id[:64]}”"
    if case_id in RESERVED:
        return f"the id “{case_id}” is taken by the step itself; give the case another one"
    return f"two cases have the id “{case_id}”" if case_id in earlier else ""


class Config(base.Config):
    cases: Annotated[list[Case], Field(max_length=MOST), pydantic.AfterValidator(_ways)] = Field(
        [], title="Cases", description="From top to bottom: the first that holds is taken."
    )


class Switch(base.Step[Config]):
    kind, label, icon = "switch", "Switch", "branch"
    is_instant = True
    help = "Goes the way of the first case that holds, and another way if none does."
    also = "case route choose"
    handles = (DEFAULT,)
    start = {"cases": [{"id": "case-1", "label": "Case 1", "conditions": [{}]}]}
    group, page, gives = "Ways", "conditions.md", "the data"
    example = {
        "cases": [
            {
                "id": "urgent",
                "label": "Urgent",
                "conditions": [{"path": "text", "operator": "contains", "value": "urgent"}],
            },
            {"id": "empty", "label": "Nothing there", "conditions": [{"path": "text", "operator": "empty"}]},
        ]
    }
    Config = Config

    @classmethod
    def handles_of(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        ids = (case["id"] for case in _cases(data) if isinstance(case.get("id"), str) and case["id"])
        return (*dict.fromkeys(ids), DEFAULT)

    @classmethod
    def name_of(cls, data: Mapping[str, Any], handle: str) -> str:
        if handle == DEFAULT:
            return "otherwise"
        label = next((case.get("label") for case in _cases(data) if case.get("id") == handle), None)
        return (label.strip()[:60] if isinstance(label, str) else "") or handle

    @classmethod
    def filled(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Every case gets an id and, where it has none, a name: once, so that connections stay where they are."""
        if not isinstance(cases := data.get("cases"), list):
            return data
        taken = {str(case.get("id")) for case in _cases(data)} | set(RESERVED)
        return {
            **data,
            "cases": [_named(case, n, taken) if isinstance(case, dict) else case for n, case in enumerate(cases)],
        }

    @classmethod
    def upgrade(cls, old: dict[str, Any]) -> dict[str, Any]:
        cases = old.get("cases")
        return {**old, "cases": [_with_expressions(case) for case in cases]} if isinstance(cases, list) else old

    async def run(self, ctx: base.StepContext) -> base.Done:
        zone = ZoneInfo(ctx.time_zone or settings.TIME_ZONE)
        for case in self.config.cases:
            verdict = decide(case.conditions, case.match, ctx.data, zone)
            if verdict.holds:
                ctx.log(f"{verdict.words}: goes to “{case.title}”")
                return base.Done(ctx.data, case.id)
            ctx.log(f"{verdict.words}: not “{case.title}”")
        ctx.log("No case holds: goes to “otherwise”" if self.config.cases else "There is no case: goes to “otherwise”")
        return base.Done(ctx.data, DEFAULT)


def _with_expressions(case: Any) -> Any:
    if not isinstance(case, dict) or "conditions" not in case:
        return case
    return {**case, "conditions": with_expressions(case["conditions"])}


def _named(case: dict[str, Any], place: int, taken: set[str]) -> dict[str, Any]:
    if case.get("id"):
        return case
    label = case.get("label") or f"Case {place + 1}"
    made = slug(str(label), taken)
    taken.add(made)
    return {"conditions": [{}], **case, "id": made, "label": label}


def _cases(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    cases = data.get("cases")
    return [case for case in cases if isinstance(case, dict)] if isinstance(cases, list) else []
