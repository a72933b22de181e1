"""callback: waits until another system calls a one-time address, and hands on what it sent."""

from collections.abc import Mapping
from typing import Any

from workflows.steps import base
from workflows.steps.due import Due, DueUnit, SaveAs, due_at


class Config(base.Config):
    due: Due = None
    due_unit: DueUnit = "hours"
    save_as: SaveAs = "callback"


class Callback(base.Step[Config]):
    kind, label, icon = "callback", "Callback", "link"
    help = "Waits until another system posts to a one-time address. Expired where it did not in time."
    also = "webhook hook resume external"
    handles = ("out", "expired")
    group, page = "Wait", "people.md#wait-for-another-system"
    gives = 'the data and `{"callback": what was sent}`'
    example = {"due": 1, "due_unit": "hours", "save_as": "payment"}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Wait:
        return base.Wait(until=due_at(ctx.now, self.config), reason="another system calls", callback=True)

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Done:
        if answer is None:
            return base.Done(data, "expired")
        return base.Done({**data, self.config.save_as: answer})
