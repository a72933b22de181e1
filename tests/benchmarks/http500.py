"""500 executions that each call a slow server, in one worker: their time beside that of one, and the memory they add.

The server is a process of its own. SLOW: the seconds that it takes for an answer (5).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time

from tests.benchmarks import site

NUMBER, SLOW = 500, float(os.environ.get("SLOW", "5"))
BODY = json.dumps({"items": [{"n": n, "text": "grain and flour"} for n in range(250)]}).encode()  # 10 kB


def main() -> None:
    server = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.http500", "serve"], stdout=subprocess.PIPE)
    try:
        assert server.stdout
        port = int(server.stdout.readline())
        os.environ["HTTP_ALLOW"] = f"127.0.0.1:{port}"
        site.set_up()
        call = {"url": f"http://127.0.0.1:{port}/", "timeout_s": 120}
        site.say(asyncio.run(called(site.published(site.chain(("http", call))))))
    finally:
        server.terminate()
        server.wait(10)


async def called(workflow_id: int) -> dict[str, dict[str, object]]:
    from executions.worker import current_worker

    worker = current_worker()
    await worker.start()
    await run(workflow_id, 50)  # warm: libraries, threads and caches are there
    one, _, _ = await run(workflow_id, 1)
    gc.collect()
    before = site.resident_mb()
    many, cpu, peak = await run(workflow_id, NUMBER)
    again, _, peak_again = await run(workflow_id, NUMBER)
    await asyncio.sleep(3)  # idle connections are let go
    gc.collect()
    after = site.resident_mb()
    await worker.stop(0)
    name = f"http, {NUMBER} at once to a server of {SLOW:g} s"
    return {
        f"{name}: time": {"value": round(many, 2), "unit": "s", "floor": round(one, 2), "ratio": many / one},
        f"{name}: time again": {"value": round(again, 2), "unit": "s", "floor": round(one, 2), "ratio": again / one},
        f"{name}: CPU a request": {"value": round(1_000 * cpu / NUMBER, 2), "unit": "ms, engine included"},
        f"{name}: memory added at most": {"value": round(max(peak, peak_again) - before, 1), "unit": "MB"},
        f"{name}: memory added after both": {"value": round(after - before, 1), "unit": "MB"},
    }


async def run(workflow_id: int, number: int) -> tuple[float, float, float]:
    """Seconds, CPU seconds, and the largest resident memory in MB."""
    from executions.engine import WorkflowEngine

    peak = [0.0]
    watch = asyncio.create_task(watched(peak))
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(WorkflowEngine().execute_workflow(workflow_id) for _ in range(number)))
    took = time.perf_counter() - wall, time.process_time() - cpu
    watch.cancel()
    return *took, peak[0]


async def watched(peak: list[float]) -> None:
    while True:
        peak[0] = max(peak[0], site.resident_mb())
        await asyncio.sleep(0.1)


async def serve() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(SLOW)
                writer.write(head + BODY)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve()) if sys.argv[1:] == ["serve"] else main()
