"""Step kinds of the benches: what a step costs is not their subject, so these do next to nothing, at a known pace."""

from __future__ import annotations

import asyncio
from typing import Any

from workflows.steps import base


class PauseConfig(base.Config):
    seconds: float = 0.1


class Pause(base.Step[PauseConfig]):
    kind, label, Config = "bench_pause", "Pause", PauseConfig

    async def run(self, ctx: base.StepContext) -> base.Done:
        await asyncio.sleep(self.config.seconds)
        return base.Done({})


class LinesConfig(base.Config):
    number: int = 100
    a_second: float = 10


class Lines(base.Step[LinesConfig]):
    kind, label, Config = "bench_lines", "Lines", LinesConfig

    async def run(self, ctx: base.StepContext) -> base.Done:
        async for number in paced(self.config.number, self.config.a_second):
            ctx.log(f"line {number}")
        return base.Done({})


class SubmitConfig(base.Config):
    workflow: int = 0
    number: int = 100
    a_second: float = 10
    given: dict[str, Any] = {}


class Submit(base.Step[SubmitConfig]):
    """Submits executions at a steady pace, from inside of the process that runs it, as a page or a trigger would."""

    kind, label, Config = "bench_submit", "Submit", SubmitConfig

    async def run(self, ctx: base.StepContext) -> base.Done:
        from executions.engine import WorkflowEngine

        submit, config = WorkflowEngine().submit_workflow, self.config
        async with asyncio.TaskGroup() as group:
            async for _ in paced(config.number, config.a_second):
                group.create_task(submit(config.workflow, config.given))
        return base.Done({"submitted": config.number})


class Flaky(base.Step[base.Config]):
    kind, label, Config = "bench_flaky", "Fails at first", base.Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        if ctx.attempt == 1:
            raise ValueError("as always at first")
        return base.Done({})


async def paced(number: int, a_second: float) -> Any:
    """0, 1, 2 …, each at its time; what comes late does not make the next ones late."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for turn in range(number):
        await asyncio.sleep(max(0.0, began + turn / a_second - loop.time()))
        yield turn
