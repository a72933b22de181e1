"""The token budget: it pauses and never kills, and whoever resumes grants as much again."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from executions import budget
from executions.engine import WorkflowEngine
from executions.models import StepUsage, WorkflowExecution
from executions.spending import of_execution
from executions.worker import Worker
from tests.executions.conftest import (
    PATIENCE_S,
    bounded,
    chain,
    drawn,
    entries,
    make,
    node,
    row,
    run,
    submit,
    told,
    until,
)
from tests.steps import GIVES
from workflows.errors import WorkflowExecutionError, WorkflowStepError
from workflows.steps.base import Done, Pause, Usage

pytestmark = pytest.mark.django_db(transaction=True)


async def paused(execution_id: int) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await row(execution_id)).paused_at or found.status != "waiting":
            await asyncio.sleep(0.01)
    return found


async def resume(execution_id: int) -> bool:
    return await sync_to_async(WorkflowEngine().resume)(execution_id)


async def test_what_a_model_took_is_in_the_journal_and_in_a_row() -> None:
    result = await bounded(run(chain(node("a", "test_spend", tokens=100))))

    completed = next(entry for entry in await entries(result.execution_id) if entry.kind == "completed")
    assert completed.data["usage"] == {"input_tokens": 99, "output_tokens": 1, "cost_usd": 0.25, "model": "test-model"}
    usage = await StepUsage.objects.aget()
    assert (usage.execution_id, usage.root_id, usage.node, usage.attempt) == (
        result.execution_id,
        result.execution_id,
        "a",
        1,
    )
    assert result.output_data == {"a": None}, "no budget, so nothing to keep to"


async def test_a_budget_that_is_spent_pauses_and_a_resume_grants_as_much_again(engine_room: Worker) -> None:
    definition = chain(*(node(name, "test_spend", tokens=60) for name in "abcde"))
    execution_id = await submit(definition, token_budget=100)
    await paused(execution_id)

    assert (await told(execution_id))[-3:] == ["started c", "abandoned c", "paused"]
    (last,) = [entry for entry in await entries(execution_id) if entry.kind == "paused"]
    assert last.data == {"by": None, "before": "c", "reason": "The token budget is spent."}
    assert await resume(execution_id)
    await paused(execution_id)
    assert await resume(execution_id)
    done = await until(execution_id, "completed")

    assert done.output_data == {"a": 100, "b": 40, "c": 80, "d": 20, "e": 60}
    assert await sync_to_async(budget.spent)(execution_id) == 300


async def test_a_pause_by_a_person_grants_nothing(engine_room: Worker) -> None:
    execution_id = await submit(
        chain(node("a", "test_hold", gate="g"), node("b", "test_spend", tokens=60)), token_budget=100
    )
    assert await sync_to_async(WorkflowEngine().pause)(execution_id)
    assert await resume(execution_id)

    assert (await row(execution_id)).budgets == 1


async def test_an_attempt_that_failed_after_its_answer_has_spent_it_all_the_same(engine_room: Worker) -> None:
    execution_id = await submit(
        chain(node("a", "test_spend", tokens=60, fails=True, policy={"attempts": 3, "backoff_s": 0})), token_budget=100
    )
    await paused(execution_id)

    assert await sync_to_async(budget.spent)(execution_id) == 120


async def test_children_spend_from_the_budget_of_their_root_and_all_pause_together(engine_room: Worker) -> None:
    definition = drawn(
        [node("each", "for_each", items="{{ input.list }}", parallel=1), node("item", "test_spend", tokens=60)],
        "each:each>item",
    )
    execution_id = await WorkflowEngine().submit_workflow(
        (await make(definition, token_budget=100)).pk, {"list": [1, 2, 3]}
    )
    await paused(execution_id)

    children = [child async for child in WorkflowExecution.objects.filter(parent=execution_id).order_by("item_index")]
    assert [child.status for child in children][:2] == ["completed", "completed"]
    assert children[-1].paused_at and children[-1].pause_reason == "The token budget is spent."
    root = await WorkflowExecution.objects.select_related("workflow", "version", "paused_by").aget(pk=execution_id)
    assert root.pause_reason
    assert await resume(execution_id)
    done = await until(execution_id, "completed")
    assert len(done.output_data["items"]) == 3 and not done.output_data["failed"]


async def test_a_cancel_ends_what_a_budget_has_paused(engine_room: Worker) -> None:
    execution_id = await submit(chain(*(node(name, "test_spend", tokens=100) for name in "ab")), token_budget=100)
    await paused(execution_id)
    assert await WorkflowEngine().cancel_execution(execution_id)

    await until(execution_id, "cancelled")


ODD: list[tuple[Any, tuple[int, int, float | None, str]]] = [
    (Usage(10**30, 2**62), (2**40, 2**40, None, "")),
    (Usage(-5, float("inf")), (0, 0, None, "")),  # type: ignore[arg-type]
    (Usage("7", None, "dear", "m\0\ud800"), (0, 0, None, "m\ufffd\ufffd")),  # type: ignore[arg-type]
    (Usage(1, 2, float("nan"), "m" * 5_000), (1, 2, None, "m" * 200)),
    (Usage(1, 2, float("-inf")), (1, 2, None, "")),
    (Usage(1, 2, 10**400), (1, 2, None, "")),
]


@pytest.mark.parametrize(("usage", "kept"), ODD)
@pytest.mark.parametrize("fails", [False, True])
async def test_whatever_somebody_says_was_spent_is_made_to_fit(usage: Usage, kept: Any, fails: bool) -> None:
    """The other side of an ai step tells it, and it is not ours."""
    outcome: Any = WorkflowStepError("No.", {"usage": asdict(usage)}) if fails else Done({}, usage=usage)
    execution_id = await answering(outcome)

    assert (await row(execution_id)).status == ("failed" if fails else "completed")
    found = await StepUsage.objects.aget()
    assert (found.input_tokens, found.output_tokens, found.cost_usd, found.model) == kept
    assert await sync_to_async(budget.spent)(execution_id) == kept[0] + kept[1]
    assert await sync_to_async(of_execution)(await row(execution_id))


@pytest.mark.parametrize("outcome", [Done({}, usage={"input_tokens": 1}), Pause(5), Pause(None)])  # type: ignore[arg-type]
async def test_an_answer_that_is_none_is_the_steps_failure_and_not_the_engines(outcome: Any) -> None:
    execution_id = await answering(outcome, on_failure="continue")

    assert (await row(execution_id)).status == "completed"
    (failure,) = [entry for entry in await entries(execution_id) if entry.kind == "failed"]
    assert failure.data["error"]["type"] in ("TypeError", "AttributeError")


async def answering(outcome: Any, **policy: Any) -> int:
    """An execution of a step that answers so."""
    GIVES[0] = outcome
    with contextlib.suppress(WorkflowExecutionError):
        await bounded(run(chain(node("a", "test_give", policy=policy))))
    last = await WorkflowExecution.objects.order_by("-pk").afirst()
    assert last
    return last.pk
