"""process: changes the data that comes in by one named operation."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from workflows.steps import base


class Config(base.Config):
    operation: Literal["passthrough", "uppercase", "lowercase", "trim"] = Field(
        "passthrough", description="What to do with every text in the data, however deep."
    )


class Process(base.Step[Config]):
    kind, label, icon = "process", "Process", "process"
    is_instant = True
    help = "Changes every text in the data: upper case, lower case, trimmed."
    also = "case"
    group, gives = "Data", "the data, changed"
    example = {"operation": "uppercase"}
    Config = Config
    presets = (
        base.Preset("Upper case", {"operation": "uppercase"}),
        base.Preset("Lower case", {"operation": "lowercase"}),
        base.Preset("Trim", {"operation": "trim"}),
    )

    async def run(self, ctx: base.StepContext) -> base.Done:
        change = OPERATIONS[self.config.operation]
        output = {key: _each_text(value, change) for key, value in ctx.data.items()} if change else dict(ctx.data)
        ctx.log(f"{self.config.operation}: {_changed(ctx.data, output)} of {len(output)} fields changed")
        return base.Done(output)


OPERATIONS: dict[str, Callable[[str], str] | None] = {
    "passthrough": None,
    "uppercase": str.upper,
    "lowercase": str.lower,
    "trim": str.strip,
}


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_text(item, change) for item in value]
    return value


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    return sum(before.get(key) != value for key, value in after.items())
