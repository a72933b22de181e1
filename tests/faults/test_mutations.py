"""Four guards, each shown to be needed: its scenario holds as the code is, and goes red without the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import sync_to_async
from django.db import DataError, connections
from django.utils import timezone

from executions import claim, journal, statements
from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, ExecutionStatus, ExecutionWait, WorkflowExecution
from executions.run import Run
from executions.worker import Worker
from workflows import steps
from workflows.models import Workflow
from workflows.steps.base import Config, Done, Step, StepContext, Wait

pytestmark = pytest.mark.django_db(transaction=True)

Scenario = Callable[[list[Worker]], Awaitable[None]]
gates: dict[str, asyncio.Event] = {}
arrived: dict[str, asyncio.Event] = {}


@steps.register
class Gate(Step[Config]):
    """Runs until its gate is opened."""

    kind, label = "gate", "Gate"

    async def run(self, ctx: StepContext) -> Done:
        arrived.setdefault(ctx.node, asyncio.Event()).set()
        await gates.setdefault(ctx.node, asyncio.Event()).wait()
        return Done({ctx.node: ctx.attempt})


@steps.register
class Question(Step[Config]):
    """Waits for an answer, however long."""

    kind, label = "question", "Question"

    async def run(self, ctx: StepContext) -> Wait:
        return Wait(until=None, reason="an answer")


@pytest.fixture
async def workers() -> AsyncIterator[list[Worker]]:
    """Two workers in one loop, as two processes would be: owners, journals and connections of their own."""
    gates.clear()
    arrived.clear()
    pair = [Worker(), Worker()]
    yield pair
    for worker in pair:
        await worker.close()
    await sync_to_async(connections.close_all)()


async def a_late_worker_writes_nothing(workers: list[Worker]) -> None:
    late, present = workers
    execution_id = await submitted("gate")
    walk = asyncio.create_task(late.walk(await claimed(late)))
    await reached("gate")
    before = await entries(execution_id)
    await sync_to_async(WorkflowExecution.objects.update)(due_at=timezone.now())
    held = await claimed(present)
    gates["gate"].set()
    await walk
    assert await entries(execution_id) == before, "the late worker wrote"
    await present.walk(held)
    assert [kind for _, kind in await entries(execution_id)].count("completed") == 1


async def an_answer_in_the_last_moment_is_not_missed(workers: list[Worker]) -> None:
    worker, _ = workers
    execution_id = await submitted("question", "gate")
    walk = asyncio.create_task(worker.walk(await claimed(worker)))
    await reached("gate")
    await until(lambda: ExecutionWait.objects.open().exists())
    wait = await ExecutionWait.objects.select_related("execution").aget()
    assert await sync_to_async(wait.answer_once)({"yes": True})  # and no bell rings
    gates["gate"].set()
    closing = await walk
    assert closing is not None
    assert closing.status == ExecutionStatus.COMPLETED, "it rests, with an answer that nobody will read"
    assert await status(execution_id) == ExecutionStatus.COMPLETED


async def a_failed_unit_leaves_no_gap(workers: list[Worker]) -> None:
    worker, _ = workers
    execution_id = await submitted("gate-1", "gate-2")
    with refusing_once(lambda unit: any(entry.kind == "completed" for entry in unit.entries)):
        walk = asyncio.create_task(worker.walk(await claimed(worker)))
        await reached("gate-1", "gate-2")
        gates["gate-1"].set()
        await asyncio.sleep(0.05)
        gates["gate-2"].set()
        await walk
    numbers = [seq for seq, _ in await entries(execution_id)]
    assert numbers == list(range(1, len(numbers) + 1)), "a window that reads on from the gap misses an entry for ever"


async def a_cancel_in_the_last_moment_is_the_end(workers: list[Worker]) -> None:
    worker, _ = workers
    execution_id = await submitted("gate")
    gates["gate"] = asyncio.Event()
    gates["gate"].set()
    execution = await WorkflowExecution.objects.aget(pk=execution_id)
    real, asked = journal.write, list[bool]()

    def asking_first(batch: Sequence[Any]) -> list[Any]:
        if not asked and any(unit.closing for unit in batch):
            asked.append(execution.request_cancel())
        return list(real(batch))

    with patch.object(journal, "write", asking_first):
        await worker.walk(await claimed(worker))
    assert asked == [True]
    assert await status(execution_id) == ExecutionStatus.CANCELLED, "it completed although a cancel was accepted"


def without_the_fence() -> AbstractContextManager[Any]:
    return patch.object(journal, "held_fences", lambda units: {unit.execution_id: unit.fence for unit in units})


def without_nudges() -> AbstractContextManager[Any]:
    real = Run._rest

    def careless(run: Run) -> None:
        real(run)
        assert run._unit.closing is not None
        run._unit.closing.nudges = None

    return patch.object(Run, "_rest", careless)


def without_the_order_of_units() -> AbstractContextManager[Any]:
    async def careless(run: Run) -> None:
        unit, run._unit = run._unit, journal.Unit(run.execution_id, run.fence)
        for number, entry in enumerate(unit.closing.entries if unit.closing else (), run.state.seq + 1):
            entry.seq = number
        written = run.host.journal.commit(unit) if unit.entries or unit.closing else None
        if unit.closing and written:
            await written
            run._settle(unit)
        elif written:
            written.add_done_callback(lambda done: done.exception())  # and goes on without waiting for it

    return patch.object(Run, "_commit", careless)


def without_cancel_requested_at_is_null() -> AbstractContextManager[Any]:
    return patch.object(statements, "UNLESS_CANCELLED", "TRUE")


GUARDS = [
    (a_late_worker_writes_nothing, without_the_fence, "the late worker wrote"),
    (an_answer_in_the_last_moment_is_not_missed, without_nudges, "nobody will read"),
    (a_failed_unit_leaves_no_gap, without_the_order_of_units, "reads on from the gap"),
    (a_cancel_in_the_last_moment_is_the_end, without_cancel_requested_at_is_null, "although a cancel was accepted"),
]


@pytest.mark.parametrize("scenario", [scenario for scenario, _, _ in GUARDS])
async def test_the_engine_keeps_its_promise(scenario: Scenario, workers: list[Worker]) -> None:
    await played(scenario, workers, nullcontext())


@pytest.mark.parametrize(("scenario", "mutation", "red"), GUARDS)
async def test_without_its_guard_the_promise_breaks(
    scenario: Scenario, mutation: Callable[[], AbstractContextManager[Any]], red: str, workers: list[Worker]
) -> None:
    with pytest.raises(AssertionError, match=red):
        await played(scenario, workers, mutation())


async def played(scenario: Scenario, workers: list[Worker], mutation: AbstractContextManager[Any]) -> None:
    with mutation:
        try:
            async with asyncio.timeout(5):
                await scenario(workers)
        except TimeoutError:
            raise AssertionError("it hangs") from None


def refusing_once(which: Callable[[journal.Unit], bool]) -> AbstractContextManager[Any]:
    """The database refuses the first such unit for what is in it, however often it is tried."""
    real, refused = journal.write, list[journal.Unit]()

    def refusing(batch: Sequence[Any]) -> list[Any]:
        for unit in batch:
            if unit in refused or (not refused and which(unit)):
                refused.append(unit)
                raise DataError("refused")
        return list(real(batch))

    return patch.object(journal, "write", refusing)


async def submitted(*kinds: str) -> int:
    """An execution of steps that run side by side, one a kind; a node's id is its kind's name."""
    nodes = [{"id": kind, "type": kind.split("-")[0], "data": {}} for kind in kinds]
    workflow = await Workflow.objects.acreate(name="Scenario")
    await sync_to_async(workflow.publish)({"nodes": nodes, "edges": []})
    return await WorkflowEngine().submit_workflow(workflow.pk)


async def claimed(worker: Worker) -> claim.Held:
    (held,) = await worker.journal.run(claim.claim, worker.owner, 1)
    return held


async def reached(*nodes: str) -> None:
    for node in nodes:
        await arrived.setdefault(node, asyncio.Event()).wait()


async def until(question: Callable[[], bool]) -> None:
    while not await sync_to_async(question)():
        await asyncio.sleep(0.01)


async def entries(execution_id: int) -> list[tuple[int, str]]:
    rows = ExecutionLog.objects.filter(execution=execution_id).order_by("seq").values_list("seq", "kind")
    return [row async for row in rows]


async def status(execution_id: int) -> str:
    return (await WorkflowExecution.objects.aget(pk=execution_id)).status
