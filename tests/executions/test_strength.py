"""What follows a failure, what limits an execution, what pauses it, and what it does through others: in the rows."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import ExecutionLog, ExecutionWait, WorkflowExecution
from executions.repair import Repair
from executions.worker import Worker
from tests.executions.conftest import (
    answer,
    become_due,
    bounded,
    chain,
    drawn,
    make,
    node,
    reached,
    row,
    run,
    submit,
    told,
    until,
    until_told,
)
from tests.steps import GATES, LEFT, REACHED, RUNS, THREAD_GATES
from workflows.errors import InputError
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)


def policy(**settings: Any) -> dict[str, Any]:
    return {"policy": settings}


async def failed(definition: Any, given: Any = None, **fields: Any) -> WorkflowExecutionError:
    with pytest.raises(WorkflowExecutionError) as caught:
        await bounded(run(definition, given, **fields))
    return caught.value


async def last() -> Any:
    return await WorkflowExecution.objects.filter(parent=None).alatest("pk")


# Failure


async def test_a_step_is_tried_as_often_as_its_policy_says() -> None:
    LEFT["flaky"] = 2
    result = await bounded(run(chain(node("a", "test_flaky", **policy(attempts=3, backoff_s=0)), node("b"))))
    assert result.output_data == {"a": 3, "b": 1}
    assert await told(result.execution_id) == [
        *("queued", "started", "started a", "retried a", "answered a"),
        *("started a", "retried a", "answered a", "started a", "completed a", "started b", "completed b", "finished"),
    ]
    assert next(iter(RUNS.values())) == 3, "one idempotency key over all attempts"


async def test_after_the_last_attempt_it_has_failed_and_says_which() -> None:
    LEFT["flaky"] = 5
    error = await failed(chain(node("a", "test_flaky", **policy(attempts=2, backoff_s=0))))
    assert str(error) == "attempt 2"


async def test_a_permanent_error_is_not_tried_again() -> None:
    LEFT["flaky"] = 5
    await failed(chain(node("a", "test_flaky", permanent=True, **policy(attempts=5, backoff_s=0))))
    assert "retried a" not in await told((await last()).pk)


async def test_a_back_off_is_a_wait_that_holds_nothing(engine_room: Worker) -> None:
    LEFT["flaky"] = 1
    number = await submit(chain(node("a", "test_flaky", **policy(attempts=2, backoff_s=3600, backoff_max_s=3600))))
    found = await until(number, "waiting")
    assert found.owner is None and not engine_room.runs and found.due_at > timezone.now() + timedelta(minutes=25)
    wait = await ExecutionWait.objects.aget(execution=number)
    assert wait.kind == "retry" and wait.due_at == found.due_at
    await become_due(number)
    assert (await until(number, "completed")).output_data == {"a": 2}


async def test_what_the_other_side_asked_for_is_waited(engine_room: Worker) -> None:
    LEFT["flaky"] = 1
    asked = node("a", "test_flaky", retry_after_s=7200, **policy(attempts=2, backoff_s=0, backoff_max_s=1))
    assert (await until(await submit(chain(asked)), "waiting")).due_at > timezone.now() + timedelta(minutes=110)


async def test_a_failure_may_be_gone_on_from_with_the_data_unchanged() -> None:
    LEFT["flaky"] = 1
    result = await bounded(run(chain(node("a", "test_flaky", **policy(on_failure="continue")), node("b")), {"x": 1}))
    assert result.status == "completed" and result.output_data == {"x": 1, "b": 1}
    assert "failed a" in await told(result.execution_id)


async def test_a_failure_may_leave_by_the_error_handle_only() -> None:
    LEFT["flaky"] = 1
    definition = drawn(
        [node("a", "test_flaky", **policy(on_failure="error")), node("good"), node("bad")], "a>good", "a:error>bad"
    )
    result = await bounded(run(definition, {"x": 1}))
    assert result.output_data["error"]["message"] == "attempt 1" and result.output_data["bad"] == 1
    assert "skipped good" in await told(result.execution_id) and "good" not in result.output_data


async def test_an_error_handle_is_dead_where_nothing_failed() -> None:
    definition = drawn(
        [node("a", "test_flaky", **policy(on_failure="error")), node("good"), node("bad")], "a>good", "a:error>bad"
    )
    result = await bounded(run(definition))
    assert result.output_data == {"a": 1, "good": 1} and "skipped bad" in await told(result.execution_id)


async def test_the_data_of_a_way_that_nothing_follows_is_kept() -> None:
    definition = drawn([node("a", "test_choose", handle="false"), node("b")], "a:true>b")
    result = await bounded(run(definition, {"x": 1}))
    assert result.output_data == {"x": 1}


# Time


async def test_a_step_that_takes_too_long_is_stopped_and_fails() -> None:
    error = await failed(chain(node("a", "test_hold", **policy(timeout_s=0.05))))
    assert "time limit of 0.05 s" in str(error)
    assert (await last()).error["type"] == "StepTimeout"


async def test_a_time_limit_counts_for_each_attempt() -> None:
    await failed(chain(node("a", "test_hold", **policy(timeout_s=0.05, attempts=2, backoff_s=0))))
    assert (await told((await last()).pk)).count("started a") == 2


async def test_a_thread_that_takes_too_long_is_let_go_and_its_result_refused() -> None:
    error = await failed(chain(node("a", "test_thread", gate="gate", **policy(timeout_s=0.05))))
    assert "runs on" in str(error)
    THREAD_GATES["gate"].set()


async def test_a_wait_has_a_time_limit_too() -> None:
    error = await failed(chain(node("a", "test_ask", **policy(timeout_s=0.05))))
    assert "time limit" in str(error)


async def test_an_execution_that_takes_too_long_fails_and_says_how_to_raise_the_limit() -> None:
    error = await failed(chain(node("a", "test_hold")), time_limit_s=1)
    assert "1 s that its workflow allows" in str(error) and "settings" in str(error)
    assert (await told((await last()).pk))[-3:] == ["limited", "cancelled a", "finished"]


async def test_a_waiting_execution_has_its_time_limit(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_ask")), time_limit_s=3600)
    found = await until(number, "waiting")
    assert timedelta(minutes=55) < found.due_at - timezone.now() <= timedelta(hours=1)


# Pause


async def test_a_paused_execution_begins_nothing_and_goes_on_where_it_was(engine_room: Worker, alice: User) -> None:
    number = await submit(chain(node("a", "test_hold"), node("b")), time_limit_s=3600)
    await reached("gate")
    engine = WorkflowEngine()
    assert await sync_to_async(engine.pause)(number, by=alice)
    assert not await sync_to_async(engine.pause)(number, by=alice)
    await until_told(number, "paused")
    GATES["gate"].set()
    found = await until(number, "waiting")
    assert "completed a" in await told(number) and "started b" not in await told(number)
    assert found.due_at.year == 9999, "its time limit stands still"
    assert await sync_to_async(engine.resume)(number, by=alice)
    assert (await until(number, "completed")).output_data["b"] == 1
    assert not await sync_to_async(engine.resume)(number)


async def test_it_pauses_before_a_step_once(engine_room: Worker) -> None:
    workflow = await make(chain(node("a"), node("b")))
    number = await WorkflowEngine().submit_workflow(workflow.pk, pause_before=["b", "unknown"])
    found = await until(number, "waiting")
    assert found.paused_at and found.pause_before == [] and (await told(number))[-1] == "paused"
    await sync_to_async(WorkflowEngine().resume)(number)
    assert (await until(number, "completed")).steps_done == 2


async def test_a_delay_that_ends_during_a_pause_has_no_effect_before_its_end(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "delay", seconds=3600), node("b")))
    await until(number, "waiting")
    await sync_to_async(WorkflowEngine().pause)(number)
    await until_told(number, "paused")
    await until(number, "waiting")
    await become_due(number)
    await asyncio.sleep(0.1)
    found = await until(number, "waiting")
    assert "answered a" not in await told(number) and found.paused_at
    await sync_to_async(WorkflowEngine().resume)(number)
    await until(number, "completed")


async def test_a_paused_execution_can_be_cancelled(engine_room: Worker) -> None:
    workflow = await make(chain(node("a"), node("b")))
    number = await WorkflowEngine().submit_workflow(workflow.pk, pause_before=["a"])
    await until(number, "waiting")
    assert await WorkflowEngine().cancel_execution(number)
    assert (await row(number)).status == "cancelled"


# Children

EACH = drawn(
    [node("each", "test_each"), node("item", "test_item_fail"), node("after")], "each:each>item", "each:done>after"
)


async def test_a_body_runs_once_for_each_item_and_gives_them_in_order() -> None:
    result = await bounded(run(EACH, {"items": [3, 1, 2]}))
    items = result.output_data["items"]
    assert [item["made"] for item in items] == [[3, 0], [1, 1], [2, 2]]
    assert result.output_data["count"] == 3 and result.output_data["failed"] == []
    assert await WorkflowExecution.objects.filter(parent=result.execution_id).acount() == 3
    assert "item" not in [text.partition(" ")[2] for text in await told(result.execution_id)]


async def test_no_items_complete_at_once() -> None:
    assert (await bounded(run(EACH, {"items": []}))).output_data["count"] == 0


async def test_a_failed_item_is_null_and_named() -> None:
    definition = drawn([node("each", "test_each"), node("item", "test_item_fail", bad=[1])], "each:each>item")
    output = (await bounded(run(definition, {"items": [0, 1, 2]}))).output_data
    assert output["items"][1] is None and output["failed"] == [{"index": 1, "error": "1 is bad"}]


async def test_it_may_stop_at_the_first_failed_item() -> None:
    each = node("each", "test_each", stop_on_failure=True, parallel=1)
    definition = drawn([each, node("item", "test_item_fail", bad=[1])], "each:each>item")
    assert "Item 1 failed" in str(await failed(definition, {"items": [0, 1, 2, 3, 4, 5]}))
    assert await WorkflowExecution.objects.filter(parent__isnull=False).acount() == 2


async def test_no_more_children_live_at_once_than_may(engine_room: Worker) -> None:
    definition = drawn([node("each", "test_each", parallel=3), node("item", "test_hold")], "each:each>item")
    number = await submit(definition, {"items": list(range(7))})
    await reached("gate")
    await asyncio.sleep(0.1)
    assert await WorkflowExecution.objects.filter(parent=number).acount() == 3
    GATES["gate"].set()
    assert len((await until(number, "completed")).output_data["items"]) == 7


async def test_a_cancel_reaches_the_children(engine_room: Worker, alice: User) -> None:
    definition = drawn([node("each", "test_each"), node("item", "test_hold")], "each:each>item")
    number = await submit(definition, {"items": [1, 2, 3]})
    await reached("gate")
    assert await WorkflowEngine().cancel_execution(number, by=alice)
    await until(number, "cancelled")
    children = [pk async for pk in WorkflowExecution.objects.filter(parent=number).values_list("pk", flat=True)]
    assert len(children) == 2
    for child in children:
        await until(child, "cancelled")


async def test_another_workflow_is_called_and_hands_back_what_it_made() -> None:
    target = await make(chain(node("inner")))
    result = await bounded(run(chain(node("call", "test_call", target=target.pk), node("b")), {"x": 1}))
    assert result.output_data["called"] == {"x": 1, "inner": 1} and result.output_data["b"] == 1


async def test_a_call_that_fails_fails_the_step_and_can_be_tried_again() -> None:
    LEFT["flaky"] = 1
    target = await make(chain(node("inner", "test_flaky")))
    call = node("call", "test_call", target=target.pk, **policy(attempts=2, backoff_s=0))
    result = await bounded(run(chain(call)))
    assert result.output_data["called"] == {"inner": 1}
    assert await WorkflowExecution.objects.filter(parent=result.execution_id).acount() == 2


async def test_what_cannot_be_called_says_why(alice: User) -> None:
    assert "not found" in str(await failed(chain(node("call", "test_call", target=999))))
    private = await make(chain(node("a")), owner=alice)
    assert "may not run it" in str(await failed(chain(node("call", "test_call", target=private.pk))))


async def test_a_workflow_that_calls_itself_ends() -> None:
    workflow = await make(chain(node("a")))
    await sync_to_async(workflow.publish)(chain(node("call", "test_call", target=workflow.pk)))
    with pytest.raises(WorkflowExecutionError, match="nested"):
        await bounded(WorkflowEngine().execute_workflow(workflow.pk))
    assert await WorkflowExecution.objects.acount() == 9


# Slots, priority, what a failure starts


async def test_no_more_executions_hold_a_slot_than_may(engine_room: Worker) -> None:
    workflow = await make(chain(node("a", "test_hold")), concurrency=1)
    first, second = [await WorkflowEngine().submit_workflow(workflow.pk) for _ in range(2)]
    await until(first, "running")
    await reached("gate")
    assert (await row(second)).has_slot is False and (await row(second)).status == "pending"
    GATES["gate"].set()
    await until(first, "completed")
    await until(second, "completed")


async def test_a_limit_per_key_holds_for_each_value_alone(engine_room: Worker) -> None:
    workflow = await make(chain(node("a", "test_hold")), concurrency_key="customer.id")
    given = [{"customer": {"id": 1}}, {"customer": {"id": 1}}, {"customer": {"id": 2}}, {}]
    numbers = [await WorkflowEngine().submit_workflow(workflow.pk, item) for item in given]
    assert [(await row(number)).has_slot for number in numbers] == [True, False, True, True]
    GATES["gate"].set()
    for number in numbers:
        await until(number, "completed")


async def test_a_cancelled_execution_gives_its_slot_to_the_next(engine_room: Worker) -> None:
    workflow = await make(chain(node("a", "test_ask")), concurrency=1)
    first, second = [await WorkflowEngine().submit_workflow(workflow.pk) for _ in range(2)]
    await until(first, "waiting")
    await WorkflowEngine().cancel_execution(first)
    await until(second, "waiting")


async def test_whoever_executes_at_once_waits_for_a_slot_too() -> None:
    workflow = await make(chain(node("a")), concurrency=1)
    engine = WorkflowEngine()
    results = await bounded(asyncio.gather(*(engine.execute_workflow(workflow.pk) for _ in range(3))))
    assert [result.status for result in results] == ["completed"] * 3


async def test_a_failure_starts_the_workflow_that_is_meant_for_it(engine_room: Worker) -> None:
    handler = await make(chain(node("told")))
    number = await submit(chain(node("a", "test_fail")), {"x": 1}, on_failure=handler)
    await until(number, "failed")
    made = await WorkflowExecution.objects.aget(failure_of=number)
    found = await until(made.pk, "completed")
    assert found.input_data["input"] == {"x": 1} and found.input_data["error"]["message"] == "It went wrong"
    assert found.input_data["execution"]["id"] == number


async def test_a_handler_of_failures_never_starts_itself(engine_room: Worker) -> None:
    workflow = await make(chain(node("a", "test_fail")))
    await Workflow.objects.filter(pk=workflow.pk).aupdate(on_failure=workflow)
    number = await WorkflowEngine().submit_workflow(workflow.pk)
    await until(number, "failed")
    handler = await WorkflowExecution.objects.aget(failure_of=number)
    await until(handler.pk, "failed")
    assert await WorkflowExecution.objects.acount() == 2


async def test_the_urgent_are_taken_first() -> None:
    from executions import claim

    numbers = [await submit(chain(node("a")), priority=level) for level in (-1, 0, 1, 0)]
    taken = [(await sync_to_async(claim.claim)("somebody", 1))[0].execution_id for _ in range(4)]
    assert taken == [numbers[2], numbers[1], numbers[3], numbers[0]]
    assert not REACHED


# Again, and repaired

WAY = chain(node("a"), node("b", "test_flaky"), node("c"))


async def test_a_failed_step_is_tried_again_in_the_same_execution(engine_room: Worker, alice: User) -> None:
    LEFT["flaky"] = 1
    number = await submit(WAY, {"x": 1})
    await until(number, "failed")
    await sync_to_async(WorkflowEngine().repair)(number, Repair(reason="It is back"), by=alice)
    found = await until(number, "completed")
    assert found.output_data == {"x": 1, "a": 1, "b": 2, "c": 1} and found.error is None and found.error_message == ""
    journal = await told(number)
    assert journal.count("started a") == 1 and journal.count("started b") == 2 and journal.count("finished") == 2
    entry = await ExecutionLog.objects.aget(execution=number, kind="repaired")
    assert entry.data == {"by": "alice", "reason": "It is back"} and entry.node == "b"
    assert {key.partition(":")[2] for key in RUNS if ":b:" in key} == {"b:0", "b:1"}, (
        "a repair is a new attempt outside"
    )


async def test_a_repair_may_supply_the_output(engine_room: Worker) -> None:
    LEFT["flaky"] = 1
    number = await submit(WAY, {"x": 1})
    await until(number, "failed")
    await sync_to_async(WorkflowEngine().repair)(number, Repair("b", output={"b": "by hand"}))
    found = await until(number, "completed")
    assert found.output_data == {"x": 1, "a": 1, "b": "by hand", "c": 1}
    assert (await told(number)).count("started b") == 1
    logs = await WorkflowEngine().get_execution_logs(number)
    assert [(log["node_id"], log["output_data"]) for log in logs][2] == ("b", {"b": "by hand"})


async def test_a_repair_may_change_the_input(engine_room: Worker) -> None:
    LEFT["flaky"] = 1
    number = await submit(WAY, {"x": 1})
    await until(number, "failed")
    await sync_to_async(WorkflowEngine().repair)(number, Repair("b", given={"x": 2}))
    assert (await until(number, "completed")).output_data == {"x": 2, "b": 2, "c": 1}


async def test_siblings_that_a_failure_stopped_go_on_after_its_repair(engine_room: Worker) -> None:
    LEFT["flaky"] = 1
    definition = drawn([node("b", "test_flaky"), node("w", "test_ask"), node("end")], "b>end", "w>end")
    number = await submit(definition)
    await until(number, "failed")
    await sync_to_async(WorkflowEngine().repair)(number, Repair())
    await until(number, "waiting")
    await answer(number, "w", 7)
    assert (await until(number, "completed")).output_data["answer"] == 7


async def test_only_what_failed_can_be_repaired(engine_room: Worker) -> None:
    repair = sync_to_async(WorkflowEngine().repair)
    number = await submit(chain(node("a")))
    await until(number, "completed")
    with pytest.raises(WorkflowExecutionError, match="only what has failed"):
        await repair(number, Repair())
    LEFT["flaky"] = 1
    number = await submit(WAY)
    await until(number, "failed")
    with pytest.raises(WorkflowExecutionError, match="has not failed"):
        await repair(number, Repair("a"))
    with pytest.raises(InputError, match="cannot be left by"):
        await repair(number, Repair("b", output={}, handle="nowhere"))
    with pytest.raises(InputError, match="not both"):
        await repair(number, Repair("b", output={}, given={}))
    with pytest.raises(WorkflowExecutionError, match="not found"):
        await repair(10**6, Repair())
    assert (await row(number)).status == "failed"


async def test_what_a_time_limit_ended_can_go_on(engine_room: Worker) -> None:
    workflow = await make(chain(node("a", "test_hold"), node("b")), time_limit_s=1)
    number = await WorkflowEngine().submit_workflow(workflow.pk)
    await until(number, "failed")
    await Workflow.objects.filter(pk=workflow.pk).aupdate(time_limit_s=3600)
    GATES["gate"].set()
    await sync_to_async(WorkflowEngine().repair)(number, Repair())
    assert (await until(number, "completed")).steps_done == 2


async def test_it_runs_again_from_a_step_and_takes_over_what_came_before(engine_room: Worker, alice: User) -> None:
    LEFT["flaky"] = 1
    number = await submit(WAY, {"x": 1})
    await until(number, "failed")
    plan = await sync_to_async(WorkflowEngine().rerun_plan)(number, "b")
    assert (plan.reused, plan.again, plan.outside) == (["a"], ["b", "c"], [])
    again = await sync_to_async(WorkflowEngine().run_again)(number, by=alice, from_node="b")
    found = await until(again, "completed")
    assert found.retry_of_id == number and found.output_data == {"x": 1, "a": 1, "b": 1, "c": 1}
    assert (await told(again))[:4] == ["queued", "reused a", "started", "started b"] and found.steps_done == 3
    logs = await WorkflowEngine().get_execution_logs(again)
    assert logs[0]["input_data"] == {"x": 1} and logs[0]["output_data"] == {"a": 1}


async def test_it_runs_again_on_another_input(engine_room: Worker) -> None:
    number = await submit(chain(node("a")), {"x": 1})
    await until(number, "completed")
    run_again = sync_to_async(WorkflowEngine().run_again)
    assert (await until(await run_again(number, {"x": 2}), "completed")).output_data == {"x": 2, "a": 1}
    with pytest.raises(WorkflowExecutionError, match="from the beginning"):
        await run_again(number, {"x": 2}, from_node="a")
    with pytest.raises(WorkflowExecutionError, match="no step"):
        await run_again(number, from_node="zzz")


async def test_a_large_family_does_not_stand_before_everybody_else() -> None:
    from executions import claim

    parent = await submit(chain(node("a")))
    facts = await WorkflowExecution.objects.filter(pk=parent).values("workflow_id", "version_id").aget()
    family = {**facts, "parent_id": parent, "root_id": parent, "parent_node": "a", "parent_attempt": 1}
    children = [WorkflowExecution(**family, item_index=index) for index in range(20)]
    await WorkflowExecution.objects.abulk_create(children)
    others = [await submit(chain(node("a"))) for _ in range(3)]
    taken = [held.execution_id for held in await sync_to_async(claim.claim)("somebody", 8)]
    assert set(taken[:4]) == {parent, *others} and len(taken) == 8
    assert len(await sync_to_async(claim.claim)("somebody", 100)) == 16, "alone, the children get all of the room"


def test_who_waits_for_a_slot_is_read_in_order() -> None:
    from django.db import connection

    from executions.slots import holders_of, waiting_of

    if connection.vendor == "sqlite":
        assert "TEMP B-TREE" not in waiting_of(1)[:5].explain()
        assert "execution_slot_queue" in waiting_of(1)[:5].explain()
        assert "execution_slot " in holders_of(1).values_list("slot_key").explain()


async def test_what_is_being_deleted_is_not_repaired(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_fail")))
    await until(number, "failed")
    await WorkflowExecution.objects.filter(pk=number).aupdate(owner="retention")
    with pytest.raises(WorkflowExecutionError, match="being deleted"):
        await sync_to_async(WorkflowEngine().repair)(number, Repair())


async def test_a_loop_in_loops_has_no_more_children_at_once_than_a_family_may(
    engine_room: Worker, settings: Any
) -> None:
    settings.ENGINE = {**settings.ENGINE, "FAMILY": 5}
    inner = node("inner", "test_each", parallel=50)
    nodes = [node("each", "test_each", parallel=50), node("list", "test_add", add={"items": [1, 2, 3]}), inner]
    definition = drawn([*nodes, node("item", "test_count")], "each:each>list", "list>inner", "inner:each>item")
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, WorkflowExecution.objects.live().filter(root__isnull=False).count())
        return WorkflowExecution.objects.roots().live().exists()

    number = await submit(definition, {"items": list(range(8))})
    while await sync_to_async(look)():
        await asyncio.sleep(0.01)
    found = await until(number, "completed")
    assert [len(item["items"]) for item in found.output_data["items"]] == [3] * 8
    assert await WorkflowExecution.objects.filter(root=number).acount() == 8 + 8 * 3
    assert most <= 5 + 5, "five, and one for each step that would otherwise have none"
