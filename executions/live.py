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


def ring_engines(execution_id: int | None = None) -> None:
    """From synchronous code, after COMMIT: something is due, or this execution was nudged."""
    async_to_sync(ring)(ENGINES, {"type": "engine.wake", "execution": execution_id})


def ring_viewers(execution_id: int) -> None:
    """From synchronous code, after COMMIT: this execution's journal grew."""
    async_to_sync(ring)(VIEWERS, {"type": "journal.grew", "executions": [execution_id]})


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
    """The viewers' bell of one event loop: collects whose journal grew and rings once for all of them."""

    def __init__(self) -> None:
        self._grew: set[int] = set()
        self._resting = False
        self._ringing: set[asyncio.Task[None]] = set()

    def grew(self, execution_id: int) -> None:
        self._grew.add(execution_id)
        if not self._resting:
            self._ring()

    def _ring(self) -> None:
        self._resting = bool(self._grew)
        if not self._grew:
            return
        message = {"type": "journal.grew", "executions": list(self._grew)}
        self._grew.clear()
        task = asyncio.create_task(ring(VIEWERS, message))
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)
        asyncio.get_running_loop().call_later(GAP_S, self._ring)
