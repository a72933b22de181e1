"""for_each: runs what follows by “each” once for each item of a list, and goes on by “done” after all of them."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from workflows import paths
from workflows.comparison import said
from workflows.errors import WorkflowStepError
from workflows.graph import EACH
from workflows.steps import base
from workflows.words import count

DONE = "done"
MOST = 100_000
OWN = ("item", "index")


class Config(base.Config):
    items: Any = Field(
        "items",
        title="List",
        description="Where the list stands in the data, such as items or order.lines, or an expression that gives one.",
        json_schema_extra={"look": "text"},
    )
    parallel: int = Field(
        8, ge=1, le=100, title="At the same time", description="How many items run at once; 1 is one after another."
    )
    pass_on: list[str] = Field(
        [], title="Pass on", description="Names of data fields that each item gets too, beside item and index."
    )
    stop_on_failure: bool = Field(
        False, title="Stop at the first failure", description="A failed item ends the others, and this step fails."
    )

    @field_validator("items")
    @classmethod
    def _path_leads_somewhere(cls, given: Any) -> Any:
        if isinstance(given, list):
            return given
        why = paths.wrong(given) if isinstance(given, str) else f"it must be a list or name one; it is {said(given)}"
        if why:
            raise PydanticCustomError("field", "{why}", {"why": why})
        return given.strip()

    @field_validator("pass_on")
    @classmethod
    def _names_are_free(cls, names: list[str]) -> list[str]:
        if taken := next((name for name in names if name in OWN), None):
            why = f"“{taken}” is there already: each item has its item and its index"
            raise PydanticCustomError("field", "{why}", {"why": why})
        return names


class ForEach(base.Step[Config]):
    kind, label, icon = "for_each", "For each", "for_each"
    help = "Runs the steps behind “each item” once for each item of a list, several at a time."
    also = "loop foreach iterate repeat map batch"
    handles = (EACH, DONE)
    group, page = "Ways", "loops.md"
    gives = '`{"items", "failed", "count"}`'
    example = {"items": "items", "parallel": 4}
    Config = Config

    @classmethod
    def name_of(cls, data: Mapping[str, Any], handle: str) -> str:
        return {EACH: "each item", DONE: "all items"}.get(handle, handle)

    async def run(self, ctx: base.StepContext) -> base.Each:
        each = self.fan_out(ctx.data)
        if absent := [name for name in self.config.pass_on if name not in ctx.data]:
            ctx.log(f"Not in the data, so not passed on: {', '.join(absent)[:500]}", "warning")
        where = f" in “{self.config.items}”" if isinstance(self.config.items, str) else ""
        ctx.log(f"{count(len(each.items), 'item')}{where}, at most {each.parallel} at a time")
        return each

    def fan_out(self, data: Mapping[str, Any]) -> base.Each:
        shared = {name: data[name] for name in self.config.pass_on if name in data}
        return base.Each(self._items(data), self.config.parallel, shared, self.config.stop_on_failure)

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Done:
        failed = answer.get("failed") or []
        if self.config.stop_on_failure and failed:
            first = min(failed, key=lambda one: one["index"])
            many = f"item {first['index'] + 1:,} of {answer.get('count', len(answer.get('items', []))):,}"
            raise WorkflowStepError(
                f"The work on {many} failed: {_reason(first.get('error'))}", {"failed": failed[:100]}
            )
        return base.Done(answer, DONE)

    def _items(self, data: Mapping[str, Any]) -> list[Any]:
        given = self.config.items
        path, items = ("List", given) if isinstance(given, list) else (given, paths.found(data, given))
        if items is paths.MISSING:
            there = ", ".join(f"“{name[:40]}”" for name in list(data)[:8]) or "nothing"
            raise WorkflowStepError(f"There is no “{path}” in the data; there is {there}.")
        if not isinstance(items, list):
            raise WorkflowStepError(f"“{path}” must be a list; it is {said(items)}.")
        if len(items) > MOST:
            raise WorkflowStepError(f"“{path}” has {len(items):,} items; at most {MOST:,} are possible.")
        return items


def _reason(error: Any) -> str:
    text = error.get("message") if isinstance(error, Mapping) else error
    return str(text or "it did not say why")[:500]
