"""Trying a draft: the whole of it, up to a step, or one step alone; marked as a draft wherever it is seen."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from tests.conftest import CHAIN
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

DRAFT: dict[str, Any] = {
    "nodes": [
        {"id": "in", "type": "input", "data": {"label": "Take in", "fields": [{"name": "name", "required": True}]}},
        {"id": "work", "type": "process", "data": {"label": "Shout & more", "operation": "uppercase"}},
        {"id": "out", "type": "output", "data": {"label": "Give out"}},
    ],
    "edges": CHAIN["edges"],
}


@pytest.fixture
def drafted(workflow: Workflow) -> Workflow:
    """Alice's chain, in which a draft waits that asks for a name."""
    workflow.keep_draft(DRAFT)
    return workflow


def trial(workflow: Workflow, query: str = "") -> str:
    return reverse("executions:try", args=[workflow.pk]) + query


def tried(client: Client, workflow: Workflow, query: str = "", **typed: str) -> WorkflowExecution:
    response = client.post(trial(workflow, query), typed)
    assert response.status_code == 303, response.context["form"].problems
    return WorkflowExecution.objects.select_related("version").latest("pk")


def run_to_the_end(execution: WorkflowExecution) -> Any:
    return async_to_sync(WorkflowEngine().see_through)(execution.pk).output_data


NAME = {"field-name": "Ada"}


def test_the_draft_runs_and_what_is_published_stays(drafted: Workflow, as_alice: Client, alice: User) -> None:
    published = drafted.published
    execution = tried(as_alice, drafted, **NAME)
    assert (str(execution.version), execution.version.definition) == ("draft", DRAFT)
    assert execution.started_by == alice and execution.input_data == {"name": "Ada"}
    drafted.refresh_from_db()
    assert drafted.published == published and drafted.draft == DRAFT
    assert tried(as_alice, drafted, **NAME).version == execution.version
    assert drafted.versions.filter(number=None).count() == 1
    assert run_to_the_end(execution)["name"] == "ADA"


def test_without_a_draft_what_is_published_is_tried(workflow: Workflow, as_alice: Client) -> None:
    assert tried(as_alice, workflow, input_data="{}").version.definition == CHAIN


def test_up_to_a_step_runs_what_leads_to_it(drafted: Workflow, as_alice: Client) -> None:
    execution = tried(as_alice, drafted, "?until=work", **NAME)
    assert (str(execution.version), execution.steps_total) == ("draft, up to Shout & more", 2)
    assert run_to_the_end(execution) == {"name": "ADA"}


def test_up_to_the_last_step_is_the_draft_itself(drafted: Workflow, as_alice: Client) -> None:
    assert str(tried(as_alice, drafted, "?until=out", **NAME).version) == "draft"


def test_one_step_alone_gets_what_is_given_and_asks_for_no_fields(drafted: Workflow, as_alice: Client) -> None:
    assert 'name="input_data"' in as_alice.get(trial(drafted, "?only=work")).text
    execution = tried(as_alice, drafted, "?only=work", input_data='{"word": "hush"}')
    assert (str(execution.version), execution.steps_total) == ("draft, only Shout & more", 1)
    assert run_to_the_end(execution) == {"word": "HUSH"}


def test_one_step_alone_is_offered_what_it_saw_last(drafted: Workflow, as_alice: Client, alice: User) -> None:
    assert offered(as_alice, drafted, "?only=out") == "{}"
    engine = WorkflowEngine()
    async_to_sync(engine.execute_workflow)(drafted.pk, {"name": "Ada"}, by=alice)
    WorkflowEngine().submit(drafted.pk, {"name": "not there yet"}, by=alice)
    assert offered(as_alice, drafted, "?only=out") == '{"name": "ADA"}'
    assert offered(as_alice, drafted, "?only=out&offer=defaults") == "{}"


def offered(client: Client, workflow: Workflow, query: str) -> Any:
    return client.get(trial(workflow, query)).context["form"]["input_data"].value()


def test_the_input_of_one_step_alone_is_never_offered_to_the_whole(drafted: Workflow, as_alice: Client) -> None:
    tried(as_alice, drafted, **NAME)
    tried(as_alice, drafted, "?only=work", input_data='{"name": "of a step"}')
    assert as_alice.get(trial(drafted)).context["form"]["field-name"].value() == "Ada"
    form = as_alice.get(reverse("executions:run", args=[drafted.pk])).context["form"]
    assert form["input_data"].value() == '{"name": "Ada"}'


def test_the_fields_of_the_draft_are_asked_for_and_checked(drafted: Workflow, as_alice: Client) -> None:
    for typed in ({"field-name": ""}, {"input_data": "{}"}):
        response = as_alice.post(trial(drafted), typed)
        assert response.status_code == 422 and "“Name” is required." in response.text
    assert not drafted.versions.filter(number=None).exists()


def test_a_draft_with_problems_lists_them_with_the_way_to_each_step(workflow: Workflow, as_alice: Client) -> None:
    workflow.keep_draft({"nodes": [{"id": "bad", "type": "process", "data": {"operation": "shout"}}]})
    for response in (as_alice.get(trial(workflow)), as_alice.post(trial(workflow), {"input_data": "{}"})):
        assert "It cannot run yet: 1 problem" in response.text
        assert "bad" in response.text and 'name="input_data"' not in response.text
    assert response.status_code == 422
    assert not WorkflowExecution.objects.exists()


def test_a_sound_part_of_an_unfinished_draft_can_be_tried(drafted: Workflow, as_alice: Client) -> None:
    unfinished = [*DRAFT["nodes"][:2], {"id": "out", "type": "no such kind"}]
    drafted.keep_draft({**DRAFT, "nodes": unfinished})
    assert "cannot run yet" in as_alice.get(trial(drafted)).text
    assert tried(as_alice, drafted, "?until=work", **NAME).steps_total == 2


BROKEN: list[Any] = [
    {"nodes": []},
    {},
    {"nodes": [{"id": "a b"}]},
    {**CHAIN, "edges": [{"source": "in", "target": "?"}]},
]


@pytest.mark.parametrize("definition", BROKEN, ids=str)
@pytest.mark.parametrize("query", ["", "?until=work", "?only=work"])
def test_a_broken_draft_is_no_error(definition: Any, query: str, workflow: Workflow, as_alice: Client) -> None:
    workflow.keep_draft(definition)
    assert "cannot run yet" in as_alice.get(trial(workflow, query)).text


@pytest.mark.parametrize("query", ["?until=nowhere", "?only=%00", "?only=" + "x" * 5000, "?until=in%20"])
def test_an_unknown_step_is_not_found(query: str, drafted: Workflow, as_alice: Client) -> None:
    assert as_alice.get(trial(drafted, query)).status_code == 404


def test_who_may_edit_may_try_and_others_may_not(
    drafted: Workflow, as_bob: Client, as_charlie: Client, charlie: User
) -> None:
    assert as_bob.get(trial(drafted)).status_code == 200
    assert as_charlie.get(trial(drafted)).status_code == 404
    Workflow.objects.update(owner=None, group=None)  # now everybody may run it, and nobody but a superuser edit it
    assert as_charlie.get(trial(drafted)).status_code == 403
    assert as_charlie.post(trial(drafted), NAME).status_code == 403
    assert not WorkflowExecution.objects.exists()


def test_a_workflow_that_is_off_can_be_tried_and_an_archived_one_cannot(drafted: Workflow, as_alice: Client) -> None:
    Workflow.objects.update(is_active=False, published=None)
    assert tried(as_alice, drafted, **NAME).version.is_draft
    drafted.archive()
    page = as_alice.get(trial(drafted))
    assert "archived, so it cannot be run" in page.text and " disabled>" in page.text
    assert as_alice.post(trial(drafted), NAME).status_code == 422
    assert WorkflowExecution.objects.count() == 1


# Marked as a draft


def test_it_is_marked_wherever_it_is_seen(drafted: Workflow, as_alice: Client, owner: User) -> None:
    execution = tried(as_alice, drafted, "?until=work", **NAME)
    mark = "draft, up to Shout &amp; more</span>"
    assert mark in as_alice.get(trial(drafted, "?until=work")).text
    for place in (reverse("executions:show", args=[execution.pk]), reverse("executions:list")):
        assert mark in as_alice.get(place).text, place
    assert '<span class="tag draft">draft</span>' in as_alice.get("/").text
    assert as_alice.get(f"/api/executions/{execution.pk}").json()["version"] is None
    as_owner = Client()
    as_owner.force_login(owner)
    for place in (f"{execution.pk}/change/", ""):
        assert "draft, up to Shout &amp; more" in as_owner.get(f"/admin/executions/workflowexecution/{place}").text


def test_an_execution_of_a_published_version_has_no_such_mark(workflow: Workflow, as_alice: Client) -> None:
    as_alice.post(reverse("executions:run", args=[workflow.pk]), {"input_data": "{}"})
    execution = WorkflowExecution.objects.get()
    for place in (reverse("executions:show", args=[execution.pk]), reverse("executions:list")):
        assert "tag draft" not in as_alice.get(place).text


def test_it_is_run_again_as_it_was_by_who_may_edit_it(drafted: Workflow, as_alice: Client, as_charlie: Client) -> None:
    execution = tried(as_alice, drafted, **NAME)
    drafted.keep_draft(CHAIN)
    again = reverse("executions:run_again", args=[execution.pk])
    as_alice.post(again)
    newest = WorkflowExecution.objects.latest("pk")
    assert (newest.retry_of, newest.version, newest.input_data) == (execution, execution.version, {"name": "Ada"})
    Workflow.objects.update(owner=None, group=None)
    assert as_charlie.post(again).status_code == 403
    assert again not in as_charlie.get(reverse("executions:show", args=[execution.pk])).text


def test_the_way_back_brings_a_new_key(drafted: Workflow, as_alice: Client) -> None:
    assert "no-store" in as_alice.get(trial(drafted))["Cache-Control"]


# Expressions in a step alone


def reading(workflow: Workflow, text: str) -> None:
    workflow.keep_draft(
        {
            "nodes": [
                {"id": "in", "type": "input", "data": {}},
                {"id": "fetch", "type": "process", "data": {}},
                {"id": "use", "type": "default", "data": {"label": "Use"}},
                {
                    "id": "wait",
                    "type": "call",
                    "data": {"label": "Use it", "workflow": workflow.pk, "given": {"a": text}},
                },
            ],
            "edges": [{"source": a, "target": b} for a, b in (("in", "fetch"), ("fetch", "use"), ("use", "wait"))],
        }
    )


def test_a_step_alone_says_before_it_runs_what_earlier_steps_would_have_to_give(
    workflow: Workflow, as_alice: Client
) -> None:
    reading(workflow, "{{ steps.fetch.output.title }} {{ steps.use.output }} {{ input.name }}")
    response = as_alice.get(trial(workflow, "?only=wait"))
    assert response.status_code == 200
    for words in ("It cannot run alone", "<code>steps.fetch.output.title</code>", "<code>steps.use.output</code>"):
        assert words in response.text
    assert "?until=wait" in response.text and "<textarea" not in response.text
    assert as_alice.post(trial(workflow, "?only=wait"), {"input_data": "{}"}).status_code == 422
    assert not WorkflowExecution.objects.exists() and not workflow.versions.filter(number=None).exists()
    assert "<textarea" in as_alice.get(trial(workflow, "?until=wait")).text


def test_a_step_alone_that_reads_its_data_runs_and_says_what_it_reads(workflow: Workflow, as_alice: Client) -> None:
    reading(workflow, "{{ data.title }} {{ input.name }}")
    text = as_alice.get(trial(workflow, "?only=wait")).text
    assert "<code>data.title</code>, <code>input.name</code>: input and data are both what you give." in text
    assert as_alice.post(trial(workflow, "?only=wait"), {"input_data": '{"title": 1, "name": 2}'}).status_code == 303
