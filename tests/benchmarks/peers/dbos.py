"""DBOS Transact: a workflow of three steps, on SQLite (variants `sqlite` and `sqlite-wal`) or PostgreSQL.

* The workflow is awaited as a coroutine, 100 at once in one event loop ("Workflows", async); its queues would add a
  poll of a second ("Queues & concurrency"), so there is none.
* Its defaults otherwise: a pool of 20 connections; SQLite's own journal mode, for which `sqlite-wal` puts the file in
  WAL before DBOS opens it ("Configuration" knows no setting for it).
* No conductor key, no admin server, no tracing: it speaks to nobody but its database.
What it keeps: a row for the workflow with its input and output, and a row for each step with its output, committed
before the next step begins. It resumes after a crash. It records no begin of a step.
"""

from __future__ import annotations

import asyncio
import sqlite3
from importlib.metadata import version
from typing import Any

from dbos import DBOS

from tests.benchmarks.peers import work

FILE = "dbos.sqlite3"


@DBOS.step()
async def take(data: dict[str, Any]) -> dict[str, Any]:
    return work.take(data)


@DBOS.step()
async def shout(data: dict[str, Any]) -> dict[str, Any]:
    return work.shout(data)


@DBOS.step()
async def give(data: dict[str, Any]) -> dict[str, Any]:
    return work.give(data)


@DBOS.workflow()
async def chain(data: dict[str, Any]) -> dict[str, Any]:
    return await give(await shout(await take(data)))


def database() -> str:
    if work.VARIANT == "postgresql":
        return work.POSTGRES
    with sqlite3.connect(FILE) as connection:
        connection.execute(f"PRAGMA journal_mode={'wal' if work.VARIANT == 'sqlite-wal' else 'delete'}")
    return f"sqlite:///{FILE}"


def records() -> str:
    return f"workflow and each step's output; {durability()}"


def durability() -> str:
    """As its own engine's connections have it."""
    from dbos._dbos import _get_dbos_instance

    asked = (
        ["SHOW synchronous_commit"] if work.VARIANT == "postgresql" else ["PRAGMA journal_mode", "PRAGMA synchronous"]
    )
    with _get_dbos_instance()._sys_db.engine.connect() as connection:
        return work.durability(*(connection.exec_driver_sql(question).scalar() for question in asked))


async def run() -> None:
    DBOS(config={"name": "peer", "system_database_url": database(), "log_level": "ERROR"})
    DBOS.launch()
    try:
        await work.run(lambda: chain(work.DATA), version("dbos"), records())
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(run())
