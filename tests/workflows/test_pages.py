"""The pages of workflows, as alice (owner), bob (her team) and charlie (a stranger) meet them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from executions.models import WorkflowExecution
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


# Find


def test_the_list_shows_what_one_may_see_and_nothing_else(
    workflow: Workflow, as_bob: Client, as_charlie: Client
) -> None:
    assert "Chain" in as_bob.get("/").text
    assert "Chain" not in as_charlie.get("/").text


def test_an_empty_list_says_how_to_begin(as_charlie: Client) -> None:
    text = as_charlie.get("/").text
    assert "There is no workflow yet" in text
    assert reverse("workflows:new") in text


def test_a_search_finds_by_name_and_says_when_it_finds_nothing(workflow: Workflow, as_alice: Client) -> None:
    assert "Chain" in as_alice.get("/?q=cha").text
    nothing = as_alice.get("/", {"q": "<b>zebra"}).text
    assert "No workflow is called “&lt;b&gt;zebra”" in nothing
    assert "table" not in nothing


def test_a_row_links_to_the_last_execution_and_to_the_run_form(workflow: Workflow, as_alice: Client) -> None:
    rows = [
        WorkflowExecution(workflow=workflow, version=workflow.published, status=word) for word in ("failed", "running")
    ]
    first, last = (
        WorkflowExecution.objects.create(workflow=r.workflow, version=r.version, status=r.status) for r in rows
    )
    text = as_alice.get("/").text
    assert f'href="/executions/{last.pk}/"' in text
    assert f'href="/executions/{first.pk}/"' not in text
    assert reverse("executions:run", args=[workflow.pk]) in text


def test_a_workflow_that_was_never_published_offers_no_run(alice: User, as_alice: Client) -> None:
    draft = Workflow.objects.create(name="Draft", owner=alice)
    assert reverse("executions:run", args=[draft.pk]) not in as_alice.get("/").text


def test_the_list_asks_the_database_as_often_for_twenty_as_for_one(
    alice: User, as_alice: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        workflow = Workflow.objects.create(name=f"W{number}", owner=alice)
        version = workflow.publish(CHAIN)
        WorkflowExecution.objects.create(workflow=workflow, version=version)
    with django_assert_max_num_queries(8):
        assert as_alice.get("/").text.count('<td class="w-name">') == 20


# Look


def test_a_stranger_and_an_unknown_number_get_the_same_404(workflow: Workflow, as_charlie: Client) -> None:
    assert as_charlie.get(page(workflow)).status_code == 404
    assert as_charlie.get(f"/workflows/{workflow.pk + 1}/").status_code == 404


@pytest.mark.parametrize("number", ["0", "9223372036854775808", "9" * 60, "-1", "abc", "%00"])
def test_a_number_of_any_shape_is_unknown_and_no_error(number: str, as_alice: Client) -> None:
    assert as_alice.get(f"/workflows/{number}/").status_code == 404
    assert as_alice.get(f"/workflows/{number}/run/").status_code == 404


def test_every_step_kind_has_its_icon_drawn() -> None:
    assert {kind.icon for kind in steps.kinds().values()} <= STEP_ICONS


def test_markup_in_names_and_labels_is_text(alice: User) -> None:
    nasty = '<script>alert("x")</script>'
    workflow = Workflow.objects.create(name=nasty, description=nasty, owner=alice)
    workflow.publish({"nodes": [{"id": "a", "type": "default", "data": {"label": nasty}}]})
    client = signed_in(alice)
    assert nasty not in client.get("/").text + client.get(page(workflow)).text
