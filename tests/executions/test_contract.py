"""The public contract (docs: engine.md section 1), method by method, each with what it refuses."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import TestCase

from executions.engine import (
    ExecutionResult,
    ExecutionStatus,
    WorkflowEngine,
    WorkflowExecutionError,
    WorkflowStepError,
)
from executions.models import ExecutionLog, WorkflowExecution
from executions.worker import Worker, current_worker
from tests.conftest import CHAIN
from tests.executions.conftest import (
    become_due,
    bounded,
    chain,
    drawn,
    entries,
    lines,
    make,
    make_stored,
    node,
    published,
    reached,
    row,
    run,
    stored,
    submit,
    told,
    until,
    until_told,
)
from tests.steps import GATES, RUNS, deep
from workflows.errors import InputError, StepstreamError
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

UNKNOWN_IDS: list[Any] = [0, -1, 999_999_999, 2**63, 2**64, 10**400, "1", "abc", "", None, 1.0, [], {}, object(), b"1"]
LOOP = {
    "nodes": [{"id": "a", "type": "default"}, {"id": "b", "type": "default"}],
    "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "a"}],
}
INPUTS_THAT_CANNOT_BE_KEPT: dict[str, Any] = {
    "a list": [1],
    "text": "text",
    "a number": 5,
    "NaN": {"a": float("nan")},
    "infinity": {"a": [1, {"b": float("-inf")}]},
    "NUL": {"a": "x\x00y"},
    "NUL in a key": {"x\x00y": 1},
    "half a surrogate pair": {"a": ["\ud800"]},
    "half a surrogate pair in a key": {"a": {"\udfff": 1}},
    "70 levels": deep(70),
    "17 megabytes": {"a": "x" * 17_000_000},
    "a number of 5,000 digits": {"a": 10**5000},
    "a moment": {"a": datetime(2026, 1, 1, tzinfo=UTC)},
    "a set": {"a": {1}},
    "bytes": {"a": b"x"},
    "a key that is no text": {1: "a"},
    "an object": {"a": object()},
    "a tuple with a NUL": {"a": ("\x00",)},
}


# The names


def test_the_names_are_where_the_contract_says() -> None:
    from executions import engine, models, schemas
    from workflows import errors
    from workflows import models as blueprints

    assert engine.WorkflowExecutionError is errors.WorkflowExecutionError
    assert engine.WorkflowStepError is errors.WorkflowStepError
    assert engine.ExecutionStatus is models.ExecutionStatus
    assert {"WorkflowEngine", "ExecutionResult"} <= set(engine.__all__)
    for room, names in {
        models: "WorkflowExecution ExecutionLog",
        blueprints: "Workflow WorkflowVersion",
        schemas: "WorkflowExecuteRequest ExecutionStatusResponse ExecutionLogResponse ExecutionResultResponse",
    }.items():
        assert all(hasattr(room, name) for name in names.split())
    assert issubclass(WorkflowStepError, StepstreamError) and issubclass(WorkflowExecutionError, StepstreamError)


def test_the_states_are_the_six_of_the_contract() -> None:
    assert set(ExecutionStatus.values) == {"pending", "running", "waiting", "completed", "failed", "cancelled"}


async def test_an_engine_is_a_door_that_costs_nothing() -> None:
    before = len(asyncio.all_tasks()), threading.active_count()
    engines = [WorkflowEngine() for _ in range(1000)]
    assert (len(asyncio.all_tasks()), threading.active_count()) == before and len(engines) == 1000


def test_one_can_be_made_where_no_loop_runs(workflow: Workflow) -> None:
    assert WorkflowEngine().submit(workflow.pk)


# execute_workflow


async def test_execute_runs_to_the_end_and_returns_the_result(workflow: Workflow, alice: User) -> None:
    result = await WorkflowEngine().execute_workflow(workflow.pk, {"name": "Ada"}, by=alice)
    assert isinstance(result, ExecutionResult)
    output = {"name": "ADA", "result": {"name": "ADA"}}
    assert (result.status, result.output_data, result.error_message) == ("completed", output, "")
    found = await row(result.execution_id)
    assert (found.status, found.output_data, found.error, found.error_message) == ("completed", output, None, "")
    assert found.input_data == {"name": "Ada"} and found.started_by_id == alice.pk
    assert found.started_at and found.completed_at and found.started_at <= found.completed_at
    assert (found.steps_done, found.steps_total, found.owner) == (3, 3, None)


async def test_execute_without_input_starts_from_an_empty_object() -> None:
    assert (await run(chain(node("a", "input"), node("b", "output")))).output_data == {"result": {}}


async def test_execute_does_not_change_the_callers_input() -> None:
    given: dict[str, Any] = {"list": [1], "object": {"a": 1}}
    await run(chain(node("a", "test_spoil"), node("b", "test_spoil")), given)
    assert given == {"list": [1], "object": {"a": 1}}


async def test_many_run_at_once_and_each_has_its_own_data() -> None:
    workflow = await make(CHAIN)
    engine = WorkflowEngine()
    results = await asyncio.gather(*(engine.execute_workflow(workflow.pk, {"n": str(n)}) for n in range(40)))
    assert [result.output_data["result"] for result in results if result.output_data] == [
        {"n": str(n)} for n in range(40)
    ]
    assert len({result.execution_id for result in results}) == 40


@pytest.mark.parametrize("number", UNKNOWN_IDS, ids=lambda number: f"{type(number).__name__} {str(number)[:12]}")
async def test_an_unknown_workflow_is_not_found(number: Any) -> None:
    for verb in (WorkflowEngine().execute_workflow, WorkflowEngine().submit_workflow):
        with pytest.raises(WorkflowExecutionError, match="not found or inactive"):
            await verb(number)
    assert not await WorkflowExecution.objects.aexists()


async def test_true_is_not_the_number_one() -> None:
    await sync_to_async(published)(CHAIN, pk=1)
    for verb in (WorkflowEngine().execute_workflow, WorkflowEngine().submit_workflow):
        with pytest.raises(WorkflowExecutionError, match="not found or inactive"):
            await verb(True)


@pytest.mark.parametrize("why", ["inactive", "archived", "never published", "a draft only"])
async def test_a_workflow_that_may_not_run_is_not_found(why: str, workflow: Workflow) -> None:
    if why == "inactive":
        await Workflow.objects.filter(pk=workflow.pk).aupdate(is_active=False)
    elif why == "archived":
        await sync_to_async(workflow.archive)()
    else:
        workflow = await Workflow.objects.acreate(name="New", draft=CHAIN if why == "a draft only" else None)
    for verb in (WorkflowEngine().execute_workflow, WorkflowEngine().submit_workflow):
        with pytest.raises(WorkflowExecutionError, match="not found or inactive"):
            await verb(workflow.pk)
    assert not await WorkflowExecution.objects.aexists()


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        ({"nodes": [], "edges": []}, "no nodes to execute"),
        ({"nodes": []}, "no nodes to execute"),
        (LOOP, "cycle"),
        ({"nodes": "many"}, "must be a list"),
        ([], "JSON object"),
        ({"nodes": [{"id": "a", "type": "default"}], "edges": [{"source": "a", "target": "z"}]}, "no such step"),
    ],
)
async def test_a_broken_stored_version_says_what_is_wrong(definition: Any, sentence: str) -> None:
    workflow = await make_stored(definition)
    for verb in (WorkflowEngine().execute_workflow, WorkflowEngine().submit_workflow):
        with pytest.raises(WorkflowExecutionError, match=sentence):
            await verb(workflow.pk)
    assert not await WorkflowExecution.objects.aexists()


async def test_a_failing_step_raises_its_message_and_leaves_the_failure_in_the_row() -> None:
    definition = chain(node("a"), node("b", "test_fail", label="Bad one", message="No flour", details={"left": 0}))
    with pytest.raises(WorkflowExecutionError, match="No flour") as caught:
        await run(definition)
    error = caught.value
    assert error.node == "b" and error.execution_id
    found = await row(error.execution_id)
    assert (found.status, found.error_message, found.output_data) == ("failed", "No flour", None)
    shape = {key: found.error[key] for key in found.error if key != "traceback"}
    assert shape == {
        "type": "WorkflowStepError",
        "message": "No flour",
        "node": "b",
        "step_name": "Bad one",
        "attempt": 1,
        "details": {"left": 0},
    }
    assert "Traceback" in found.error["traceback"] and "steps.py" in found.error["traceback"]
    assert (found.steps_done, found.steps_total) == (1, 2)


@pytest.mark.parametrize("what", INPUTS_THAT_CANNOT_BE_KEPT)
async def test_an_input_that_cannot_be_kept_is_refused(what: str) -> None:
    workflow = await make(CHAIN)
    for verb in (WorkflowEngine().execute_workflow, WorkflowEngine().submit_workflow):
        with pytest.raises(InputError) as caught:
            await verb(workflow.pk, INPUTS_THAT_CANNOT_BE_KEPT[what])
        assert "input_data" in caught.value.message and len(caught.value.message) < 500
    assert not await WorkflowExecution.objects.aexists()


@pytest.mark.parametrize(
    "given", [{"a": "ü 😀 \u2028 \x01"}, {"": 0}, deep(64), {"n": 2**80, "f": 1.5e-300, "b": [None]}]
)
async def test_any_other_json_object_comes_through_unchanged(given: dict[str, Any]) -> None:
    result = await run(chain(node("a", "default")), given)
    assert result.output_data == given
    assert (await row(result.execution_id)).input_data == given


async def test_a_cancelled_execution_is_returned_as_such(engine_room: Worker) -> None:
    workflow = await make(chain(node("a"), node("b", "test_hold")))
    running = asyncio.create_task(WorkflowEngine().execute_workflow(workflow.pk))
    await reached("gate")
    execution = await WorkflowExecution.objects.aget()
    assert await WorkflowEngine().cancel_execution(execution.pk) is True
    result = await bounded(running)
    assert result == ExecutionResult(execution.pk, "cancelled", None, "Execution cancelled by user")


async def test_a_caller_that_is_cancelled_leaves_the_execution_to_the_workers() -> None:
    workflow = await make(chain(node("a"), node("b", "test_hold"), node("c")))
    caller = asyncio.create_task(WorkflowEngine().execute_workflow(workflow.pk))
    await reached("gate")
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    execution = await WorkflowExecution.objects.aget()
    assert (execution.status, execution.owner) == ("pending", None)
    GATES["gate"].set()
    await current_worker().start()
    await until(execution.pk, "completed")
    assert RUNS[f"{execution.pk}:a:0"] == 1


async def test_execute_waits_for_a_wait_without_a_worker() -> None:
    result = await bounded(run(chain(node("a"), node("b", "delay", seconds=0.05), node("c"))))
    assert result.status == "completed" and result.output_data == {"a": 1, "c": 1}


async def test_execute_finds_the_end_that_a_worker_brought(engine_room: Worker) -> None:
    definition = chain(node("a"), node("b", "delay", seconds=3600), node("c"))
    running = asyncio.create_task(run(definition))
    while not await WorkflowExecution.objects.filter(status="waiting").aexists():
        await asyncio.sleep(0.01)
    await become_due((await WorkflowExecution.objects.aget()).pk)
    assert (await bounded(running)).status == "completed"


# submit_workflow


async def test_submit_records_and_returns_at_once(workflow: Workflow, alice: User) -> None:
    number = await WorkflowEngine().submit_workflow(workflow.pk, {"name": "Ada"}, by=alice)
    found = await row(number)
    assert (found.status, found.owner, found.fence, found.started_at) == ("pending", None, 0, None)
    assert (found.steps_done, found.steps_total, found.version_id) == (0, 3, workflow.published_id)
    assert found.started_by_id == alice.pk and found.input_data == {"name": "Ada"}
    [queued] = await entries(number)
    assert (queued.seq, queued.kind, queued.node, queued.data) == (1, "queued", None, {"by": "alice"})


async def test_what_was_submitted_is_run_by_the_worker(engine_room: Worker, workflow: Workflow) -> None:
    number = await WorkflowEngine().submit_workflow(workflow.pk, {"name": "Ada"})
    found = await until(number, "completed", "failed")
    assert found.output_data == {"name": "ADA", "result": {"name": "ADA"}}


def test_submit_joins_the_callers_transaction_and_rolls_back_with_it(workflow: Workflow) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        number = WorkflowEngine().submit(workflow.pk)
        assert WorkflowExecution.objects.filter(pk=number).exists()
        raise ZeroDivisionError
    assert not WorkflowExecution.objects.exists() and not ExecutionLog.objects.exists()


def test_submit_commits_with_the_callers_transaction(workflow: Workflow) -> None:
    with transaction.atomic():
        Workflow.objects.filter(pk=workflow.pk).update(name="Renamed")
        number = WorkflowEngine().submit(workflow.pk)
    assert WorkflowExecution.objects.get().pk == number


def test_a_refused_submit_leaves_the_callers_transaction_usable(workflow: Workflow) -> None:
    with transaction.atomic():
        first = WorkflowEngine().submit(workflow.pk, idempotency_key="k")
        assert WorkflowEngine().submit(workflow.pk, idempotency_key="k") == first
        with pytest.raises(WorkflowExecutionError):
            WorkflowEngine().submit(0)
        Workflow.objects.filter(pk=workflow.pk).update(name="Renamed")
    assert WorkflowExecution.objects.get().pk == first and Workflow.objects.get().name == "Renamed"


async def test_the_same_key_gives_the_same_execution(workflow: Workflow) -> None:
    engine = WorkflowEngine()
    numbers = await asyncio.gather(*(engine.submit_workflow(workflow.pk, idempotency_key="click") for _ in range(8)))
    assert len(set(numbers)) == 1
    assert await WorkflowExecution.objects.acount() == await ExecutionLog.objects.acount() == 1


async def test_another_key_no_key_or_another_workflow_gives_another(workflow: Workflow) -> None:
    engine, other = WorkflowEngine(), await make(CHAIN)
    hows: list[dict[str, Any]] = [{"idempotency_key": key} for key in ("a", "b", None, None, "", "")]
    numbers = [await engine.submit_workflow(workflow.pk, **how) for how in hows]
    numbers.append(await engine.submit_workflow(other.pk, idempotency_key="a"))
    assert len(set(numbers)) == 7


# get_execution_status


async def test_the_status_is_a_dict_with_everything_that_a_page_needs(workflow: Workflow) -> None:
    result = await WorkflowEngine().execute_workflow(workflow.pk, {"name": "Ada"})
    status = await WorkflowEngine().get_execution_status(result.execution_id)
    assert status is not None
    assert {key: status[key] for key in ("id", "workflow_id", "status", "input_data", "output_data")} == {
        "id": result.execution_id,
        "workflow_id": workflow.pk,
        "status": "completed",
        "input_data": {"name": "Ada"},
        "output_data": result.output_data,
    }
    assert (status["error_message"], status["steps_done"], status["steps_total"]) == ("", 3, 3)
    assert status["started_at"] <= status["completed_at"] and status["duration_ms"] >= 0


async def test_the_status_of_what_has_not_started_has_no_times(workflow: Workflow) -> None:
    status = await WorkflowEngine().get_execution_status(await WorkflowEngine().submit_workflow(workflow.pk))
    assert status is not None and status["status"] == "pending"
    assert status["started_at"] is status["completed_at"] is status["duration_ms"] is status["output_data"] is None


@pytest.mark.parametrize("number", UNKNOWN_IDS, ids=lambda number: f"{type(number).__name__} {str(number)[:12]}")
async def test_an_unknown_execution_has_no_status_no_logs_and_no_cancel(number: Any) -> None:
    engine = WorkflowEngine()
    await run(chain(node("a")))
    assert await engine.get_execution_status(number) is None
    assert await engine.get_execution_logs(number) == []
    assert await engine.get_execution_logs(number, everything=True) == []
    assert await engine.cancel_execution(number) is False
    with pytest.raises(WorkflowExecutionError, match="not found"):
        await sync_to_async(engine.run_again)(number)
    assert await sync_to_async(engine.step_data)(number, "a") == {"input": None, "output": None}


# cancel_execution


async def test_cancel_is_true_once(workflow: Workflow, alice: User) -> None:
    number = await WorkflowEngine().submit_workflow(workflow.pk)
    answers = await asyncio.gather(*(WorkflowEngine().cancel_execution(number, by=alice) for _ in range(6)))
    assert sorted(answers) == [False] * 5 + [True]
    assert await WorkflowEngine().cancel_execution(number) is False
    status = await WorkflowEngine().get_execution_status(number)
    assert status is not None
    assert (status["status"], status["error_message"]) == ("cancelled", "Execution cancelled by user")
    assert status["completed_at"] is not None and status["output_data"] is None
    assert await told(number) == ["queued", "cancel_requested", "finished"]
    assert (await entries(number))[1].data == {"by": "alice"}
    found = await row(number)
    assert found.cancel_requested_by_id == alice.pk


@pytest.mark.parametrize("definition", [chain(node("a")), chain(node("a", "test_fail"))])
async def test_what_has_ended_cannot_be_cancelled(definition: Any) -> None:
    workflow = await make(definition)
    with suppress(WorkflowExecutionError):
        await WorkflowEngine().execute_workflow(workflow.pk)
    before = await WorkflowExecution.objects.values().aget()
    assert await WorkflowEngine().cancel_execution(before["id"]) is False
    assert await WorkflowExecution.objects.values().aget() == before
    assert "cancel_requested" not in await told(before["id"])


async def test_what_was_cancelled_is_not_run() -> None:
    cancelled, other = await submit(chain(node("a"))), await submit(chain(node("a")))
    assert await WorkflowEngine().cancel_execution(cancelled)
    await current_worker().start()
    await until(other, "completed")
    assert (await row(cancelled)).status == "cancelled" and "started a" not in await told(cancelled)


async def test_a_cancel_rolls_back_with_the_callers_transaction(workflow: Workflow) -> None:
    number = await WorkflowEngine().submit_workflow(workflow.pk)

    def cancelled_and_regretted() -> None:
        with transaction.atomic():
            assert WorkflowEngine().cancel(number)
            transaction.set_rollback(True)

    await sync_to_async(cancelled_and_regretted)()
    assert (await row(number)).status == "pending" and await told(number) == ["queued"]
    assert await WorkflowEngine().cancel_execution(number) is True


# get_execution_logs


async def test_the_logs_are_one_for_each_step_with_what_it_saw_and_made(workflow: Workflow) -> None:
    result = await WorkflowEngine().execute_workflow(workflow.pk, {"name": "Ada"})
    logs = await WorkflowEngine().get_execution_logs(result.execution_id)
    assert [(log["step_name"], log["node_id"], log["step_type"]) for log in logs] == [
        ("Take in", "in", "input"),
        ("Shout", "work", "process"),
        ("Give out", "out", "output"),
    ]
    assert [log["input_data"] for log in logs] == [{"name": "Ada"}, {"name": "Ada"}, {"name": "ADA"}]
    assert [log["output_data"] for log in logs] == [{"name": "Ada"}, {"name": "ADA"}, {"result": {"name": "ADA"}}]
    for log in logs:
        assert log["id"] and log["duration_ms"] >= 0 and log["error_message"] is None and log["timestamp"].tzinfo
        assert (log["kind"], log["attempt"]) == ("completed", 1)


async def test_the_logs_tell_of_a_failed_step() -> None:
    with pytest.raises(WorkflowExecutionError):
        await run(chain(node("a", "test_add", add={"x": 1}), node("b", "test_fail", message="No flour"), node("c")))
    logs = await WorkflowEngine().get_execution_logs((await WorkflowExecution.objects.aget()).pk)
    assert [(log["node_id"], log["kind"], log["error_message"]) for log in logs] == [
        ("a", "completed", None),
        ("b", "failed", "No flour"),
    ]
    assert logs[1]["input_data"] == {"x": 1} and logs[1]["output_data"] is None


async def test_the_logs_of_what_has_not_run_are_empty(workflow: Workflow) -> None:
    number = await WorkflowEngine().submit_workflow(workflow.pk)
    assert await WorkflowEngine().get_execution_logs(number) == []
    assert [log["kind"] for log in await WorkflowEngine().get_execution_logs(number, everything=True)] == ["queued"]


@pytest.mark.parametrize("everything", [False, True])
async def test_limit_and_after_cut_the_logs(workflow: Workflow, everything: bool) -> None:
    number = (await WorkflowEngine().execute_workflow(workflow.pk, {"name": "Ada"})).execution_id

    async def logs(**how: Any) -> list[int]:
        found = await WorkflowEngine().get_execution_logs(number, everything=everything, **how)
        return [log["seq"] for log in found]

    every = await logs()
    assert every == sorted(every) and len(every) == (12 if everything else 3)
    assert await logs(limit=2) == every[:2]
    assert await logs(limit=99) == every and await logs(limit=None) == every
    assert await logs(after=every[0]) == every[1:]
    assert await logs(after=every[0], limit=1) == every[1:2]
    assert await logs(after=every[-1]) == []
    assert await logs(limit=0) == []


async def test_everything_has_the_lines_too() -> None:
    result = await run(chain(node("a", "test_talk", lines=2, text="hello", level="warning", label="Talker")))
    logs = await WorkflowEngine().get_execution_logs(result.execution_id, everything=True)
    assert [log["kind"] for log in logs] == [
        "queued",
        "started",
        "started",
        "logged",
        "logged",
        "completed",
        "finished",
    ]
    assert [log["seq"] for log in logs] == list(range(1, 8))
    line = logs[3]
    assert (line["level"], line["text"], line["node_id"], line["step_name"]) == ("warning", "hello 0", "a", "Talker")
    assert logs[0]["node_id"] is logs[0]["step_name"] is logs[0]["step_type"] is None


async def test_a_steps_data_is_rebuilt_by_its_name() -> None:
    number = (await run(chain(node("a", "test_add", add={"x": 1}), node("b", "output")), {"given": 0})).execution_id
    data = sync_to_async(WorkflowEngine().step_data)
    assert await data(number, "b") == {"input": {"given": 0, "x": 1}, "output": {"result": {"given": 0, "x": 1}}}
    assert await data(number, "nowhere") == {"input": None, "output": None}


async def test_an_execution_can_be_read_though_its_version_was_broken_by_hand() -> None:
    workflow = await make(chain(node("a", "test_talk"), node("b", "test_hold")))
    number = await WorkflowEngine().submit_workflow(workflow.pk)
    await workflow.versions.aupdate(definition={"nodes": []}, digest="broken by hand")
    await current_worker().start()
    assert (await until(number, "failed", "completed")).status == "failed"
    status = await WorkflowEngine().get_execution_status(number)
    assert status is not None and "no nodes to execute" in status["error_message"]
    assert await WorkflowEngine().get_execution_logs(number) == []
    kinds = [log["kind"] for log in await WorkflowEngine().get_execution_logs(number, everything=True)]
    assert kinds == ["queued", "finished"]


# run_again


async def test_run_again_keeps_version_and_input_and_names_the_old_one(workflow: Workflow, bob: User) -> None:
    first = await WorkflowEngine().execute_workflow(workflow.pk, {"name": "Ada"})
    old_version = workflow.published_id
    await sync_to_async(workflow.publish)(chain(node("other", "default")))
    number = await sync_to_async(WorkflowEngine().run_again)(first.execution_id, by=bob)
    again = await row(number)
    assert number != first.execution_id
    assert (again.version_id, again.retry_of_id, again.started_by_id) == (old_version, first.execution_id, bob.pk)
    assert (again.input_data, again.status, again.steps_total) == ({"name": "Ada"}, "pending", 3)
    assert (await row(await WorkflowEngine().submit_workflow(workflow.pk))).version_id == workflow.published_id


async def test_run_again_runs_the_old_version(engine_room: Worker, workflow: Workflow) -> None:
    first = await WorkflowEngine().execute_workflow(workflow.pk, {"name": "Ada"})
    await sync_to_async(workflow.publish)(chain(node("other", "test_fail")))
    number = await sync_to_async(WorkflowEngine().run_again)(first.execution_id)
    assert (await until(number, "completed", "failed")).output_data == first.output_data


async def test_what_may_not_run_may_not_run_again(workflow: Workflow) -> None:
    first = await WorkflowEngine().execute_workflow(workflow.pk)
    await sync_to_async(workflow.archive)()
    with pytest.raises(WorkflowExecutionError, match="not found or inactive"):
        await sync_to_async(WorkflowEngine().run_again)(first.execution_id)


async def test_an_execution_of_another_workflow_cannot_be_retried_here(workflow: Workflow) -> None:
    other = await row(await submit(chain(node("a"))))
    other = await WorkflowExecution.objects.select_related("version").aget(pk=other.pk)
    with pytest.raises(StepstreamError):
        await WorkflowEngine().submit_workflow(workflow.pk, retry_of=other)


# Inside a team's TestCase


class InsideATestCase(TestCase):
    """Everything happens on the test's own connection, in its transaction, which is rolled back at the end."""

    async def test_execute_runs_on_the_callers_connection(self) -> None:
        threads = threading.active_count()
        workflow = await make(CHAIN)
        result = await bounded(WorkflowEngine().execute_workflow(workflow.pk, {"name": "Ada"}))
        assert result.output_data == {"name": "ADA", "result": {"name": "ADA"}}
        assert await sync_to_async(lambda: connection.in_atomic_block)()
        assert (await row(result.execution_id)).status == "completed"
        assert len(await WorkflowEngine().get_execution_logs(result.execution_id)) == 3
        assert threading.active_count() <= threads + 1

    async def test_parallel_branches_and_threads_work_there_too(self) -> None:
        definition = drawn([node("a"), node("b", "test_thread"), node("c")], "a>c", "b>c")
        result = await bounded(run(definition))
        assert result.output_data == {"a": 1, "b": "step", "c": 1}
        assert await lines(result.execution_id, "b") == ["in a thread"]

    async def test_a_wait_works_there_too(self) -> None:
        result = await bounded(run(chain(node("a"), node("b", "delay", seconds=0.02), node("c"))))
        assert result.status == "completed"

    async def test_a_failure_raises_and_does_not_break_the_transaction(self) -> None:
        with pytest.raises(WorkflowExecutionError, match="It went wrong"):
            await bounded(run(chain(node("a", "test_fail"))))
        assert (await WorkflowExecution.objects.aget()).status == "failed"

    async def test_refusals_do_not_break_the_transaction(self) -> None:
        with pytest.raises(WorkflowExecutionError, match="not found or inactive"):
            await WorkflowEngine().execute_workflow(0)
        with pytest.raises(InputError):
            await WorkflowEngine().execute_workflow((await make(CHAIN)).pk, {"a": float("nan")})
        assert await Workflow.objects.acount() == 1

    async def test_cancel_works_there_too(self) -> None:
        number = await submit(CHAIN)
        assert await WorkflowEngine().cancel_execution(number) is True
        assert (await row(number)).status == "cancelled"

    async def test_it_leaves_no_task_behind(self) -> None:
        await bounded(run(CHAIN))
        await asyncio.sleep(0.1)  # the viewers' bell rings on a little
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def test_it_can_be_called_from_synchronous_code(self) -> None:
        workflow = published(CHAIN)
        assert async_to_sync(WorkflowEngine().execute_workflow)(workflow.pk).status == "completed"

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        with transaction.atomic():
            left = Workflow.objects.count() + WorkflowExecution.objects.count() + ExecutionLog.objects.count()
        assert left == 0, "a team's TestCase leaves nothing behind"


async def test_stored_versions_of_unknown_kinds_can_be_submitted(engine_room: Worker) -> None:
    workflow = await sync_to_async(stored)(chain(node("a"), node("b", "gone_kind"), node("c")))
    number = await WorkflowEngine().submit_workflow(workflow.pk, {"x": 1})
    assert (await until(number, "completed", "failed")).output_data == {"x": 1, "a": 1, "c": 1}
    await until_told(number, "logged b")
