"""Huey: a pipeline of three tasks, on SQLite.

* SqliteHuey as it comes, `fsync=True` said aloud (SQLite's own default too): "Huey storage", SqliteStorage.
* The consumer's threads live in this process, so an end is known by the signal that Huey sends after it stored the
  result ("Signals"); polling for results would cost it queries that it need not make.
* PEER_WORKERS threads (2 were fastest here), and a poll of 1 ms where its default is 100 ms ("Consuming tasks"):
  under load it never sleeps, and one execution alone does not wait for the poll.
What it keeps: a result for each task until it is read (here the last is), no history, no record that a step began. A
task leaves the queue as it begins: what a crash interrupts is lost.
"""

from __future__ import annotations

import logging
import os
import threading
from importlib.metadata import version
from typing import Any

from huey import SqliteHuey
from huey.signals import SIGNAL_COMPLETE, SIGNAL_ERROR

from tests.benchmarks.peers import work

WORKERS = int(os.environ.get("PEER_WORKERS", "2"))
huey = SqliteHuey(filename="huey.sqlite3", fsync=True)
ended: dict[str, threading.Event] = {}


@huey.task()
def take(data: dict[str, Any]) -> Any:
    return (work.take(data),)  # a tuple is the next task's arguments; a dict would be its keywords


@huey.task()
def shout(data: dict[str, Any]) -> Any:
    return (work.shout(data),)


@huey.task()
def give(data: dict[str, Any]) -> Any:
    return work.give(data)


@huey.signal(SIGNAL_COMPLETE, SIGNAL_ERROR)
def on_end(signal: str, task: Any, error: Any = None) -> None:
    if task.id in ended:
        ended[task.id].set()


def start() -> Any:
    pipeline = take.s(work.DATA).then(shout).then(give)
    last = pipeline.on_complete.on_complete.id
    ended[last] = threading.Event()
    return last, list(huey.enqueue(pipeline))[-1]


def end(started: Any) -> Any:
    last, result = started
    ended[last].wait(60)
    del ended[last]
    return result.get()


def records() -> str:
    asked = ("PRAGMA journal_mode", "PRAGMA synchronous")
    answers = (huey.storage.conn.execute(question).fetchone()[0] for question in asked)
    return f"each task's result, until it is read; {work.durability(*answers)}"


def main() -> None:
    logging.getLogger("huey").setLevel(logging.ERROR)
    poll = {"initial_delay": 0.001, "max_delay": 0.001, "backoff": 1.0}
    consumer = huey.create_consumer(workers=WORKERS, worker_type="thread", periodic=False, **poll)
    consumer.start()
    work.run_blocking(start, end, version("huey"), records())
    consumer.stop()


if __name__ == "__main__":
    main()
