"""Names of people and groups that nobody here has: a warning, and never a reason not to publish."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from pytest_django import DjangoAssertNumQueries

from workflows.models import Workflow
from workflows.models.workflow import definition_problems

pytestmark = pytest.mark.django_db


def asking(**data: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "a", "type": "approval", "data": {"label": "Ask", **data}}], "edges": []}


def warned(definition: Any) -> list[tuple[str | None, str]]:
    return [(found.field, found.message) for found in definition_problems(definition) if found.level == "warning"]


def test_a_name_that_nobody_has_is_a_warning_at_its_setting(alice: User, team: Group) -> None:
    definition = asking(people=["alice", "alicia"], groups=["team", "teem"])
    assert warned(definition) == [
        ("people", "Step “Ask” asks “alicia”, and nobody here is called so."),
        ("groups", "Step “Ask” asks “teem”, a group that is not here."),
    ]
    assert Workflow.objects.create(name="Asks").publish(definition).number == 1


def test_names_that_are_known_are_none(alice: User, team: Group) -> None:
    assert warned(asking(people=["alice"], groups=["team"])) == []


@pytest.mark.parametrize("people", ["alice", None, 5, [5, None], {"alice": 1}])
def test_what_is_no_list_of_names_is_the_settings_own_error(people: Any) -> None:
    assert warned(asking(people=people)) == []


def test_nobody_is_looked_up_where_nobody_is_named(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert warned(asking()) == []
    with django_assert_num_queries(2):
        definition_problems(asking(people=[f"p{n}" for n in range(100)], groups=["a", "b"]))
