"""Declared fields where an execution is made: by the engine, in its hot path too, and over the API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client

from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from workflows import steps
from workflows.errors import InputError, WorkflowExecutionError
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

ORDER: dict[str, Any] = {
    "nodes": [
        {
            "id": "in",
            "type": "input",
            "data": {
                "fields": [
                    {"name": "customer", "label": "Customer", "required": True},
                    {"name": "loaves", "type": "number", "default": 2},
                ]
            },
        },
        {"id": "out", "type": "output"},
    ],
    "edges": [{"source": "in", "target": "out"}],
}
BAD = {"customer": 5, "loaves": "two"}
SENTENCES = "“Customer” must be text, not 5. “Loaves” must be a number such as 3 or 3.5, not “two”."


@pytest.fixture
def order(alice: User) -> Workflow:
    workflow = Workflow.objects.create(name="Order", owner=alice)
    workflow.publish(ORDER, by=alice)
    return workflow


def submit(workflow: Workflow, given: Any, **how: Any) -> WorkflowExecution:
    return WorkflowExecution.objects.get(pk=WorkflowEngine().submit(workflow.pk, given, **how))


def execute(workflow: Workflow, given: Any) -> Any:
    return async_to_sync(WorkflowEngine().execute_workflow)(workflow.pk, given)


@pytest.mark.parametrize("start", [submit, execute])
def test_a_wrong_input_is_refused_with_all_that_is_wrong_and_leaves_no_row(order: Workflow, start: Any) -> None:
    with pytest.raises(InputError) as caught:
        start(order, BAD)
    assert caught.value.message == SENTENCES and list(caught.value.problems) == ["customer", "loaves"]
    with pytest.raises(InputError, match="“Customer” is required"):
        start(order, None)
    assert not WorkflowExecution.objects.exists()


def test_defaults_are_in_the_row_and_in_what_the_steps_see(order: Workflow) -> None:
    assert submit(order, {"customer": "Ada", "note": [1]}).input_data == {"customer": "Ada", "note": [1], "loaves": 2}
    result = execute(order, {"customer": "Ada"})
    assert result.output_data["result"] == {"customer": "Ada", "loaves": 2}
    assert WorkflowExecution.objects.get(pk=result.execution_id).input_data == {"customer": "Ada", "loaves": 2}


def test_one_wrong_input_does_not_cost_its_neighbours_in_the_same_batch(order: Workflow) -> None:
    async def all_at_once() -> list[Any]:
        given: list[Any] = [{"customer": "Ada"}, BAD, {"customer": "Bob"}]
        engine = WorkflowEngine()
        runs = (engine.execute_workflow(order.pk, one) for one in given)
        return await asyncio.gather(*runs, return_exceptions=True)

    good, bad, also_good = async_to_sync(all_at_once)()
    assert isinstance(bad, InputError)
    assert (good.status, also_good.status) == ("completed", "completed")


def test_declarations_are_read_once_and_not_for_each_execution(
    order: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(order, {"customer": "Ada"})
    monkeypatch.setattr(steps, "make", lambda node: pytest.fail("parsed again"))
    submit(order, {"customer": "Bob"})
    execute(order, {"customer": "Cleo"})


def test_running_again_takes_the_input_that_its_version_accepted(order: Workflow, alice: User) -> None:
    first = submit(order, {"customer": "Ada"}, by=alice)
    stricter = json.loads(json.dumps(ORDER).replace('"customer"', '"client"'))
    order.publish(stricter, by=alice)
    again = WorkflowExecution.objects.get(pk=WorkflowEngine().run_again(first.pk))
    assert (again.version, again.input_data) == (first.version, first.input_data)


def test_what_was_accepted_once_is_run_again_though_the_rules_have_become_stricter(order: Workflow) -> None:
    first = submit(order, {"customer": "Ada"})
    WorkflowExecution.objects.update(input_data={"customer": 5})
    assert WorkflowExecution.objects.get(pk=WorkflowEngine().run_again(first.pk)).input_data == {"customer": 5}


def test_the_api_says_it_in_its_one_shape(order: Workflow, as_alice: Client) -> None:
    body = json.dumps({"input_data": BAD})
    response = as_alice.post(f"/api/workflows/{order.pk}/execute", body, content_type="application/json")
    assert response.status_code == 422
    assert response.json() == {"detail": SENTENCES, "code": "input", "where": {"field": "input_data.customer"}}


def test_what_was_submitted_can_be_seen_through_to_its_end(order: Workflow, workflow: Workflow) -> None:
    see_through = async_to_sync(WorkflowEngine().see_through)
    good: Any = see_through(submit(order, {"customer": "Ada"}).pk)
    assert good.status == "completed" and good.output_data["result"] == {"customer": "Ada", "loaves": 2}
    order.publish({"nodes": [{"id": "must", "type": "check", "data": {"required": ["paid"]}}]})
    bad = submit(order, {})
    with pytest.raises(WorkflowExecutionError, match="paid") as caught:
        see_through(bad.pk)
    assert caught.value.execution_id == bad.pk


# A version that was not published


def test_a_draft_is_one_version_for_each_content_and_has_no_number(order: Workflow, alice: User) -> None:
    draft = {"nodes": ORDER["nodes"][:1]}
    first = order.draft_version(draft, by=alice, note="up to in")
    assert (first.number, str(first), first.created_by) == (None, "draft, up to in", alice)
    assert order.draft_version(draft) == first
    assert str(order.draft_version(ORDER)) == "draft"  # though it is published with these words too
    order.refresh_from_db()
    assert order.published is not None and order.published.number == 1
    assert order.publish(draft).number == 2  # drafts take no numbers


def test_two_who_try_the_same_draft_make_one_version(order: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second looked before the first had written."""
    first = order.draft_version(ORDER)
    rows = type(order.versions.all())
    get, blind = rows.get, iter([True])

    def look(self: Any, *args: Any, **which: Any) -> Any:
        if next(blind, False):
            raise self.model.DoesNotExist
        return get(self, *args, **which)

    monkeypatch.setattr(rows, "get", look)
    assert order.draft_version(ORDER).pk == first.pk


def test_a_draft_runs_while_its_workflow_is_off_and_not_when_it_is_archived(order: Workflow) -> None:
    version = order.draft_version({"nodes": [{"id": "p", "type": "process"}]})
    Workflow.objects.update(is_active=False, published=None)
    tried = submit(order, {"any": 1}, version=version)
    assert (tried.version, tried.steps_total, tried.input_data) == (version, 1, {"any": 1})
    assert WorkflowEngine().run_again(tried.pk) != tried.pk
    order.archive()
    with pytest.raises(WorkflowExecutionError, match="not found or inactive"):
        submit(order, {}, version=version)
    with pytest.raises(WorkflowExecutionError, match="not found or inactive"):
        WorkflowEngine().run_again(tried.pk)


def test_a_published_version_of_an_inactive_workflow_does_not_run(order: Workflow) -> None:
    Workflow.objects.update(is_active=False)
    with pytest.raises(WorkflowExecutionError, match="not found or inactive"):
        submit(order, {"customer": "Ada"}, version=order.published)


def test_a_version_of_another_workflow_is_refused(order: Workflow, workflow: Workflow) -> None:
    with pytest.raises(WorkflowExecutionError, match="another workflow"):
        submit(order, {}, version=workflow.published)


def test_the_input_of_a_draft_is_checked_by_the_draft(order: Workflow) -> None:
    asked = {"id": "in", "type": "input", "data": {"fields": [{"name": "due", "type": "date", "required": True}]}}
    version = order.draft_version({"nodes": [asked]})
    with pytest.raises(InputError, match="“Due” is required"):
        submit(order, {"customer": "Ada"}, version=version)


def test_a_draft_that_cannot_run_makes_no_version(order: Workflow) -> None:
    before = order.versions.count()
    with pytest.raises(Exception, match="no nodes to execute"):
        order.draft_version({"nodes": []})
    assert order.versions.count() == before
