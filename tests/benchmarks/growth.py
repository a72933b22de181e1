"""Bytes on disk per step for chains of 10, 100 and 1,000 steps: the same, or storage grows faster than the work."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from tests.benchmarks import site

STEPS = 5_000
LENGTHS = (10, 100, 1_000)


def main() -> None:
    site.set_up()
    site.say(asyncio.run(grown()))


async def grown() -> dict[str, dict[str, object]]:
    from asgiref.sync import sync_to_async

    from executions.engine import WorkflowEngine
    from executions.worker import current_worker

    found: dict[str, dict[str, object]] = {}
    for length in LENGTHS:
        steps = [("process", {"operation": "passthrough"})] * length
        workflow_id = await sync_to_async(site.published)(site.chain(*steps))
        before = size()
        for _ in range(STEPS // length):
            await WorkflowEngine().execute_workflow(workflow_id, {"name": "ada", "city": "london"})
        per_step = (size() - before) / STEPS
        found[f"stored, chain of {length:,}"] = {"value": round(per_step), "unit": "bytes/step"}
    await current_worker().close()
    return found


def size() -> int:
    """Of the file with everything in it: pages in use after a checkpoint."""
    from django.conf import settings

    with closing(sqlite3.connect(settings.DATABASES["default"]["NAME"])) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages, free, page = (
            int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page


if __name__ == "__main__":
    main()
