"""Two bells and a window: the engines' bell, the viewers' bell, and the hub that reads and renders for all sockets.

A bell says only that something happened; the truth is in the rows, and a lost bell costs a moment, never an entry.
Only the engine rings.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

log = logging.getLogger(__name__)

ENGINES = "engines"
VIEWERS = "viewers"
PATIENCE_S = 1.0  # for a channel layer that does not answer; it must not hold up whoever pressed Run
GAP_S = 0.05  # the first bell at once, then at most one per gap: one a flush, never one a row


def ring_engines(*executions: int) -> None:
    """From synchronous code, after COMMIT: these were nudged or are new; none named: something is due."""
    async_to_sync(ring)(ENGINES, {"type": "engine.wake", "executions": list(executions)})


def ring_viewers(*executions: int) -> None:
    """From synchronous code, after COMMIT: the journals of these grew."""
    async_to_sync(ring)(VIEWERS, {"type": "journal.grew", "executions": list(executions)})


async def ring(group: str, message: dict[str, Any]) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await get_channel_layer().group_send(group, message)
    except Exception as error:
        # Redis may be away or silent, a channel may be full: readers look for themselves every few seconds.
        log.warning("A bell did not ring: %s", error)


async def listen(group: str) -> AsyncIterator[dict[str, Any]]:
    """The group's messages for as long as one listens; joins before the first message is awaited."""
    layer = get_channel_layer()
    assert layer is not None
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    try:
        while True:
            yield await layer.receive(channel)
    finally:
        with contextlib.suppress(Exception):
            await layer.group_discard(group, channel)


class Bell:
    """A bell of one event loop: collects the executions that it is about and rings once for all of them."""

    def __init__(self, group: str, message: str) -> None:
        self._group, self._type = group, message
        self._grew: set[int] = set()
        self._resting = False
        self._ringing: set[asyncio.Task[None]] = set()

    def grew(self, *executions: int) -> None:
        self._grew.update(executions)
        if not self._resting:
            self._ring()

    def _ring(self) -> None:
        self._resting = bool(self._grew)
        if not self._grew:
            return
        message = {"type": self._type, "executions": list(self._grew)}
        self._grew.clear()
        task = asyncio.create_task(ring(self._group, message))
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)
        asyncio.get_running_loop().call_later(GAP_S, self._ring)
