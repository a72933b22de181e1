"""branch: goes on by “true” or “false”, as its conditions say."""

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from pydantic import Field

from workflows.conditions import Conditions, Match, decide, with_expressions
from workflows.steps import base


class Config(base.Config):
    match: Match = Field(
        "all",
        title="Goes to “true” when",
        description="For several conditions.",
        json_schema_extra={"words": {"all": "all conditions hold", "any": "any condition holds"}},
    )
    conditions: Conditions = Field(
        [], title="Conditions", description="What is compared in the data.", validate_default=True
    )


class Branch(base.Step[Config]):
    kind, label, icon = "branch", "If / else", "branch"
    is_instant = True
    help = "Goes one way if conditions hold, and the other way if not."
    also = "condition when compare decide"
    handles = ("true", "false")
    start = {"conditions": [{}]}
    group, page, gives = "Ways", "conditions.md", "the data"
    example = {"conditions": [{"path": "text", "operator": "contains", "value": "urgent"}]}
    Config = Config

    @classmethod
    def upgrade(cls, old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "conditions": with_expressions(old["conditions"])} if "conditions" in old else old

    async def run(self, ctx: base.StepContext) -> base.Done:
        zone = ZoneInfo(ctx.time_zone or settings.TIME_ZONE)
        verdict = decide(self.config.conditions, self.config.match, ctx.data, zone)
        handle = "true" if verdict.holds else "false"
        ctx.log(f"{verdict.words}: goes to “{handle}”")
        return base.Done(ctx.data, handle)
