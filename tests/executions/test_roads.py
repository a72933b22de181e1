"""Branches, switches, items and calls as the engine walks them: the built-in kinds, through the rows."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from executions.engine import WorkflowExecutionError
from executions.fragments import entries
from executions.models import ExecutionLog, WorkflowExecution
from tests.executions.conftest import bounded, run, told
from workflows.graph import parse
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)


def node(node_id: str, kind: str, **data: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "data": data}


def edge(source: str, target: str, handle: str | None = None) -> dict[str, Any]:
    return {"source": source, "target": target, "sourceHandle": handle}


def add(node_id: str, **output: Any) -> dict[str, Any]:
    return node(node_id, "test_add", add=output or {node_id: "was here"})


async def lines(execution_id: int) -> list[str]:
    entries = ExecutionLog.objects.filter(execution=execution_id, kind="logged").order_by("seq")
    return [(entry.data or {})["text"] async for entry in entries]


LARGE = {"path": "amount", "operator": "greater", "value": "100"}
FORKED: dict[str, Any] = {
    "nodes": [node("fork", "branch", conditions=[LARGE]), add("yes"), add("no"), add("end")],
    "edges": [edge("fork", "yes", "true"), edge("fork", "no", "false"), edge("yes", "end"), edge("no", "end")],
}


@pytest.mark.parametrize(("amount", "taken", "skipped"), [(120, "yes", "no"), (80, "no", "yes"), ("lots", "no", "yes")])
async def test_one_way_is_taken_and_the_other_is_skipped(amount: Any, taken: str, skipped: str) -> None:
    result = await bounded(run(FORKED, {"amount": amount}))
    assert result.output_data == {"amount": amount, taken: "was here", "end": "was here"}
    journal = await told(result.execution_id)
    assert f"completed {taken}" in journal and f"skipped {skipped}" in journal and f"started {skipped}" not in journal


async def test_the_journal_says_why_it_went_where_it_went() -> None:
    result = await bounded(run(FORKED, {"amount": 120}))
    assert "“amount” is 120, which is more than 100: goes to “true”" in await lines(result.execution_id)


@pytest.mark.parametrize(("country", "words"), [("de", "left by “DE”"), ("it", "left by “otherwise”")])
async def test_the_page_calls_a_way_by_its_name(country: str, words: str) -> None:
    result = await bounded(run(SWITCHED, {"country": country}))
    row = await WorkflowExecution.objects.select_related("version").aget(pk=result.execution_id)
    rows = [entry async for entry in row.entries.filter(kind="completed", node="which")]
    ((_, html),) = await sync_to_async(entries)(row, parse(row.version.definition), rows)
    assert words in html and "case-1" not in html


def case(case_id: str) -> dict[str, Any]:
    return {"id": case_id, "label": case_id.upper(), "conditions": [{"path": "country", "value": case_id}]}


SWITCHED: dict[str, Any] = {
    "nodes": [node("which", "switch", cases=[case("de"), case("fr")]), add("german"), add("french"), add("other")],
    "edges": [edge("which", "german", "de"), edge("which", "french", "fr"), edge("which", "other", "default")],
}


@pytest.mark.parametrize(("country", "step"), [("de", "german"), ("fr", "french"), ("it", "other"), (None, "other")])
async def test_a_switch_goes_by_a_handle_that_its_settings_made(country: Any, step: str) -> None:
    result = await bounded(run(SWITCHED, {"country": country}))
    assert result.output_data == {"country": country, step: "was here"}


# For each

ITEMS: dict[str, Any] = {
    "nodes": [
        node("each", "for_each", items="order.lines", parallel=2, pass_on=["shop"]),
        node("check", "check", required=["item"]),
        node("sum", "test_add", saw="seen"),
    ],
    "edges": [edge("each", "check", "each"), edge("each", "sum", "done")],
}


async def test_each_item_runs_as_an_execution_of_its_own() -> None:
    result = await bounded(run(ITEMS, {"order": {"lines": ["a", "b", "c"]}, "shop": "x", "other": 1}))
    assert result.output_data is not None
    assert result.output_data["items"] == [{"item": one, "index": n, "shop": "x"} for n, one in enumerate("abc")]
    assert (result.output_data["failed"], result.output_data["count"]) == ([], 3)
    children = WorkflowExecution.objects.filter(parent=result.execution_id)
    assert await children.filter(status="completed").acount() == 3


async def test_no_items_are_done_at_once() -> None:
    result = await bounded(run(ITEMS, {"order": {"lines": []}}))
    assert result.output_data is not None and result.output_data["items"] == []


async def test_a_failed_item_is_null_and_the_others_go_on() -> None:
    result = await bounded(run(ITEMS, {"order": {"lines": ["a", "", "c"]}}))
    assert result.output_data is not None
    assert [item and item["item"] for item in result.output_data["items"]] == ["a", None, "c"]
    (failed,) = result.output_data["failed"]
    assert failed["index"] == 1 and "Missing: item" in str(failed["error"])


async def test_a_failed_item_fails_the_step_where_that_was_asked_for() -> None:
    strict = {**ITEMS, "nodes": [node("each", "for_each", items="lines", stop_on_failure=True), *ITEMS["nodes"][1:]]}
    with pytest.raises(WorkflowExecutionError, match="The work on item 1 of 2 failed: .*Missing: item"):
        await bounded(run(strict, {"lines": ["", "b"]}))


@pytest.mark.parametrize("given", [{}, {"order": 5}, {"order": {"lines": "a,b"}}])
async def test_what_is_no_list_fails_with_a_sentence(given: dict[str, Any]) -> None:
    with pytest.raises(WorkflowExecutionError, match="There is no “order.lines”|“order.lines” must be a list"):
        await bounded(run(ITEMS, given))


# Call


async def called(definition: Any, **fields: Any) -> Workflow:
    workflow = await Workflow.objects.acreate(name="Called", **fields)
    await sync_to_async(workflow.publish)(definition)
    return workflow


async def test_a_called_workflow_gets_what_was_named_and_gives_its_result() -> None:
    other = await called({"nodes": [node("a", "test_add", saw="got")], "edges": []})
    caller = {"nodes": [node("call", "call", workflow=other.pk, what=["name"], save_as="answer")], "edges": []}
    result = await bounded(run(caller, {"name": "Ada", "secret": 1}))
    assert result.output_data == {"name": "Ada", "secret": 1, "answer": {"name": "Ada", "got": {"name": "Ada"}}}


async def test_where_the_called_one_fails_the_step_says_why_and_which() -> None:
    other = await called({"nodes": [node("a", "check", required=["email"])], "edges": []})
    caller = {"nodes": [node("call", "call", workflow=other.pk)], "edges": []}
    with pytest.raises(WorkflowExecutionError, match=r"Execution #\d+ failed: .*Missing: email"):
        await bounded(run(caller, {}))
    last = await WorkflowExecution.objects.filter(parent=None).alatest("pk")
    child = await WorkflowExecution.objects.aget(parent=last.pk)
    assert last.error is not None and last.error["details"]["execution"] == child.pk


async def test_a_workflow_of_a_stranger_cannot_be_called() -> None:
    charlie = await sync_to_async(User.objects.create_user)("charlie")
    other = await called({"nodes": [add("a")], "edges": []}, owner=charlie)
    caller = {"nodes": [node("call", "call", workflow=other.pk)], "edges": []}
    with pytest.raises(WorkflowExecutionError, match=f"Workflow {other.pk} cannot be called"):
        await bounded(run(caller, {}))


async def test_a_workflow_that_is_not_there_cannot_be_called() -> None:
    with pytest.raises(WorkflowExecutionError, match="Workflow 987654 cannot be called"):
        await bounded(run({"nodes": [node("call", "call", workflow=987654)], "edges": []}, {}))


async def test_a_for_each_without_steps_for_its_items_is_done() -> None:
    alone = {"nodes": [node("each", "for_each", items="lines")], "edges": []}
    result = await bounded(run(alone, {"lines": [1, 2]}))
    assert result.status == "completed"
