"""Celery: a chain of three tasks, Redis as broker and for results, a prefork pool of two.

* A redis-server of its own on 127.0.0.1, with no configuration file: what it keeps is in memory, with its default
  snapshots ("Backends and Brokers", Redis).
* `worker_prefetch_multiplier` 64, for short tasks ("Optimizing", Prefetch Limits); no gossip, mingle or heartbeat and
  no events, for there is one worker and nobody who watches ("Workers Guide").
* Acknowledged as they begin, as by default: what a crash interrupts is lost ("Tasks", acks_late).
What it keeps: every task's result for a day, no history of the chain. The chain travels in its messages.
"""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis
from celery import Celery, chain

from tests.benchmarks.peers import work

URL = f"redis://127.0.0.1:{work.PORT}/0"
app = Celery("tests.benchmarks.peers.celery", broker=URL, backend=URL)
app.conf.update(worker_prefetch_multiplier=64, broker_connection_retry_on_startup=True)
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]

take, shout, give = (app.task(step, name=step.__name__) for step in (work.take, work.shout, work.give))


def start() -> Any:
    return chain(take.s(work.DATA), shout.s(), give.s()).apply_async()


def end(result: Any) -> Any:
    return result.get(timeout=60)


def await_redis() -> None:
    client = redis.Redis(port=work.PORT)
    for _ in range(100):
        try:
            client.ping()
            return
        except redis.ConnectionError:
            time.sleep(0.05)
    raise SystemExit("redis-server did not come up")


def main() -> None:
    server = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(work.PORT)], stdout=sys.stderr)
    await_redis()
    command = [str(Path(sys.executable).with_name("celery")), "-A", "tests.benchmarks.peers.celery", "worker"]
    worker = subprocess.Popen([*command, "--pool=prefork", "--concurrency=2", *QUIET], stdout=sys.stderr)
    try:
        records = "each task's result, in Redis' memory; a snapshot on disk after 60 s at the earliest"
        work.run_blocking(start, end, version("celery"), records)
    finally:
        for process in (worker, server):
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main()
