"""chain100: one execution of 100 steps at a time. Each step's end is on disk before the next begins, so its floor is
how many bare commits (one row of 200 bytes each) the same database takes in a second, in the same run.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from asgiref.sync import sync_to_async

from tests.benchmarks import load, site
from tests.benchmarks.figures import Figure, figure, middle

STEPS, CHAINS, COMMITS, ROUNDS = 100, site.many(20), site.many(2_000), 5
ROW = "x" * 200


def main() -> None:
    site.set_up()
    workflow_id = site.published(site.chain(*[("process", {"operation": "passthrough"})] * STEPS))
    site.say(asyncio.run(measured(workflow_id)))


async def measured(workflow_id: int) -> dict[str, Figure]:
    from executions.worker import current_worker

    await load.alone(workflow_id, 2)  # warm
    steps, bare = list[float](), list[float]()
    for _ in range(ROUNDS):
        took = sum(await load.alone(workflow_id, CHAINS)) / 1e3
        steps.append(STEPS * CHAINS / took)
        bare.append(await sync_to_async(commits_a_second)())
    await current_worker().close()
    return {
        "chain100 alone (floor: bare commits)": figure(
            middle(steps), "steps/s", floor=middle(bare), at_least=0.25, rounds=steps
        ),
        "bare commits of one row": figure(middle(bare), "commits/s", rounds=bare),
    }


def commits_a_second() -> float:
    from django.db import connection

    if connection.vendor == "postgresql":
        return _on_postgresql()
    return _on_sqlite(Path(connection.settings_dict["NAME"]).with_name("commits.sqlite3"))


def _on_sqlite(file: Path) -> float:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS bare (text)")
        began = time.perf_counter()
        for _ in range(COMMITS):
            db.execute("INSERT INTO bare VALUES (?)", (ROW,))
        return COMMITS / (time.perf_counter() - began)


def _on_postgresql() -> float:
    """On the driver's own connection, without Django."""
    from django.db import connection

    connection.ensure_connection()
    bare = connection.connection
    bare.execute("CREATE TABLE IF NOT EXISTS bare (text text)")
    began = time.perf_counter()
    for _ in range(COMMITS):
        bare.execute("INSERT INTO bare VALUES (%s)", (ROW,))
    return COMMITS / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
