"""delay: waits as a row, not as a task; a restart changes nothing."""

from datetime import timedelta

from pydantic import Field

from workflows.steps import base


class Config(base.Config):
    seconds: float = Field(5, ge=0, le=366 * 86_400, description="How long to wait, in seconds.")


class Delay(base.Step[Config]):
    kind, label, icon = "delay", "Delay", "delay"
    help = "Waits for some time without holding a worker."
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Wait:
        return base.Wait(until=ctx.now + timedelta(seconds=self.config.seconds), reason="delay")
