"""The guards of waits, children and slots, each shown to be needed, as in test_mutations.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, models
from django.db.models import F
from django.utils import timezone

from executions import aftermath, claim, journal, slots
from executions.engine import WorkflowEngine
from executions.journal import Closing, Unit
from executions.models import ExecutionWait, WorkflowExecution, execution
from executions.models.wait import WaitQuerySet
from executions.planner import Entry, State
from executions.worker import current_worker
from tests.executions.conftest import chain, drawn, node, published, until
from tests.steps import LEFT, forget

pytestmark = pytest.mark.django_db(transaction=True)

Scenario = Callable[[], Awaitable[None]]


@pytest.fixture(autouse=True)
async def nothing_is_left() -> Any:
    yield
    forget()
    await current_worker().stop(0)
    await sync_to_async(connections.close_all)()


async def an_answer_that_comes_when_its_time_was_taken_to_be_over_is_refused() -> None:
    """The owner's clock goes a little before that of whoever takes the answer."""
    await current_worker().start()
    number = await submitted(chain(node("a", "test_ask", seconds=3_600)))
    await until(number, "waiting")
    await current_worker().stop(0)
    await sync_to_async(ExecutionWait.objects.lapse)(timezone.now() + timedelta(hours=2))
    wait = await ExecutionWait.objects.select_related("execution").aget()
    assert not await sync_to_async(wait.answer_once)("yes"), "the answer counted, and so did the end of its time"


async def a_parent_that_rests_hears_of_its_children() -> None:
    definition = drawn([node("each", "test_each"), node("item")], "each:each>item")
    await current_worker().start()
    with patch("executions.family.LINGER_S", 0.0):
        number = await submitted(definition, {"items": [1, 2, 3]})
        async with asyncio.timeout(8):
            while await live(number):
                await asyncio.sleep(0.01)


async def whoever_has_no_slot_does_not_begin_by_being_resumed() -> None:
    workflow = await sync_to_async(published)(chain(node("a", "test_ask")), concurrency=1)
    first, second = [await WorkflowEngine().submit_workflow(workflow.pk) for _ in range(2)]
    for verb in (WorkflowEngine().pause, WorkflowEngine().resume):
        assert await sync_to_async(verb)(second)
    taken = await sync_to_async(claim.claim)("somebody", 10)
    assert [held.execution_id for held in taken] == [first], "it runs without a slot"


async def whoever_ends_gives_its_slot_on() -> None:
    workflow = await sync_to_async(published)(chain(node("a")), concurrency=1)
    first, second = [await WorkflowEngine().submit_workflow(workflow.pk) for _ in range(2)]
    (held,) = await sync_to_async(claim.claim)("somebody", 10)
    assert held.execution_id == first
    now = timezone.now()
    closing = Closing("completed", now, 0, 1, output={}, completed_at=now, has_aftermath=True)
    await sync_to_async(journal.write)([Unit(first, held.fence, closing=closing)])
    assert (await WorkflowExecution.objects.aget(pk=second)).has_slot, "nobody gave the slot on"


async def a_back_off_that_lapsed_is_no_time_out_of_what_comes_after() -> None:
    LEFT["flaky"] = 1
    target = await sync_to_async(published)(chain(node("inner", "test_flaky")))
    policy = {"attempts": 2, "backoff_s": 0, "timeout_s": 3_600}
    workflow = await sync_to_async(published)(chain(node("call", "test_call", target=target.pk, policy=policy)))
    number = await WorkflowEngine().submit_workflow(workflow.pk)
    await current_worker().start()
    found = await until(number, "completed", "failed")
    assert found.status == "completed", "it was taken to be too late"


def without_lapsed_at() -> AbstractContextManager[Any]:
    def careless(waits: WaitQuerySet, now: datetime) -> WaitQuerySet:
        return waits.open().filter(models.Q(due_at=None) | models.Q(due_at__gt=now), answered_at=None)

    return patch.object(WaitQuerySet, "unanswered", careless)


def without_the_nudge_of_the_parent() -> AbstractContextManager[Any]:
    return what_follows_an_end(WorkflowExecution, "nudge", lambda row: True)


def without_the_next_grant() -> AbstractContextManager[Any]:
    return what_follows_an_end(slots, "admit", lambda workflow_id: [])


def what_follows_an_end(where: Any, name: str, careless: Callable[..., Any]) -> AbstractContextManager[Any]:
    real = aftermath.follow

    def follow(ended: Collection[int]) -> set[int]:
        with patch.object(where, name, careless):
            return real(ended)

    return patch.object(journal, "follow", follow)


def without_has_slot_in_the_nudge() -> AbstractContextManager[Any]:
    def careless() -> dict[str, Any]:
        free = models.When(owner=None, then=models.Value(timezone.now()))
        return {"nudges": F("nudges") + 1, "due_at": models.Case(free, default=F("due_at"))}

    return patch.object(execution, "_nudged", careless)


def without_forgetting_what_lapsed() -> AbstractContextManager[Any]:
    real = State._apply_to_node

    def careless(state: State, entry: Entry) -> None:
        before = state.nodes.get(entry.node or "")
        had_lapsed = before is not None and before.has_lapsed
        real(state, entry)
        if entry.kind != "answered":
            state.nodes[entry.node or ""].has_lapsed = had_lapsed

    return patch.object(State, "_apply_to_node", careless)


GUARDS: list[tuple[Scenario, Callable[[], AbstractContextManager[Any]], str]] = [
    (an_answer_that_comes_when_its_time_was_taken_to_be_over_is_refused, without_lapsed_at, "so did the end"),
    (a_parent_that_rests_hears_of_its_children, without_the_nudge_of_the_parent, "it hangs"),
    (whoever_has_no_slot_does_not_begin_by_being_resumed, without_has_slot_in_the_nudge, "runs without a slot"),
    (whoever_ends_gives_its_slot_on, without_the_next_grant, "nobody gave the slot on"),
    (a_back_off_that_lapsed_is_no_time_out_of_what_comes_after, without_forgetting_what_lapsed, "too late"),
]


@pytest.mark.parametrize("scenario", [scenario for scenario, _, _ in GUARDS])
async def test_the_engine_keeps_its_promise(scenario: Scenario) -> None:
    await played(scenario, nullcontext())


@pytest.mark.parametrize(("scenario", "mutation", "red"), GUARDS)
async def test_without_its_guard_the_promise_breaks(
    scenario: Scenario, mutation: Callable[[], AbstractContextManager[Any]], red: str
) -> None:
    with pytest.raises(AssertionError, match=red):
        await played(scenario, mutation())


async def played(scenario: Scenario, mutation: AbstractContextManager[Any]) -> None:
    with mutation:
        try:
            await scenario()
        except TimeoutError:
            raise AssertionError("it hangs") from None


async def submitted(definition: Any, given: Any = None) -> int:
    workflow = await sync_to_async(published)(definition)
    return await WorkflowEngine().submit_workflow(workflow.pk, given)


async def live(number: int) -> bool:
    return await WorkflowExecution.objects.live().filter(pk=number).aexists()
