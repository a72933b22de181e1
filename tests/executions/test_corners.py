"""Corners of the engine's strength that were once wrong: each behaviour as it has to be."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import sync_to_async

from executions import children, journal, large
from executions.engine import WorkflowEngine
from executions.family import Order
from executions.models import WorkflowExecution
from executions.worker import Worker
from tests.executions.conftest import bounded, chain, drawn, make, node, reached, run, submit, until
from tests.steps import GATES, LEFT
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)


async def test_children_of_a_later_attempt_do_not_count_as_too_late() -> None:
    """The back-off before them lapsed, as back-offs do; that says nothing about the wait for the children."""
    LEFT["flaky"] = 1
    target = await make(chain(node("inner", "test_flaky")))
    policy = {"attempts": 2, "backoff_s": 0, "timeout_s": 3600}
    result = await bounded(run(chain(node("call", "test_call", target=target.pk, policy=policy))))
    assert result.output_data["called"] == {"inner": 1}


async def test_a_limit_that_was_raised_lets_those_begin_who_wait(engine_room: Worker) -> None:
    workflow = await make(chain(node("a", "test_hold")), concurrency=1)
    numbers = [await WorkflowEngine().submit_workflow(workflow.pk) for _ in range(2)]
    await reached("gate")
    await Workflow.objects.filter(pk=workflow.pk).aupdate(concurrency=2)
    engine_room._sweep._swept = -1e9  # type: ignore[union-attr]  # its next look is due
    engine_room.wake()
    await until(numbers[1], "running")
    GATES["gate"].set()


async def test_a_child_that_is_made_while_its_parent_is_paused_is_paused_too() -> None:
    """The pause came between the owner's last look and its commit."""
    number = await submit(drawn([node("each", "test_each"), node("item")], "each:each>item"), {"items": [1]})
    assert await sync_to_async(WorkflowEngine().pause)(number)
    await sync_to_async(children.make)([(number, Order("each", 1, 0, {"item": 1}, body="each"))])
    child = await WorkflowExecution.objects.aget(parent=number)
    assert child.paused_at
    assert await sync_to_async(WorkflowEngine().resume)(number)
    await child.arefresh_from_db()
    assert child.paused_at is None


async def test_the_logs_of_an_item_say_what_it_saw() -> None:
    definition = drawn([node("each", "test_each"), node("item", "test_item_fail")], "each:each>item")
    result = await bounded(run(definition, {"items": [7]}))
    child = await WorkflowExecution.objects.aget(parent=result.execution_id)
    (entry,) = await WorkflowEngine().get_execution_logs(child.pk)
    assert entry["input_data"] == {"item": 7, "index": 0, "shared": 1}
    assert entry["output_data"] == {"made": [7, 0]}


async def test_progress_counts_a_failure_that_was_gone_on_from(engine_room: Worker) -> None:
    LEFT["flaky"] = 1
    steps = [node("a", "test_flaky", policy={"on_failure": "continue"}), node("b", "test_hold")]
    number = await submit(chain(*steps))
    await reached("gate")
    found: Any = await WorkflowEngine().get_execution_status(number)
    assert found["steps_done"] == 1
    GATES["gate"].set()


async def test_a_step_that_was_added_to_the_pauses_is_not_forgotten(engine_room: Worker) -> None:
    """Somebody asks for a pause before c while the owner writes down the one before b."""
    workflow = await make(chain(node("a", "test_hold"), node("b"), node("c")))
    number = await WorkflowEngine().submit_workflow(workflow.pk, pause_before=["b"])
    await reached("gate")
    real = journal._pause

    def pausing(execution_id: int, node_id: str) -> None:
        WorkflowExecution.objects.get(pk=execution_id).nudge(pause_before=["b", "c"])
        real(execution_id, node_id)

    with patch.object(journal, "_pause", pausing):
        GATES["gate"].set()
        found = await until(number, "waiting")
    assert found.paused_at and found.pause_before == ["c"]


async def test_an_execution_fails_though_what_is_meant_for_failures_cannot_start(engine_room: Worker) -> None:
    """Its input is a file, and the disk is full."""
    handler = await make(chain(node("told")))
    real = large.insert
    with patch.object(large, "insert", lambda row: full() if row.failure_of_id else real(row)):
        number = await submit(chain(node("a", "test_fail")), on_failure=handler)
        found = await until(number, "failed")
    assert found.error_message == "It went wrong"
    assert not await WorkflowExecution.objects.filter(failure_of=number).aexists()


def full() -> None:
    raise OSError(28, "No space left on device")
