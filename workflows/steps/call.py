"""call: runs another workflow as an execution of its own, waits for its end, and takes in what it gave."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from workflows.errors import WorkflowStepError
from workflows.steps import base
from workflows.steps.due import SaveAs


class Config(base.Config):
    workflow: int = Field(
        title="Workflow",
        ge=1,
        description="Which one runs, in the version that is published then.",
        json_schema_extra={"look": "workflow"},
    )
    what: list[str] = Field(
        [], title="Hand over", description="Names of data fields that it gets as its input. Empty: all of the data."
    )
    given: dict[str, Any] = Field(
        {},
        title="Values",
        description="More of its input, as a JSON object. With values and no names, it gets the values alone.",
    )
    save_as: SaveAs = "result"


class Call(base.Step[Config]):
    kind, label, icon = "call", "Run a workflow", "call"
    help = "Runs another workflow to its end, and goes on with its result."
    also = "subworkflow sub execute child reuse"
    effects = "outside"  # nobody knows what the other one does
    group, page = "Ways", "build.md#ways"
    gives = "the data, and what the other one gave under the name that you choose"
    example = {"workflow": 1, "what": ["text"], "save_as": "answer"}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Call:
        if absent := [name for name in self.config.what if name not in ctx.data]:
            ctx.log(f"Not in the data, so not handed over: {', '.join(absent)[:500]}", "warning")
        call = self.fan_out(ctx.data)
        ctx.log(f"Runs workflow {call.workflow}, with {', '.join(call.given)[:500] or 'an empty input'}")
        return call

    def fan_out(self, data: Mapping[str, Any]) -> base.Call:
        names = self.config.what or (() if self.config.given else data)
        return base.Call(
            self.config.workflow, {**{name: data[name] for name in names if name in data}, **self.config.given}
        )

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Done:
        if answer["status"] == "completed":
            return base.Done({**data, self.config.save_as: answer.get("output")})
        raise WorkflowStepError(_sentence(answer), {"execution": answer.get("execution")})


def _sentence(answer: Mapping[str, Any]) -> str:
    error, number = answer.get("error"), answer.get("execution")
    reason = error.get("message") if isinstance(error, Mapping) else error
    who = f"Execution #{number}" if number else "The workflow that it calls"
    if answer["status"] == "cancelled":
        return f"{who} was cancelled."
    return f"{who} failed: {reason or 'it did not say why'}"[:1_000]
