"""Large data on pages, in the API and as a file: its beginning, its size, the whole for those who may see it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from executions import blobs
from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import ExecutionLog, WorkflowExecution
from executions.preview import SHOWN, preview
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 23, 7, 13, tzinfo=UTC)
BOOK = "Call me <Ishmael>. " * 60_000
SIZE = "1.1 MiB"


@pytest.fixture
def large(workflow: Workflow) -> WorkflowExecution:
    """An execution whose input and output hold a book, and whose step “work” added another."""
    assert workflow.published is not None
    execution = WorkflowExecution.objects.create(
        workflow=workflow, version=workflow.published, status="completed", created_at=AT, started_at=AT, completed_at=AT
    )
    given, made = {"name": "Ada", "book": BOOK}, {"book": BOOK.upper(), "name": "ADA"}
    execution.input_data, execution.input_blobs = blobs.split(execution.pk, given)
    execution.output_data, execution.output_blobs = blobs.split(execution.pk, {"result": "short", **made})
    execution.save()
    inline, refs = blobs.split(execution.pk, made)
    entries: list[tuple[str, str | None, Any]] = [
        ("queued", None, {"by": None}),
        ("started", None, None),
        ("started", "in", None),
        ("completed", "in", {"added": {}, "kept": True}),
        ("started", "work", None),
        ("completed", "work", {"added": inline, "blobs": refs}),
        ("started", "out", None),
        ("completed", "out", {"added": {}, "whole": ["result"]}),
        ("finished", None, {"status": "completed"}),
    ]
    ExecutionLog.objects.bulk_create(
        ExecutionLog(execution=execution, seq=seq, kind=kind, node=node, attempt=node and 1, data=data, at=AT)
        for seq, (kind, node, data) in enumerate(entries, 1)
    )
    return execution


def url(execution: WorkflowExecution, name: str, *more: Any, of: str = "") -> str:
    return reverse(f"executions:{name}", args=[execution.pk, *more]) + (f"?of={of}" if of else "")


def test_the_page_shows_the_beginning_and_says_how_much_there_is(as_alice: Client, large: WorkflowExecution) -> None:
    text = as_alice.get(url(large, "show")).content.decode()
    assert "Call me &lt;Ishmael&gt;" in text and "&quot;Ada&quot;" in text
    assert f"Download all of it ({SIZE})" in text
    assert f'href="{url(large, "data", of="input")}"' in text and f'href="{url(large, "data", of="output")}"' in text
    assert len(text) < 4 * SHOWN


def test_a_steps_page_does_so_too(as_alice: Client, large: WorkflowExecution) -> None:
    text = as_alice.get(url(large, "step", "work")).content.decode()
    assert "CALL ME &lt;ISHMAEL&gt;" in text
    assert f'href="{url(large, "step_data", "work", of="output")}"' in text
    assert len(text) < 4 * SHOWN
    deeper = as_alice.get(url(large, "step", "out")).content.decode()
    assert f"… {SIZE}" in deeper  # what lies inside of `result` is named


def test_the_whole_comes_as_a_file_that_no_browser_opens(as_bob: Client, large: WorkflowExecution) -> None:
    for place, expected in (
        (url(large, "data", of="input"), {"name": "Ada", "book": BOOK}),
        (url(large, "data", of="output"), {"result": "short", "name": "ADA", "book": BOOK.upper()}),
        (url(large, "step_data", "in", of="output"), {"name": "Ada", "book": BOOK}),
        (url(large, "step_data", "work", of="output"), {"name": "ADA", "book": BOOK.upper()}),
        (url(large, "step_data", "out", of="output"), {"result": {"name": "ADA", "book": BOOK.upper()}}),
    ):
        answer = as_bob.get(place)
        assert answer.json() == expected
        assert answer["Content-Disposition"].startswith(f'attachment; filename="execution-{large.pk}-')
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Type"] == "application/json"


def test_a_stranger_gets_nothing(as_charlie: Client, large: WorkflowExecution) -> None:
    for place in (url(large, "data", of="input"), url(large, "step_data", "work", of="output")):
        assert as_charlie.get(place).status_code == 404


@pytest.mark.parametrize("of", ["", "error", "input_blobs", "../input", "input\0"])
def test_only_input_and_output_can_be_had(as_alice: Client, large: WorkflowExecution, of: str) -> None:
    for place in (url(large, "data"), url(large, "step_data", "work")):
        assert as_alice.get(place, {"of": of}).status_code == 404


def test_what_is_not_there_cannot_be_had(as_alice: Client, large: WorkflowExecution) -> None:
    assert as_alice.get(url(large, "step_data", "nobody", of="input")).status_code == 404
    WorkflowExecution.objects.filter(pk=large.pk).update(output_data=None, output_blobs=None)
    assert as_alice.get(url(large, "data", of="output")).status_code == 404
    assert as_alice.post(url(large, "data", of="input")).status_code == 405


def test_the_api_gives_it_whole_and_the_journal_as_it_is_kept(as_alice: Client, large: WorkflowExecution) -> None:
    told = as_alice.get(f"/api/executions/{large.pk}").json()
    assert told["input_data"] == {"name": "Ada", "book": BOOK}
    assert told["output_data"]["book"] == BOOK.upper()
    steps = as_alice.get(f"/api/executions/{large.pk}/logs?steps=true").json()["items"]
    assert steps[1]["output_data"] == {"name": "ADA", "book": BOOK.upper()}
    (entry,) = [one for one in as_alice.get(f"/api/executions/{large.pk}/logs").json()["items"] if one["seq"] == 6]
    assert list(entry["data"]["blobs"]) == ["book"] and entry["data"]["added"] == {"name": "ADA"}


def test_where_a_file_is_gone_the_pages_say_so_and_stand(as_alice: Client, large: WorkflowExecution) -> None:
    blobs.forget([large.pk])
    text = as_alice.get(url(large, "show")).content.decode()
    assert "its file is gone" in text and "&quot;Ada&quot;" in text
    assert "its file is gone" in as_alice.get(url(large, "step", "work")).content.decode()
    answer = as_alice.get(url(large, "data", of="input"))
    assert answer.status_code == 404 and "its file is gone" in answer.content.decode()
    told = as_alice.get(f"/api/executions/{large.pk}")
    assert told.status_code == 409 and told.json()["code"] == "execution.data"
    with pytest.raises(WorkflowExecutionError, match="its file is gone"):
        WorkflowEngine().run_again(large.pk)


def test_a_bundle_that_is_gone_costs_no_page_either(as_alice: Client, large: WorkflowExecution) -> None:
    large.input_data, large.input_blobs = blobs.split(large.pk, {f"{i}": f"{i}" * 40 for i in range(9_000)})
    assert any("keys" in ref for ref in (large.input_blobs or {}).values())
    large.save()
    blobs.forget([large.pk])
    assert "its file is gone" in as_alice.get(url(large, "show")).content.decode()
    assert as_alice.get(url(large, "step", "work")).status_code == 200


def test_the_run_form_does_not_offer_what_it_would_not_take(as_alice: Client, large: WorkflowExecution) -> None:
    WorkflowExecution.objects.update(started_by=WorkflowExecution.objects.get().workflow.owner)
    text = as_alice.get(reverse("executions:run", args=[large.workflow_id])).content.decode()
    assert "Filled from" not in text


def test_small_values_look_as_ever() -> None:
    shown = preview({"a": 1})
    assert shown is not None and (shown.text, shown.size, shown.problem) == ('{"a": 1}', "", "")
    assert preview(None) is None


def test_a_value_of_middling_size_is_whole_and_a_larger_one_is_cut() -> None:
    middling, larger = preview({"a": "x" * 60_000}), preview({"a": ["x" * 1000] * 200})
    assert middling is not None and json.loads(middling.text) == {"a": "x" * 60_000} and not middling.size
    assert larger is not None and len(larger.text) == SHOWN and larger.size == "195.9 KiB"
