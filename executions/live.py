"""Two bells, the engines' and the viewers': rung after COMMIT, heard in every process that can be reached.

A bell says only that something happened; the truth is in the rows, and a lost bell costs a moment, never an entry:
engines look each second, pages twice a second. Only the engine rings.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

log = logging.getLogger(__name__)

ENGINES = "engines"
VIEWERS = "viewers"
PATIENCE_S = 1.0  # for a channel layer that does not answer; it must not hold up whoever pressed Run
RESPITE_S = 1.0  # one that has just failed is left alone for so long: others who ring do not wait for it too
SILENCE_S = 60.0  # between two lines in the log about the same outage
JOIN_S = 10.0  # Redis forgets its groups when it is flushed, and we those who have gone: who listens joins again
LONGEST_PAUSE_S = 15.0  # between two tries to listen
GAP_S = 0.05  # the first bell at once, then at most one per gap: one a flush, never one a row


def ring_engines(*executions: int) -> None:
    """From synchronous code, after COMMIT: these were nudged or are new; none named: something is due."""
    async_to_sync(ring)(ENGINES, {"type": "engine.wake", "executions": list(executions)})


def ring_viewers(*executions: int) -> None:
    """From synchronous code, after COMMIT: the journals of these grew."""
    async_to_sync(ring)(VIEWERS, {"type": "journal.grew", "executions": list(executions)})


async def ring(group: str, message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    outage = _outages.setdefault(layer, Outage())
    if outage.is_fresh:
        return
    try:
        async with asyncio.timeout(PATIENCE_S):
            await layer.group_send(group, message)
        outage.end()
    except Exception as error:
        outage.note(error)  # Redis may be away or silent: readers look for themselves


class Outage:
    """Of one channel layer, as those see it who ring."""

    def __init__(self) -> None:
        self._noted_at = self._told_at = -1e9

    @property
    def is_fresh(self) -> bool:
        return monotonic() - self._noted_at < RESPITE_S

    def note(self, error: Exception) -> None:
        self._noted_at = monotonic()
        if self._noted_at - self._told_at > SILENCE_S:
            self._told_at = self._noted_at
            log.warning("The bells do not ring (%s); everybody looks instead", str(error) or type(error).__name__)

    def end(self) -> None:
        if self._told_at > 0:
            log.info("The bells ring again")
        self._noted_at = self._told_at = -1e9


_outages: WeakKeyDictionary[Any, Outage] = WeakKeyDictionary()


async def hear(group: str, heard: Callable[[Iterable[int]], None]) -> None:
    """For ever: tells which executions the bell is about. While it is out of reach, it tries again and again."""
    pause = 1.0
    while True:
        try:
            async for message in listen(group):
                pause = 1.0
                heard(message["executions"])
        except Exception as error:
            log.warning("The bell of the %s is out of reach: %s", group, error)
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE_S, pause * 2)


async def listen(group: str) -> AsyncIterator[dict[str, Any]]:
    """The group's messages for as long as one listens; joins before the first message is awaited."""
    layer = get_channel_layer()
    assert layer is not None
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    staying = asyncio.create_task(_stay(layer, group, channel), name=f"{group}' bell")
    try:
        while True:
            yield await layer.receive(channel)
    finally:
        staying.cancel()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(PATIENCE_S):
                await layer.group_discard(group, channel)


async def _stay(layer: Any, group: str, channel: str) -> None:
    while True:
        await asyncio.sleep(JOIN_S)
        with contextlib.suppress(Exception):  # receive() says the same
            await layer.group_add(group, channel)


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
