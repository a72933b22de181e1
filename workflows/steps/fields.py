"""set: gives fields their values, and renames, keeps or leaves out others. Names with dots make objects in objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from workflows import paths
from workflows.steps import base
from workflows.transform import places
from workflows.transform.fields import MOST, Renames, Value, renamed
from workflows.transform.weight import require_light
from workflows.words import count


class Config(base.Config):
    fields: Annotated[list[Value], Field(max_length=MOST)] = Field(
        [],
        title="Fields to set",
        description="From top to bottom, after fields were renamed, kept and left out as below.",
    )
    renames: Renames = Field([], title="Renamed fields", description="Each under a new name, with its value.")
    keep: Literal["all", "picked", "none"] = Field(
        "all",
        title="Of what comes in, keep",
        description="Which fields go on, beside those that are set here.",
        json_schema_extra={
            "words": {"all": "all fields", "picked": "only the fields named below", "none": "nothing"},
        },
    )
    pick: places.Places = Field(
        [],
        title="Fields to keep",
        description="Their names, such as id or customer.name.",
        max_length=MOST,
        json_schema_extra={"when": {"keep": ["picked"]}, "example": "id\ncustomer.name"},
    )
    drop: places.Places = Field(
        [],
        title="Fields to leave out",
        description="Their names, such as password or customer.phone.",
        max_length=MOST,
        json_schema_extra={"when": {"keep": ["all"]}, "example": "customer.phone"},
    )


class Set(base.Step[Config]):
    kind, label, icon = "set", "Set fields", "edit"
    is_instant = True
    group, page, gives = "Data", "transform.md", "the data, changed"
    help = "Sets fields to values or expressions, and renames, keeps or leaves out others."
    also = "edit map assign variable remove drop pick change"
    start = {"fields": [{}]}
    example = {
        "renames": [{"old": "text", "new": "greeting"}],
        "fields": [
            {"name": "order.total", "type": "number", "value": "12.50"},
            {"name": "order.note", "value": "{{ data.text }}, and welcome"},
        ],
    }
    presets = (
        base.Preset("Rename fields", {"renames": [{"old": "old_name", "new": "new_name"}]}),
        base.Preset("Keep only some fields", {"keep": "picked", "pick": ["id"]}),
    )
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        made, absent = changed(self.config, ctx.data)
        if absent:
            ctx.log(f"Not in the data: {', '.join(absent)[:500]}", "warning")
        ctx.log(f"{count(len(self.config.fields), 'field')} set; the data has {count(len(made), 'field')}")
        is_less = self.config.keep != "all" or bool(self.config.drop or self.config.renames)
        return base.Done(require_light(made), instead=is_less)


def changed(config: Config, data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The new data, and the names that were meant and not there."""
    renames = config.renames
    meant = [*(config.pick if config.keep == "picked" else []), *(config.drop if config.keep == "all" else [])]
    absent = [name for name in (*meant, *(one.old for one in renames)) if paths.found(data, name) is paths.MISSING]
    made: Any = dict(data) if config.keep == "all" else {}
    if config.keep == "picked":
        made = places.picked(data, [*config.pick, *(one.old for one in renames)])
    for name in config.drop if config.keep == "all" else []:
        made = places.without(made, name)
    made = renamed(made, renames)
    for field in config.fields:
        made = places.put(made, field.name, field.value)
    return made, list(dict.fromkeys(absent))
