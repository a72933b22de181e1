"""Expressions of many executions: one workflow never holds up another, nor what else takes a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.turns import in_turn
from executions.worker import Worker
from tests.executions.conftest import bounded, chain, make, node, until
from workflows.evaluation.pool import CHILDREN, POOL

#: Takes a third of a second of a child's time, and is then refused: often enough, it was all the time that there is.
GREEDY = "{% set a = [1] %}" + "{% set a = [a, a] %}" * 21 + "{{ a | string | length }}"
MANY = 60


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


async def test_one_workflow_has_one_turn_at_a_time_and_others_pass_it(gate: threading.Event) -> None:
    at_work: list[str] = []

    def hold() -> str:
        at_work.append("greedy")
        assert gate.wait(10)
        return "greedy"

    greedy = [asyncio.create_task(in_turn("workflow 1", hold)) for _ in range(MANY)]
    assert await bounded(in_turn("workflow 2", lambda: "honest")) == "honest"
    assert await bounded(asyncio.to_thread(lambda: "a file")) == "a file"
    assert at_work == ["greedy"] and CHILDREN > 1
    gate.set()

    assert await bounded(asyncio.gather(*greedy)) == ["greedy"] * MANY


async def test_who_is_cancelled_while_waiting_leaves_the_turn_to_the_next(gate: threading.Event) -> None:
    first = asyncio.create_task(in_turn("workflow 1", lambda: gate.wait(10)))
    second = asyncio.create_task(in_turn("workflow 1", lambda: "second"))
    third = asyncio.create_task(in_turn("workflow 1", lambda: "third"))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()

    assert await bounded(third) == "third" and await first and second.cancelled()


async def test_what_fails_in_its_turn_raises_and_gives_it_up() -> None:
    def fail() -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await bounded(in_turn("workflow 1", fail))
    assert await bounded(in_turn("workflow 1", lambda: 1)) == 1


def submitted(workflow_id: int) -> list[int]:
    with transaction.atomic():
        return [WorkflowEngine().submit(workflow_id) for _ in range(MANY)]


@pytest.mark.django_db(transaction=True)
async def test_honest_executions_get_through_beside_many_greedy_ones(engine_room: Worker) -> None:
    """One by one they would all have come before: the greedy workflow was first."""
    POOL.forgive()
    greedy = await make(chain(node("a", "test_echo", value=GREEDY)), name="Greedy")
    honest = await make(chain(node("a", "test_echo", value="{{ input.n + 1 }}"), node("b", "file", path="no.txt")))
    ids = await sync_to_async(submitted)(greedy.pk)
    engine_room.wake()
    await until(ids[0], "running", "failed")
    execution_id = await WorkflowEngine().submit_workflow(honest.pk, {"n": 1})
    found = await until(execution_id, "failed")
    left = await WorkflowExecution.objects.live().acount()
    for one in ids:
        await sync_to_async(WorkflowEngine().cancel)(one)

    assert "no.txt" in found.error_message and left > MANY // 2
