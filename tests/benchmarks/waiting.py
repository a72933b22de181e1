"""What 1,000 waiting executions cost the process that runs them: memory and tasks."""

from __future__ import annotations

import asyncio
import gc

from tests.benchmarks import site

NUMBER = 1_000


def main() -> None:
    site.set_up()
    workflow_id = site.published(site.chain(("input", {}), ("delay", {"seconds": 86_400}), ("output", {})))
    site.say(asyncio.run(waited(workflow_id)))


async def waited(workflow_id: int) -> dict[str, dict[str, object]]:
    from executions.worker import current_worker

    worker = current_worker()
    await worker.start()
    await until_waiting(workflow_id, 100)  # warm: caches and threads are there before we look
    tasks, memory = await state()
    await until_waiting(workflow_id, NUMBER)
    more_tasks, more_memory = await state()
    held = len(worker.runs)
    await worker.stop(0)
    return {
        "1,000 waiting: memory added": {"value": more_memory - memory, "unit": "MB"},
        "1,000 waiting: tasks added": {"value": more_tasks - tasks, "unit": "tasks"},
        "1,000 waiting: executions held": {"value": held, "unit": "executions"},
    }


async def until_waiting(workflow_id: int, more: int) -> None:
    from asgiref.sync import sync_to_async

    from executions.engine import WorkflowEngine
    from executions.models import WorkflowExecution
    from executions.worker import current_worker

    wanted = await sync_to_async(WorkflowExecution.objects.count)() + more
    for _ in range(more):
        await WorkflowEngine().submit_workflow(workflow_id, {"name": "ada"})
    current_worker().wake()
    waiting = WorkflowExecution.objects.filter(status="waiting")
    while await sync_to_async(waiting.count)() < wanted:
        await asyncio.sleep(0.05)


async def state() -> tuple[int, float]:
    await asyncio.sleep(0.5)
    gc.collect()
    return len(asyncio.all_tasks()), site.resident_mb()


if __name__ == "__main__":
    main()
