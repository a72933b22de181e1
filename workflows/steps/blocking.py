"""A library that blocks, in a thread of a small pool, and stopped by what it can be stopped by: a closed socket, an
interrupted statement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def blocking(pool: Executor, work: Callable[[], T], stop: Callable[[], object]) -> T:
    """What `work` gives. `stop` is called at most once, from this thread, when the caller is cancelled meanwhile."""
    future = pool.submit(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if not future.cancelled():  # it has begun
            stop()
        raise
