"""Why an execution does not go on, in one sentence: on its page, in the list, by API. The same for whoever looks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone

from executions.engine import WorkflowEngine
from executions.models import WorkerPresence, WorkflowExecution
from executions.plan import graph_of
from executions.planner import fold
from executions.rows import rows_of
from executions.why import why
from executions.words import plain
from executions.worker import Worker
from tests.executions.conftest import chain, drawn, make, node, published, reached, submit, until, until_told
from tests.steps import GATES, LEFT
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)


def said(number: int) -> str:
    rows = WorkflowExecution.objects.select_related("workflow", "version", "paused_by")
    execution = rows.get(pk=number)
    return plain(why(execution, graph_of(execution), fold(execution.entries.told().order_by("seq"))))


asaid = sync_to_async(said)


def old(number: int) -> None:
    """It has been due for a while."""
    WorkflowExecution.objects.filter(pk=number).update(due_at=timezone.now() - timedelta(minutes=1))


# Before it begins


def test_what_waits_for_a_slot_names_who_holds_it_and_who_is_before_it() -> None:
    workflow = published(chain(node("a")), concurrency=1)
    first, second, third = (WorkflowEngine().submit(workflow.pk) for _ in range(3))
    assert said(second) == f"Waits for a slot: held by #{first} (limit 1)."
    assert said(third) == f"Waits for a slot: held by #{first} (limit 1). 1 execution is before it."
    assert [row.why for row in rows_of([second])] == [("Waits for a slot",)]


def test_a_limit_for_each_key_says_which_key() -> None:
    workflow = published(chain(node("a")), concurrency_key="customer.id")
    given = [{"customer": {"id": 1}}, {"customer": {"id": 2}}, {"customer": {"id": 1}}]
    first, _, last = (WorkflowEngine().submit(workflow.pk, item) for item in given)
    assert said(last) == f"Waits for a slot: held by #{first} (limit 1 for each customer.id)."


def test_of_many_that_hold_a_slot_a_few_are_named() -> None:
    workflow = published(chain(node("a")), concurrency=5)
    numbers = [WorkflowEngine().submit(workflow.pk) for _ in range(6)]
    assert said(numbers[-1]).startswith(f"Waits for a slot: held by #{numbers[0]}, #{numbers[1]}, #{numbers[2]} and ")


def test_where_no_worker_is_it_says_since_when() -> None:
    number = WorkflowEngine().submit(published(chain(node("a"))).pk)
    assert said(number) == "", "it has only just come"
    old(number)
    seen = timezone.now() - timedelta(minutes=5)
    WorkerPresence.objects.create(owner="gone", host="here", seen_at=seen)
    assert said(number) == f"No worker has been there since {seen:%Y-%m-%d %H:%M:%S} UTC. It goes on as soon as one is."


def test_where_no_worker_ever_was_it_says_how_one_begins() -> None:
    number = WorkflowEngine().submit(published(chain(node("a"))).pk)
    old(number)
    assert said(number).startswith("No worker has ever been there.")


def test_what_a_dead_worker_ran_says_that_nobody_is_there_to_take_it_over() -> None:
    seen = timezone.now() - timedelta(minutes=2)
    WorkerPresence.objects.create(owner="gone", host="here", seen_at=seen)
    number = WorkflowEngine().submit(published(chain(node("a"))).pk)
    WorkflowExecution.objects.filter(pk=number).update(owner="gone", status="running")
    old(number)
    assert said(number) == f"No worker has been there since {seen:%Y-%m-%d %H:%M:%S} UTC. It goes on as soon as one is."
    WorkerPresence.objects.create(owner="there", host="here")
    assert said(number) == ""


def test_behind_more_urgent_ones_it_says_how_many() -> None:
    WorkerPresence.objects.create(owner="there", host="here")
    number = WorkflowEngine().submit(published(chain(node("a"))).pk)
    old(number)
    assert said(number) == "Waits for a worker that has room."
    urgent = published(chain(node("a")), priority=1)
    for _ in range(3):
        WorkflowEngine().submit(urgent.pk)
    assert said(number) == "Waits its turn behind 3 more urgent executions."


def test_behind_others_that_came_before_it_says_so() -> None:
    WorkerPresence.objects.create(owner="there", host="here")
    first, second = (WorkflowEngine().submit(published(chain(node("a"))).pk) for _ in range(2))
    old(first)
    old(second)
    assert said(second) == "Waits its turn behind 1 execution that came before."


# While it waits


async def test_a_back_off_says_which_attempt_comes_when(engine_room: Worker) -> None:
    LEFT["flaky"] = 9
    policy = {"attempts": 5, "backoff_s": 3600, "backoff_max_s": 3600}
    number = await submit(chain(node("a", "test_flaky", label="Fetch", policy=policy)))
    due = (await until(number, "waiting")).due_at
    assert await asaid(number) == f"“Fetch” failed; attempt 2 of 5 comes {due:%Y-%m-%d %H:%M:%S} UTC."
    (row,) = await sync_to_async(rows_of)([number])
    assert row.why == ("Failed; tries again ", due)


async def test_a_wait_says_what_for_and_how_many_others_wait_too(engine_room: Worker) -> None:
    number = await submit(drawn([node("a", "test_ask", reason="a <b>yes</b>"), node("b", "test_ask")]))
    await until(number, "waiting")
    assert await asaid(number) == "“a” waits for an answer: a <b>yes</b>. So does 1 other step."


async def test_items_are_counted_and_a_called_workflow_is_named(engine_room: Worker) -> None:
    items = drawn([node("each", "test_each", label="For each"), node("item", "test_hold")], "each:each>item")
    number = await submit(items, {"items": [1, 2, 3]})
    await reached("gate")
    assert await asaid(number) == "“For each” waits for its items: 0 of 3 items done."
    target = await make(chain(node("a", "test_ask")), name="Billing")
    call = await submit(chain(node("call", "test_call", label="Bill", target=target.pk)))
    await until_told(call, "waited call")
    child = (await WorkflowExecution.objects.aget(parent=call)).pk
    assert await asaid(call) == f"“Bill” waits for #{child} of Billing."


async def test_a_pause_says_who_and_before_which_step(engine_room: Worker, alice: User) -> None:
    number = await submit(chain(node("a", "test_hold"), node("b")))
    await reached("gate")
    await sync_to_async(WorkflowEngine().pause)(number, by=alice)
    await until_told(number, "paused")
    assert await asaid(number) == "Paused by alice: 1 step under way will end, and nothing new begins."
    GATES["gate"].set()
    await until(number, "waiting")
    assert (await asaid(number)).startswith("Paused by alice. “Resume” lets it go on")
    workflow = await make(chain(node("a"), node("b", label="Send")))
    other = await WorkflowEngine().submit_workflow(workflow.pk, pause_before=["b"])
    await until(other, "waiting")
    assert (await asaid(other)).startswith("Paused before “Send”")
    found = await sync_to_async(rows_of)([number, other])
    assert [(row.word, row.why) for row in found] == [
        ("Paused", ("Paused by alice",)),
        ("Paused", ("Paused before a step",)),
    ]


async def test_what_runs_has_ended_or_is_cancelled_has_nothing_to_explain(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_hold")))
    await reached("gate")
    assert await asaid(number) == ""
    await WorkflowEngine().cancel_execution(number)
    await until(number, "cancelled")
    assert await asaid(number) == ""


def test_a_version_that_somebody_broke_costs_no_page(workflow: Workflow) -> None:
    number = WorkflowEngine().submit(workflow.pk)
    workflow.versions.update(definition={"nodes": 5}, digest="f" * 64)
    old(number)
    assert isinstance(said(number), str)
    told: Any = WorkflowExecution.objects.get(pk=number)
    assert graph_of(told).nodes == {}
