"""The engine room for tests: test steps, a worker that is started and stopped, and short words for long ways."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.db import connections
from django.utils import timezone

from executions import live
from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, ExecutionWait, WorkflowExecution
from executions.worker import Worker, current_worker
from tests import steps
from workflows.models import Workflow, WorkflowVersion
from workflows.models.version import digest

hypothesis.settings.register_profile("house", deadline=None)  # no timing is asserted
hypothesis.settings.load_profile("house")

PATIENCE_S = 10.0  # a bound for what must happen soon; nothing asserts how soon

Definition = dict[str, Any]


# Fixtures


@pytest.fixture(autouse=True)
def own_data_folder(settings: Any, tmp_path: Path) -> None:
    """Owner files of the tests' workers stay away from those of a server that runs from this checkout."""
    settings.DATA_DIR = tmp_path


@pytest.fixture(autouse=True)
def closed_loop(request: pytest.FixtureRequest) -> None:
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("closed_engine")


@pytest.fixture
async def closed_engine() -> AsyncIterator[None]:
    """After each asynchronous test: no gate, no run, no thread and no connection of its event loop is left."""
    yield
    steps.forget()
    await current_worker().stop(0)
    await sync_to_async(connections.close_all)()
    channel_layers.backends.clear()  # a Redis layer holds locks of the loop that it was made in


@pytest.fixture
async def engine_room(closed_engine: None) -> AsyncIterator[Worker]:
    """The event loop's worker, looking for work and hearing the engines' bell as the background consumer does."""
    worker = current_worker()
    await worker.start()
    ears = asyncio.create_task(_hear(worker))
    await asyncio.sleep(0)
    yield worker
    steps.forget()
    while not ears.done():  # the Redis layer swallows a cancel that meets a message
        ears.cancel()
        await asyncio.wait([ears], timeout=1)
    if current_worker() is worker:  # else the test has stopped it
        await worker.stop(0)


async def _hear(worker: Worker) -> None:
    async for message in live.listen(live.ENGINES):
        for execution_id in message.get("executions") or (None,):
            worker.wake(execution_id)


# Definitions


def node(node_id: str, kind: str = "test_count", **data: Any) -> Definition:
    return {"id": node_id, "type": kind, "data": data}


def edge(text: str) -> Definition:
    """“a>b”, or “a:true>b” for a connection that leaves by a handle."""
    source, target = text.split(">")
    source, _, handle = source.partition(":")
    return {"source": source, "target": target, **({"sourceHandle": handle} if handle else {})}


def drawn(nodes: list[Definition], *edges: str) -> Definition:
    return {"nodes": nodes, "edges": [edge(text) for text in edges]}


def chain(*nodes: Definition) -> Definition:
    ids = [item["id"] for item in nodes]
    return drawn(list(nodes), *(f"{source}>{target}" for source, target in pairwise(ids)))


# Workflows and executions


def published(definition: Definition, **fields: Any) -> Workflow:
    workflow = Workflow.objects.create(**{"name": "Test", **fields})
    workflow.publish(definition)
    return workflow


def stored(definition: Any, **fields: Any) -> Workflow:
    """As published(), without any check: what a hand edit or an uninstalled step kind leaves behind."""
    workflow = Workflow.objects.create(**{"name": "Test", **fields})
    made = WorkflowVersion(workflow=workflow, number=1, definition=definition, digest=digest(definition))
    made.save()
    workflow.published = made
    workflow.save()
    return workflow


async def make(definition: Definition, **fields: Any) -> Workflow:
    return await sync_to_async(published)(definition, **fields)


async def make_stored(definition: Any, **fields: Any) -> Workflow:
    return await sync_to_async(stored)(definition, **fields)


async def run(definition: Definition, given: dict[str, Any] | None = None, **fields: Any) -> Any:
    """The result of a new workflow, run to its end in this event loop."""
    return await WorkflowEngine().execute_workflow((await make(definition, **fields)).pk, given)


async def submit(definition: Definition, given: dict[str, Any] | None = None, **fields: Any) -> int:
    return await WorkflowEngine().submit_workflow((await make(definition, **fields)).pk, given)


async def row(execution_id: int) -> Any:
    """A WorkflowExecution; Any, since a test knows which of its columns are filled."""
    return await WorkflowExecution.objects.aget(pk=execution_id)


async def entries(execution_id: int) -> list[Any]:
    return [entry async for entry in ExecutionLog.objects.filter(execution=execution_id).order_by("seq")]


async def told(execution_id: int, lines: bool = False) -> list[str]:
    """The journal in short: “started a”, “completed a”, …; log lines only where they are asked for."""
    return [_short(entry) for entry in await entries(execution_id) if lines or entry.kind != "logged"]


async def lines(execution_id: int, node_id: str | None = None) -> list[str]:
    logged = [entry for entry in await entries(execution_id) if entry.kind == "logged"]
    return [entry.data["text"] for entry in logged if node_id in (None, entry.node)]


async def wait_of(execution_id: int, node_id: str) -> ExecutionWait:
    return await ExecutionWait.objects.aget(execution=execution_id, node=node_id)


async def answer(execution_id: int, node_id: str, value: Any = None) -> bool:
    """Answers as a page would: the row's verb, then the engines' bell."""
    waits = ExecutionWait.objects.select_related("execution").filter(execution=execution_id, node=node_id)
    wait = await waits.alatest("pk")
    is_first = await sync_to_async(wait.answer_once)(value)
    await live.ring(live.ENGINES, {"type": "engine.wake", "executions": [execution_id]})
    return is_first


async def become_due(execution_id: int) -> None:
    """The time that it waits for comes now, and so does the end of its owner's lease."""
    now = timezone.now()
    await ExecutionWait.objects.filter(execution=execution_id, closed_at=None, due_at__gt=now).aupdate(due_at=now)
    await WorkflowExecution.objects.filter(pk=execution_id, completed_at=None).aupdate(due_at=now)
    current_worker().wake(execution_id)
    current_worker().wake()


def _short(entry: ExecutionLog) -> str:
    return f"{entry.kind} {entry.node}" if entry.node else str(entry.kind)


# Waiting


async def until(execution_id: int, *statuses: str) -> Any:
    """The row, once its status is one of these."""

    async def look() -> Any:
        found = await row(execution_id)
        return found if found.status in statuses else None

    return await _soon(look, execution_id, f"be {' or '.join(statuses)}")


async def until_told(execution_id: int, text: str) -> None:
    """Until the journal has an entry such as “started a”."""

    async def look() -> bool:
        return text in await told(execution_id, lines=True)

    await _soon(look, execution_id, f"tell “{text}”")


async def reached(gate: str) -> None:
    """Until a step has come to this gate."""
    async with asyncio.timeout(PATIENCE_S):
        await steps.REACHED[gate].wait()


async def thread_reached(gate: str) -> None:
    assert await asyncio.to_thread(steps.THREAD_REACHED[gate].wait, PATIENCE_S)


async def soon(look: Callable[[], Any]) -> None:
    """Until a plain condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not look():
            await asyncio.sleep(0.005)


async def bounded(work: Awaitable[Any]) -> Any:
    """What must end by itself; a hang is a failure and not the end of the suite."""
    async with asyncio.timeout(PATIENCE_S):
        return await work


async def _soon(look: Callable[[], Awaitable[Any]], execution_id: int, what: str) -> Any:
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while loop.time() < end:
        if found := await look():
            return found
        await asyncio.sleep(0.01)
    found = await row(execution_id)
    journal = "\n".join(f"  {entry.seq:4} {_short(entry)} {str(entry.data)[:300]}" for entry in await entries(found.pk))
    pytest.fail(f"#{execution_id} did not {what}; it is {found.status} ({found.error_message}):\n{journal}")
