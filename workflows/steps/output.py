"""output: gathers what was made under `result`, as data or as text."""

import json
from typing import Any, Literal

from pydantic import Field

from workflows.steps import base


class Config(base.Config):
    format: Literal["object", "json", "text"] = Field(
        "object", description="object: as it is. json: as JSON text. text: one “key: value” line a field."
    )


class Output(base.Step[Config]):
    kind, label, icon = "output", "Output", "output"
    is_instant = True
    help = "Gathers the data as the result of the run."
    also = "end return respond answer finish"
    group, gives = "In and out", '`{"result": data}`'
    example = {"format": "json"}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        ctx.log(f"Result: {len(ctx.data)} field{'' if len(ctx.data) == 1 else 's'} as {self.config.format}")
        return base.Done({"result": _formatted(dict(ctx.data), self.config.format)})


def _formatted(data: dict[str, Any], how: str) -> Any:
    if how == "json":
        return json.dumps(data, ensure_ascii=False, indent=2)
    if how == "text":
        return "\n".join(f"{key}: {_plain(value)}" for key, value in data.items())
    return data


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
