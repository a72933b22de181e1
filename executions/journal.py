"""The ledger's writer: group commit. Whatever waits goes into one transaction, and this is the only hand-written SQL
beside the claim.

Coroutines hand in a Unit and await its result; a drain task gives the whole batch to one thread with a connection of
its own. The queue is touched on the loop's thread only. A unit is written if its execution is still held under the
same fence; its `closing` only if nobody interfered (see Closing).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.db import IntegrityError, InterfaceError, OperationalError, connection, connections
from django.db.models import Model
from django.utils import timezone

from executions import budget, children, statements
from executions.aftermath import follow
from executions.claim import Held
from executions.crashpoints import committing, reach
from executions.entry import Entry
from executions.family import Order
from executions.models import ExecutionLog, ExecutionWait, StepUsage, WorkflowExecution
from executions.models.wait import audience_of
from executions.opening import Opening, Queued, Refused, open_all
from workflows.errors import StepstreamError

log = logging.getLogger(__name__)

MAX_BATCH = 256
PATIENCE_S = 25.0  # how long a database may be away: less than a lease, since nobody else knows what we still hold


class NotCommitted(StepstreamError):
    """What a step wanted to have written with its end could not be: nothing of its unit was."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause
        super().__init__(str(cause))


class OwnershipLost(StepstreamError):
    """Another worker has taken this execution over; nothing was written."""


@dataclass(slots=True)
class Closing:
    """The owner lets go: the execution's row as it shall be, and the entries that say so.

    Written only while no cancel was asked for (unless `whatever`) and, where `nudges` is given, while that many
    were counted; else the rest of the unit is written alone and the owner looks again.
    """

    status: str
    due_at: datetime
    steps_done: int
    steps_total: int
    entries: list[Entry] = field(default_factory=list)
    output: Any = None
    output_blobs: Any = None
    error: dict[str, Any] | None = None
    error_message: str = ""
    completed_at: datetime | None = None
    nudges: int | None = None
    whatever: bool = False
    has_aftermath: bool = False  # its end may set off something: see aftermath.py


@dataclass(slots=True)
class Unit:
    """What one execution wants written together. A later unit of it may only be handed in when this one is through."""

    execution_id: int
    fence: int
    entries: list[Entry] = field(default_factory=list)
    opened: list[ExecutionWait] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)  # nodes whose waits are over
    children: list[Order] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)  # nodes whose children are to end
    paused_before: str | None = None  # it pauses itself, before this step
    paused_for: str = ""  # its budget is spent: all of its family pauses, for this reason
    usages: list[StepUsage] = field(default_factory=list)
    closing: Closing | None = None
    commit: Callable[[], object] | None = None  # a step's own writes; the unit is then its end and nothing else
    parent_id: int | None = None
    tries: int = 0
    result: Any = None  # once it is settled: what commit() gave, or the exception
    woken: set[int] = field(default_factory=set)  # executions that somebody should look at after it

    @property
    def is_empty(self) -> bool:
        told = self.entries or self.closed or self.children or self.orphaned
        return not told and self.closing is None


Runner = Callable[..., Awaitable[Any]]
M = TypeVar("M", bound=Model)


class Journal:
    """One per event loop. `run`: how to call what uses the database, where not in a thread of the journal's own."""

    def __init__(self, run: Runner | None = None) -> None:
        self.is_own = run is None
        self._thread = None if run else ThreadPoolExecutor(1, "journal")
        self.run = run or self._run_in_thread
        self._queue: list[tuple[Any, asyncio.Future[Any]]] = []
        self._drain_task: asyncio.Task[None] | None = None

    def commit(self, unit: Any) -> asyncio.Future[Any]:
        """The unit's result, after COMMIT. Cancelling the future does not take the unit back: see flush()."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((unit, done))
        if self._drain_task is None:
            self._drain_task = asyncio.create_task(self._drain(), name="journal")
        return done

    async def flush(self) -> None:
        """Until everything that was handed in is settled, and every Unit knows its `result`."""
        if self._drain_task:
            await asyncio.wait([self._drain_task])

    async def close(self) -> None:
        """Ends the thread and its connection; what was handed in before is written."""
        await self.flush()
        if self._thread:
            await self._run_in_thread(connections.close_all)
            self._thread.shutdown(wait=False)

    def abandon(self) -> None:
        """As close(), when there is no loop any more to wait in."""
        if self._thread:
            self._thread.submit(connections.close_all)
            self._thread.shutdown(wait=False)

    async def _drain(self) -> None:
        try:
            while self._queue:
                await asyncio.sleep(0)  # everyone who is ready joins this batch
                batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
                await self._settle(batch)
        finally:
            self._drain_task = None
            self._fail_rest()

    async def _settle(self, batch: list[tuple[Any, asyncio.Future[Any]]]) -> None:
        try:
            results = await self._attempt([unit for unit, _ in batch])
        except (OperationalError, InterfaceError) as error:  # the database is away, for all of them
            results = [error] * len(batch)
        except Exception as error:
            if len(batch) > 1:  # one bad unit must not cost its neighbours theirs
                for item in batch:
                    await self._settle([item])
                return
            results = [error]
        except BaseException:  # the drain itself is being ended: nobody may wait for ever
            for _, done in batch:
                _resolve(done, OwnershipLost("The journal's writer has stopped."))
            raise
        for (unit, done), result in zip(batch, results, strict=True):
            unit.result = result
            _resolve(done, result)

    async def _attempt(self, units: list[Any]) -> list[Any]:
        """A unit that did get through, though its answer did not, is recognised at the next try (see write)."""
        return list(await self.patiently(_try, units))

    async def patiently(self, function: Callable[..., Any], *args: Any) -> Any:
        """As run(), but where the database is away it tries again for some time."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + PATIENCE_S, 0.05
        while True:
            try:
                return await self.run(function, *args)
            except (OperationalError, InterfaceError) as error:
                if not self.is_own or loop.time() + pause > until:
                    raise
                log.warning("The database is away (%s); trying again in %.2g s", error, pause)
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 2)

    def _fail_rest(self) -> None:
        """Only where the drain itself was ended: nobody may wait for ever."""
        for _, done in self._queue:
            _resolve(done, OwnershipLost("The journal's writer has stopped."))
        self._queue = []

    async def _run_in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _on_a_living_connection, function, *args)


def _on_a_living_connection(function: Callable[..., Any], *args: Any) -> Any:
    """A connection that broke is not asked again: Django would keep it in this thread for ever."""
    try:
        return function(*args)
    except (OperationalError, InterfaceError):
        connections.close_all()
        raise


def _resolve(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():  # its waiter was cancelled; the neighbours' results must still arrive
        return
    if isinstance(result, BaseException):
        done.set_exception(result)
    else:
        done.set_result(result)


# The writer's thread


Result = bool | OwnershipLost | NotCommitted | Held | Queued | Refused


def _try(units: Sequence[Any]) -> list[Result]:
    for unit in units:
        unit.tries += 1
    return write(units)


def write(batch: Sequence[Unit | Opening]) -> list[Result]:
    """Writes a batch in one transaction. An Opening gives what is held now; a Unit True: all of it is written,
    False: all but its closing."""
    try:
        with committing("record"):
            opened = iter(open_all([item for item in batch if isinstance(item, Opening)]))
            written = iter(_write([item for item in batch if isinstance(item, Unit)]))
            return [next(opened) if isinstance(item, Opening) else next(written) for item in batch]
    except IntegrityError as error:
        if len(batch) > 1 or not isinstance(batch[0], Unit):
            raise
        if batch[0].commit and not _is_taken(batch[0]):  # a constraint of the step's own that is checked at COMMIT
            return [NotCommitted(error)]
        return [_recognise(batch[0])]


def _write(units: Sequence[Unit]) -> list[bool | OwnershipLost | NotCommitted]:
    if not units:
        return []
    held = held_fences(units)
    mine = [unit for unit in units if held.get(unit.execution_id) == unit.fence]
    refused = {id(unit): error for unit in mine if unit.commit and (error := _commit_of_step(unit.commit))}
    mine = [unit for unit in mine if id(unit) not in refused]
    with connection.cursor() as cursor:
        left = statements.close(cursor, [(unit.execution_id, unit.closing) for unit in mine if unit.closing])
        closed = {id(unit) for unit in mine if unit.closing and unit.execution_id in left}
        noted = ((unit.execution_id, entry) for unit in mine for entry in _entries(unit, id(unit) in closed))
        statements.insert_entries(cursor, noted)
    reach("record.noted")
    _write_waits(mine)
    _write_others(mine, closed)
    lost = {id(unit) for unit in units} - {id(unit) for unit in mine}
    return [
        refused[id(unit)]
        if id(unit) in refused
        else OwnershipLost()
        if id(unit) in lost
        else unit.closing is None or id(unit) in closed
        for unit in units
    ]


def _commit_of_step(commit: Callable[[], object]) -> NotCommitted | None:
    """Its neighbours in the batch lose nothing by its failure."""
    try:
        with committing("own_writes"):
            commit()
    except Exception as error:
        if connection.needs_rollback or not connection.is_usable():  # the database is away, and that is not its fault
            raise
        return NotCommitted(error)
    return None


def held_fences(units: Sequence[Unit]) -> dict[int, int]:
    """The executions' fences, locked until COMMIT. Nothing else keeps a worker that lost its lease from writing.

    Parents too, and what is to be cancelled below, in the order of their numbers, so that two who write to one family
    cannot wait for each other.
    """
    touched = {unit.execution_id for unit in units} | {unit.parent_id for unit in units if unit.parent_id}
    if bereft := [unit.execution_id for unit in units if unit.orphaned]:
        touched |= children.below(bereft)
    with connection.cursor() as cursor:
        return statements.fences(cursor, touched)


def _entries(unit: Unit, closed: bool) -> list[Entry]:
    return unit.entries + unit.closing.entries if unit.closing and closed else unit.entries


def _write_waits(units: Sequence[Unit]) -> None:
    """Closes first: a step may wait again, and has one open wait at a time."""
    for unit in units:
        if unit.closed:
            waits = ExecutionWait.objects.open().filter(execution=unit.execution_id, node__in=unit.closed)
            waits.update(closed_at=timezone.now())
    if opened := [wait for unit in units for wait in unit.opened]:
        for wait in opened:
            if wait.asks:
                wait.audience = audience_of(wait.asks["people"], wait.asks["groups"])
        ExecutionWait.objects.bulk_create(_unnumbered(opened))


def _unnumbered(rows: list[M]) -> list[M]:
    """A try that was rolled back left them numbers, which others may have by now."""
    for row in rows:
        row.pk = None
    return rows


def _write_others(units: Sequence[Unit], closed: set[int]) -> None:
    """What reaches beyond the execution's own rows: few units have any of it."""
    for unit in units:
        if unit.paused_before is not None:
            _pause(unit.execution_id, unit.paused_before)
        if unit.paused_for:
            unit.woken |= budget.pause(unit.execution_id, unit.paused_for)
        if unit.orphaned:
            unit.woken |= children.cancel(unit.execution_id, unit.orphaned)
    if usages := [usage for unit in units for usage in unit.usages]:
        StepUsage.objects.bulk_create(_unnumbered(usages))
    if orders := [(unit.execution_id, order) for unit in units for order in unit.children]:
        refused = children.make(orders)
        for unit in units:
            unit.woken |= {unit.execution_id} & refused
    if ended := [unit for unit in units if unit.closing and unit.closing.has_aftermath and id(unit) in closed]:
        ended[0].woken |= follow([unit.execution_id for unit in ended])  # one of them rings for all


def _pause(execution_id: int, node: str) -> None:
    """Takes only this step off the list: others may have been put on it since the owner looked."""
    row = WorkflowExecution.objects.only("pause_before").get(pk=execution_id)
    row.paused_at, row.paused_by = timezone.now(), None
    row.pause_before = [other for other in row.pause_before if other != node]
    row.save(update_fields=["paused_at", "paused_by", "pause_before"])


def _is_taken(unit: Unit) -> bool:
    return ExecutionLog.objects.filter(execution=unit.execution_id, seq=unit.entries[0].seq).exists()


def _recognise(unit: Unit) -> bool | OwnershipLost:
    """A number is taken. By this very unit, whose COMMIT got through though its answer did not: then it is written.
    By anything else: somebody writes under our fence, and the unit must not be acknowledged."""
    wanted = {entry.seq: entry for entry in _entries(unit, True)}
    found = {row.seq: row for row in ExecutionLog.objects.filter(execution=unit.execution_id, seq__in=wanted)}
    if any(entry.seq not in found or not entry.is_stored_as(found[entry.seq]) for entry in unit.entries):
        return OwnershipLost("Another writer has used this number.")
    if unit.closing is None:
        return True
    row = WorkflowExecution.objects.get(pk=unit.execution_id)
    return row.owner is None and row.fence == unit.fence and row.status == unit.closing.status
