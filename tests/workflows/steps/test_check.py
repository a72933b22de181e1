"""check: what passes, what does not, and what it says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from workflows.errors import WorkflowStepError
from workflows.steps.base import Done, StepContext
from workflows.steps.check import Check, Config


def run(data: dict[str, Any], **config: Any) -> tuple[Done, list[str]]:
    lines: list[str] = []
    ctx = StepContext(data, data, "check", 1, datetime.now(UTC), "1:check:0", lambda level, text: lines.append(text))
    return asyncio.run(Check(Config(**config)).run(ctx)), lines


@pytest.mark.parametrize("value", ["Ada", 0, False, 1.5, ["a"], {"a": 1}, " x "])
def test_a_field_with_a_value_passes_unchanged(value: Any) -> None:
    done, lines = run({"name": value, "other": 1}, required=["name"])
    assert done == Done({"name": value, "other": 1})
    assert lines == ["Everything is there: name"]


@pytest.mark.parametrize("data", [{}, {"name": None}, {"name": ""}, {"name": " \n"}, {"name": []}, {"name": {}}])
def test_an_empty_field_is_missing(data: dict[str, Any]) -> None:
    with pytest.raises(WorkflowStepError, match="^Missing: name.$"):
        run(data, required=["name"])


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(WorkflowStepError) as caught:
        run({"reason": "bored", "order": 7}, required=["email", "name"], allowed={"reason": ["late", "damaged"]})
    assert caught.value.message == "Missing: email, name. “reason” is 'bored', but may only be: late, damaged."
    assert caught.value.details == {
        "missing": ["email", "name"],
        "not_allowed": {"reason": "bored"},
        "received": ["order", "reason"],
    }


@pytest.mark.parametrize("data", [{"reason": "late"}, {}])
def test_an_allowed_value_passes_and_so_does_a_field_that_is_not_there(data: dict[str, Any]) -> None:
    done, _ = run(data, allowed={"reason": ["late"]})
    assert done.output == data


@pytest.mark.parametrize("value", [["late"], {"late": 1}, None, 3, "Late"])
def test_another_value_is_refused(value: Any) -> None:
    with pytest.raises(WorkflowStepError, match="may only be: late"):
        run({"reason": value}, allowed={"reason": ["late"]})


def test_a_check_that_asks_for_nothing_lets_everything_pass() -> None:
    done, lines = run({"a": 1})
    assert done.output == {"a": 1} and lines == ["Everything is there: nothing was asked"]
