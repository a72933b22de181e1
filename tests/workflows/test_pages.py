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
