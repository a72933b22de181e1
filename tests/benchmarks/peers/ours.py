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
EXPECTED = {
    **work.EXPECTED["result"],
    **work.EXPECTED,
}  # what each step added stays with the data, as in every execution


async def run(workflow_id: int, records: str) -> None:
    from executions.engine import WorkflowEngine
    from executions.worker import current_worker

    async def one() -> Any:
        return (await WorkflowEngine().execute_workflow(workflow_id, work.DATA)).output_data

    await work.run(one, "this checkout", records, EXPECTED)
    await current_worker().close()


def records() -> str:
    return f"each step's begin and end with its output; {durability()}"


def durability() -> str:
    from django.db import connection, connections

    asked = (
        ["SHOW synchronous_commit"] if work.VARIANT == "postgresql" else ["PRAGMA journal_mode", "PRAGMA synchronous"]
    )
    with connection.cursor() as cursor:
        answers = [str(cursor.execute(question).fetchone()[0]) for question in asked]
    connections.close_all()
    return work.durability(*answers)


def main() -> None:
    if work.VARIANT == "postgresql":
        os.environ["DATABASE_URL"] = work.POSTGRES
    site.set_up()
    workflow_id = site.published(CHAIN)
    asyncio.run(run(workflow_id, records()))


if __name__ == "__main__":
    main()
