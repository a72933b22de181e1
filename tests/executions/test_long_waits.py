"""Thirty days by a clock that is moved, with a worker that is gone in between; and what waiting holds meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import sync_to_async

from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.worker import current_worker
from tests.executions.conftest import chain, drawn, make, node, row, submit, told, until
from tests.executions.owners import Clock
from tests.steps import LEFT

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86_400.0
MONTH = 30 * DAY


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    with patch("django.utils.timezone.now", clock):
        yield clock


async def after_a_month(clock: Clock, number: int, *ends: str) -> Any:
    """Waiting, a restart an hour before its time, still waiting, and then whatever comes."""
    await current_worker().start()
    before = await until(number, "waiting")
    assert before.owner is None and not current_worker().runs
    await current_worker().stop(0)
    clock.passes(MONTH - 3_600)
    await current_worker().start()
    await asyncio.sleep(0.05)
    found = await row(number)
    assert (found.status, found.fence) == ("waiting", before.fence), "nobody touches it before its time"
    clock.passes(2 * 3_600)
    current_worker().wake()
    return await until(number, *ends)


async def test_a_delay_of_a_month(clock: Clock) -> None:
    found = await after_a_month(clock, await submit(chain(node("a", "delay", seconds=MONTH), node("b"))), "completed")
    assert found.output_data["b"] == 1 and found.duration_ms > (MONTH - 1) * 1_000


async def test_a_question_that_nobody_answered_for_a_month(clock: Clock) -> None:
    number = await submit(chain(node("a", "test_ask", seconds=MONTH)))
    found = await after_a_month(clock, number, "completed")
    assert found.output_data["answer"] is None and "answered a" in await told(number)


async def test_a_back_off_of_a_month(clock: Clock) -> None:
    LEFT["flaky"] = 1
    asked = node("a", "test_flaky", retry_after_s=MONTH, policy={"attempts": 2})
    number = await submit(chain(asked))
    assert (await after_a_month(clock, number, "completed")).output_data == {"a": 2}


async def test_a_time_limit_of_a_month(clock: Clock) -> None:
    number = await submit(chain(node("a", "test_ask")), time_limit_s=int(MONTH))
    found = await after_a_month(clock, number, "failed")
    assert found.error["type"] == "ExecutionTimeout"


async def test_a_step_that_may_wait_a_month_and_no_longer(clock: Clock) -> None:
    number = await submit(chain(node("a", "test_ask", policy={"timeout_s": MONTH})))
    assert (await after_a_month(clock, number, "failed")).error["type"] == "StepTimeout"


async def test_a_pause_of_a_month_does_not_use_up_the_time_limit(clock: Clock) -> None:
    workflow = await make(chain(node("a"), node("b", "test_ask")), time_limit_s=7_200)
    number = await WorkflowEngine().submit_workflow(workflow.pk, pause_before=["b"])
    await current_worker().start()
    await until(number, "waiting")
    await current_worker().stop(0)
    clock.passes(MONTH)
    await current_worker().start()
    assert await sync_to_async(WorkflowEngine().resume)(number)
    current_worker().wake(number)
    while (await row(number)).paused_at or "resumed" not in await told(number):
        await asyncio.sleep(0.01)
    found = await until(number, "waiting")
    # The entries' own moments come from the real clock, a minute behind this one.
    assert (found.due_at - clock.now).total_seconds() == pytest.approx(7_200, abs=120)


@pytest.mark.parametrize("moved", [-DAY, 0.0])
async def test_a_clock_that_is_set_back_ends_nothing_too_early(clock: Clock, moved: float) -> None:
    number = await submit(chain(node("a", "delay", seconds=DAY)))
    await current_worker().start()
    await until(number, "waiting")
    clock.passes(moved)
    current_worker().wake(number)
    await asyncio.sleep(0.05)
    assert (await row(number)).status == "waiting"


async def test_what_waits_holds_nothing_whatever_it_waits_for() -> None:
    worker = current_worker()
    await worker.start()
    LEFT["flaky"] = 1_000
    slow = {"attempts": 2, "backoff_s": DAY, "backoff_max_s": DAY}
    body = drawn([node("each", "test_each"), node("item", "test_ask")], "each:each>item")
    with patch("executions.family.LINGER_S", 0.0):
        tasks = len(asyncio.all_tasks())
        for definition in (
            chain(node("a", "delay", seconds=DAY)),
            chain(node("a", "test_ask")),
            chain(node("a", "approval", title="May it?")),
            chain(node("a", "callback")),
            chain(node("a", "test_flaky", policy=slow)),
            body,
        ):
            numbers = [await submit(definition, {"items": [1, 2]}) for _ in range(5)]
            worker.wake()
            for number in numbers:
                await until(number, "waiting")
        while worker.runs:
            await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) <= tasks
    assert not await WorkflowExecution.objects.live().filter(owner__isnull=False).aexists()
