"""What a second pair of eyes found in the engine: corners that nobody walks into on purpose."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executions import children, slots
from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.family import Order
from executions.journal import Closing, Unit, write
from executions.large import output_of
from executions.models import ExecutionLog, ExecutionWait, WorkflowExecution
from executions.outcome import Setting, entry_for
from executions.repair import Repair
from executions.worker import Worker
from executions.workshop import Ended
from tests.executions.conftest import (
    bounded,
    chain,
    drawn,
    make,
    node,
    published,
    reached,
    row,
    run,
    submit,
    thread_reached,
    told,
    until,
    until_told,
)
from tests.steps import GATES, LEFT, THREAD_GATES
from workflows.graph import Node, parse
from workflows.policy import DEFAULT
from workflows.steps.base import Done

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = "x" * 100_000
EACH = drawn([node("each", "for_each"), node("item"), node("after")], "each:each>item", "each:done>after")


# Children


async def test_the_wait_for_children_is_closed_where_the_data_is_large() -> None:
    result = await bounded(run(EACH, {"items": [1, 2], "large": LARGE}))
    assert result.output_data["count"] == 2
    assert not await ExecutionWait.objects.filter(execution=result.execution_id, closed_at=None).aexists()


async def test_a_loop_over_large_data_can_be_tried_again() -> None:
    LEFT["flaky"] = 1
    each = node("each", "for_each", stop_on_failure=True, policy={"attempts": 2, "backoff_s": 0})
    definition = drawn([each, node("item", "test_flaky")], "each:each>item")
    result = await bounded(run(definition, {"items": [1], "large": LARGE}))
    assert "retried each" in await told(result.execution_id) and result.output_data["count"] == 1


async def test_a_child_that_is_made_in_the_moment_of_a_pause_is_paused(engine_room: Worker) -> None:
    number = await submit(drawn([node("each", "test_ask"), node("item")]))
    await until(number, "waiting")
    await WorkflowExecution.objects.filter(pk=number).aupdate(paused_at=timezone.now())
    target = await make(chain(node("a")))
    await sync_to_async(children.make)([(number, Order("each", 1, 0, {}, workflow=target.pk))])
    engine_room.wake()
    child = await WorkflowExecution.objects.aget(parent=number)
    await until(child.pk, "waiting", "completed")
    assert await told(child.pk) == ["queued", "paused", "started"]


def test_a_loop_without_a_body_has_nothing_to_walk_for_its_items() -> None:
    graph = parse(chain(node("each", "for_each"), node("after")))
    assert not graph.within("each").nodes
    assert graph.within(None) is graph


async def test_a_loop_without_a_body_ends() -> None:
    definition = drawn([node("each", "for_each"), node("after")], "each:done>after")
    result = await bounded(run(definition, {"items": [1, 2]}))
    assert result.output_data["items"] == [{}, {}] and result.output_data["after"] == 1


async def test_a_time_limit_holds_while_a_child_is_at_work() -> None:
    target = await make(chain(node("inner", "test_hold")))
    with pytest.raises(WorkflowExecutionError, match="1 s that its workflow allows"):
        await bounded(run(chain(node("call", "call", workflow=target.pk)), time_limit_s=1))


async def test_the_next_items_begin_while_a_slow_one_is_at_work() -> None:
    """Also where the caller's own event loop does all of it."""
    each = node("each", "for_each", parallel=2)
    definition = drawn([each, node("item", "test_item_hold", held=[0])], "each:each>item")
    task = asyncio.create_task(run(definition, {"items": [0, 1, 2, 3]}))
    await reached("item 3")
    GATES["gate"].set()
    assert (await bounded(task)).output_data["count"] == 4


def test_counting_children_reads_only_the_few_that_are_asked_for(db: None) -> None:
    workflow = published(chain(node("a")))
    assert workflow.published
    parent = WorkflowExecution.objects.create(workflow=workflow, version=workflow.published)
    if connection.vendor != "sqlite":
        return
    plans: list[str] = []

    def explained(go: Any, sql: str, given: Any, many: bool, context: Any) -> Any:
        """With parameters, as it is asked: where the values stand in the text, SQLite sees more."""
        plan = connection.connection.execute(f"EXPLAIN QUERY PLAN {sql.replace('%s', '?')}", given)
        plans.append(str(plan.fetchall()))
        return go(sql, given, many, context)

    with connection.execute_wrapper(explained):
        children.count(parent.pk, "a", 1)
    assert "one_child_an_item" in plans[0] and "execution_child_live" in plans[1] and "execution_child_bad" in plans[2]


# Repair and reuse


async def test_what_ran_on_a_repaired_input_is_reused_as_it_was(engine_room: Worker) -> None:
    LEFT["flaky"] = 1
    number = await submit(chain(node("a"), node("b", "test_flaky"), node("c")), {"x": "bad"})
    await until(number, "failed")
    await sync_to_async(WorkflowEngine().repair)(number, Repair("b", given={"x": "good"}))
    before = await until(number, "completed")
    again = await sync_to_async(WorkflowEngine().run_again)(number, from_node="c")
    after = await until(again, "completed")
    assert (before.output_data["x"], after.output_data["x"]) == ("good", "good")


async def test_a_large_repaired_input_is_reused_too(engine_room: Worker) -> None:
    LEFT["flaky"] = 1
    number = await submit(chain(node("a"), node("b", "test_flaky"), node("c")), {"x": "bad", "gone": 1})
    await until(number, "failed")
    large = "good" * 100_000
    await sync_to_async(WorkflowEngine().repair)(number, Repair("b", given={"x": large}))
    await until(number, "completed")
    again = await sync_to_async(WorkflowEngine().run_again)(number, from_node="c")
    await until(again, "completed")
    third = await sync_to_async(WorkflowEngine().run_again)(again, from_node="c")
    await until(third, "completed")
    for execution in (again, third):
        output = await sync_to_async(output_of)(await row(execution))
        assert output and output["x"] == large and "gone" not in output


async def test_a_repair_ends_a_pause_in_the_journal_too(engine_room: Worker, alice: User) -> None:
    """The step that was under way fails during the pause; what the repair allows is not made longer by that pause."""
    number = await submit(
        chain(node("a", "test_thread", gate="gate", error="no"), node("b", "test_ask")), time_limit_s=3600
    )
    await thread_reached("gate")
    await sync_to_async(WorkflowEngine().pause)(number, by=alice)
    await until_told(number, "paused")
    await ExecutionLog.objects.filter(execution=number, kind="paused").aupdate(at=timezone.now() - timedelta(days=1))
    THREAD_GATES["gate"].set()
    await until(number, "failed")
    await sync_to_async(WorkflowEngine().repair)(number, Repair(output={}))
    assert (await until(number, "waiting")).due_at < timezone.now() + timedelta(hours=2)
    assert "resumed" not in await told(number)


def test_a_supplied_output_goes_on_after_all_items(db: None) -> None:
    from executions.repair import _change
    from workflows.blueprint import Blueprint

    blueprint = Blueprint(EACH, 8)
    packed = _change(blueprint, "each", {}, Repair("each", output={"items": []}))
    assert packed["output"]["handle"] == "done"


# Clocks


def test_a_clock_that_was_set_back_breaks_no_entry() -> None:
    ended = Ended("a", 1, Done({}), -1_500, timezone.now())
    setting = Setting(Node("a", "test_count", {}), {}, ("out",), DEFAULT, 0, False)
    assert entry_for(ended, setting).took_ms == 0


# Slots


def test_many_get_a_slot_at_once_in_their_order(db: None) -> None:
    workflow = published(chain(node("a")), concurrency=1)
    numbers = [WorkflowEngine().submit(workflow.pk) for _ in range(6)]
    workflow.concurrency = 4
    workflow.save()
    with CaptureQueriesContext(connection) as asked:
        assert slots.admit(workflow.pk) == numbers[1:4]
    assert len(asked) < 9


def test_many_of_one_key_leave_the_others_their_slots(db: None) -> None:
    workflow = published(chain(node("a")), concurrency=3, concurrency_key="k")
    numbers = [WorkflowEngine().submit(workflow.pk, {"k": key}) for key in (1, 1, 1, 2, 2, 3, 4)]
    held: list[Any] = list(slots.holders_of(workflow.pk).order_by("pk").values_list("pk", flat=True))
    assert held == [numbers[0], numbers[3], numbers[5]]


# What cannot be kept


async def test_an_item_that_is_too_large_fails_its_step_and_not_the_engine(settings: Any) -> None:
    """All items together with one of them are more than an execution may bring."""
    settings.ENGINE = {**settings.ENGINE, "DATA_BYTES": 300_000}
    each = node("each", "for_each", pass_on=["items"])
    definition = drawn([each, node("item"), node("after")], "each:each>item", "each:done>after")
    with pytest.raises(WorkflowExecutionError, match=r"Item 1 cannot begin\. The data is too large"):
        await bounded(run(definition, {"items": ["x" * 200_000]}))
    assert not await WorkflowExecution.objects.filter(parent__isnull=False).aexists()


async def test_a_full_disk_keeps_no_failure_from_being_written_down(
    engine_room: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    handler = await make(chain(node("told")))
    failing = node("a", "test_thread", gate="gate", error="It went wrong")
    number = await submit(chain(failing), {"x": "x" * 400_000}, on_failure=handler)
    await thread_reached("gate")
    monkeypatch.setattr(os, "fsync", refuse)
    THREAD_GATES["gate"].set()
    assert (await until(number, "failed")).error_message == "It went wrong"
    assert not await WorkflowExecution.objects.filter(failure_of=number).aexists()


# Many at once


def test_children_that_end_together_nudge_their_parent_once(db: None) -> None:
    workflow = published(chain(node("a")))
    assert workflow.published
    now = timezone.now()
    make_row = partial(WorkflowExecution.objects.create, workflow=workflow, version=workflow.published)
    parent = make_row(status="waiting", due_at=slots.FAR_FUTURE)
    units = []
    for index in range(5):
        child = make_row(parent=parent, root=parent, parent_node="a", parent_attempt=1, item_index=index, owner="me")
        closing = Closing("completed", now, 1, 1, completed_at=now, has_aftermath=True)
        units.append(Unit(child.pk, 0, closing=closing, parent_id=parent.pk))
    assert write(units) == [True] * 5
    parent.refresh_from_db()
    assert parent.nudges == 1 and parent.due_at <= timezone.now()
    assert set().union(*(unit.woken for unit in units)) == {parent.pk}


def test_children_are_told_to_stop_without_reading_what_they_were_given(db: None) -> None:
    workflow = published(chain(node("a")))
    assert workflow.published
    make_row = partial(WorkflowExecution.objects.create, workflow=workflow, version=workflow.published)
    parent = make_row()
    first, second = (make_row(parent=parent, root=parent, parent_node="a", item_index=index) for index in range(2))
    with transaction.atomic(), CaptureQueriesContext(connection) as asked:
        assert children.pause(parent.pk, None, paused=True) == {first.pk, second.pk}
        assert children.cancel(parent.pk) == set()
    assert not [query for query in asked if '"input_data"' in query["sql"]]
    for child in (first, second):
        child.refresh_from_db()
        assert child.status == "cancelled" and child.paused_at
