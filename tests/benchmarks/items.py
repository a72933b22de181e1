"""A for-each over many items: what an item costs, and whether memory stays bounded. ITEMS: how many (20,000)."""

from __future__ import annotations

import asyncio
import gc
import os
import time

from tests.benchmarks import site

NUMBER = int(os.environ.get("ITEMS", "20000"))
WARM = 500
DEFINITION = {
    "nodes": [
        {"id": "each", "type": "for_each", "data": {"parallel": 16}},
        {"id": "item", "type": "process", "data": {}},
    ],
    "edges": [{"source": "each", "target": "item", "sourceHandle": "each"}],
}


def main() -> None:
    site.set_up()
    site.say(asyncio.run(carried(site.published(DEFINITION))))


async def carried(workflow_id: int) -> dict[str, dict[str, object]]:
    from executions.worker import current_worker

    worker = current_worker()
    await worker.start()
    await run(workflow_id, WARM)
    gc.collect()
    memory, peak, cpu, began = site.resident_mb(), [0.0], time.process_time(), time.perf_counter()
    watch = asyncio.create_task(watched(peak))
    made = await run(workflow_id, NUMBER)
    watch.cancel()
    cpu, took = time.process_time() - cpu, time.perf_counter() - began
    await worker.stop(0)
    assert made == NUMBER, f"{made} items"
    name = f"for each of {NUMBER:,}"
    return {
        f"{name}: CPU an item": {"value": round(1_000 * cpu / NUMBER, 3), "unit": "ms"},
        f"{name}: items a second": {"value": round(NUMBER / took), "unit": "items/s"},
        f"{name}: memory added at most": {"value": round(peak[0] - memory, 1), "unit": "MB"},
    }


async def run(workflow_id: int, number: int) -> int:
    from executions.engine import WorkflowEngine

    result = await WorkflowEngine().execute_workflow(workflow_id, {"items": list(range(number))})
    return int((result.output_data or {}).get("count", 0))


async def watched(peak: list[float]) -> None:
    while True:
        peak[0] = max(peak[0], site.resident_mb())
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    main()
