"""Executions in this very process, by the engine's own door: how they are driven, and what they take."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async

from tests.benchmarks import server_database
from tests.benchmarks.kinds import paced

SMALL = {"name": "ada", "city": "london"}
KILOBYTE = {"text": "grain and flour " * 64}


@dataclass(frozen=True, slots=True)
class Taken:
    """`cpu` and `server`: µs per execution, of this process with all its threads and of PostgreSQL's."""

    cpu: float
    rate: float
    server: float | None = None


async def in_flight(workflow_id: int, number: int, at_once: int, given: dict[str, Any] = SMALL) -> Taken:
    """So many executions, `at_once` of them at any moment."""
    from executions.engine import WorkflowEngine

    engine, left = WorkflowEngine(), iter(range(number))

    async def lane() -> None:  # a semaphore looks through all who wait, which would be counted as ours
        for _ in left:
            await engine.execute_workflow(workflow_id, given)

    server = await sync_to_async(server_database.spent)()
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(lane() for _ in range(at_once)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    after = await sync_to_async(server_database.spent)()
    servers = None if server is None or after is None else 1e6 * (after - server) / number
    return Taken(1e6 * cpu / number, number / wall, servers)


async def alone(workflow_id: int, number: int) -> list[float]:
    """Milliseconds of each, one after another."""
    return [await timed(workflow_id) for _ in range(number)]


async def at_pace(workflow_id: int, number: int, a_second: float) -> list[float]:
    """Milliseconds of each; they begin at their time, whether or not earlier ones have ended."""
    tasks = [asyncio.create_task(timed(workflow_id)) async for _ in paced(number, a_second)]
    return list(await asyncio.gather(*tasks))


async def timed(workflow_id: int) -> float:
    from executions.engine import WorkflowEngine

    began = time.perf_counter()
    await WorkflowEngine().execute_workflow(workflow_id, SMALL)
    return 1e3 * (time.perf_counter() - began)


def submit_and_wait(workflow_id: int) -> None:
    """For another process: until nothing is live any more. Looks at the rows, since no bell comes from there."""
    from executions.engine import WorkflowEngine
    from executions.models import WorkflowExecution

    WorkflowEngine().submit(workflow_id)
    while WorkflowExecution.objects.live().exists():
        time.sleep(0.2)
