"""Whose turn it is to have expressions evaluated: one piece of work a workflow at a time.

The evaluator has two children. A workflow that wants them hundreds of times, each time for almost as long as it may,
then holds up itself: others come after its next piece, and threads that do other things are not waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from workflows.evaluation.pool import CHILDREN

T = TypeVar("T")
_threads = ThreadPoolExecutor(CHILDREN, "expressions")


class Turns:
    """Of one event loop, in the order in which they came."""

    def __init__(self) -> None:
        self._children = asyncio.Semaphore(CHILDREN)
        self._by_owner: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, owner: str, work: Callable[[], T]) -> T:
        """What `work` gives, in a thread."""
        lock = self._by_owner.get(owner) or asyncio.Lock()
        self._by_owner[owner] = lock
        async with lock, self._children:
            return await asyncio.get_running_loop().run_in_executor(_threads, partial(copy_context().run, work))


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


async def in_turn(owner: str, work: Callable[[], T]) -> T:
    return await _turns.setdefault(asyncio.get_running_loop(), Turns()).take(owner, work)
