"""input: where the execution's input enters, under a name of its own where `field` is given.

Its `fields` are asked for, and checked before an execution begins: by then a step would be too late to ask again.
"""

from typing import Any

from pydantic import Field

from workflows.fields import Fields
from workflows.steps import base


class Config(base.Config):
    fields: Fields = Field([], title="Fields", description="What is asked for, and checked before a run begins.")
    field: str = Field(
        "",
        max_length=200,
        title="Put under",
        description="Put the input under this name. Empty: hand it on as it came.",
    )
    example: dict[str, Any] | None = Field(None, title="Example", description="An input that the run form offers.")


class Input(base.Step[Config]):
    kind, label, icon = "input", "Input", "input"
    is_instant = True
    help = "Takes in what the run was started with."
    also = "form start begin trigger parameters ask"
    literal = frozenset({"fields"})  # they are asked for before anything runs
    group, page = "In and out", "fields.md"
    gives = "the input; with `field`: `{field: input}`"
    example = {"fields": [{"name": "text", "label": "Text", "required": True}], "example": {"text": "Good morning"}}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        ctx.log(f"Received {len(ctx.data)} field{'' if len(ctx.data) == 1 else 's'}: {_names(ctx.data)}")
        return base.Done({self.config.field: dict(ctx.data)} if self.config.field else ctx.data)


def _names(data: Any) -> str:
    return ", ".join(list(data)[:12]) or "an empty object"
