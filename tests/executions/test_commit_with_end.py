"""A step's own rows, written in the transaction that records its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission
from django.db import OperationalError, connection, transaction

from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, WorkflowExecution
from workflows import steps
from workflows.errors import WorkflowExecutionError
from workflows.functions import function
from workflows.models import Workflow
from workflows.steps.base import Done, StepContext

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def books() -> Iterator[Callable[[Callable[[], Any], str], None]]:
    """Registers a step whose end is committed together with what is given; it hands on a text."""
    before = dict(steps.kinds())

    def register(commit: Callable[[], Any], text: str = "booked") -> None:
        @function("book")
        async def book(ctx: StepContext) -> Done:
            return Done({"told": text, "attempt": ctx.attempt}, commit=commit)

    yield register
    steps._kinds.clear()
    steps._kinds.update(before)


async def run(**policy: Any) -> WorkflowExecution:
    # What was made of a definition is kept for the next that is the same, its kinds too: this one is like no other.
    nodes = [
        {"id": "a", "type": "python.book", "data": {"policy": policy, "notes": f"{uuid4()}"}},
        {"id": "b", "type": "process", "data": {}},
    ]
    workflow = await Workflow.objects.acreate(name="Books")
    await sync_to_async(workflow.publish)({"nodes": nodes, "edges": [{"source": "a", "target": "b"}]})
    with suppress(WorkflowExecutionError):
        await WorkflowEngine().execute_workflow(workflow.pk, {})
    return await WorkflowExecution.objects.aget(workflow=workflow)


async def kinds(execution: WorkflowExecution, node: str = "a") -> list[str]:
    rows = ExecutionLog.objects.filter(execution=execution, node=node).order_by("seq")
    return [kind async for kind in rows.values_list("kind", flat=True)]


@pytest.mark.parametrize("text", ["booked", "x" * 300_000])
async def test_rows_and_end_are_there_together(books: Any, text: str) -> None:
    books(lambda: Group.objects.create(name="booked"), text)
    execution = await run()
    assert execution.status == "completed" and execution.error is None
    assert await Group.objects.filter(name="booked").acount() == 1
    assert await kinds(execution) == ["started", "completed"]


def raises() -> None:
    Group.objects.create(name="booked")
    raise LookupError("There is no such customer.")


def doubles() -> None:
    Group.objects.create(name="booked")
    Group.objects.create(name="booked")


def points_nowhere() -> None:
    """A foreign key that both databases check at COMMIT."""
    Group.objects.create(name="booked")
    Permission.objects.create(name="x", codename="x", content_type_id=999_999)


def commits_by_itself() -> None:
    Group.objects.create(name="booked")
    transaction.commit()


def asks_nonsense() -> None:
    Group.objects.create(name="booked")
    connection.cursor().execute("SELECT * FROM nowhere")


@pytest.mark.parametrize(
    ("commit", "said"),
    [
        (raises, "There is no such customer."),
        (doubles, "auth_group"),
        (points_nowhere, "oreign key"),
        (commits_by_itself, "atomic"),
        (asks_nonsense, "nowhere"),
    ],
)
async def test_what_cannot_be_written_fails_the_step_and_leaves_nothing(books: Any, commit: Any, said: str) -> None:
    books(commit)
    execution = await run()
    assert execution.status == "failed" and execution.error
    assert execution.error["node"] == "a" and said.casefold() in execution.error["message"].casefold()
    assert not await Group.objects.filter(name="booked").aexists()
    assert await kinds(execution) == ["started", "failed"] and await kinds(execution, "b") == []


async def test_a_failed_write_is_tried_again_as_the_policy_says(books: Any) -> None:
    tries: list[int] = []

    def commit() -> None:
        tries.append(1)
        Group.objects.create(name="booked")
        if len(tries) == 1:
            raise OperationalError("deadlock detected")

    books(commit)
    execution = await run(attempts=2, backoff_s=0)
    assert execution.status == "completed" and len(tries) == 2
    assert await Group.objects.filter(name="booked").acount() == 1
    assert (await kinds(execution))[:2] == ["started", "retried"]


async def test_neighbours_in_the_batch_lose_nothing_by_it(books: Any) -> None:
    calls: list[int] = []

    def commit() -> None:
        calls.append(1)
        Group.objects.create(name=f"{uuid4()}")
        if len(calls) % 2:
            raise LookupError

    books(commit)
    ended_as = await asyncio.gather(*(run() for _ in range(8)))
    ended = [execution.status for execution in ended_as]
    assert ended.count("completed") == ended.count("failed") == 4
    assert await Group.objects.acount() == 4
