"""Looks for what is due, again and again, and hands it to whoever carries it: new, woken, or lost by its owner.

Stateless: each look selects afresh, so a bell that was lost and a look that failed cost a moment and no execution.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

from django.conf import settings

from executions import claim, slots
from executions.journal import Journal
from executions.lease import dead_owners

log = logging.getLogger(__name__)

LOOK_S = 1.0  # a bell cannot cross between processes without Redis; this look costs one query on a partial index
BATCH = 100


class Carrier(Protocol):
    """What a sweep needs of the worker that it works for."""

    owner: str
    journal: Journal

    @property
    def free(self) -> int: ...
    async def take(self, held: claim.Held) -> None: ...
    def settle(self) -> None: ...


class Sweep:
    def __init__(self, carrier: Carrier, ended: Callable[[asyncio.Task[None]], None]) -> None:
        self._carrier = carrier
        self._bell = asyncio.Event()
        self._swept = self._failing_since = -1e9
        self._task = asyncio.create_task(self._go_on(), name="sweep")
        self._task.add_done_callback(ended)

    def wake(self) -> None:
        self._bell.set()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _go_on(self) -> None:
        while True:
            self._bell.clear()
            try:
                await self._release_dead()
                await self._claim()
                self._failing_since = -1e9
            except Exception as error:
                self._tolerate(error)
            await self._wait()

    async def _release_dead(self) -> None:
        """Takes over at once what processes of this machine held that are gone, and gives slots that nobody gave."""
        now = asyncio.get_running_loop().time()
        if now - self._swept >= settings.ENGINE["SWEEP_SECONDS"]:
            self._swept = now
            await self._carrier.journal.run(_release_dead)
            await self._carrier.journal.run(slots.admit_all)

    async def _claim(self) -> None:
        """In batches of the free slots, until nothing is due."""
        while (number := min(self._carrier.free, BATCH)) > 0:
            batch = await self._carrier.journal.run(claim.claim, self._carrier.owner, number)
            for held in batch:
                await self._carrier.take(held)
            if len(batch) < number:
                break
        await asyncio.sleep(0)  # what was taken has begun
        self._carrier.settle()

    def _tolerate(self, error: Exception) -> None:
        """The database may be away for a while; not for ever, and never silently."""
        log.error("The sweep failed; it tries again", exc_info=error)
        now = asyncio.get_running_loop().time()
        if self._failing_since < 0:
            self._failing_since = now
        elif now - self._failing_since > 2 * settings.ENGINE["LEASE_SECONDS"]:
            raise error

    async def _wait(self) -> None:
        # Not wait_for(): before Python 3.12 it can swallow the cancel of stop() when the bell rings in that moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._bell.wait()


def _release_dead() -> None:
    for owner in dead_owners():
        number = claim.release_dead([owner])
        log.warning("Worker %s is gone; %d executions are taken over", owner[:8], number)
