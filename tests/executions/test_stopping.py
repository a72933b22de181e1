"""The proof of a cancel, from entries alone; and that late answers are refused and said."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from executions.around import around
from executions.engine import WorkflowEngine
from executions.entry import Entry
from executions.models import WorkflowExecution
from executions.plan import graph_of
from executions.planner import State, fold
from executions.stopping import MOST, Proof, proof
from executions.worker import Worker
from tests.executions.conftest import (
    PATIENCE_S,
    chain,
    drawn,
    lines,
    make,
    node,
    reached,
    row,
    soon,
    submit,
    thread_reached,
    told,
    until,
    until_told,
)
from tests.steps import GATES, LEFT, THREAD_GATES
from workflows.graph import Graph, Node

BEGIN = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
GRAPH = Graph([Node(name, "default", {"label": name.upper()}) for name in "abcd"], [])


def at(seconds: float, kind: str, node_id: str | None = None, data: Any = None, took: int | None = None) -> Entry:
    return Entry(kind, node_id, 1 if node_id else None, data, took, BEGIN + timedelta(seconds=seconds))


def proven(*entries: Entry) -> Proof | None:
    return proof(entries, GRAPH, fold(entries))


# Pure


def test_without_a_request_there_is_no_proof() -> None:
    assert proven(at(0, "started"), at(1, "started", "a")) is None
    assert proof([], GRAPH, State()) is None


def test_it_says_when_it_was_asked_by_whom_how_each_step_stopped_and_how_long_all_took() -> None:
    found = proven(
        *(at(0, "started", name) for name in "abcd"),
        at(1, "waited", "b", {"until": None, "reason": ""}),
        at(2, "cancel_requested", None, {"by": "alice"}),
        at(2.1, "cancelled", "a", None, 2100),
        at(2.2, "cancelled", "b"),
        at(2.3, "abandoned", "c", {"reason": "A thread cannot be stopped."}),
        at(2.4, "completed", "d", {"added": {}}, 5),
        at(2.5, "finished", None, {"status": "cancelled"}),
    )
    assert found is not None and (found.by, found.took_ms) == ("alice", 500)
    assert [(stop.label, stop.how, stop.after_ms) for stop in found.stops] == [
        ("A", "Its task was cancelled.", 100),
        ("B", "It was waiting: there was nothing to stop.", 200),
        ("C", "A thread cannot be stopped.", 300),
        ("D", "It had just ended by itself.", 400),
    ]


def test_what_is_still_stopping_is_told_first_and_has_no_time() -> None:
    found = proven(at(0, "started", "a"), at(1, "cancel_requested", None, {"by": None}))
    assert found is not None and found.ended_at is None and found.took_ms is None and found.by == ""
    assert [(stop.label, stop.after_ms) for stop in found.stops] == [("A", None)]


def test_what_ended_before_the_request_is_no_part_of_it_and_a_clock_that_went_back_gives_no_negative_time() -> None:
    asked = at(5, "cancel_requested", None, {"by": "bob"})
    found = proven(at(1, "started", "a"), at(2, "completed", "a", {"added": {}}), asked, at(4, "cancelled", "b"))
    assert found is not None and [(stop.node, stop.after_ms) for stop in found.stops] == [("b", 0)]


def test_of_very_many_steps_some_are_told_and_the_others_counted() -> None:
    entries = [at(0, "cancel_requested", None, {"by": "x"})]
    entries += [at(1, "cancelled", f"n{number}", None, 1) for number in range(MOST + 7)]
    found = proven(*entries)
    assert found is not None and (len(found.stops), found.more) == (MOST, 7)


# In the rows

db = pytest.mark.django_db(transaction=True)


def proof_of(number: int) -> Proof:
    execution = WorkflowExecution.objects.select_related("workflow", "version").get(pk=number)
    graph, state = graph_of(execution), fold(execution.entries.told().order_by("seq"))
    found = around(execution, graph, state).proof
    assert found is not None
    return found


@db
async def test_children_are_counted_in_the_proof(engine_room: Worker) -> None:
    definition = drawn([node("each", "test_each"), node("item", "test_hold")], "each:each>item")
    number = await submit(definition, {"items": [1, 2, 3]})
    await reached("gate")
    await WorkflowEngine().cancel_execution(number)
    await until(number, "cancelled")
    async for child in WorkflowExecution.objects.filter(parent=number).values_list("pk", flat=True):
        await until(child, "cancelled")
    found = await sync_to_async(proof_of)(number)
    assert (found.stopped, found.stopping) == (2, 0)
    assert [stop.how for stop in found.stops] == ["It waited for executions of its own, and they were told to stop."]


@db
async def test_a_thread_that_ends_after_the_end_is_said_in_the_servers_log(
    engine_room: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    number = await submit(chain(node("a", "test_thread", gate="t")))
    await thread_reached("t")
    await WorkflowEngine().cancel_execution(number)
    await until(number, "cancelled")
    before = await told(number, lines=True)
    with caplog.at_level(logging.WARNING, "executions.workshop"):
        THREAD_GATES["t"].set()
        await soon(lambda: "its answer is refused: a, attempt 1" in caplog.text)
    assert await told(number, lines=True) == before and (await row(number)).output_data is None


@db
async def test_a_thread_that_ends_while_the_execution_goes_on_is_said_in_its_log(engine_room: Worker) -> None:
    definition = drawn(
        [
            node("a", "test_thread", gate="t", policy={"timeout_s": 0.05, "on_failure": "continue"}),
            node("b", "test_hold"),
        ]
    )
    number = await submit(definition)
    await until_told(number, "failed a")
    THREAD_GATES["t"].set()
    async with asyncio.timeout(PATIENCE_S):
        while "after it was told to stop" not in " ".join(await lines(number, "a")):
            await asyncio.sleep(0.01)
    GATES["gate"].set()
    await until(number, "completed")


@db
async def test_the_late_answer_of_one_attempt_is_not_taken_for_the_next(engine_room: Worker) -> None:
    """The first attempt will not stop; while the second is under way it answers after all."""
    policy = {"timeout_s": 0.05, "attempts": 2, "backoff_s": 0}
    stubborn = node("a", "test_stubborn", gate="one", policy=policy)
    number = await submit(drawn([stubborn, node("b", "test_hold")]))
    await until_told(number, "retried a")
    await asyncio.sleep(0.1)
    GATES["one"].set()
    GATES["gate"].set()
    found = await until(number, "completed", "failed")
    ends = [text for text in await told(number) if text in ("completed a", "failed a")]
    assert len(ends) == 1, "one end, however many answers"
    assert found.status == "completed" or found.error["type"] == "StepTimeout"


@db
async def test_a_cancelled_wait_before_the_next_attempt_says_that_it_waited(engine_room: Worker) -> None:
    LEFT["flaky"] = 5
    workflow = await make(chain(node("a", "test_flaky", policy={"attempts": 5, "backoff_s": 3600})))
    number = await WorkflowEngine().submit_workflow(workflow.pk)
    await until(number, "waiting")
    await WorkflowEngine().cancel_execution(number)
    await until(number, "cancelled")
    assert [stop.how for stop in (await sync_to_async(proof_of)(number)).stops] == [
        "It was waiting: there was nothing to stop."
    ]
