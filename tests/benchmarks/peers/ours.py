"""Ours: WorkflowEngine.execute_workflow, in one process, on SQLite (synchronous=FULL, as it comes) or PostgreSQL.

What it keeps: the execution, and a journal entry for each step's begin and end with its output, each committed before
the next step begins. The process that asks is the one that works; no page and no viewer is open.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tests.benchmarks import site
from tests.benchmarks.peers import work

CHAIN = site.chain(("input", {}), ("process", {"operation": "uppercase"}), ("output", {}))


async def run(workflow_id: int) -> None:
    from executions.engine import WorkflowEngine
    from executions.worker import current_worker

    async def one() -> Any:
        return (await WorkflowEngine().execute_workflow(workflow_id, work.DATA)).output_data

    await work.run(one, "this checkout", records())
    await current_worker().close()


def records() -> str:
    from django.conf import settings

    if work.VARIANT == "postgresql":
        level = "PostgreSQL synchronous_commit=on"
    else:
        level = f"SQLite WAL, synchronous={settings.DATABASES['default']['OPTIONS']['init_command']}"
    return f"every step's begin and end with its output; {level}"


def main() -> None:
    if work.VARIANT == "postgresql":
        os.environ["DATABASE_URL"] = work.POSTGRES
    site.set_up()
    asyncio.run(run(site.published(CHAIN)))


if __name__ == "__main__":
    main()
