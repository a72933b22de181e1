"""delay: waits as a row, not as a task; a restart changes nothing. For some time, or until one."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from pydantic import Field, field_validator

from workflows.errors import WorkflowStepError
from workflows.moments import is_path, moment_of, read
from workflows.steps import base

MOST = timedelta(days=366)


class Config(base.Config):
    seconds: float = Field(5, ge=0, le=MOST.total_seconds(), description="How long to wait, in seconds.")
    until: str = Field(
        "",
        max_length=200,
        description="In place of seconds: a time such as 2026-12-24 08:00, a time of day such as 08:00, "
        "or a name in the data, such as order.deliver_at, that holds one. Without a zone: that of the workflow.",
    )

    @field_validator("until")
    @classmethod
    def _can_be_read(cls, until: str) -> str:
        if until.strip() and not is_path(until):
            try:
                read(until, datetime(2026, 1, 1, tzinfo=UTC), "UTC", "Until")
            except Exception as error:
                raise ValueError(str(error)) from None
        return until.strip()


class Delay(base.Step[Config]):
    kind, label, icon = "delay", "Delay", "delay"
    help = "Waits for some time, or until one, without holding a worker."
    also = "sleep pause schedule later timer"
    presets = (base.Preset("Wait until a time of day", {"until": "08:00"}),)
    group, page, gives = "Wait", "delay.md", "the data"
    example = {"seconds": 90}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Outcome:
        if not self.config.until:
            return base.Wait(until=ctx.now + timedelta(seconds=self.config.seconds), reason="delay")
        at = moment_of(self.config.until, ctx.now, ctx.time_zone or settings.TIME_ZONE, ctx.data)
        if at <= ctx.now:
            ctx.log(f"{at:%Y-%m-%d %H:%M:%S} UTC is over, so it goes on at once.", "warning")
            return base.Done(ctx.data)
        if at > ctx.now + MOST:
            raise WorkflowStepError(f"{at:%Y-%m-%d %H:%M} UTC is more than {MOST.days} days away, the longest wait.")
        return base.Wait(until=at, reason="delay")
