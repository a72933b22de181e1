"""What passes must not become final: a database that is away, a bell that does not ring, a worker that stops."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from executions import claim, live
from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, ExecutionWait, WorkflowExecution
from executions.planner import fold
from executions.tracing import current_execution
from executions.worker import Worker, current_worker
from tests import steps
from tests.executions.conftest import drawn, entries, make, node, row, submit, told, until
from workflows.models import Workflow
from workflows.steps import base, register

pytestmark = pytest.mark.django_db(transaction=True)


@register
class Sore(base.Step[base.Config]):
    """Turns a cancel into an error of its own, as many client libraries do."""

    kind, label = "test_sore", "Sore"

    async def run(self, ctx: base.StepContext) -> base.Done:
        steps.RUNS[ctx.idempotency_key] += 1
        if ctx.attempt > 1:
            return base.Done({"ended": "well"})
        steps.REACHED["sore"].set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("connection was closed in the middle") from None
        return base.Done()


async def test_a_look_that_fails_once_does_not_fail_the_execution(engine_room: Worker) -> None:
    execution_id = await submit(drawn([node("a", "test_hold")]))
    await steps.REACHED["gate"].wait()
    real, failed = claim.look, list[Any]()

    def failing_once(*args: Any) -> Any:
        if not failed:
            failed.append(args)
            raise OperationalError("server closed the connection unexpectedly")
        return real(*args)

    with patch.object(claim, "look", failing_once):
        engine_room.runs[execution_id].nudge()
        while not failed:
            await asyncio.sleep(0.01)
        steps.GATES["gate"].set()
        await until(execution_id, "completed")


async def test_what_the_database_lost_is_let_go_and_taken_up_again(engine_room: Worker) -> None:
    """Not buried: it is the database that was away."""
    execution_id = await submit(drawn([node("a", "test_hold")]))
    await steps.REACHED["gate"].wait()
    with patch.object(engine_room.journal, "patiently", side_effect=OperationalError("away")):
        engine_room.runs[execution_id].nudge()
        while execution_id in engine_room.runs:
            await asyncio.sleep(0.01)
    assert (await row(execution_id)).status == "running"
    steps.GATES["gate"].set()
    await WorkflowExecution.objects.filter(pk=execution_id).aupdate(due_at=timezone.now())
    engine_room.wake()
    await until(execution_id, "completed")


async def test_a_broken_connection_is_not_asked_again() -> None:
    worker = current_worker()

    def breaks() -> None:
        connection.ensure_connection()
        assert connection.connection is not None
        raise OperationalError("terminating connection due to administrator command")

    with pytest.raises(OperationalError):
        await worker.journal.run(breaks)
    assert await worker.journal.run(lambda: connection.connection) is None


async def test_a_channel_layer_that_never_answers_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def silent(*args: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(InMemoryChannelLayer, "group_send", silent)
    monkeypatch.setattr(live, "PATIENCE_S", 0.01)
    assert await submit(drawn([node("a")]))


async def test_a_step_that_answers_a_stopping_worker_with_an_error_runs_again(engine_room: Worker) -> None:
    execution_id = await submit(drawn([node("a", "test_sore")]))
    await steps.REACHED["sore"].wait()
    await engine_room.stop(0)
    assert "failed a" not in await told(execution_id)
    await current_worker().start()
    await until(execution_id, "completed")
    assert steps.RUNS[f"{execution_id}:a:0"] == 2


async def test_a_step_that_answers_a_cancel_with_an_error_is_cancelled_and_not_failed(engine_room: Worker) -> None:
    execution_id = await submit(drawn([node("a", "test_sore")]))
    await steps.REACHED["sore"].wait()
    assert await WorkflowEngine().cancel_execution(execution_id)
    await until(execution_id, "cancelled")
    (cancelled,) = [entry for entry in await entries(execution_id) if entry.kind == "cancelled"]
    assert "connection was closed" in cancelled.data["reason"]


async def test_an_execution_that_ended_leaves_no_wait_open(engine_room: Worker) -> None:
    """One branch fails in the very pass in which the other begins to wait."""
    execution_id = await submit(drawn([node("a", "test_fail"), node("b", "test_ask")]))
    await until(execution_id, "failed")
    assert not await ExecutionWait.objects.open().filter(execution=execution_id).aexists()


async def test_an_answer_after_the_deadline_is_refused(engine_room: Worker) -> None:
    execution_id = await submit(drawn([node("a", "test_ask", seconds=3600)]))
    await until(execution_id, "waiting")
    wait = await ExecutionWait.objects.select_related("execution").aget(execution=execution_id)
    await ExecutionWait.objects.filter(pk=wait.pk).aupdate(due_at=timezone.now() - timedelta(seconds=1))
    assert not await sync_to_async(wait.answer_once)("too late")


async def test_a_cancel_between_claim_and_run_is_not_missed(engine_room: Worker) -> None:
    """Its bell finds no run to ring."""
    real, asked = claim.claim, []

    def cancelled_meanwhile(owner: str, limit: int) -> list[claim.Held]:
        found = real(owner, limit)
        for held in found:
            asked.append(WorkflowExecution.objects.get(pk=held.execution_id).request_cancel())
            engine_room._loop.call_soon_threadsafe(engine_room.wake, held.execution_id)
        return found

    with patch.object(claim, "claim", cancelled_meanwhile):
        execution_id = await submit(drawn([node("a", "test_hold")]))
        await until(execution_id, "cancelled")
    assert asked == [True]


async def test_an_execution_that_the_engine_gave_up_says_why_and_leaves_no_step_running(engine_room: Worker) -> None:
    execution_id = await submit(drawn([node("a", "test_hold")]))
    await steps.REACHED["gate"].wait()
    with patch("executions.run.claim.look", side_effect=ValueError("odd\x00 thing")):
        engine_room.runs[execution_id].nudge()
        await until(execution_id, "failed")
    state = fold(await entries(execution_id))
    assert state.failure is not None
    assert "odd\ufffd thing" in state.failure["message"]
    assert state.nodes["a"].status == "cancelled"


async def test_lost_leases_stop_what_a_caller_runs_too() -> None:
    worker = current_worker()
    workflow = await make(drawn([node("a", "test_hold")]))
    running = asyncio.create_task(WorkflowEngine().execute_workflow(workflow.pk))
    await steps.REACHED["gate"].wait()
    worker._lose_all()
    while worker.runs:
        await asyncio.sleep(0.01)
    assert (await row((await ExecutionLog.objects.afirst()).execution_id)).status == "running"  # type: ignore[union-attr]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_caller_works_for_nothing_in_particular_after_its_execution() -> None:
    workflow = await make(drawn([node("a")]))
    await WorkflowEngine().execute_workflow(workflow.pk)
    assert current_execution.get() is None


def test_the_run_form_survives_a_step_without_data(as_alice: Client, alice: Any) -> None:
    workflow = Workflow.objects.create(name="bare", owner=alice)
    workflow.publish({"nodes": [{"id": "a", "type": "default", "data": None}], "edges": []})
    assert as_alice.get(f"/workflows/{workflow.pk}/run/").status_code == 200


def test_a_policy_that_cannot_be_followed_is_an_error_at_its_field() -> None:
    from workflows.models.workflow import definition_problems

    def problems(policy: object) -> list[tuple[str, str | None, str]]:
        nodes = [{"id": "a", "type": "default", "data": {"policy": policy}}]
        return [(problem.code, problem.field, problem.level) for problem in definition_problems({"nodes": nodes})]

    assert problems({"attempts": 3, "on_failure": "continue"}) == problems(None) == []
    assert problems({"attempts": 0}) == [("step.policy", "policy.attempts", "error")]
    assert problems([3])[0][0] == "step.policy"
