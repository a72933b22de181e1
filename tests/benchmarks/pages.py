"""50 pages with the list of executions a second, beside 200 executions a second: how long a page takes, and whether the
engine keeps up. All in one process, and with the engine in a process of its own (`serve --no-engine` and `worker`).

The browsers are kept connections with a session; a page begins at its time, whether or not earlier ones have come.
The executions are submitted by a step inside of the process that runs them, since no bell crosses without Redis.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

from tests.benchmarks import load, server, server_database, site
from tests.benchmarks.client import Connection
from tests.benchmarks.figures import Figure, figure, middle, part
from tests.benchmarks.kinds import paced

SECONDS, PAGES, EXECUTIONS, BROWSERS = site.many(30), 50, 200, 16
LISTS = "/executions/"


def main() -> None:
    server.prepare()
    site.set_up()
    site.say(beside("one process") | beside("engine apart", "--no-engine"))


def beside(label: str, *options: str) -> dict[str, Figure]:
    with ExitStack() as running:
        url, pid = running.enter_context(server.serving(*options))
        if options:
            running.enter_context(server.running([*server.MANAGE, "worker"]))
        cookie = server.cookie()
        asyncio.run(asked(url, cookie, 100))  # warm
        quiet = asyncio.run(asked(url, cookie, PAGES * 5))
        workflow_id = submitted()
        cpu = server_database.cpu_of(pid)
        took = asyncio.run(asked(url, cookie, PAGES * SECONDS))
        cpu = server_database.cpu_of(pid) - cpu
        return told(label, quiet, took, cpu) | kept_up(label, workflow_id)


def submitted() -> int:
    """The workflow whose executions now begin, 200 a second; they have been going on for a second."""
    from executions.engine import WorkflowEngine
    from executions.models import WorkflowExecution

    workflow_id = site.published(site.CHAIN3)
    number = EXECUTIONS * (SECONDS + 2)
    given = {"workflow": workflow_id, "number": number, "a_second": EXECUTIONS, "given": load.SMALL}
    WorkflowEngine().submit(site.published(site.chain(("bench_submit", given))))
    while not WorkflowExecution.objects.filter(workflow=workflow_id).exists():
        time.sleep(0.05)
    time.sleep(1)
    return workflow_id


async def asked(url: str, cookie: str, number: int) -> list[float]:
    """Milliseconds of each page, waiting for a free connection included."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    connections = [await Connection(url, cookie).__aenter__() for _ in range(BROWSERS)]
    for connection in connections:
        free.put_nowait(connection)

    async def one() -> float:
        began = time.perf_counter()
        connection = await free.get()
        await connection.get(LISTS)
        took = 1e3 * (time.perf_counter() - began)
        free.put_nowait(connection)
        return took

    tasks = [asyncio.create_task(one()) async for _ in paced(number, PAGES)]
    took = list(await asyncio.gather(*tasks))
    for connection in connections:
        await connection.__aexit__()
    return took


def told(label: str, quiet: list[float], took: list[float], cpu: float) -> dict[str, Figure]:
    name = f"pages, {label}"
    return {
        f"{name}: {PAGES}/s, engine idle, p50": figure(middle(quiet), "ms"),
        f"{name}: {PAGES}/s beside {EXECUTIONS} executions/s, p50": figure(middle(took), "ms", at_most=25),
        f"{name}: {PAGES}/s beside {EXECUTIONS} executions/s, p99": figure(part(took, 0.99), "ms", at_most=250),
        f"{name}: CPU of the server's process": figure(100 * cpu * PAGES / len(took), "% of a core"),
    }


def kept_up(label: str, workflow_id: int) -> dict[str, Figure]:
    """From an execution's submission to its end, by its row; and how many ended a second while they were submitted."""
    from executions.models import WorkflowExecution

    rows = WorkflowExecution.objects.filter(workflow=workflow_id)
    while rows.live().exists() or WorkflowExecution.objects.live().exists():
        time.sleep(0.2)
    moments = [(begun, ended) for begun, ended in rows.values_list("created_at", "completed_at") if ended]
    took = [1e3 * (ended - begun).total_seconds() for begun, ended in moments]
    first, last = min(begun for begun, _ in moments), max(ended for _, ended in moments)
    rate = len(moments) / (last - first).total_seconds()
    return {
        f"engine beside pages, {label}: ended": figure(rate, f"executions/s of {EXECUTIONS}"),
        f"engine beside pages, {label}: submitted to ended, p50": figure(middle(took), "ms"),
        f"engine beside pages, {label}: submitted to ended, p99": figure(part(took, 0.99), "ms"),
    }


if __name__ == "__main__":
    main()
