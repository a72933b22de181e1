"""Prefect: a flow of three tasks, against a server of its own on SQLite.

* Flows are awaited as coroutines, so many at once in this one process ("How to write and run workflows", async); a work
  pool and a worker would start a process for each.
* The server as it comes, on 127.0.0.1: SQLite in WAL with synchronous=NORMAL ("Settings reference"), its own services
  on, the pages off.
* Ten flows at once where others have a hundred: its one server is busy with ten, and a round stays within its time.
* Results are not stored, as by default ("How to persist workflow results"), and log lines are not sent to the server
  (by default they are): both in its favour.
* Analytics, telemetry and the check of versions are off.
What it keeps: flow runs and task runs with their states in the server's database. A task's states reach the server as
events, some time after the task: the next one does not wait for them. A crashed flow starts anew.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import work

URL = f"http://127.0.0.1:{work.PORT}/api"
os.environ.update(
    PREFECT_HOME=str(Path("prefect").absolute()),
    PREFECT_API_URL=URL,
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY="false",
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED="false",
    PREFECT_SERVER_UI_ENABLED="false",
    PREFECT_LOGGING_TO_API_ENABLED="false",
    PREFECT_LOGGING_LEVEL="ERROR",
)

from prefect import __version__, flow, task  # noqa: E402 - it reads its settings as it is imported


@task
async def take(data: dict[str, Any]) -> dict[str, Any]:
    return work.take(data)


@task
async def shout(data: dict[str, Any]) -> dict[str, Any]:
    return work.shout(data)


@task
async def give(data: dict[str, Any]) -> dict[str, Any]:
    return work.give(data)


@flow
async def chain(data: dict[str, Any]) -> dict[str, Any]:
    return await give(await shout(await take(data)))


async def one() -> Any:
    return await chain(work.DATA)


def await_server() -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{URL}/health", timeout=5)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise SystemExit("the server did not come up")


def main() -> None:
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--host", "127.0.0.1"]
    server = subprocess.Popen([*command, "--port", str(work.PORT)], stdout=sys.stderr)
    try:
        await_server()
        records = "runs and their states, a task's some time after it; SQLite WAL, synchronous=NORMAL"
        asyncio.run(work.run(one, __version__, records))
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
