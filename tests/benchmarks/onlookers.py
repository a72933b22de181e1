"""Ten people who watch executions, in the process that runs them: the real consumer behind the real ASGI application.

Each opens the page's socket on one of the executions in flight, stays until it has ended and a second longer, as
somebody who reads would, and goes on to the next. Pages themselves are not asked for: bench `pages` does that.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async

NUMBER, READ_S = 10, 1.0


@asynccontextmanager
async def watching(number: int = NUMBER) -> AsyncIterator[list[int]]:
    """The executions that were seen to their end, by whoever watched them."""
    seen: list[int] = []
    cookies = await sync_to_async(_cookies)(number)
    tasks = [asyncio.create_task(_watch(cookie, seen)) for cookie in cookies]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        if failed := [end for end in ends if not isinstance(end, asyncio.CancelledError)]:
            raise RuntimeError(f"{len(failed)} of {number} viewers failed: {failed[0]!r}")


def _cookies(number: int) -> list[str]:
    from django.contrib.auth.models import User

    from tests.live.viewer import cookie_of

    return [cookie_of(User.objects.get_or_create(username=f"viewer-{n}", is_superuser=True)[0]) for n in range(number)]


async def _watch(cookie: str, seen: list[int]) -> None:
    from executions.worker import current_worker

    while True:
        if running := list(current_worker().runs):
            await _look(random.choice(running), cookie, seen)
        await asyncio.sleep(0.01)


async def _look(execution_id: int, cookie: str, seen: list[int]) -> None:
    from tests.live.viewer import Viewer

    viewer = Viewer(execution_id, cookie)
    await viewer.open()
    try:
        await viewer.hello()
        await viewer.until(lambda frame: "<title>Completed" in frame)
        seen.append(execution_id)
        await asyncio.sleep(READ_S)
    finally:
        await viewer.leave()
