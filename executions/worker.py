"""The engine room of one event loop: carries executions, each as a task, and keeps their leases.

Truth is in the rows: the sweep selects afresh each time and needs no bell to find work. `start()` makes this a
worker that looks for work; without it, it only carries what execute_workflow() puts into it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from asgiref.sync import AsyncToSync, sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from executions import children, claim, presence
from executions.housekeeping import Housekeeper
from executions.journal import Closing, Journal, OwnershipLost
from executions.lease import LeaseKeeper, OwnerFile
from executions.live import ENGINES, VIEWERS, Bell, ring
from executions.run import Run
from executions.sweep import LOOK_S, Sweep
from workflows.blueprint import Blueprint
from workflows.outgoing import client
from workflows.words import count

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, journal: Journal | None = None) -> None:
        self.owner = uuid4().hex
        self.journal = journal or Journal()
        self.runs: dict[int, Run] = {}
        self.died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._bell, self._engines = Bell(VIEWERS, "journal.grew"), Bell(ENGINES, "engine.wake")
        self._missed: set[int] = set()
        self._looked_at: set[int] = set()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sweep: Sweep | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._file = OwnerFile(self.owner)
        self._keeper: LeaseKeeper | None = None
        self._is_closed = False
        self._housekeeper = Housekeeper()

    # For the process that serves

    async def start(self) -> None:
        """Begins to look for work, once. `died` gets an exception when that ends by itself."""
        if self._sweep is None:
            self._housekeeper.start()
            self.keep_leases()
            self._sweep = Sweep(self, self._report_death)
            await self.journal.run(presence.show, self.owner)

    async def stop(self, grace: float = 5.0) -> int:
        """Takes nothing more; lets executions end within `grace` seconds, then hands them back for others: how many."""
        if self._is_closed:
            return 0
        if self._sweep:
            await self._sweep.stop()
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        late = sum(not task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._sweep and not self.runs:  # a claim may have got through while we were told to stop
            late += await self.journal.run(claim.hand_back, self.owner)
        if self._sweep:
            with contextlib.suppress(OperationalError, InterfaceError):
                await self.journal.run(presence.leave, self.owner)
        if late:
            await ring(ENGINES, {"type": "engine.wake", "executions": []})  # others may have room for it now
        await self.close()
        if late:
            log.info("%s handed back for others", count(late, "execution"))
        return late

    async def close(self) -> None:
        """Gives back threads, connections and the file; the loop gets a new worker when it needs one."""
        if self._is_closed:
            return
        self._is_closed = True
        self._housekeeper.stop()
        if _workers.get(self._loop) is self:
            del _workers[self._loop]
            await client.close()
        if self._keeper:
            self._keeper.stop()
        if self._threads:
            self._threads.shutdown(wait=False, cancel_futures=True)
        await self.journal.close()
        self._file.unlock()

    def abandon(self) -> None:
        """As close(), after the loop is gone."""
        if self._keeper:
            self._keeper.stop()
        self.journal.abandon()
        self._file.unlock()

    # For the bells, on the loop's thread

    def wake(self, execution_id: int | None = None) -> None:
        """Something is due, or somebody did something to this execution."""
        if execution_id in self.runs:
            self.runs[execution_id].nudge()
            return
        if execution_id is not None:
            self._missed.add(execution_id)
        if self._sweep:
            self._sweep.wake()

    # For the runs

    def grew(self, execution_id: int) -> None:
        self._bell.grew(execution_id)

    def due(self, at: datetime) -> None:
        """An execution of ours rests until then; later ones are found by the sweep."""
        seconds = (at - timezone.now()).total_seconds()
        if self._sweep and seconds < LOOK_S:
            self._loop.call_later(max(0.0, seconds), self._sweep.wake)

    @property
    def has_room(self) -> bool:
        """Whether we look for work, so that others can begin beside what is held."""
        return self._sweep is not None and self.free > 0

    def ring(self, executions: Collection[int]) -> None:
        """These, or some that are new, are for whoever is there: our sweep at once, other processes by their bell."""
        for execution_id in executions or (None,):
            self.wake(execution_id)
        self._engines.grew(*(executions or (0,)))  # nobody has the number 0: only look

    def in_thread(self, function: Callable[[], Any]) -> Future[Any]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(settings.ENGINE["THREADS"], "step")
        return self._threads.submit(function)

    # Running

    async def walk(self, held: claim.Held) -> Closing | None:
        """Runs it in the caller's task: how it came to rest or end, or None where it was lost or could not be run."""
        self.keep_leases()
        run = None
        try:
            if not isinstance(held.blueprint, Blueprint):
                raise held.blueprint
            run = self.runs[held.execution_id] = Run(self, held, held.blueprint)
            if held.execution_id in self._missed:  # its bell rang while the claim was under way
                run.nudge()
            await run.walk()
            return run.closing
        except OwnershipLost:
            log.warning("Lost to another worker", extra={"execution": held.execution_id})
        except (OperationalError, InterfaceError) as error:
            # The database is away, and that is not the execution's fault: when the lease has run out it is taken over.
            log.warning("Let go, since the database is away: %s", error, extra={"execution": held.execution_id})
        except Exception as error:
            await self._bury(held, error)
        finally:
            self._drop(run)
        return None

    def _drop(self, run: Run | None) -> None:
        if run and self.runs.get(run.execution_id) is run:
            del self.runs[run.execution_id]

    async def _bury(self, held: claim.Held, error: Exception) -> None:
        """The engine itself could not go on with it, so it says so; where even that fails, the lease runs out."""
        log.error("The engine failed", exc_info=error, extra={"execution": held.execution_id})
        with contextlib.suppress(Exception):
            self.ring(await self.journal.run(children.bury, held.execution_id, held.fence, error))
            self.grew(held.execution_id)

    def _spawn(self, held: claim.Held) -> None:
        task = asyncio.create_task(self._carry(held), name=f"execution {held.execution_id}")
        self._tasks[held.execution_id] = task

    async def _carry(self, held: claim.Held) -> None:
        try:
            await self.walk(held)
        finally:
            self._tasks.pop(held.execution_id, None)
            self.wake()

    # For the sweep

    @property
    def free(self) -> int:
        return int(settings.ENGINE["LIMIT"]) - len(self._tasks)

    async def take(self, held: claim.Held) -> None:
        """Runs it in a task of its own. Where we lost it and got it again, the old run must be gone first."""
        if task := self._tasks.get(held.execution_id):
            task.cancel()
            await asyncio.wait([task])
        self._spawn(held)

    def settle(self) -> None:
        """Everything that was claimed has begun and hears its own bell."""
        self._missed.clear()

    def _report_death(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error and not self.died.done():
            self.died.set_exception(error)

    # Leases

    def keep_leases(self) -> None:
        """Before anything is held: others must be able to see at once that who holds it is gone."""
        if self._keeper is None and self.journal.is_own:
            self._file.lock()
            self._keeper = LeaseKeeper(self._renew, self._look, partial(self._call_soon, self._lose_all))
            self._keeper.start()
        elif self._keeper and not self._keeper.is_alive and not self.died.done():
            self.died.set_exception(RuntimeError("The thread that renews the leases has died."))

    def _renew(self) -> None:
        """In the keeper's thread."""
        if self._loop.is_closed() and self._keeper:
            self._keeper.stop()
            return
        if self._sweep:
            presence.show(self.owner)
        held = {execution_id: run.nudges for execution_id, run in list(self.runs.items())}
        if held:
            self._call_soon(self._compare, held, claim.renew(self.owner, held))

    def _look(self) -> None:
        """In the keeper's thread. No bell comes from another process without Redis, and any may be lost: what people
        did is heard all the same. What began since the last look has seen it by itself."""
        now = list(self.runs.items())
        held = {execution_id: run.nudges for execution_id, run in now if execution_id in self._looked_at}
        self._looked_at = {execution_id for execution_id, _ in now}
        if held:
            self._call_soon(self._compare, held, claim.nudges_of(self.owner, held))

    def _compare(self, held: dict[int, int], mine: dict[int, int]) -> None:
        """A bell may have been lost: what was nudged looks for itself, what is not ours any more finds that out."""
        for execution_id, nudges in held.items():
            if mine.get(execution_id) != nudges and execution_id in self.runs:
                self.runs[execution_id].nudge()

    def _lose_all(self) -> None:
        """Nobody could renew: others may hold these by now, so we stop; the fence refuses what we still write."""
        log.error("The leases are lost; %d executions are let go", len(self.runs))
        for run in self.runs.values():
            run.lose()

    def _call_soon(self, function: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has just been closed
            self._loop.call_soon_threadsafe(function, *args)


_workers: WeakKeyDictionary[asyncio.AbstractEventLoop, Worker] = WeakKeyDictionary()


def current_worker() -> Worker:
    """The running event loop's worker; made at its first use."""
    loop = asyncio.get_running_loop()
    if loop not in _workers:
        _close_orphans()
        _workers[loop] = Worker()
    return _workers[loop]


async def worker_for_caller() -> Worker:
    """As current_worker(); inside a transaction (a team's TestCase) one that writes on the caller's connection.

    A transaction cannot span awaits, so only synchronous code beneath us can hold one: async_to_sync leaves a mark
    where there is any, and the question costs a hop to its thread.
    """
    if hasattr(AsyncToSync.executors, "current") and await sync_to_async(_in_transaction)():
        return Worker(Journal(run=_on_callers_connection))
    worker = current_worker()
    worker.keep_leases()
    return worker


async def _on_callers_connection(function: Callable[..., Any], *args: Any) -> Any:
    return await sync_to_async(function)(*args)


def _in_transaction() -> bool:
    return connection.in_atomic_block


def _close_orphans() -> None:
    """Loops come and go (asyncio.run); what their workers held must not stay."""
    for loop, worker in list(_workers.items()):
        if loop.is_closed():
            worker.abandon()
            del _workers[loop]
