"""approval: asks people for a yes or no, and lets go until one of them has answered or its time is over."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from workflows.errors import WorkflowStepError
from workflows.fields import Fields
from workflows.steps import base
from workflows.steps.due import Due, DueUnit, SaveAs, due_at

APPROVED, REJECTED, EXPIRED = "approved", "rejected", "expired"


class Config(base.Config):
    title: str = Field("", max_length=150, description="What is to be decided, in a few words.")
    message: str = Field("", max_length=10_000, description="What one must know to decide it.")
    people: list[str] = Field(
        [],
        max_length=100,
        description="User names of who may answer. With no people and no groups: all who may run the workflow.",
    )
    groups: list[str] = Field([], max_length=100, description="Groups whose members may answer.")
    fields: Fields = Field([], title="Fields", description="What is asked for beside yes or no.")
    due: Due = None
    due_unit: DueUnit = "hours"
    save_as: SaveAs = "approval"


class Approval(base.Step[Config]):
    kind, label, icon = "approval", "Approval", "person"
    help = "Asks people, and goes on by what they decide: approved, rejected, or expired where nobody did in time."
    also = "human person approve review confirm ask manual decision"
    handles = (APPROVED, REJECTED, EXPIRED)
    group, page = "Wait", "people.md"
    gives = 'the data and `{"approval": {"decision", "by", "comment", "values"}}`'
    example = {"title": "Publish this text?", "groups": ["editors"], "due": 2, "due_unit": "days"}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Wait:
        config = self.config
        ask = base.Ask(
            title=config.title,
            message=config.message,
            fields=[field.model_dump(mode="json") for field in config.fields],
            people=config.people,
            groups=config.groups,
        )
        return base.Wait(until=due_at(ctx.now, config), reason=config.title, ask=ask)

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Done:
        """`answer`: {"approved": bool, "by", "values", "comment"}, as executions/answering.py makes it."""
        if answer is None:
            return self._left(data, EXPIRED, {})
        if not isinstance(answer, Mapping) or not isinstance(answer.get("approved"), bool):
            raise WorkflowStepError("The answer says neither yes nor no.", {"answer": answer})
        return self._left(data, APPROVED if answer["approved"] else REJECTED, answer)

    def _left(self, data: Mapping[str, Any], handle: str, answer: Mapping[str, Any]) -> base.Done:
        kept = {
            "decision": handle,
            "by": answer.get("by"),
            "comment": answer.get("comment", ""),
            "values": answer.get("values", {}),
        }
        return base.Done({**data, self.config.save_as: kept}, handle)
