"""Work that takes long, in a thread that can be told to stop.

A thread cannot be killed, so long work asks now and then whether it is still wanted. The pool is our own: work that a
library cannot break off holds up other work of this kind at most, and never the engine's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Event
from typing import TypeVar

T = TypeVar("T")
THREADS = 4
OFTEN = 256  # items between two questions


class Stopped(Exception):
    """Nobody waits for this work any more."""


class Stop:
    """Told from outside, asked from inside."""

    def __init__(self) -> None:
        self._told = Event()

    def tell(self) -> None:
        self._told.set()

    def ask(self) -> None:
        if self._told.is_set():
            raise Stopped

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items, with the question in between."""
        for number, item in enumerate(items):
            if number % OFTEN == 0:
                self.ask()
            yield item


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "transform")


async def in_thread(work: Callable[[Stop], T]) -> T:
    """What `work` gives. Where the task is cancelled, the work is told to stop and not waited for."""
    stop = Stop()
    try:
        return await asyncio.get_running_loop().run_in_executor(_pool(), _begun, work, stop)
    except asyncio.CancelledError:
        stop.tell()
        raise


def _begun(work: Callable[[Stop], T], stop: Stop) -> T:
    stop.ask()  # cancelled while it stood in the queue
    return work(stop)
