"""for_each and call: what they ask the engine for, and what they make of its answer."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.workflows.steps.conftest import run, step
from workflows.errors import WorkflowStepError
from workflows.graph import Node
from workflows.steps import handles_of, onward, way
from workflows.steps.base import Call, Done, Each

# for_each


def test_each_item_of_the_list_is_asked_for() -> None:
    outcome, lines = run("for_each", {"order": {"lines": [1, "b", None]}}, items="order.lines", parallel=2)
    assert outcome == Each([1, "b", None], 2)
    assert lines == ["3 items in “order.lines”, at most 2 at a time"]


def test_after_a_restart_it_asks_for_the_same() -> None:
    data = {"items": [1], "shop": "x", "other": 1}
    made = step("for_each", pass_on=["shop", "gone"], stop_on_failure=True)
    assert made.fan_out(data) == made.fan_out(data) == Each([1], 8, {"shop": "x"}, True)


def test_a_field_that_is_not_there_is_not_passed_on_and_that_is_said() -> None:
    outcome, lines = run("for_each", {"items": []}, pass_on=["gone"])
    assert outcome.shared == {} and lines[0] == "warning: Not in the data, so not passed on: gone"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "There is no “items” in the data; there is nothing."),
        ({"other": 1, "ü": 2}, "There is no “items” in the data; there is “other”, “ü”."),
        ({"items": None}, "“items” must be a list; it is nothing."),
        ({"items": "a,b"}, "“items” must be a list; it is “a,b”."),
        ({"items": {"a": 1}}, "“items” must be a list; it is an object of 1 entry."),
        ({"items": [0] * 100_001}, "“items” has 100,001 items; at most 100,000 are possible."),
    ],
)
def test_what_is_no_list_is_said_clearly(data: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkflowStepError) as caught:
        run("for_each", data)
    assert caught.value.message == words


def test_a_hundred_thousand_items_are_not_too_many() -> None:
    assert len(run("for_each", {"items": [0] * 100_000})[0].items) == 100_000


ANSWER = {"items": [{"a": 1}, None], "failed": [{"index": 1, "error": "No stock"}], "count": 2}


def test_it_goes_on_by_done_with_what_each_item_gave() -> None:
    assert step("for_each").resume({}, ANSWER) == Done(ANSWER, "done")


def test_a_failed_item_fails_it_where_that_was_asked_for() -> None:
    made = step("for_each", stop_on_failure=True)
    with pytest.raises(WorkflowStepError) as caught:
        made.resume({}, ANSWER)
    assert caught.value.message == "The work on item 2 of 2 failed: No stock"
    assert caught.value.details == {"failed": ANSWER["failed"]}
    assert made.resume({}, {"items": [1], "failed": [], "count": 1}).handle == "done"


@pytest.mark.parametrize("error", [None, "", {"message": "No stock"}, {}, ["?"]])
def test_an_item_that_failed_without_a_word_is_told_too(error: Any) -> None:
    answer = {"items": [None], "failed": [{"index": 0, "error": error}], "count": 1}
    with pytest.raises(WorkflowStepError, match="item 1 of 1 failed: ."):
        step("for_each", stop_on_failure=True).resume({}, answer)


@pytest.mark.parametrize(
    "config",
    [
        *({"parallel": number} for number in (0, 101, -1, "many", None, 1.5)),
        *({"items": path} for path in ("", " ", "a..b", None, 5)),
        *({"pass_on": names} for names in (["item"], ["index", "shop"], "shop", [1])),
        {"stop_on_failure": "perhaps"},
    ],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        step("for_each", **config)


def test_its_ways_have_plain_names_and_the_line_goes_on_after_all_items() -> None:
    node = Node("a", "for_each", {})
    assert [way(node, handle) for handle in handles_of(node)] == ["each item", "all items"]
    assert onward(node) == "done"


# call


def test_all_of_the_data_is_handed_over_or_what_is_named() -> None:
    assert run("call", {"a": 1, "b": 2}, workflow=7)[0] == Call(7, {"a": 1, "b": 2})
    outcome, lines = run("call", {"a": 1, "b": 2}, workflow=7, what=["b", "gone"])
    assert outcome == Call(7, {"b": 2})
    assert lines == ["warning: Not in the data, so not handed over: gone", "Runs workflow 7, with b"]


def test_its_result_is_put_under_its_name() -> None:
    answer = {"execution": 12, "status": "completed", "output": {"x": 1}, "error": None}
    assert step("call", workflow=7).resume({"a": 1}, answer) == Done({"a": 1, "result": {"x": 1}})
    assert step("call", workflow=7, save_as="sum").resume({}, answer) == Done({"sum": {"x": 1}})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"execution": 12, "status": "failed", "error": "No stock"}, "Execution #12 failed: No stock"),
        ({"execution": 12, "status": "failed", "error": {"message": "No stock"}}, "Execution #12 failed: No stock"),
        ({"execution": 12, "status": "cancelled", "error": None}, "Execution #12 was cancelled."),
        ({"status": "failed", "error": ""}, "The workflow that it calls failed: it did not say why"),
    ],
)
def test_where_the_other_one_fails_it_fails_with_its_reason(answer: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkflowStepError) as caught:
        step("call", workflow=7).resume({}, answer)
    assert caught.value.message == words
    assert caught.value.details == {"execution": answer.get("execution")}


@pytest.mark.parametrize(
    "config",
    [
        {},
        *({"workflow": value} for value in (None, "", "seven", 0, -1, 1.5, [7])),
        {"workflow": 7, "save_as": ""},
        {"workflow": 7, "save_as": "x" * 65},
        {"workflow": 7, "what": "a"},
    ],
)
def test_a_call_without_a_workflow_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        step("call", **config)
