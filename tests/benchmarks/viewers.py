"""200 people watch one execution: real WebSockets to the real server, while a step writes ten lines a second. What that
costs the server beside nobody and one, and how long after its writing a line has come to all of them.

That they cost one read a flush, and not 200, is asserted by tests/live/test_reads.py.
"""

from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime

from tests.benchmarks import server, server_database, site
from tests.benchmarks.client import Socket
from tests.benchmarks.figures import Figure, figure, middle, part

LINES, A_SECOND, CROWD = site.many(200), 10, 200
OPENING_S = 15  # in which all of them come, before the first line
ENTRY = re.compile(r'data-seq="(\d+)".*?<time datetime="([^"]+)"')


def main() -> None:
    server.prepare()
    site.set_up()
    workflow_id = site.published(
        site.chain(("bench_pause", {"seconds": OPENING_S}), ("bench_lines", {"number": LINES, "a_second": A_SECOND}))
    )
    with server.serving() as (url, pid):
        cookie = server.cookie()
        cpu: dict[int, float] = {}
        for number in (0, 1, CROWD):
            cpu[number], frames, late = asyncio.run(watched(url, pid, cookie, workflow_id, number))
    site.say(told(cpu, frames, late))


async def watched(url: str, pid: int, cookie: str, workflow_id: int, number: int) -> tuple[float, int, list[float]]:
    """CPU seconds of the server until the execution's end, frames that came, milliseconds that each line was late."""
    from asgiref.sync import sync_to_async

    from executions.engine import WorkflowEngine

    execution_id = await WorkflowEngine().submit_workflow(workflow_id)
    late: list[float] = []
    everybody = [asyncio.create_task(watch(url, cookie, execution_id, late)) for _ in range(number)]
    await asyncio.sleep(OPENING_S - 1)
    cpu = server_database.cpu_of(pid)
    while not await sync_to_async(has_ended)(execution_id):
        await asyncio.sleep(0.2)
    frames = sum(await asyncio.gather(*everybody))
    return server_database.cpu_of(pid) - cpu, frames, late


async def watch(url: str, cookie: str, execution_id: int, late: list[float]) -> int:
    """Until it has ended: the number of frames."""
    frames, seen = 0, set[str]()
    async with Socket(url, cookie) as socket:
        await socket.open(f"/ws/executions/{execution_id}/")
        socket.say({"after": 0})
        while True:
            frame = await socket.frame()
            now, frames = time.time(), frames + 1
            found = {seq: at for seq, at in ENTRY.findall(frame) if seq not in seen}
            late += [1e3 * (now - datetime.fromisoformat(at).timestamp()) for at in found.values() if seen]
            seen |= found.keys()
            if "<title>Completed" in frame:
                assert len(seen) >= LINES, f"{len(seen)} entries of {LINES} and more"
                return frames


def has_ended(execution_id: int) -> bool:
    from executions.models import WorkflowExecution

    return not WorkflowExecution.objects.live().filter(pk=execution_id).exists()


def told(cpu: dict[int, float], frames: int, late: list[float]) -> dict[str, Figure]:
    seconds = LINES / A_SECOND
    return {
        **{
            f"{number} viewers of one execution: server's CPU": figure(100 * spent / seconds, "% of a core")
            for number, spent in cpu.items()
        },
        f"{CROWD} viewers: CPU a frame": figure(1e6 * (cpu[CROWD] - cpu[0]) / frames, f"µs ({frames:,} frames)"),
        f"{CROWD} viewers: written to seen, p50": figure(middle(late), "ms"),
        f"{CROWD} viewers: written to seen, p99": figure(part(late, 0.99), "ms"),
    }


if __name__ == "__main__":
    main()
