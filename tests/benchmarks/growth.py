"""Whether an installation grows slower with what it has done: CPU per execution on a database that is empty, with
100,000 and with 1,000,000 executions, in turn in one run; there too the list's first page and the tail of one.

What is there already are copies of executions that the engine wrote itself, made by SQL. Each database has a process of
its own, which is told when its turn is. GROWTH: how many executions the others hold, such as 1000,10000.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.benchmarks import copies, load, server_database, site
from tests.benchmarks.figures import Figure, figure, middle

SIZES = [0, *(int(size) for size in os.environ.get("GROWTH", "100000,1000000").split(","))]
ROUNDS, EXECUTIONS, LOOKS = 5, site.many(1_000), 30
MOST = 1.25  # times the CPU of an empty one


def main() -> None:
    with ExitStack() as held:
        parts = [part(size, held) for size in SIZES]
        turns = [[turn(process) for process in parts] for _ in range(ROUNDS)]
    site.say(told([list(of_one) for of_one in zip(*turns, strict=True)]))


def part(size: int, held: ExitStack) -> subprocess.Popen[str]:
    """Its database is filled when this returns."""
    env = {**os.environ, "DATA_DIR": str(Path(os.environ["DATA_DIR"]) / str(size))}
    if "DATABASE_URL" in env:
        env["DATABASE_URL"] = held.enter_context(server_database.made(f"_{size}"))
    command = [sys.executable, "-m", "tests.benchmarks.growth", str(size)]
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    held.callback(process.kill)
    filled = turn(process)
    print(f"    {size:,} executions in {filled['filled']:.0f} s", file=sys.stderr, flush=True)
    return process


def turn(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdin and process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    return dict(json.loads(process.stdout.readline()))


def told(of_each: list[list[dict[str, float]]]) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for name, unit in (("CPU an execution", "µs"), ("list of the newest", "ms"), ("tail of one", "ms")):
        values = [[one[name] for one in rounds] for rounds in of_each]
        for size, some in zip(SIZES, values, strict=True):
            floor = middle(values[0]) if size else None
            aim = MOST if size == SIZES[-1] and unit == "µs" else None
            found[f"{name}, {size:,} before"] = figure(middle(some), unit, floor=floor, at_most=aim, rounds=some)
    return found


# In the process of one database


def carry(size: int) -> None:
    site.set_up()
    began = time.perf_counter()
    workflow_id = site.published(site.CHAIN3)
    asyncio.run(run(workflow_id, 100))
    sys.stdin.readline()
    copies.make(workflow_id, size)
    print(json.dumps({"filled": time.perf_counter() - began}), flush=True)
    while sys.stdin.readline():
        taken = asyncio.run(run(workflow_id, EXECUTIONS))
        print(json.dumps({"CPU an execution": taken.cpu, **looked_at()}), flush=True)


async def run(workflow_id: int, number: int) -> load.Taken:
    from executions.worker import current_worker

    await load.in_flight(workflow_id, min(number, 100), 100)  # warm
    taken = await load.in_flight(workflow_id, number, 100)
    await current_worker().close()
    return taken


def looked_at() -> dict[str, float]:
    """The queries of the list's first page, for who sees all, and of a window on the newest execution."""
    from executions.asked import Asked
    from executions.catalogue import Sight, find
    from executions.models import ExecutionLog, WorkflowExecution
    from executions.rows import rows_of

    newest = WorkflowExecution.objects.order_by("-pk").values_list("pk", flat=True)[0]
    tail = ExecutionLog.objects.filter(execution=newest, seq__gt=3).order_by("seq")
    page = Asked(), Sight(None, None)
    return {
        "list of the newest": timed(lambda: rows_of(find(*page).ids)),
        "tail of one": timed(lambda: list(tail[:500])),
    }


def timed(question: Callable[[], Any]) -> float:
    """Milliseconds, the median."""
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        question()
        took.append(1e3 * (time.perf_counter() - began))
    return middle(took)


if __name__ == "__main__":
    carry(int(sys.argv[1])) if sys.argv[1:] else main()
