"""The pages of workflows, as alice (owner), bob (her team) and charlie (a stranger) meet them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.conftest import CHAIN, signed_in
from workflows import steps
from workflows.models import Workflow
from workflows.templatetags.words import STEP_ICONS

CYCLE: dict[str, Any] = {**CHAIN, "edges": [{"source": "in", "target": "work"}, {"source": "work", "target": "in"}]}


def page(workflow: Workflow, name: str = "show") -> str:
    return reverse(f"workflows:{name}", args=[workflow.pk])


def typed(definition: Any = CHAIN, do: str = "publish", **other: str) -> dict[str, str]:
    text = definition if isinstance(definition, str) else json.dumps(definition)
    return {"name": "Chain", "description": "", "definition": text, "do": do, **other}


@pytest.fixture
def example(db: None) -> Workflow:
    """Nobody's: everybody may look at it and run it."""
    workflow = Workflow.objects.create(name="Example")
    workflow.publish(CHAIN)
    return workflow


# Look


def test_the_page_draws_every_step_with_its_label(workflow: Workflow, as_bob: Client) -> None:
    text = as_bob.get(page(workflow)).text
    assert text.count("<foreignObject") == 3
    assert all(label in text for label in ("Take in", "Shout", "Give out"))
    assert "style=" not in text


def test_a_stranger_and_an_unknown_number_get_the_same_404(workflow: Workflow, as_charlie: Client) -> None:
    assert as_charlie.get(page(workflow)).status_code == 404
    assert as_charlie.get(f"/workflows/{workflow.pk + 1}/").status_code == 404


@pytest.mark.parametrize("number", ["0", "9223372036854775808", "9" * 60, "-1", "abc", "%00"])
def test_a_number_of_any_shape_is_unknown_and_no_error(number: str, as_alice: Client) -> None:
    assert as_alice.get(f"/workflows/{number}/").status_code == 404
    assert as_alice.get(f"/workflows/{number}/run/").status_code == 404


def test_who_may_only_look_gets_no_form(example: Workflow, as_charlie: Client) -> None:
    text = as_charlie.get(page(example)).text
    assert "<textarea" not in text
    assert "Archive" not in text
    assert reverse("executions:run", args=[example.pk]) in text


def test_a_draft_that_cannot_be_published_says_why_and_the_published_version_stays_drawn(
    workflow: Workflow, as_alice: Client
) -> None:
    workflow.keep_draft(CYCLE)
    text = as_alice.get(page(workflow)).text
    assert "graph.cycle" in text
    assert text.count("<foreignObject") == 3


def test_every_step_kind_has_its_icon_drawn() -> None:
    assert {kind.icon for kind in steps.kinds().values()} <= STEP_ICONS


# Write


def test_the_team_may_publish_and_a_new_version_runs_from_then_on(workflow: Workflow, as_bob: Client) -> None:
    changed = {"nodes": [{"id": "more", "type": "default", "data": {}}]}
    response = as_bob.post(page(workflow, "save"), typed(changed))
    assert (response.status_code, response["Location"]) == (303, page(workflow))
    workflow.refresh_from_db()
    assert workflow.published is not None and workflow.published.number == 2
    assert workflow.published.created_by is not None and workflow.published.created_by.username == "bob"


def test_saving_a_draft_changes_nothing_that_runs(workflow: Workflow, as_alice: Client) -> None:
    assert as_alice.post(page(workflow, "save"), typed(CYCLE, do="draft")).status_code == 303
    workflow.refresh_from_db()
    assert workflow.draft == CYCLE
    assert workflow.published is not None and workflow.published.number == 1


def test_every_problem_is_listed_with_rule_node_and_field_and_nothing_typed_is_lost(
    workflow: Workflow, as_alice: Client
) -> None:
    wrong = {
        "nodes": [
            {"id": "a", "type": "nonsense", "data": {"x-mark": "kept as typed"}},
            {"id": "b", "type": "delay", "data": {"seconds": -1}},
        ]
    }
    response = as_alice.post(page(workflow, "save"), typed(wrong, description="what I wrote"))
    assert response.status_code == 422
    for part in ("step.unknown_type · a · type", "step.config · b · seconds", "kept as typed", "what I wrote"):
        assert part in response.text
    workflow.refresh_from_db()
    assert workflow.draft is None and workflow.description == ""


def test_json_that_cannot_be_read_is_an_error_at_the_field_with_line_and_column(
    workflow: Workflow, as_alice: Client
) -> None:
    response = as_alice.post(page(workflow, "save"), typed('{\n "nodes": [,]\n}'))
    assert response.status_code == 422
    assert "line 2, column 12" in response.text
    assert 'aria-invalid="true"' in response.text
    assert "&quot;nodes&quot;: [,]" in response.text


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": "\\u0000"}', "[" * 5_000, '{"a": "\\ud800"}', "", "null", "7"])
def test_what_cannot_be_kept_or_published_never_breaks_the_page(
    text: str, workflow: Workflow, as_alice: Client
) -> None:
    assert as_alice.post(page(workflow, "save"), typed(text)).status_code == 422


def test_looking_is_not_editing(example: Workflow, as_charlie: Client) -> None:
    assert as_charlie.post(page(example, "save"), typed()).status_code == 403
    assert as_charlie.post(page(example, "archive")).status_code == 403


def test_a_stranger_can_write_nothing(workflow: Workflow, as_charlie: Client) -> None:
    assert as_charlie.post(page(workflow, "save"), typed(name="Mine now")).status_code == 404
    assert as_charlie.post(page(workflow, "archive")).status_code == 404
    workflow.refresh_from_db()
    assert workflow.name == "Chain" and workflow.archived_at is None


def test_the_owner_archives_and_the_team_may_not(workflow: Workflow, as_alice: Client, as_bob: Client) -> None:
    assert as_bob.post(page(workflow, "archive")).status_code == 403
    assert as_alice.get(page(workflow, "archive")).status_code == 405
    assert as_alice.post(page(workflow, "archive")).status_code == 303
    workflow.refresh_from_db()
    assert workflow.archived_at is not None
    assert page(workflow) not in as_alice.get("/").text


def test_a_new_workflow_begins_with_an_example_that_can_be_published(as_charlie: Client) -> None:
    form = as_charlie.get(reverse("workflows:new")).context["form"]
    response = as_charlie.post(reverse("workflows:new"), typed(form["definition"].value(), name="My first"))
    assert response.status_code == 303
    made = Workflow.objects.get(name="My first")
    assert made.is_runnable and made.owner is not None and made.owner.username == "charlie"


def test_a_new_workflow_may_stay_a_draft(as_charlie: Client) -> None:
    as_charlie.post(reverse("workflows:new"), typed(CYCLE, do="draft", name="Later"))
    made = Workflow.objects.get(name="Later")
    assert made.draft == CYCLE and not made.is_runnable


def test_a_new_workflow_that_cannot_be_published_is_not_made(as_charlie: Client) -> None:
    response = as_charlie.post(reverse("workflows:new"), typed(CYCLE, name="Round"))
    assert response.status_code == 422
    assert "graph.cycle" in response.text
    assert not Workflow.objects.filter(name="Round").exists()


def test_a_name_is_needed(as_charlie: Client) -> None:
    assert as_charlie.post(reverse("workflows:new"), typed(name=" ")).status_code == 422


def test_markup_in_names_and_labels_is_text(alice: User) -> None:
    nasty = '<script>alert("x")</script>'
    workflow = Workflow.objects.create(name=nasty, description=nasty, owner=alice)
    workflow.publish({"nodes": [{"id": "a", "type": "default", "data": {"label": nasty}}]})
    client = signed_in(alice)
    assert nasty not in client.get("/").text + client.get(page(workflow)).text
