"""make soak: the real server under mixed work for 20 minutes, and whether anything in it grows. MINUTES: how long.
SOAK_DIR: where its data goes; a new folder below the system's own for such things otherwise.

Chains, fans, loops, retries and waits begin evenly; pages are asked for and watched; what ended a minute ago is deleted
as retention deletes it, so that the file must stay bounded. Memory, files, threads and the database's size are sampled;
the slope of memory is a least-squares line with its 95 % interval, without the first quarter, in which caches fill.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.benchmarks import load, machine, server, site
from tests.benchmarks.client import Connection, Socket
from tests.benchmarks.fan50 import fan

MINUTES = float(os.environ.get("MINUTES", "20"))
SAMPLE_S, PRUNE_S, KEPT_DAYS = 2.0, 30.0, 1 / 1_440
A_SECOND = {"chain": 20, "fan": 0.2, "loop": 0.2, "retry": 2, "wait": 2}
PAGES = ("/", "/executions/", "/executions/?status=failed", "/waiting/")
CHANCE = 1.96  # of a normal distribution: 95 % lie within


@dataclass(frozen=True, slots=True)
class Sample:
    at: float  # seconds since the beginning
    memory_mb: float
    files: int
    threads: int
    database_mb: float


def main() -> None:
    folder = Path(os.environ.get("SOAK_DIR") or tempfile.mkdtemp(prefix="stepstream-soak-"))
    os.environ["DATA_DIR"] = str(folder)
    os.environ.pop("DATABASE_URL", None)
    server.prepare()
    site.set_up()
    lost: list[str] = []
    with server.serving() as (url, pid):
        submit(MINUTES * 60)
        samples = asyncio.run(soaked(url, pid, folder, lost))
    told = summed_up(samples, lost)
    (folder / "soak.json").write_text(json.dumps({"samples": [asdict(one) for one in samples], **told}, indent=1))
    print(f"{machine.as_text(machine.described())}\n")
    for name, text in told.items():
        print(f"{name:34} {text}")
    print(f"\nSamples and data are in {folder}")


def kinds() -> dict[str, dict[str, Any]]:
    loop = {
        "nodes": [{"id": "each", "type": "for_each", "data": {}}, {"id": "item", "type": "process", "data": {}}],
        "edges": [{"source": "each", "target": "item", "sourceHandle": "each"}],
    }
    again = {"policy": {"attempts": 2, "backoff_s": 1, "backoff_max_s": 1}}
    return {
        "chain": site.CHAIN3,
        "fan": fan(),
        "loop": loop,
        "retry": site.chain(("bench_flaky", again)),
        "wait": site.chain(("delay", {"seconds": 5}), ("output", {})),
    }


def submit(seconds: float) -> None:
    """One execution a kind, inside of the server, that submits the others for so long."""
    from executions.engine import WorkflowEngine

    for name, definition in kinds().items():
        given = {"items": list(range(20))} if name == "loop" else load.SMALL
        paced = {"workflow": site.published(definition), "a_second": A_SECOND[name], "given": given}
        paced["number"] = max(1, round(A_SECOND[name] * seconds))
        WorkflowEngine().submit(site.published(site.chain(("bench_submit", paced))))


async def soaked(url: str, pid: int, folder: Path, lost: list[str]) -> list[Sample]:
    works = again(browse, url, lost), again(look, url, lost), prune()
    beside = [asyncio.create_task(work) for work in works]
    samples, began = [sample(pid, folder, 0)], time.monotonic()
    while time.monotonic() - began < MINUTES * 60:
        await asyncio.sleep(SAMPLE_S)
        samples.append(sample(pid, folder, time.monotonic() - began))
        if failed := [task for task in beside if task.done()]:
            failed[0].result()
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    return samples


def sample(pid: int, folder: Path, at: float) -> Sample:
    parts = (file.stat().st_size for file in folder.glob("db.sqlite3*"))
    threads, files = (len(list(Path(f"/proc/{pid}/{name}").iterdir())) for name in ("task", "fd"))
    return Sample(at, site.resident_mb(pid), files, threads, sum(parts) / 1e6)


async def again(work: Callable[[str], Awaitable[None]], url: str, lost: list[str]) -> None:
    """A browser comes back when its connection has broken; the table says how often that was."""
    while True:
        try:
            await work(url)
        except (OSError, EOFError, RuntimeError) as error:
            lost.append(repr(error))
            await asyncio.sleep(1)


async def browse(url: str) -> None:
    """Five pages a second."""
    cookie = await asyncio.to_thread(server.cookie)
    async with Connection(url, cookie) as browser:
        while True:
            await browser.get(random.choice(PAGES))
            await asyncio.sleep(0.2)


async def look(url: str) -> None:
    """Opens the socket of one of the newest executions, stays for some frames, and goes on to another."""
    cookie = await asyncio.to_thread(server.cookie)
    while True:
        async with Socket(url, cookie) as socket:
            await socket.open(f"/ws/executions/{await asyncio.to_thread(newest)}/")
            socket.say({"after": 0})
            await socket.frame()
            await asyncio.sleep(1)


def newest() -> int:
    from executions.models import WorkflowExecution

    return int(WorkflowExecution.objects.order_by("-pk").values_list("pk", flat=True)[0])


async def prune() -> None:
    """As cron would: the command, beside the running server."""
    command = [*server.MANAGE, "prune_executions", "--older-than", str(KEPT_DAYS)]
    while True:
        await asyncio.sleep(PRUNE_S)
        where = {"cwd": server.ROOT, "env": server.environment(0), "stdout": subprocess.DEVNULL}
        done = await asyncio.create_subprocess_exec(*command, **where)  # type: ignore[arg-type]
        if await done.wait():
            raise RuntimeError("what is too old could not be deleted")


def summed_up(samples: list[Sample], lost: list[str]) -> dict[str, str]:
    from executions.models import WorkflowExecution

    settled = [one for one in samples if one.at >= MINUTES * 15] or samples
    slope, interval = line([one.at / 3_600 for one in settled], [one.memory_mb for one in settled])
    first, last = settled[0], settled[-1]
    newest = WorkflowExecution.objects.order_by("-pk").first()
    return {
        "minutes, samples": f"{samples[-1].at / 60:.1f}, {len(samples)}",
        "executions (left after retention)": f"{newest.pk if newest else 0:,} ({WorkflowExecution.objects.count():,})",
        "pages and sockets that broke": f"{len(lost)} {lost[-1] if lost else ''}",
        "memory, MB resident": f"{first.memory_mb:.1f} → {last.memory_mb:.1f}",
        "memory, slope": f"{slope:+.1f} ± {interval:.1f} MB/h",
        "open files": f"{first.files} → {last.files}, at most {max(one.files for one in settled)}",
        "threads": f"{first.threads} → {last.threads}, at most {max(one.threads for one in settled)}",
        "database, MB": f"{first.database_mb:.1f} → {last.database_mb:.1f}, "
        f"at most {max(one.database_mb for one in settled):.1f}",
    }


def line(x: list[float], y: list[float]) -> tuple[float, float]:
    """The least-squares slope and half of its 95 % interval.

    Samples that follow each other resemble each other, so each counts as less than one: by their lag-1 correlation.
    """
    number = len(x)
    mean_x, mean_y = sum(x) / number, sum(y) / number
    spread = sum((one - mean_x) ** 2 for one in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    rest = [b - mean_y - slope * (a - mean_x) for a, b in zip(x, y, strict=True)]
    squares = sum(one**2 for one in rest) or 1e-12
    alike = max(0.0, sum(a * b for a, b in pairwise(rest)) / squares)
    counted = max(1.0, number * (1 - alike) / (1 + alike))
    return slope, CHANCE * (squares / (number - 2) / spread * number / counted) ** 0.5


if __name__ == "__main__":
    main()
