"""Workflows, versions and examples in the admin: found, read, edited where that breaks nothing, and by whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.conftest import CHAIN, signed_in
from workflows.edits import delete
from workflows.models import LoadedExample, Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db

WORKFLOWS = "/admin/workflows/workflow/"
VERSIONS = "/admin/workflows/workflowversion/"
EXAMPLES = "/admin/workflows/loadedexample/"
EDITS = "/admin/workflows/workflowedit/"
MANY_ODD_SEARCHES = ["Chain", "%00", "%ED%A0%80", "'; --", "x" * 5000, "１", "%25", "9" * 400]


@pytest.fixture
def as_owner(owner: User) -> Client:
    return signed_in(owner)


@pytest.fixture
def as_staff(charlie: User) -> Client:
    return signed_in(staff(charlie))


def staff(user: User) -> User:
    """With every permission that Django knows, and no right on anybody's workflow."""
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.all())
    return user


@pytest.mark.parametrize("path", [WORKFLOWS, VERSIONS, EDITS, EXAMPLES])
def test_the_lists_are_for_staff(as_alice: Client, as_owner: Client, workflow: Workflow, path: str) -> None:
    assert as_owner.get(path).status_code == 200
    assert as_alice.get(path).status_code == 302


def test_every_page_says_whose_it_is(as_owner: Client) -> None:
    assert "Stepstream" in as_owner.get("/admin/").content.decode()


@pytest.mark.parametrize("path", [WORKFLOWS, VERSIONS])
def test_a_list_costs_the_same_however_long_it_is(
    as_owner: Client, alice: User, path: str, django_assert_max_num_queries: Any
) -> None:
    for count in (2, 30):
        for index in range(count):
            Workflow.objects.create(name=f"w{count}-{index}", owner=alice).publish(CHAIN, by=alice)
        with django_assert_max_num_queries(6):
            assert as_owner.get(path).status_code == 200


@pytest.mark.parametrize("path", [WORKFLOWS, VERSIONS])
def test_a_list_reads_no_definition(
    as_owner: Client, workflow: Workflow, path: str, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(6) as queries:
        as_owner.get(path)
    assert not [
        query for query in queries.captured_queries if '"definition"' in query["sql"] or '"draft"' in query["sql"]
    ]


@pytest.mark.parametrize("path", [WORKFLOWS, VERSIONS, EDITS, EXAMPLES])
@pytest.mark.parametrize("text", MANY_ODD_SEARCHES)
def test_a_search_never_fails(as_owner: Client, workflow: Workflow, path: str, text: str) -> None:
    assert as_owner.get(f"{path}?q={text}").status_code in (200, 302)


@pytest.mark.parametrize(("query", "found"), [("q=chai", 1), ("q=nix", 0), ("q=alice", 1), ("is_active__exact=0", 0)])
def test_workflows_are_found_by_name_and_owner(as_owner: Client, workflow: Workflow, query: str, found: int) -> None:
    assert as_owner.get(f"{WORKFLOWS}?{query}").context["cl"].result_count == found


def test_a_workflow_leads_to_its_versions_and_executions(as_owner: Client, workflow: Workflow) -> None:
    page = as_owner.get(f"{WORKFLOWS}{workflow.pk}/change/").content.decode()
    for path in (
        f"{VERSIONS}?workflow__id__exact={workflow.pk}",
        f"{VERSIONS}{workflow.published_id}/change/",
        f"/admin/executions/workflowexecution/?workflow__id__exact={workflow.pk}",
    ):
        assert path in page
        assert as_owner.get(path).status_code == 200


FORM = {"name": "Renamed", "description": "", "max_parallel": "2", "time_zone": ""} | {
    "priority": "1",
    "concurrency_per_key": "1",
}


def test_a_name_may_be_edited_but_not_the_definition(as_owner: Client, workflow: Workflow, alice: User) -> None:
    form = {**FORM, "owner": alice.pk, "draft": "{}", "published": ""}
    assert as_owner.post(f"{WORKFLOWS}{workflow.pk}/change/", form).status_code == 302
    changed = Workflow.objects.get()
    assert (changed.name, changed.max_parallel, changed.owner) == ("Renamed", 2, alice)
    assert (changed.draft, changed.published_id) == (None, workflow.published_id)


def test_a_teammate_on_the_staff_may_edit_but_not_give_away(workflow: Workflow, bob: User, alice: User) -> None:
    client = signed_in(staff(bob))
    assert client.post(f"{WORKFLOWS}{workflow.pk}/change/", {**FORM, "owner": bob.pk}).status_code == 302
    changed = Workflow.objects.get()
    assert (changed.name, changed.owner) == ("Renamed", alice)


def test_a_stranger_on_the_staff_sees_nothing(as_staff: Client, workflow: Workflow) -> None:
    assert as_staff.get(WORKFLOWS).context["cl"].result_count == 0
    assert as_staff.get(VERSIONS).context["cl"].result_count == 0
    assert as_staff.get(f"{WORKFLOWS}{workflow.pk}/change/").status_code == 302
    assert as_staff.post(f"{WORKFLOWS}{workflow.pk}/change/", FORM).status_code == 302
    workflow.refresh_from_db()
    assert workflow.name == "Chain"


def test_an_example_may_be_read_by_staff_but_not_edited(as_staff: Client, workflow: Workflow) -> None:
    Workflow.objects.update(owner=None, group=None)
    assert as_staff.get(f"{WORKFLOWS}{workflow.pk}/change/").status_code == 200
    assert as_staff.post(f"{WORKFLOWS}{workflow.pk}/change/", FORM).status_code == 403


@pytest.mark.parametrize("path", [WORKFLOWS, VERSIONS, EDITS, EXAMPLES])
def test_nothing_is_added_by_hand(as_owner: Client, path: str) -> None:
    assert as_owner.get(f"{path}add/").status_code == 403


def test_a_version_is_read_and_never_changed_or_deleted(as_owner: Client, workflow: Workflow) -> None:
    path = f"{VERSIONS}{workflow.published_id}/"
    assert "uppercase" in as_owner.get(f"{path}change/").content.decode()
    assert as_owner.post(f"{path}change/", {"definition": "{}"}).status_code == 403
    assert as_owner.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    assert WorkflowVersion.objects.get().definition == CHAIN


def test_a_workflow_is_archived_and_not_deleted(as_owner: Client, workflow: Workflow) -> None:
    assert as_owner.post(f"{WORKFLOWS}{workflow.pk}/delete/", {"post": "yes"}).status_code == 403
    answer = as_owner.post(WORKFLOWS, {"action": "archive", "_selected_action": [workflow.pk]}, follow=True)
    assert "is archived" in answer.content.decode()
    workflow.refresh_from_db()
    assert workflow.archived_at and not workflow.is_active


def test_a_teammate_on_the_staff_may_not_archive(workflow: Workflow, bob: User) -> None:
    client = signed_in(staff(bob))
    answer = client.post(WORKFLOWS, {"action": "archive", "_selected_action": [workflow.pk]}, follow=True)
    assert "Only its owner" in answer.content.decode()
    workflow.refresh_from_db()
    assert workflow.archived_at is None


def test_an_example_comes_back_when_its_row_is_deleted(as_owner: Client) -> None:
    example = LoadedExample.objects.create(slug="tidy")
    assert as_owner.post(f"{EXAMPLES}{example.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not LoadedExample.objects.exists()


def test_what_a_definition_holds_is_shown_as_text(as_owner: Client, alice: User) -> None:
    evil = {"nodes": [{"id": "a", "type": "input", "data": {"label": "<script>alert(1)</script>"}}], "edges": []}
    workflow = Workflow.objects.create(name="<b>x</b>", owner=alice)
    version = workflow.publish(evil)
    for path in (WORKFLOWS, f"{VERSIONS}{version.pk}/change/", VERSIONS):
        page = as_owner.get(path).content.decode()
        assert "<script>alert" not in page and "<b>x</b>" not in page


def test_what_was_done_to_a_draft_is_read_by_who_may_see_it(
    as_owner: Client, as_staff: Client, workflow: Workflow, alice: User
) -> None:
    workflow.edit(lambda before: delete(before, "work"), alice)
    edit = workflow.edits.get()
    page = as_owner.get(f"{EDITS}{edit.pk}/change/").content.decode()
    assert "Deleted “Shout”" in page and "uppercase" in page
    assert as_owner.post(f"{EDITS}{edit.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "Shout" not in as_staff.get(EDITS).content.decode()
