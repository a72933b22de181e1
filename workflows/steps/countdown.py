"""countdown: runs, and writes a line each second. The step to watch, to cancel in the middle, and to copy from."""

import asyncio

from pydantic import Field

from workflows.steps import base


class Config(base.Config):
    seconds: float = Field(10, ge=0, le=86_400, description="How long to run, in seconds.")


class Countdown(base.Step[Config]):
    kind, label, icon = "countdown", "Countdown", "countdown"
    help = "Counts down and writes a line each second."
    also = "timer"
    group, gives = "Wait", '`{"counted_seconds"}`'
    example = {"seconds": 3}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        left = self.config.seconds
        while left > 0:
            ctx.log(f"{left:g} s left")
            await asyncio.sleep(min(1, left))
            left -= 1
        ctx.log("Countdown finished")
        return base.Done({"counted_seconds": self.config.seconds})
