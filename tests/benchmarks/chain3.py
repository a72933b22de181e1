"""chain3: input → process → output, 100 in flight, SQLite with synchronous=FULL: CPU of the whole process (loop,
writer's thread, SQLite) per execution, beside the floor: bare sqlite3 that writes exactly the same rows.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.benchmarks import site

EXECUTIONS, IN_FLIGHT, ROUNDS, BATCH = 2_000, 100, 3, 100
TABLES = ("executions_workflowexecution", "executions_executionlog")


def main() -> None:
    site.set_up()
    workflow_id = site.published(site.chain(("input", {}), ("process", {"operation": "uppercase"}), ("output", {})))
    asyncio.run(rounds(workflow_id))


async def rounds(workflow_id: int) -> None:
    from executions.worker import current_worker

    await run(workflow_id, 200)  # warm
    pairs = [(await run(workflow_id, EXECUTIONS), floor(EXECUTIONS)) for _ in range(ROUNDS)]
    alone = await one_at_a_time(workflow_id, 100)
    await current_worker().close()
    (cpu, rate), base = sorted(pairs)[ROUNDS // 2]
    site.say(
        {
            "chain3: CPU per execution": {"value": cpu, "unit": "µs", "floor": base, "ratio": cpu / base},
            "chain3: executions, 100 in flight": {"value": rate, "unit": "executions/s"},
            "chain3: one execution alone, p50": {"value": alone, "unit": "ms"},
        }
    )


async def run(workflow_id: int, number: int) -> tuple[float, float]:
    """CPU µs per execution, and executions per second."""
    from executions.engine import WorkflowEngine

    engine, slots = WorkflowEngine(), asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        async with slots:
            await engine.execute_workflow(workflow_id, {"name": "ada", "city": "london"})

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one() for _ in range(number)))
    return 1e6 * (time.process_time() - cpu) / number, number / (time.perf_counter() - wall)


async def one_at_a_time(workflow_id: int, number: int) -> float:
    from executions.engine import WorkflowEngine

    took = []
    for _ in range(number):
        began = time.perf_counter()
        await WorkflowEngine().execute_workflow(workflow_id, {"name": "ada"})
        took.append(1e3 * (time.perf_counter() - began))
    return sorted(took)[number // 2]


def floor(number: int) -> float:
    """CPU µs per execution for executemany of the rows of the last `number` executions, in batches of 100."""
    from django.conf import settings

    source = Path(settings.DATABASES["default"]["NAME"])
    target = source.with_name("floor.sqlite3")
    with closing(sqlite3.connect(source)) as db:
        rows = db.execute(f"SELECT * FROM {TABLES[0]} ORDER BY id DESC LIMIT ?", (number,)).fetchall()
        first = min(row[0] for row in rows)
        journals: dict[int, list[tuple[object, ...]]] = {}
        place = [column[1] for column in db.execute(f"PRAGMA table_info({TABLES[1]})")].index("execution_id")
        for entry in db.execute(f"SELECT * FROM {TABLES[1]} WHERE execution_id >= ?", (first,)):
            journals.setdefault(entry[place], []).append(entry)
        query = f"SELECT sql FROM sqlite_master WHERE tbl_name IN {TABLES} AND sql IS NOT NULL"
        schema = [sql for (sql,) in db.execute(query)]
    spent = write(target, schema, rows, journals)
    for name in (target, Path(f"{target}-wal"), Path(f"{target}-shm")):
        name.unlink(missing_ok=True)
    return 1e6 * spent / number


def write(
    target: Path, schema: list[str], rows: list[tuple[object, ...]], journals: dict[int, list[tuple[object, ...]]]
) -> float:
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + ";".join(schema))
        inserts = [f"INSERT INTO {table} VALUES ({', '.join('?' * width)})" for table, width in widths(db)]
        began = time.process_time()
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            db.execute("BEGIN IMMEDIATE")
            db.executemany(inserts[0], part)
            db.executemany(inserts[1], [entry for row in part for entry in journals[row[0]]])  # type: ignore[index]
            db.execute("COMMIT")
        return time.process_time() - began


def widths(db: sqlite3.Connection) -> list[tuple[str, int]]:
    return [(table, len(db.execute(f"PRAGMA table_info({table})").fetchall())) for table in TABLES]


if __name__ == "__main__":
    main()
