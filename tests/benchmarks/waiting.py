"""What waiting executions of each kind cost the process that runs them: memory and tasks. WAITING: how many a kind."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Any

from tests.benchmarks import site

NUMBER = int(os.environ.get("WAITING", "10000"))
DAY = 86_400


def main() -> None:
    site.set_up()
    register()
    workflows = {name: site.published(definition) for name, definition in kinds().items()}
    workflows["slot"] = site.published(site.chain(("delay", {"seconds": DAY})), concurrency=1)
    site.say(asyncio.run(waited(workflows)))


def kinds() -> dict[str, dict[str, Any]]:
    retry = {"attempts": 2, "backoff_s": DAY, "backoff_max_s": DAY}
    item = {
        "nodes": [
            {"id": "each", "type": "for_each", "data": {}},
            {"id": "item", "type": "delay", "data": {"seconds": DAY}},
        ],
        "edges": [{"source": "each", "target": "item", "sourceHandle": "each"}],
    }
    return {
        "time": site.chain(("input", {}), ("delay", {"seconds": DAY}), ("output", {})),
        "approval": site.chain(("approval", {"title": "May it?"})),
        "callback": site.chain(("callback", {})),
        "retry": site.chain(("bench_fail", {"policy": retry})),
        "child": item,
    }


def register() -> None:
    from workflows import steps
    from workflows.steps import base

    class Fail(base.Step[base.Config]):
        kind, label = "bench_fail", "Fail"

        async def run(self, ctx: base.StepContext) -> base.Done:
            raise ValueError("as always")

    steps.register(Fail)


async def waited(workflows: dict[str, int]) -> dict[str, dict[str, object]]:
    from executions.worker import current_worker

    worker, figures = current_worker(), dict[str, dict[str, object]]()
    await worker.start()
    for workflow_id in workflows.values():  # warm: caches and threads are there before we look
        await until_resting(workflow_id, 100)
    for name, workflow_id in workflows.items():
        tasks, memory = await state()
        await until_resting(workflow_id, NUMBER)
        more_tasks, more_memory = await state()
        label = f"{NUMBER:,} waiting, {name}"
        assert more_tasks - tasks <= 0 and not worker.runs, f"{label}: {more_tasks - tasks} tasks, {len(worker.runs)}"
        figures[f"{label}: memory added"] = {"value": round(more_memory - memory, 2), "unit": "MB"}
    await worker.stop(0)
    figures["waiting: tasks added, executions held"] = {"value": 0, "unit": "of all these"}
    return figures


async def until_resting(workflow_id: int, more: int) -> None:
    from asgiref.sync import sync_to_async

    from executions.worker import current_worker

    await sync_to_async(submit)(workflow_id, more)
    current_worker().wake()
    while current_worker().runs or await sync_to_async(is_any_due)():
        await asyncio.sleep(0.1)


def submit(workflow_id: int, number: int) -> None:
    from django.db import transaction

    from executions.engine import WorkflowEngine

    for start in range(0, number, 50):
        with transaction.atomic():
            for _ in range(min(50, number - start)):
                WorkflowEngine().submit(workflow_id, {"items": [1]})


def is_any_due() -> bool:
    from django.utils import timezone

    from executions.models import WorkflowExecution

    rows = WorkflowExecution.objects
    return rows.due(timezone.now()).exists() or rows.live().filter(owner__isnull=False).exists()


async def state() -> tuple[int, float]:
    await asyncio.sleep(0.5)
    gc.collect()
    return len(asyncio.all_tasks()), site.resident_mb()


if __name__ == "__main__":
    main()
