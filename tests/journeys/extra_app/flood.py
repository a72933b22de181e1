"""flood: writes more lines than anybody can read, as a careless script does."""

import asyncio

from pydantic import Field

from workflows.steps import base


class Config(base.Config):
    lines: int = Field(10_000, ge=0, description="How many lines to write.")
    a_second: int = Field(0, ge=0, description="About so many in a second; 0: as fast as it goes.")


class Flood(base.Step[Config]):
    kind, label = "flood", "Flood"
    help = "Writes many lines."
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        at_once = max(1, self.config.a_second // 20) if self.config.a_second else 100
        for number in range(self.config.lines):
            ctx.log(f"line {number} of {self.config.lines}")
            if number % at_once == at_once - 1:
                await asyncio.sleep(1 / 20 if self.config.a_second else 0)
        return base.Done({"written": self.config.lines})
