"""Bytes in the database per step for chains of 10, 100 and 1,000 steps with short ids and a small input: the same for
all, or storage grows faster than the work.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from asgiref.sync import sync_to_async

from tests.benchmarks import load, site
from tests.benchmarks.figures import Figure, figure

STEPS = 5_000
LENGTHS = (10, 100, 1_000)
MOST = {"sqlite": 300, "postgresql": 650}  # bytes a step, of the chain of 100


def main() -> None:
    site.set_up()
    site.say(asyncio.run(grown()))


async def grown() -> dict[str, Figure]:
    from django.db import connection

    from executions.worker import current_worker

    found: dict[str, Figure] = {}
    for length in LENGTHS:
        steps = [("process", {"operation": "passthrough"})] * length
        workflow_id = await sync_to_async(site.published)(site.chain(*steps))
        before = await sync_to_async(size)()
        await load.alone(workflow_id, STEPS // length)
        per_step = (await sync_to_async(size)() - before) / STEPS
        target = MOST[connection.vendor] if length == 100 else None
        found[f"stored, chain of {length:,}"] = figure(round(per_step), "bytes/step", at_most=target)
    await current_worker().close()
    return found


def size() -> int:
    from django.db import connection

    return _on_postgresql() if connection.vendor == "postgresql" else _on_sqlite(connection.settings_dict["NAME"])


def _on_sqlite(file: str) -> int:
    """Of the file with everything in it: pages in use after a checkpoint."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages, free, page = (
            int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page


def _on_postgresql() -> int:
    """All tables of the executions with their indexes, after what was left behind by changes can be used again."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'executions_%%'"
        )
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    main()
