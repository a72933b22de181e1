"""list: one operation after another on a list, such as filter, sort, group, and join with another one."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from pydantic import Field, field_validator

from workflows import paths
from workflows.comparison import said
from workflows.steps import base
from workflows.steps.due import SaveAs
from workflows.transform.lists import Operation, done
from workflows.transform.source import listed
from workflows.transform.thread import Stop, in_thread
from workflows.transform.weight import require_light
from workflows.transform.wrong import setting
from workflows.words import count

MOST = 50


class Config(base.Config):
    items: Any = Field(
        "items",
        title="List",
        description="Where it stands in the data, such as items or order.lines, or an expression such as "
        "{{ steps.fetch.output.rows }}.",
        json_schema_extra={"look": "text"},
    )
    operations: Annotated[list[Operation], Field(max_length=MOST)] = Field(
        [], title="Operations", description="From top to bottom: each works on what the one before it gave."
    )
    save_as: SaveAs = Field("items", description="The name that the new list gets in the data.")

    @field_validator("items")
    @classmethod
    def _is_a_list_or_leads_to_one(cls, items: Any) -> Any:
        if not isinstance(items, str | list):
            raise setting(f"expected a list, or its name in the data; it is {said(items)}")
        if isinstance(items, str) and (why := paths.wrong(items)):
            raise setting(why)
        return items.strip() if isinstance(items, str) else items


def _preset(label: str, also: str = "", **operation: Any) -> base.Preset:
    return base.Preset(label, {"operations": [operation]}, also)


class List(base.Step[Config]):
    kind, label, icon = "list", "Work on a list", "list"
    group, page, gives = "Data", "transform.md", "the data and the new list"
    help = "Filters, sorts, groups, splits, joins and sums up a list, and removes duplicates."
    also = "aggregate map array collection items"
    start = {"operations": [{}]}
    example = {
        "items": "{{ data['items'] }}",
        "operations": [
            {"do": "filter", "conditions": [{"path": "item", "operator": "not_equals", "value": "a"}]},
            {"do": "sort", "keys": [{}]},
            {"do": "limit", "size": 10},
        ],
        "save_as": "best",
    }
    presets = (
        _preset("Filter", "where keep only", conditions=[{"path": "item", "operator": "not_empty"}]),
        _preset("Sort", "order", do="sort", keys=[{}]),
        _preset("Limit", "first last top", do="limit"),
        _preset("Remove duplicates", "unique deduplicate distinct", do="unique"),
        _preset("Split out", "explode flatten", do="split"),
        _preset("Group", "pivot", do="group", fields=["kind"]),
        _preset(
            "Summarise", "sum count average total minimum maximum summarize aggregate", do="summarise", measures=[{}]
        ),
        _preset("Merge lists", "join combine append union lookup", do="join", other="others", how="append"),
        _preset("Batches", "chunk", do="batches"),
    )
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        items, lines = await in_thread(lambda stop: self._worked(ctx, stop))
        for line in lines:
            ctx.log(line)
        return base.Done({**ctx.data, self.config.save_as: items})

    def _worked(self, ctx: base.StepContext, stop: Stop) -> tuple[list[Any], list[str]]:
        items, zone = listed(ctx.data, self.config.items, "The list"), ZoneInfo(ctx.time_zone or settings.TIME_ZONE)
        lines = [] if self.config.operations else [f"{count(len(items), 'item')}, and nothing to do with them"]
        for operation in self.config.operations:
            items, line = done(operation, items, ctx.data, zone, stop)
            lines.append(line)
        return require_light(items, stop), lines
