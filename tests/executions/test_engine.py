"""The engine at work: branches, waits, cancels, crashes, takeovers, and what the journal says of each."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as site
from django.db import OperationalError, connections
from django.utils import timezone

from executions import claim, journal, lease
from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.entry import Entry
from executions.journal import Closing, Journal, OwnershipLost, Unit
from executions.models import ExecutionWait, WorkflowExecution
from executions.worker import Worker, current_worker
from tests import steps
from tests.conftest import CHAIN
from tests.executions.conftest import (
    answer,
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
    soon,
    submit,
    thread_reached,
    told,
    until,
    until_told,
    wait_of,
)
from tests.steps import GATES, RUNS, THREAD_GATES

pytestmark = pytest.mark.django_db(transaction=True)

DEAD = "d" * 32  # an owner that nobody is
ENDED = ("completed", "failed", "cancelled")


async def status(execution_id: int) -> str:
    return str((await row(execution_id)).status)


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await sync_to_async(function)(*args)


async def new(count: int = 1, definition: Any = None) -> list[int]:
    workflow = await make(definition or chain(node("a"), node("b")))
    return [await WorkflowEngine().submit_workflow(workflow.pk) for _ in range(count)]


async def claimed_by_nobody(execution_id: int, *told: Entry) -> claim.Held:
    """As if a worker had claimed it, written these entries, and been killed."""
    [held] = await in_thread(claim.claim_family, DEAD, execution_id)
    for seq, entry in enumerate(told, held.last_seq + 1):
        entry.seq = seq
    writer = Journal()
    assert await writer.commit(Unit(execution_id, held.fence, list(told)))
    await writer.close()
    return held


# Branches and joins


async def test_parallel_branches_run_at_the_same_time_and_join(engine_room: Worker) -> None:
    nodes = [node("a"), node("b", "test_hold", gate="b"), node("c", "test_hold", gate="c"), node("d", "output")]
    number = await submit(drawn(nodes, "a>b", "a>c", "b>d", "c>d"))
    await asyncio.gather(reached("b"), reached("c"))
    GATES["c"].set()
    await until_told(number, "completed c")
    assert "started d" not in await told(number)
    GATES["b"].set()
    found = await until(number, *ENDED)
    assert found.output_data["result"] == {"a": 1, "b": "held", "c": "held"}
    assert list(found.output_data["result"]) == ["a", "b", "c"], "merged in the order of the edges"


async def test_one_at_a_time_keeps_the_order_of_the_definition() -> None:
    nodes = [node("c"), node("a"), node("b")]
    result = await run(drawn(nodes), max_parallel=1)
    journal = [text for text in await told(result.execution_id) if " " in text]
    assert journal == ["started c", "completed c", "started a", "completed a", "started b", "completed b"]


async def test_no_more_branches_run_than_the_workflow_allows(engine_room: Worker) -> None:
    nodes = [node(name, "test_hold", gate=name) for name in "abc"]
    number = await submit(drawn(nodes), max_parallel=2)
    await asyncio.gather(reached("a"), reached("b"))
    await until_told(number, "started b")
    assert "started c" not in await told(number)
    GATES["b"].set()
    await reached("c")
    GATES["a"].set()
    GATES["c"].set()
    assert (await until(number, *ENDED)).status == "completed"


async def test_a_limit_of_nothing_does_not_complete_an_execution_that_did_nothing() -> None:
    with suppress(Exception):
        result = await run(chain(node("a"), node("b")), max_parallel=0)
        assert result.output_data == {"a": 1, "b": 1}


@pytest.mark.parametrize(("handle", "taken", "skipped"), [("true", "yes", "no"), ("false", "no", "yes")])
async def test_a_branch_skips_what_it_does_not_take(handle: str, taken: str, skipped: str) -> None:
    nodes = [node("a", "test_choose", handle=handle), node("yes"), node("no"), node("after_no"), node("end")]
    edges = ["a:true>yes", "a:false>no", "no>after_no", "yes>end", "after_no>end"]
    result = await run(drawn(nodes, *edges), {"given": 0})
    journal = await told(result.execution_id)
    assert f"completed {taken}" in journal and f"skipped {skipped}" in journal
    assert f"started {skipped}" not in journal
    assert ("skipped after_no" in journal) == (skipped == "no")
    assert taken in result.output_data and skipped not in result.output_data
    assert (await row(result.execution_id)).steps_done == 5


async def test_a_branch_that_leads_nowhere_completes() -> None:
    result = await run(drawn([node("a", "test_choose", handle="false"), node("b")], "a:true>b"), {"x": 1})
    assert result.status == "completed" and (await told(result.execution_id))[-2:] == ["skipped b", "finished"]


# Failure


async def test_a_failure_stops_the_siblings_and_starts_nothing_new(engine_room: Worker) -> None:
    nodes = [node("a"), node("slow", "test_hold"), node("bad", "test_ask"), node("never")]
    definition = drawn(nodes, "a>slow", "a>bad", "bad>never", "slow>never")
    definition["nodes"][2]["data"]["resume"] = "error"
    number = await submit(definition)
    await reached("gate")
    await until_told(number, "waited bad")
    await answer(number, "bad")
    found = await until(number, *ENDED)
    assert (found.status, found.error_message, found.error["node"]) == ("failed", "an ordinary error", "bad")
    journal = await told(number)
    assert journal[-3:] == ["failed bad", "cancelled slow", "finished"]
    assert "started never" not in journal and "skipped never" not in journal


async def test_a_failure_also_ends_the_waits_of_its_siblings(engine_room: Worker) -> None:
    nodes = [node("question", "test_ask"), node("a", "test_hold"), node("bad", "test_fail")]
    number = await submit(drawn(nodes, "a>bad"))
    await until_told(number, "waited question")
    GATES["gate"].set()
    assert (await until(number, *ENDED)).status == "failed"
    assert (await told(number))[-3:] == ["failed bad", "cancelled question", "finished"]
    assert (await wait_of(number, "question")).closed_at is not None


async def test_two_failures_at_once_tell_the_first() -> None:
    nodes = [node("a", "test_fail", message="first"), node("b", "test_fail", message="second")]
    with pytest.raises(WorkflowExecutionError, match="first"):
        await run(drawn(nodes))
    found = await WorkflowExecution.objects.aget()
    failed = [entry for entry in await entries(found.pk) if entry.kind == "failed"]
    assert found.error == failed[0].data["error"]


# Many at once


async def test_a_wide_fan_out_is_a_few_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its branches want to write while a unit is under way merges into the next one."""
    units: list[Unit] = []
    write = journal.write

    def counted(batch: Any) -> Any:
        units.extend(unit for unit in batch if isinstance(unit, Unit))
        return write(batch)

    monkeypatch.setattr(journal, "write", counted)
    middle = [node(f"n{index}") for index in range(50)]
    edges = [f"{source}>{target['id']}" for target in middle for source in ["first"]]
    edges += [f"{item['id']}>last" for item in middle]
    result = await run(drawn([node("first"), *middle, node("last")], *edges), max_parallel=50)
    assert len(result.output_data) == 52 and len(units) <= 20
    assert [entry.seq for entry in await entries(result.execution_id)] == list(range(1, 108))


async def test_no_more_executions_run_than_the_worker_has_room_for(settings: Any) -> None:
    settings.ENGINE = {**site.ENGINE, "LIMIT": 1}
    first, second = await new(2, chain(node("a", "test_hold")))
    await current_worker().start()
    await reached("gate")
    await asyncio.sleep(0.05)
    assert sorted([await status(first), await status(second)]) == ["pending", "running"]
    GATES["gate"].set()
    for number in (first, second):
        assert (await until(number, *ENDED)).status == "completed"


async def test_who_waits_leaves_the_room_to_others(settings: Any) -> None:
    settings.ENGINE = {**site.ENGINE, "LIMIT": 1}
    waiting, [other] = await submit(chain(node("a", "test_ask"))), await new()
    await current_worker().start()
    assert (await until(other, *ENDED)).status == "completed"
    assert await status(waiting) == "waiting"


def test_event_loops_come_and_go_and_leave_nothing() -> None:
    workflow = published(CHAIN)
    for _ in range(3):
        assert asyncio.run(WorkflowEngine().execute_workflow(workflow.pk)).status == "completed"
    assert len(list(lease.folder().iterdir())) <= 1, "the files of loops that are gone went with them"


# What steps may answer with


@pytest.mark.parametrize("kind", ["test_rubbish", "test_thread_rubbish"])
@pytest.mark.parametrize(
    ("what", "type_", "message"),
    [
        ("none", "TypeError", "not None"),
        ("list", "TypeError", "Done("),
        ("dict", "TypeError", "Done("),
        ("class", "TypeError", "Done("),
        ("exception", "ValueError", "returned, not raised"),
        ("odd", "TypeError", "Done("),
        ("output_list", "TypeError", "an object"),
        ("output_none", "TypeError", "an object"),
        ("unknown_handle", "TypeError", "nowhere"),
        ("handle_none", "TypeError", "handles"),
        ("handle_list", "TypeError", "handles"),
        ("until_text", None, ""),
        ("until_naive", None, ""),
        ("until_number", None, ""),
        ("reason_none", None, ""),
        ("too_deep", "InputError", "64 levels"),
        ("huge_number", None, ""),
        ("error", "ValueError", "an ordinary error"),
        ("error_nul", "ValueError", "a\ufffdb \ufffd"),
        ("error_empty", "ValueError", "ValueError"),
        ("error_speechless", None, ""),
        ("error_details", "WorkflowStepError", "odd details"),
        ("error_deep_details", "WorkflowStepError", "deep details"),
        ("error_long", "ValueError", "xxx"),
        ("error_group", "ExceptionGroup", "two"),
        ("stop_iteration", None, ""),
        ("cancelled", "CancelledError", ""),
        ("timeout", "TimeoutError", "TimeoutError"),
        ("system_exit", "SystemExit", "3"),
        ("abrupt", "Abrupt", "abrupt end"),
        ("generator_exit", "GeneratorExit", ""),
    ],
)
async def test_a_step_that_answers_rubbish_fails_and_says_so(
    kind: str, what: str, type_: str | None, message: str
) -> None:
    workflow = await make(chain(node("a"), node("bad", kind, what=what), node("never")))
    with pytest.raises(WorkflowExecutionError) as caught:
        await bounded(WorkflowEngine().execute_workflow(workflow.pk))
    found = await row((await WorkflowExecution.objects.aget()).pk)
    assert (await told(found.pk))[-2:] == ["failed bad", "finished"], "the step failed, and not the engine"
    assert caught.value.node == found.error["node"] == "bad"
    assert found.error["type"] == (type_ or found.error["type"])
    assert message in found.error_message and 0 < len(found.error_message) <= 16_384
    assert not await ExecutionWait.objects.filter(closed_at=None).aexists(), "no wait is left open"


@pytest.mark.parametrize(
    ("what", "output"),
    [
        ("nan", {"v": [None, None, 1.5]}),
        ("nul", {"v": "a\ufffdb"}),
        ("surrogate", {"v": "a\ufffdb", "k\ufffd": 1}),
        ("tuple", {"v": [1, [2, 3]]}),
        ("set", {"v": [7]}),
        ("moment", {"v": "2026-01-02 00:00:00+00:00"}),
        ("number_key", {"1": {"2": None}}),
        ("object", {"v": "odd \ufffd object"}),
    ],
)
async def test_an_output_is_made_keepable(what: str, output: dict[str, Any]) -> None:
    result = await bounded(run(chain(node("a", "test_rubbish", what=what), node("b"))))
    assert result.output_data == {**output, "b": 1}
    assert (await row(result.execution_id)).output_data == {**output, "b": 1}


async def test_a_reason_is_made_keepable(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_rubbish", what="reason_surrogate")))
    await until(number, "waiting", *ENDED)
    assert await told(number) == ["queued", "started", "started a", "waited a"]
    assert (await wait_of(number, "a")).reason == "why \ufffd not"


async def test_a_label_that_no_database_keeps_does_not_break_the_engine() -> None:
    """The definition is refused, or the failure is told: it is never the engine that cannot go on."""
    definition = chain(node("a", "test_fail", label="half \ud800"))
    with pytest.raises(Exception) as caught:
        await bounded(run(definition))
    if isinstance(caught.value, WorkflowExecutionError):
        assert "failed a" in await told((await WorkflowExecution.objects.aget()).pk)


async def test_details_and_traceback_are_made_keepable() -> None:
    with pytest.raises(WorkflowExecutionError):
        await run(chain(node("a", "test_rubbish", what="error_details")))
    error = (await row((await WorkflowExecution.objects.aget()).pk)).error
    assert error["details"] == {"v": [None, "odd \ufffd object", "\ufffd"]} and "Traceback" in error["traceback"]


async def test_a_step_that_changes_its_data_changes_nobody_elses() -> None:
    given = {"list": [1], "object": {"a": 1}}
    nodes = [
        node("first", "test_add", add={"made": {"by": "first"}}),
        node("spoil", "test_spoil"),
        node("see", "test_add", saw="seen"),
        node("after", "test_add", saw="after_seen"),
    ]
    result = await run(drawn(nodes, "first>spoil", "first>see", "spoil>after"), given, max_parallel=1)
    expected = {**given, "made": {"by": "first"}}
    assert result.output_data["seen"] == expected and result.output_data["after_seen"] == expected
    assert (await row(result.execution_id)).input_data == given
    logs = await WorkflowEngine().get_execution_logs(result.execution_id)
    assert all("spoiled" not in str(log["input_data"]) for log in logs)


async def test_a_step_that_changes_its_data_after_a_wait_changes_nobody_elses(engine_room: Worker) -> None:
    nodes = [
        node("first", "test_add", add={"made": {"by": "first"}}),
        node("spoil", "test_ask", spoil=True),
        node("hold", "test_hold"),
        node("see", "test_add", saw="seen"),
        node("spoil2"),
    ]
    number = await submit(drawn(nodes, "first>spoil", "first>hold", "first>see", "hold>see", "spoil>spoil2"))
    await until_told(number, "waited spoil")
    await answer(number, "spoil")
    await until_told(number, "completed spoil2")
    GATES["gate"].set()
    found = await until(number, *ENDED)
    assert found.output_data["seen"] == {"made": {"by": "first"}, "hold": "held"}


async def test_a_synchronous_step_runs_in_a_thread_and_its_failure_is_data() -> None:
    result = await run(chain(node("a", "test_thread"), node("b", "test_thread")))
    assert result.output_data == {"a": "step", "b": "step"}
    assert await lines(result.execution_id) == ["in a thread", "in a thread"]
    with pytest.raises(WorkflowExecutionError, match="from a thread"):
        await run(chain(node("a", "test_thread", error="from a thread")))


async def test_a_slow_thread_holds_up_nobody_else(engine_room: Worker) -> None:
    slow = await submit(chain(node("a", "test_thread", gate="t")))
    await thread_reached("t")
    assert (await run(CHAIN)).status == "completed"
    assert (await until(await submit(CHAIN), *ENDED)).status == "completed"
    THREAD_GATES["t"].set()
    assert (await until(slow, *ENDED)).status == "completed"


async def test_an_unknown_kind_passes_its_data_on_with_a_warning() -> None:
    workflow = await make_stored(chain(node("a"), node("b", "no_such_kind", anything=[1]), node("c", "output")))
    result = await WorkflowEngine().execute_workflow(workflow.pk, {"x": 1})
    assert result.output_data and result.output_data["result"] == {"x": 1, "a": 1}
    [line] = [entry for entry in await entries(result.execution_id) if entry.kind == "logged" and entry.node == "b"]
    assert line.data["level"] == "warning" and "no_such_kind" in line.data["text"]


async def test_a_config_that_has_become_wrong_fails_its_step() -> None:
    workflow = await make_stored(chain(node("a"), node("b", "countdown", seconds="soon")))
    with pytest.raises(WorkflowExecutionError, match="seconds"):
        await WorkflowEngine().execute_workflow(workflow.pk)
    assert (await told((await WorkflowExecution.objects.aget()).pk))[-2:] == ["failed b", "finished"]


# The journal


async def test_the_journal_of_a_chain_exactly(workflow: Any) -> None:
    result = await WorkflowEngine().execute_workflow(workflow.pk, {"name": "Ada"})
    found = await entries(result.execution_id)
    assert [(entry.seq, entry.kind, entry.node, entry.attempt) for entry in found] == [
        (1, "queued", None, None),
        (2, "started", None, None),
        (3, "started", "in", 1),
        (4, "logged", "in", 1),
        (5, "completed", "in", 1),
        (6, "started", "work", 1),
        (7, "logged", "work", 1),
        (8, "completed", "work", 1),
        (9, "started", "out", 1),
        (10, "logged", "out", 1),
        (11, "completed", "out", 1),
        (12, "finished", None, None),
    ]
    assert [found[index].data for index in (0, 1, 2, 4, 7, 10, 11)] == [
        {"by": None},
        None,
        None,
        {"added": {}, "kept": True},
        {"added": {"name": "ADA"}},
        {"added": {}, "whole": ["result"]},
        {"status": "completed"},
    ]
    assert all((entry.took_ms is not None) == (entry.kind == "completed") for entry in found)
    assert all(entry.at.tzinfo for entry in found)


async def test_a_submitted_one_tells_the_same(engine_room: Worker) -> None:
    direct, submitted = await run(CHAIN, {"name": "Ada"}), await submit(CHAIN, {"name": "Ada"})
    await until(submitted, *ENDED)
    assert await told(submitted, lines=True) == await told(direct.execution_id, lines=True)
    assert [entry.seq for entry in await entries(submitted)] == list(range(1, 13))


async def test_lines_are_in_the_journal_while_the_step_goes_on(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_hold", lines=3)))
    await until_told(number, "logged a")
    assert await lines(number, "a") == ["line 0", "line 1", "line 2"]
    assert "completed a" not in await told(number) and await status(number) == "running"
    GATES["gate"].set()
    await until(number, "completed")
    assert await lines(number, "a") == ["line 0", "line 1", "line 2"]


async def test_a_flood_of_lines_arrives_complete_and_in_order() -> None:
    result = await run(chain(node("a", "test_talk", lines=5_000), node("b")))
    assert await lines(result.execution_id) == [f"line {number}" for number in range(5_000)]
    assert (await told(result.execution_id, lines=True))[-4:] == ["completed a", "started b", "completed b", "finished"]


async def test_two_floods_keep_each_its_own_order() -> None:
    result = await run(drawn([node("a", "test_talk", lines=1_200), node("b", "test_talk", lines=1_200)]))
    for name in "ab":
        assert await lines(result.execution_id, name) == [f"line {number}" for number in range(1_200)]


async def test_lines_come_before_the_failure_that_they_explain() -> None:
    nodes = [node("a", "test_talk", lines=700), node("b", "test_fail")]
    with pytest.raises(WorkflowExecutionError):
        await run(chain(*nodes))
    journal = await told((await WorkflowExecution.objects.aget()).pk, lines=True)
    assert journal.count("logged a") == 700 and journal[-4:] == ["completed a", "started b", "failed b", "finished"]


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        ("nul", "a\ufffdb"),
        ("surrogate", "half \ufffd"),
        ("empty", ""),
        ("unicode", "ü 😀\n\t"),
        ("none", "None"),
        ("object", "odd \ufffd object"),
        ("odd level", "a text"),
        ("number as level", "a text"),
    ],
)
async def test_anything_can_be_logged(what: str, kept: str) -> None:
    result = await bounded(run(chain(node("a", "test_say", what=what), node("b", "test_thread_say", what=what))))
    assert await lines(result.execution_id) == [kept, kept]
    levels = {entry.data.get("level", "info") for entry in await entries(result.execution_id) if entry.kind == "logged"}
    assert levels <= {"debug", "info", "warning", "error"}


async def test_a_long_line_is_cut_and_says_so() -> None:
    [line] = await lines((await run(chain(node("a", "test_say", what="long")))).execution_id)
    assert len(line) < 17_000 and line.startswith("x" * 16_000) and "100,000 characters in all" in line


# Waits


async def test_a_delay_is_a_row_and_holds_nothing(engine_room: Worker) -> None:
    number = await submit(chain(node("a"), node("b", "delay", seconds=3600), node("c")))
    found = await until(number, "waiting")
    await soon(lambda: not engine_room.runs)
    wait = await wait_of(number, "b")
    assert found.owner is None and found.due_at == wait.due_at and wait.closed_at is None
    assert wait.reason == "delay" and timedelta(minutes=59) < wait.due_at - timezone.now() <= timedelta(hours=1)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == f"execution {number}"]
    assert (found.steps_done, found.steps_total) == (1, 3)
    await become_due(number)
    assert (await until(number, *ENDED)).output_data == {"a": 1, "c": 1}
    assert await told(number) == [
        *["queued", "started", "started a", "completed a", "started b", "waited b"],
        *["answered b", "completed b", "started c", "completed c", "finished"],
    ]
    assert (await wait_of(number, "b")).closed_at is not None
    assert RUNS[f"{number}:a:0"] == 1


async def test_many_waiting_executions_hold_no_task(engine_room: Worker) -> None:
    workflow = await make(chain(node("b", "delay", seconds=3600)))
    numbers = [await WorkflowEngine().submit_workflow(workflow.pk) for _ in range(20)]
    for number in numbers:
        await until(number, "waiting")
    await soon(lambda: not engine_room.runs)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("execution", "#"))]


async def test_a_short_delay_ends_by_itself(engine_room: Worker) -> None:
    number = await submit(chain(node("b", "delay", seconds=0.05), node("c", "delay", seconds=0)))
    assert (await until(number, *ENDED)).status == "completed"


async def test_while_another_branch_runs_the_status_is_running_and_the_delay_still_ends(engine_room: Worker) -> None:
    number = await submit(drawn([node("hold", "test_hold"), node("d", "delay", seconds=0.05), node("e")], "d>e"))
    await reached("gate")
    await until_told(number, "completed e")
    assert await status(number) == "running"
    GATES["gate"].set()
    assert (await until(number, *ENDED)).status == "completed"


async def test_a_wait_for_an_answer_is_not_due_until_it_comes(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_ask"), node("b")))
    found = await until(number, "waiting")
    assert found.due_at.year == 9999 and (await wait_of(number, "a")).due_at is None
    assert await answer(number, "a", {"approved": True})
    assert (await until(number, *ENDED)).output_data == {"answer": {"approved": True}, "b": 1}
    answered = next(entry for entry in await entries(number) if entry.kind == "answered")
    assert answered.data == {"by": None, "answer": {"approved": True}, "due": False}


async def test_a_step_may_wait_again_after_an_answer(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_ask"), node("b")))
    await until(number, "waiting")
    for times in (1, 2):
        assert await answer(number, "a", "ask again")
        for _ in range(500):
            if (await told(number)).count("waited a") == times + 1 and await status(number) == "waiting":
                break
            await asyncio.sleep(0.01)
    assert await answer(number, "a", "enough")
    assert (await until(number, *ENDED)).output_data == {"answer": "enough", "b": 1}
    questions = [text.split()[0] for text in await told(number) if text.endswith(" a")]
    assert questions == ["started", *["waited", "answered"] * 3, "completed"]
    assert not await ExecutionWait.objects.filter(closed_at=None).aexists()


async def test_an_answer_counts_once_out_of_many(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_ask")))
    await until(number, "waiting")
    wait = await ExecutionWait.objects.select_related("execution").aget(execution=number)

    def say(value: int) -> bool:
        try:
            return ExecutionWait.objects.get(pk=wait.pk).answer_once(value)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as people:
        answers = await asyncio.gather(*(asyncio.wrap_future(people.submit(say, value)) for value in range(6)))
    assert sorted(answers) == [False] * 5 + [True]
    current_worker().wake()
    assert (await until(number, *ENDED)).output_data == {"answer": answers.index(True)}
    assert (await told(number)).count("answered a") == 1
    assert not await in_thread(wait.answer_once, "late")


async def test_an_answer_while_another_branch_runs_is_heard(engine_room: Worker) -> None:
    number = await submit(drawn([node("a", "test_ask"), node("hold", "test_hold"), node("b")], "a>b"))
    await until_told(number, "waited a")
    await answer(number, "a", 1)
    await until_told(number, "completed b")
    GATES["gate"].set()
    assert (await until(number, *ENDED)).status == "completed"


async def test_an_answer_whose_bell_was_lost_is_found_by_the_sweep(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_ask")))
    await until(number, "waiting")
    assert await in_thread((await wait_of(number, "a")).answer_once, "silent")
    assert (await until(number, *ENDED)).output_data == {"answer": "silent"}


async def test_an_answer_at_the_moment_of_the_release_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is answered after the owner last looked and before it lets go."""
    answered: list[bool] = []
    write = journal.write

    def late_answer(batch: Any) -> Any:
        for unit in batch:
            if isinstance(unit, Unit) and unit.closing and unit.closing.status == "waiting" and not answered:
                results = write([Unit(unit.execution_id, unit.fence, unit.entries, unit.opened)])
                unit.entries, unit.opened = [], []
                answered.append(ExecutionWait.objects.get(execution=unit.execution_id).answer_once("at last"))
                assert results == [True]
        return write(batch)

    monkeypatch.setattr(journal, "write", late_answer)
    result = await bounded(run(chain(node("a", "test_ask"))))
    assert answered == [True] and result.output_data == {"answer": "at last"}


@pytest.mark.parametrize(
    "value",
    ["half \ud800", float("nan"), "a\x00b", steps.deep(70), {1, 2}, 10**5000],
    ids=["surrogate", "nan", "nul", "deep", "set", "huge number"],
)
async def test_an_answer_that_cannot_be_kept_does_not_cost_the_execution(engine_room: Worker, value: Any) -> None:
    """Refused, and the wait stays open; or made keepable. Never a failed execution."""
    number = await submit(chain(node("a", "test_ask")))
    await until(number, "waiting")
    try:
        await answer(number, "a", value)
    except Exception:
        assert await status(number) == "waiting" and await answer(number, "a", "better")
    assert (await until(number, *ENDED)).status == "completed"


# Cancel, in each state


async def cancelled(number: int) -> WorkflowExecution:
    """Cancels, waits for the end and checks what holds for every cancelled execution."""
    assert await WorkflowEngine().cancel_execution(number) is True
    assert await WorkflowEngine().cancel_execution(number) is False
    found = await until(number, *ENDED)
    assert (found.status, found.error_message) == ("cancelled", "Execution cancelled by user")
    assert found.completed_at and found.cancel_requested_at and found.output_data is None and found.owner is None
    journal = await entries(number)
    assert [entry.seq for entry in journal] == list(range(1, len(journal) + 1))
    assert journal[-1].kind == "finished" and journal[-1].data == {"status": "cancelled"}
    assert [entry.kind for entry in journal].count("cancel_requested") == 1
    assert not await ExecutionWait.objects.filter(execution=number, closed_at=None).aexists()
    return found


async def test_cancel_while_pending() -> None:
    [number] = await new()
    await cancelled(number)
    assert await told(number) == ["queued", "cancel_requested", "finished"]


async def test_cancel_while_waiting(engine_room: Worker) -> None:
    number = await submit(chain(node("a"), node("b", "delay", seconds=3600), node("c")))
    await until(number, "waiting")
    found = await cancelled(number)
    assert (await told(number))[-4:] == ["waited b", "cancel_requested", "cancelled b", "finished"]
    assert found.steps_done == 1
    assert not await answer(number, "b"), "an answer that comes after is refused"


async def test_cancel_while_a_step_runs(engine_room: Worker) -> None:
    number = await submit(chain(node("a"), node("b", "test_hold"), node("c")))
    await reached("gate")
    found = await cancelled(number)
    assert (await told(number))[-4:] == ["started b", "cancel_requested", "cancelled b", "finished"]
    assert (found.steps_done, found.steps_total) == (1, 3)
    assert RUNS[f"{number}:b:0"] == 1


async def test_cancel_while_several_branches_run_and_wait(engine_room: Worker) -> None:
    nodes = [node("x", "test_hold", gate="x"), node("y", "test_hold", gate="y"), node("z", "test_ask")]
    number = await submit(drawn(nodes))
    await asyncio.gather(reached("x"), reached("y"))
    await until_told(number, "waited z")
    await cancelled(number)
    assert {"cancelled x", "cancelled y", "cancelled z"} <= set(await told(number))


async def test_cancel_while_a_thread_runs_leaves_it_behind(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_thread", gate="t"), node("b")))
    await thread_reached("t")
    await cancelled(number)
    before = await told(number, lines=True)
    assert before[-2:] == ["abandoned a", "finished"]
    THREAD_GATES["t"].set()
    assert (await run(chain(node("t", "test_thread")))).status == "completed", "its place is free again"
    assert await told(number, lines=True) == before, "what it answers after all is refused"
    assert await status(number) == "cancelled"


async def test_cancel_while_a_thread_has_yet_to_begin(engine_room: Worker, settings: Any) -> None:
    settings.ENGINE = {**site.ENGINE, "THREADS": 1}
    blocking = await submit(chain(node("a", "test_thread", gate="t")))
    await thread_reached("t")
    number = await submit(chain(node("b", "test_thread")))
    await until_told(number, "started b")
    await cancelled(number)
    assert (await told(number))[-2:] == ["cancelled b", "finished"]
    THREAD_GATES["t"].set()
    await until(blocking, "completed")


async def test_cancel_of_a_step_that_ignores_it_leaves_it_behind(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_stubborn"), node("b")))
    await reached("gate")
    await cancelled(number)
    before = await told(number)
    assert before[-3:] == ["cancel_requested", "abandoned a", "finished"]
    GATES["gate"].set()
    await asyncio.sleep(0.1)
    assert await told(number) == before and await status(number) == "cancelled"
    assert await WorkflowEngine().get_execution_status(number)


async def test_cancel_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for after the first step's end was told and before the next could begin."""
    asked: list[bool] = []
    write = journal.write

    def ask(batch: Any) -> Any:
        for unit in batch:
            if isinstance(unit, Unit) and any(entry.kind == "completed" for entry in unit.entries) and not asked:
                asked.append(WorkflowEngine().cancel(unit.execution_id))
        return write(batch)

    monkeypatch.setattr(journal, "write", ask)
    engine_room = current_worker()
    number = await submit(chain(node("a"), node("b", "test_hold"), node("c")))
    await engine_room.start()
    await reached("gate")
    engine_room.wake(number)
    found = await until(number, *ENDED)
    assert asked == [True] and found.status == "cancelled" and "started c" not in await told(number)


async def test_cancel_at_the_moment_of_the_end_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for after the owner has planned the end and before it is written: the only end is then cancelled."""
    asked: list[bool] = []
    write = journal.write

    def ask(batch: Any) -> Any:
        for unit in batch:
            if isinstance(unit, Unit) and unit.closing and unit.closing.status == "completed" and not asked:
                asked.append(WorkflowEngine().cancel(unit.execution_id))
        return write(batch)

    monkeypatch.setattr(journal, "write", ask)
    result = await bounded(run(chain(node("a"))))
    assert asked == [True] and (result.status, result.output_data) == ("cancelled", None)
    assert (await told(result.execution_id))[-3:] == ["completed a", "cancel_requested", "finished"]


async def test_cancel_at_the_moment_of_a_failure_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    write = journal.write

    def ask(batch: Any) -> Any:
        for unit in batch:
            if isinstance(unit, Unit) and unit.closing and unit.closing.status == "failed" and not asked:
                asked.append(WorkflowEngine().cancel(unit.execution_id))
        return write(batch)

    monkeypatch.setattr(journal, "write", ask)
    result = await bounded(run(chain(node("a", "test_fail"))))
    assert asked == [True] and result.status == "cancelled"
    assert (await row(result.execution_id)).error is None


async def test_cancel_of_what_a_dead_worker_holds_ends_it_at_once() -> None:
    [number] = await new()
    a_done = Entry("completed", "a", 1, {"added": {"a": 1}}, 5)
    held = await claimed_by_nobody(number, Entry("started"), Entry("started", "a", 1), a_done, Entry("started", "b", 1))
    await WorkflowExecution.objects.filter(pk=number).aupdate(due_at=timezone.now())
    found = await cancelled(number)
    assert found.fence == held.fence + 1
    assert (await told(number))[-3:] == ["cancel_requested", "cancelled b", "finished"]
    writer = Journal()
    with pytest.raises(OwnershipLost):
        await writer.commit(Unit(number, held.fence, [Entry("completed", "b", 1, {"added": {}}, seq=7)]))
    await writer.close()
    assert found.steps_done == 1, "progress is counted from the journal, at the end too"


async def test_cancel_of_what_a_live_worker_holds_waits_for_its_word() -> None:
    [number] = await new()
    await claimed_by_nobody(number, Entry("started"))
    assert await in_thread(WorkflowEngine().cancel, number)
    found = await row(number)
    assert found.status == "running" and found.is_cancelling
    assert (await told(number))[-1] == "started"
    await become_due(number)
    await current_worker().start()
    assert (await until(number, *ENDED)).status == "cancelled"


# Workers come and go


async def test_a_worker_that_stops_hands_back_and_another_finishes(engine_room: Worker) -> None:
    number = await submit(chain(node("a"), node("b", "test_hold"), node("c")))
    await reached("gate")
    await engine_room.stop(grace=0)
    found = await row(number)
    assert (found.status, found.owner) == ("pending", None) and found.due_at <= timezone.now()
    assert (found.steps_done, found.steps_total) == (1, 3)
    assert (await told(number))[-1] == "abandoned b"
    GATES["gate"].set()
    other = Worker(Journal())
    await other.start()
    assert (await until(number, *ENDED)).status == "completed"
    await other.stop(0)
    assert [RUNS[f"{number}:{name}:0"] for name in "abc"] == [1, 2, 1]
    assert await told(number) == [
        *["queued", "started", "started a", "completed a", "started b", "abandoned b"],
        *["started b", "completed b", "started c", "completed c", "finished"],
    ]
    second = [entry for entry in await entries(number) if entry.node == "b"][-1]
    assert second.attempt == 2


async def test_a_worker_that_stops_lets_steps_end_within_its_grace(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_hold"), node("b")))
    await reached("gate")
    stopping = asyncio.create_task(engine_room.stop(grace=10))
    await asyncio.sleep(0.05)
    GATES["gate"].set()
    await bounded(asyncio.shield(stopping))
    assert await status(number) == "completed"


async def test_a_worker_that_stops_claims_nothing_more() -> None:
    worker = Worker(Journal())
    await worker.start()
    await worker.stop(0)
    [number] = await new()
    await asyncio.sleep(0.05)
    assert await status(number) == "pending"


async def test_a_worker_that_stops_while_it_claims_hands_back_what_it_got(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim is a statement in a thread: when it gets through, somebody must know."""
    claimed, go_on, original = threading.Event(), threading.Event(), claim.claim

    def slow_claim(owner: str, limit: int) -> Any:
        found = original(owner, limit)
        if found:
            claimed.set()
            go_on.wait(10)
        return found

    [number] = await new()
    monkeypatch.setattr(claim, "claim", slow_claim)
    worker = Worker(Journal())
    await worker.start()
    await soon(claimed.is_set)
    stopping = asyncio.create_task(worker.stop(0))
    await asyncio.sleep(0.05)
    go_on.set()
    await bounded(stopping)
    found = await row(number)
    assert not found.is_owned, "nobody holds it, so nobody need wait for its lease"


@pytest.mark.parametrize("kind", ["test_stubborn", "test_thread"])
async def test_a_worker_stops_though_a_step_does_not(engine_room: Worker, kind: str) -> None:
    number = await submit(chain(node("a"), node("b", kind, gate="g"), node("c")))
    await (thread_reached("g") if kind == "test_thread" else reached("g"))
    await bounded(engine_room.stop(0))
    assert await status(number) == "pending" and (await told(number))[-1] == "abandoned b"


async def test_lines_told_before_a_worker_stopped_are_kept(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_hold", lines=3_000)))
    await reached("gate")
    await engine_room.stop(grace=0)
    assert await lines(number) == [f"line {index}" for index in range(3_000)]
    assert (await told(number))[-1] == "abandoned a"


async def test_a_step_that_ended_as_the_worker_stopped_is_not_run_again(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_hold"), node("b", "test_hold", gate="b")))
    await reached("gate")
    GATES["gate"].set()
    await engine_room.stop(grace=0)
    GATES["b"].set()
    other = Worker(Journal())
    await other.start()
    await until(number, *ENDED)
    await other.stop(0)
    journal = await told(number)
    assert RUNS[f"{number}:a:0"] == journal.count("started a") and journal.count("completed a") == 1


async def test_each_execution_goes_to_one_of_two_workers() -> None:
    numbers = await new(30)
    workers = [Worker(Journal()), Worker(Journal())]
    for worker in workers:
        await worker.start()
    for number in numbers:
        assert (await until(number, *ENDED)).status == "completed"
    for worker in workers:
        await worker.stop(0)
    assert [RUNS[f"{number}:{name}:0"] for number in numbers for name in "ab"] == [1] * 60
    assert {(await row(number)).fence for number in numbers} == {1}


async def test_a_claim_takes_what_is_due_and_nothing_else() -> None:
    numbers = await new(4)
    later, ended, mine, due = numbers
    await WorkflowExecution.objects.filter(pk=later).aupdate(due_at=timezone.now() + timedelta(hours=1))
    await WorkflowEngine().cancel_execution(ended)
    assert [held.execution_id for held in await in_thread(claim.claim_family, DEAD, mine)] == [mine]
    [held] = await in_thread(claim.claim, "other", 10)
    assert (held.execution_id, held.fence, held.last_seq) == (due, 1, 1)
    assert await in_thread(claim.claim, "other", 10) == []
    assert await in_thread(claim.claim, "other", 0) == []
    found = await row(due)
    assert (found.status, found.owner) == ("running", "other") and found.is_owned and found.started_at is not None


async def test_a_claim_takes_no_more_than_asked_and_the_earliest_first() -> None:
    numbers = await new(5)
    for index, number in enumerate(reversed(numbers)):
        at = timezone.now() - timedelta(hours=5 - index)
        await WorkflowExecution.objects.filter(pk=number).aupdate(due_at=at)
    held = await in_thread(claim.claim, DEAD, 2)
    assert {item.execution_id for item in held} == set(numbers[-2:])


async def test_what_a_dead_worker_held_is_taken_over_after_its_lease() -> None:
    [number] = await new(definition=chain(node("a"), node("b"), node("c")))
    a_done = Entry("completed", "a", 1, {"added": {"a": "once"}}, 5)
    held = await claimed_by_nobody(number, Entry("started"), Entry("started", "a", 1), a_done, Entry("started", "b", 1))
    await current_worker().start()
    assert (await run(CHAIN)).status == "completed"
    assert (await row(number)).owner == DEAD, "not before its lease has ended"
    await become_due(number)
    found = await until(number, *ENDED)
    assert found.output_data == {"a": "once", "b": 2, "c": 1}
    assert await told(number) == [
        *["queued", "started", "started a", "completed a", "started b", "taken_over"],
        *["started b", "completed b", "started c", "completed c", "finished"],
    ]
    assert found.fence == held.fence + 1
    taken = next(entry for entry in await entries(number) if entry.kind == "taken_over")
    assert taken.node is None and taken.data == {"nodes": ["b"]}
    assert [RUNS[f"{number}:{name}:0"] for name in "abc"] == [0, 1, 1], "no finished step is run again"


async def test_the_old_owner_is_refused_after_a_takeover() -> None:
    [number] = await new()
    held = await claimed_by_nobody(number, Entry("started"), Entry("started", "a", 1))
    await current_worker().start()
    await become_due(number)
    before = (await until(number, *ENDED), await told(number))
    writer, late = Journal(), Entry("completed", "a", 1, {"added": {}}, seq=99)
    closing = Closing("failed", timezone.now(), 0, 2, completed_at=timezone.now(), whatever=True)
    for unit in (Unit(number, held.fence, [late]), Unit(number, held.fence, closing=closing)):
        with pytest.raises(OwnershipLost):
            await writer.commit(unit)
    await writer.close()
    assert (await row(number)).status == before[0].status and await told(number) == before[1]


async def test_a_worker_whose_execution_was_taken_over_lets_go(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_hold"), node("b")))
    await reached("gate")
    await WorkflowExecution.objects.filter(pk=number).aupdate(due_at=timezone.now())
    assert await in_thread(claim.claim_family, DEAD, number)
    GATES["gate"].set()
    await soon(lambda: not engine_room.runs)
    assert (await row(number)).owner == DEAD
    assert (await told(number))[-1] == "started a", "nothing was written under the old fence"


async def test_a_worker_that_lost_its_own_lease_and_claims_it_again_runs_it_once(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_hold"), node("b")))
    await reached("gate")
    await WorkflowExecution.objects.filter(pk=number).aupdate(due_at=timezone.now())
    engine_room.wake()
    await until_told(number, "taken_over")
    await soon(lambda: RUNS[f"{number}:a:0"] == 2)
    GATES["gate"].set()
    assert (await until(number, *ENDED)).output_data == {"a": "held", "b": 1}
    journal = await told(number)
    assert journal.count("completed a") == 1 and [entry.seq for entry in await entries(number)] == list(
        range(1, len(journal) + 1)
    )


async def test_an_execution_that_is_deleted_while_it_runs_is_let_go(engine_room: Worker) -> None:
    number, other = await submit(chain(node("a", "test_hold"), node("b"))), await submit(chain(node("c", "test_ask")))
    await reached("gate")
    await WorkflowExecution.objects.filter(pk=number).adelete()
    GATES["gate"].set()
    await soon(lambda: not engine_room.runs)
    assert await entries(number) == [] and await status(other) == "waiting"


async def test_a_caller_that_is_cancelled_while_its_execution_is_made_leaves_it_to_the_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, began, go_on = journal.write, threading.Event(), threading.Event()

    def slow(batch: Any) -> Any:
        began.set()
        go_on.wait(10)
        return write(batch)

    workflow = await make(chain(node("a")))
    monkeypatch.setattr(journal, "write", slow)
    caller = asyncio.create_task(WorkflowEngine().execute_workflow(workflow.pk))
    await soon(began.is_set)
    caller.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait([caller], timeout=0.1)
    go_on.set()
    await asyncio.wait([caller])
    await current_worker().journal.flush()
    made = [execution async for execution in WorkflowExecution.objects.all()]
    assert not [execution for execution in made if execution.is_owned], "nobody runs it, so nobody may hold it"


async def test_three_lost_leases_in_a_row_fail_the_execution() -> None:
    [number] = await new()
    lost = [Entry("taken_over", data={"nodes": ["a"]}) for _ in range(2)]
    starts = [Entry("started", "a", attempt) for attempt in (1, 2, 3)]
    await claimed_by_nobody(number, Entry("started"), starts[0], lost[0], starts[1], lost[1], starts[2])
    await current_worker().start()
    await become_due(number)
    found = await until(number, *ENDED)
    assert found.status == "failed" and found.error["type"] == "WorkerLost"
    assert (found.error["node"], found.error["attempt"]) == ("a", 3) and "3 times" in found.error_message
    assert (await told(number))[-3:] == ["taken_over", "failed a", "finished"]
    assert RUNS[f"{number}:a:0"] == 0


async def test_two_lost_leases_do_not() -> None:
    [number] = await new()
    lost = Entry("taken_over", data={"nodes": ["a"]})
    await claimed_by_nobody(number, Entry("started"), Entry("started", "a", 1), lost, Entry("started", "a", 2))
    await current_worker().start()
    await become_due(number)
    assert (await until(number, *ENDED)).output_data == {"a": 3, "b": 1}


async def test_a_wait_outlives_its_worker(engine_room: Worker) -> None:
    number = await submit(drawn([node("q", "test_ask"), node("hold", "test_hold"), node("end")], "q>end", "hold>end"))
    await until_told(number, "waited q")
    await reached("gate")
    await engine_room.stop(grace=0)
    assert await answer(number, "q", "yes")
    GATES["gate"].set()
    other = Worker(Journal())
    await other.start()
    found = await until(number, *ENDED)
    await other.stop(0)
    assert found.output_data == {"answer": "yes", "hold": "held", "end": 1}
    assert (await told(number)).count("started q") == 1


@pytest.mark.parametrize("definition", [{"nodes": []}, "text", [], {"nodes": [{"id": "a"}]}])
async def test_a_broken_version_fails_its_execution_and_hurts_no_neighbour(definition: Any) -> None:
    good, bad = await new(2), (await new(1, chain(node("x"), node("y", label=str(definition)))))[0]
    broken = await WorkflowExecution.objects.select_related("version").aget(pk=bad)
    await (
        type(broken.version)
        .objects.filter(pk=broken.version_id)
        .aupdate(definition=definition, digest=f"broken {definition}"[:64])
    )
    await current_worker().start()
    found = await until(bad, *ENDED)
    assert found.status == "failed" and found.error_message and (await told(bad))[-1] == "finished"
    assert found.error["type"] == "DefinitionError" and found.owner is None
    for number in good:
        assert (await until(number, *ENDED)).status == "completed"


async def test_what_belongs_to_a_dead_process_of_this_machine_is_taken_over_at_once() -> None:
    """Without waiting for the lease: the sweep finds the dead owner's unlocked file."""
    [number] = await new()
    await claimed_by_nobody(number, Entry("started"), Entry("started", "a", 1))
    assert (await row(number)).is_owned
    lease.folder().mkdir(parents=True)
    (lease.folder() / DEAD).touch()
    await current_worker().start()
    assert (await until(number, *ENDED)).output_data == {"a": 2, "b": 1}
    assert not (lease.folder() / DEAD).exists()


# The journal's writer


async def held_ones(count: int) -> list[claim.Held]:
    numbers = await new(count)
    found = await in_thread(claim.claim, DEAD, count)
    return sorted(found, key=lambda held: numbers.index(held.execution_id))


def unit_of(held: claim.Held, *kinds: str, seq: int = 2, **fields: Any) -> Unit:
    return Unit(
        held.execution_id, held.fence, [Entry(kind, seq=number) for number, kind in enumerate(kinds, seq)], **fields
    )


async def test_what_waits_is_committed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    held, write, batches = await held_ones(20), journal.write, []

    def counted(batch: Any) -> Any:
        batches.append(len(batch))
        return write(batch)

    monkeypatch.setattr(journal, "write", counted)
    writer = Journal()
    assert await asyncio.gather(*(writer.commit(unit_of(one, "started")) for one in held)) == [True] * 20
    await writer.close()
    assert batches == [20]


@pytest.mark.parametrize("poison", [object(), "half \ud800", b"\xff"])
async def test_a_poison_unit_fails_alone(poison: Any) -> None:
    held = await held_ones(3)
    units = [unit_of(one, "started") for one in held]
    units[1].entries.append(Entry("logged", "a", data={"text": poison}, seq=3))
    writer = Journal()
    results = await bounded(asyncio.gather(*map(writer.commit, units), return_exceptions=True))
    assert results[0] is True and results[2] is True and isinstance(results[1], Exception)
    assert [await told(one.execution_id) for one in held] == [["queued", "started"], ["queued"], ["queued", "started"]]
    assert await writer.commit(unit_of(held[1], "started")) is True, "and the writer goes on"
    await writer.close()


async def test_a_waiter_that_is_cancelled_takes_its_unit_not_back() -> None:
    one, other = await held_ones(2)
    writer = Journal()
    waiter = asyncio.ensure_future(writer.commit(unit_of(one, "started")))
    neighbour = asyncio.ensure_future(writer.commit(unit_of(other, "started")))
    await asyncio.sleep(0)
    waiter.cancel()
    assert await bounded(neighbour) is True
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await writer.close()
    assert await told(one.execution_id) == ["queued", "started"]


async def test_closing_the_writer_writes_what_was_handed_in() -> None:
    held = await held_ones(5)
    writer = Journal()
    waiters = [asyncio.ensure_future(writer.commit(unit_of(one, "started"))) for one in held]
    await asyncio.sleep(0)
    await writer.close()
    assert await asyncio.gather(*waiters) == [True] * 5


async def test_nobody_waits_for_ever_on_a_writer_that_was_ended() -> None:
    held = await held_ones(2)
    writer, hold, began = Journal(), threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        hold.wait(10)

    blocked = asyncio.ensure_future(writer.run(block))
    await soon(began.is_set)
    waiters = [asyncio.ensure_future(writer.commit(unit_of(held[0], "started")))]
    await asyncio.sleep(0.02)  # the first is in the thread's queue by now, the second in the writer's
    waiters.append(asyncio.ensure_future(writer.commit(unit_of(held[1], "started"))))
    await asyncio.sleep(0)
    [drain] = [task for task in asyncio.all_tasks() if task.get_name() == "journal"]
    drain.cancel()
    hold.set()
    await blocked
    await bounded(asyncio.wait([drain]))
    _, pending = await asyncio.wait(waiters, timeout=1)
    for task in pending:
        task.cancel()
    await writer.close()
    assert not pending


async def test_the_same_unit_twice_is_written_once_and_is_success() -> None:
    """Its COMMIT got through though its answer did not: it is handed in again and recognised."""
    [one] = await held_ones(1)
    entry = Entry("completed", "a", 1, {"added": {"x": [1, {"y": None}], "n": 1.5}}, 7, seq=3)
    writer = Journal()
    unit = unit_of(one, "started")
    unit.entries.append(entry)
    assert await writer.commit(unit) is True
    assert await writer.commit(unit) is True
    await writer.close()
    assert await told(one.execution_id) == ["queued", "started", "completed a"]


@pytest.mark.parametrize(
    "other",
    [
        Entry("started", "b", 1),
        Entry("completed", "a", 1),
        Entry("started", "a", 2),
        Entry("started", "a", 1, {"x": 1}),
        Entry("started", "a", 1, took_ms=1),
    ],
)
async def test_another_entry_under_the_same_number_means_that_ownership_is_lost(other: Entry) -> None:
    [one] = await held_ones(1)
    writer = Journal()
    assert await writer.commit(Unit(one.execution_id, one.fence, [Entry("started", "a", 1, seq=2)]))
    other.seq = 2
    with pytest.raises(OwnershipLost):
        await writer.commit(Unit(one.execution_id, one.fence, [other, Entry("logged", seq=3)]))
    await writer.close()
    assert await told(one.execution_id) == ["queued", "started a"]


async def test_an_end_that_was_written_already_is_recognised() -> None:
    [one] = await held_ones(1)
    writer, now = Journal(), timezone.now()

    def end() -> Unit:
        finished = [Entry("finished", data={"status": "completed"}, seq=3)]
        closing = Closing("completed", now, 2, 2, finished, output={"a": 1}, completed_at=now)
        return unit_of(one, "started", closing=closing)

    assert await writer.commit(end()) is True
    assert await writer.commit(end()) is True
    await writer.close()
    assert await told(one.execution_id) == ["queued", "started", "finished"]


@pytest.mark.parametrize("guard", ["cancel", "nudge"])
async def test_a_closing_is_held_back_where_somebody_interfered_and_the_rest_is_written(guard: str) -> None:
    [one] = await held_ones(1)
    execution = await row(one.execution_id)
    await in_thread(execution.request_cancel if guard == "cancel" else execution.nudge)
    nudges = None if guard == "cancel" else one.nudges
    writer, now = Journal(), timezone.now()
    closing = Closing("waiting", now, 0, 2, [Entry("finished", data={}, seq=3)], nudges=nudges)
    assert await writer.commit(unit_of(one, "started", closing=closing)) is False
    assert await status(one.execution_id) == "running" and await told(one.execution_id) == ["queued", "started"]
    closing.whatever, closing.nudges = True, None
    again = Unit(one.execution_id, one.fence, closing=closing)
    assert await writer.commit(again) is True
    await writer.close()
    assert await status(one.execution_id) == "waiting"


def answer_is_lost(monkeypatch: pytest.MonkeyPatch, times: int = 1) -> list[int]:
    """The database commits, and the connection breaks before it can say so."""
    write, lost = journal.write, [times]

    def broken(batch: Any) -> Any:
        results = write(batch)
        if lost[0]:
            lost[0] -= 1
            raise OperationalError("the connection is gone")
        return results

    monkeypatch.setattr(journal, "write", broken)
    return lost


async def test_a_commit_whose_answer_was_lost_is_not_written_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    [one] = await held_ones(1)
    writer, lost = Journal(), answer_is_lost(monkeypatch)
    assert await bounded(writer.commit(unit_of(one, "started"))) is True
    await writer.close()
    assert lost == [0] and await told(one.execution_id) == ["queued", "started"]


async def test_commits_of_several_whose_answer_was_lost_are_all_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    held = await held_ones(3)
    writer, lost = Journal(), answer_is_lost(monkeypatch)
    results = await bounded(asyncio.gather(*(writer.commit(unit_of(one, "started")) for one in held)))
    await writer.close()
    assert lost == [0] and results == [True] * 3
    assert [await told(one.execution_id) for one in held] == [["queued", "started"]] * 3


async def test_an_opening_whose_answer_was_lost_makes_one_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = await make(chain(node("a")))
    lost = answer_is_lost(monkeypatch)
    result = await bounded(WorkflowEngine().execute_workflow(workflow.pk))
    assert lost == [0] and result.status == "completed"
    assert await WorkflowExecution.objects.acount() == 1
    assert sum(RUNS.values()) == 1


async def test_a_run_goes_through_though_every_answer_is_lost_once(monkeypatch: pytest.MonkeyPatch) -> None:
    [number] = await new(definition=chain(node("a"), node("b", "delay", seconds=0.05), node("c", "test_talk")))
    write, seen = journal.write, set()

    def broken(batch: Any) -> Any:
        results = write(batch)
        key = tuple((unit.execution_id, len(unit.entries), unit.entries and unit.entries[0].seq) for unit in batch)
        if key not in seen:
            seen.add(key)
            raise OperationalError("the connection is gone")
        return results

    monkeypatch.setattr(journal, "write", broken)
    await current_worker().start()
    assert (await until(number, *ENDED)).output_data == {"a": 1}
    assert [entry.seq for entry in await entries(number)] == list(range(1, len(await entries(number)) + 1))


async def test_a_database_that_is_away_is_asked_for_a_batch_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience once for all of them: unit by unit would last longer than any lease."""
    held, asked = await held_ones(4), []

    def away(batch: Any) -> Any:
        asked.append(len(batch))
        raise OperationalError("the database is away")

    monkeypatch.setattr(journal, "write", away)
    monkeypatch.setattr(journal, "PATIENCE_S", 0)
    writer = Journal()
    results = await bounded(
        asyncio.gather(*(writer.commit(unit_of(one, "started")) for one in held), return_exceptions=True)
    )
    monkeypatch.undo()
    await writer.close()
    assert all(isinstance(result, OperationalError) for result in results)
    assert asked == [4]


# The owner's file


HOLDER = """
import sys, django
django.setup()
from executions.lease import OwnerFile
file = OwnerFile(sys.argv[1])
file.lock()
print("locked", flush=True)
sys.stdin.read()
"""


def holder(owner: str, folder: Path) -> subprocess.Popen[str]:
    """Another process that takes this owner's file, and says so."""
    environment = {**os.environ, "DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "workflowsite.settings"}
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, owner],
        env=environment,
        cwd=site.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_file_of_a_killed_process_tells_that_it_is_dead(tmp_path: Path) -> None:
    live, dead = holder("live", tmp_path), holder("dead", tmp_path)
    try:
        for process in (live, dead):
            assert process.stdout is not None and process.stdout.readline().strip() == "locked"
        assert list(lease.dead_owners()) == []
        dead.send_signal(signal.SIGKILL)
        dead.wait(10)
        assert list(lease.dead_owners()) == ["dead"]
        assert list(lease.dead_owners()) == [], "told once"
        assert (lease.folder() / "live").exists()
    finally:
        for process in (live, dead):
            process.kill()
            process.wait(10)


def test_our_own_file_is_alive_and_goes_with_us() -> None:
    file = lease.OwnerFile("mine")
    file.lock()
    file.lock()
    assert list(lease.dead_owners()) == [] and file.path.exists()
    file.unlock()
    file.unlock()
    assert not file.path.exists() and list(lease.dead_owners()) == []


def test_a_dead_owner_is_found_again_where_the_release_failed() -> None:
    """The file goes only when the caller comes back for the next: a failure in between loses nothing."""
    lease.folder().mkdir(parents=True)
    (lease.folder() / "dead").touch()
    found = lease.dead_owners()
    assert next(found) == "dead"
    found.close()  # type: ignore[attr-defined]
    assert list(lease.dead_owners()) == ["dead"]


def test_the_file_of_another_machine_is_left_alone() -> None:
    """In a folder that is shared, where this machine may not see the other one's lock."""
    lease.folder().mkdir(parents=True)
    (lease.folder() / "elsewhere").write_text("another-machine")
    assert list(lease.dead_owners()) == [] and (lease.folder() / "elsewhere").exists()


def test_no_folder_is_no_dead_owner() -> None:
    assert list(lease.dead_owners()) == []


async def test_a_worker_has_its_file_from_its_start_to_its_stop() -> None:
    worker = Worker(Journal())
    assert not (lease.folder() / worker.owner).exists()
    await worker.start()
    assert (lease.folder() / worker.owner).exists() and list(lease.dead_owners()) == []
    await worker.stop(0)
    assert not (lease.folder() / worker.owner).exists()


async def test_the_lease_is_renewed_while_a_step_runs(settings: Any) -> None:
    settings.ENGINE = {**site.ENGINE, "RENEW_SECONDS": 0.02}
    number = await submit(chain(node("a", "test_hold")))
    worker = Worker(Journal())
    await worker.start()
    await reached("gate")
    first = (await row(number)).due_at
    for _ in range(500):
        if (await row(number)).due_at > first:
            break
        await asyncio.sleep(0.01)
    assert (await row(number)).due_at > first
    GATES["gate"].set()
    await until(number, "completed")
    await worker.stop(0)


async def test_a_cancel_whose_bell_was_lost_is_found_by_the_renewal(settings: Any) -> None:
    settings.ENGINE = {**site.ENGINE, "RENEW_SECONDS": 0.02}
    number = await submit(chain(node("a", "test_hold")))
    worker = Worker(Journal())
    await worker.start()  # and nobody listens for its bells
    await reached("gate")
    assert await in_thread(WorkflowEngine().cancel, number)
    assert (await until(number, *ENDED)).status == "cancelled"
    await worker.stop(0)


async def test_a_kind_that_says_it_is_instant_and_awaits_fails_with_a_sentence() -> None:
    with pytest.raises(WorkflowExecutionError, match="Hasty says that it is instant, and awaits something"):
        await run(chain(node("a", "test_hasty")))


async def test_a_step_that_is_stopped_as_it_begins_is_cancelled() -> None:
    nodes = [node("bad", "check", required=["email"]), node("slow", "countdown", seconds=60)]
    with pytest.raises(WorkflowExecutionError, match="email"):
        await run(drawn(nodes))
    found = await WorkflowExecution.objects.aget()
    assert [(entry.kind, entry.node) for entry in await entries(found.pk) if entry.kind == "cancelled"] == [
        ("cancelled", "slow")
    ]
