"""Executions, entries and waits in the admin: found and read, cancelled and run again, never written by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from executions import admin
from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, ExecutionStatus, ExecutionWait, WorkflowExecution
from tests.conftest import signed_in
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

EXECUTIONS = "/admin/executions/workflowexecution/"
ENTRIES = "/admin/executions/executionlog/"
WAITS = "/admin/executions/executionwait/"
ALL = [EXECUTIONS, ENTRIES, WAITS]


@pytest.fixture
def as_owner(owner: User) -> Client:
    return signed_in(owner)


@pytest.fixture
def execution(workflow: Workflow, alice: User) -> WorkflowExecution:
    return submitted(workflow, alice)


def submitted(workflow: Workflow, user: User) -> WorkflowExecution:
    return WorkflowExecution.objects.get(pk=WorkflowEngine().submit(workflow.pk, {"name": "<b>Ada</b>"}, by=user))


def waiting(execution: WorkflowExecution) -> ExecutionWait:
    return ExecutionWait.objects.create(execution=execution, node="work", due_at=timezone.now(), reason="delay")


def staff(user: User) -> User:
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.all())
    return user


def act(client: Client, action: str, *executions: WorkflowExecution) -> str:
    chosen = {"action": action, "_selected_action": [execution.pk for execution in executions]}
    return str(client.post(EXECUTIONS, chosen, follow=True).content.decode())


# Finding and reading


@pytest.mark.parametrize("path", ALL)
def test_the_lists_are_for_staff(as_alice: Client, as_owner: Client, execution: WorkflowExecution, path: str) -> None:
    assert as_owner.get(path).status_code == 200
    assert as_alice.get(path).status_code == 302


@pytest.mark.parametrize("path", ALL)
def test_a_list_costs_the_same_however_long_it_is(
    as_owner: Client, workflow: Workflow, alice: User, path: str, django_assert_max_num_queries: Any
) -> None:
    for count in (2, 30):
        for _ in range(count):
            waiting(submitted(workflow, alice))
        with django_assert_max_num_queries(5) as queries:
            assert as_owner.get(path).status_code == 200
        read = " ".join(query["sql"] for query in queries.captured_queries)
        assert not [
            column for column in ('"input_data"', '"output_data"', '"definition"', '"answer"') if column in read
        ]


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("text", ["1", "Chain", "%00", "%ED%A0%80", "'; --", "x" * 5000, "１", "9" * 400, str(2**63)])
def test_a_search_never_fails(as_owner: Client, execution: WorkflowExecution, path: str, text: str) -> None:
    assert as_owner.get(f"{path}?q={text}").status_code in (200, 302)


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    "query", ["workflow__id__exact=x", f"execution__id__exact={2**64}", "p=-1", "p=x", "o=99", "status__exact=nix"]
)
def test_a_bad_query_never_fails(as_owner: Client, execution: WorkflowExecution, path: str, query: str) -> None:
    assert as_owner.get(f"{path}?{query}").status_code in (200, 302, 400)


def test_an_execution_is_found_by_its_number_its_workflow_and_its_error(
    as_owner: Client, workflow: Workflow, alice: User
) -> None:
    one, other = submitted(workflow, alice), submitted(workflow, alice)
    WorkflowExecution.objects.filter(pk=one.pk).update(error_message="Missing: email", status=ExecutionStatus.FAILED)
    for query, found in [
        (f"q={one.pk}", 1),
        ("q=chain", 2),
        ("q=alice", 2),
        ("q=missing", 1),
        ("q=nix", 0),
        ("status__exact=failed", 1),
        ("status__exact=running", 0),
        (f"workflow__id__exact={workflow.pk}", 2),
        (f"workflow__id__exact={workflow.pk + 1}", 0),
        (f"version__id__exact={other.version_id}", 2),
    ]:
        assert as_owner.get(f"{EXECUTIONS}?{query}").context["cl"].result_count == found, query


def test_an_execution_leads_to_its_workflow_its_entries_and_its_live_page(
    as_owner: Client, execution: WorkflowExecution
) -> None:
    page = as_owner.get(f"{EXECUTIONS}{execution.pk}/change/").content.decode()
    for path in (
        f"/admin/workflows/workflow/{execution.workflow_id}/change/",
        f"/admin/workflows/workflowversion/{execution.version_id}/change/",
        f"{ENTRIES}?execution__id__exact={execution.pk}",
        f"{WAITS}?execution__id__exact={execution.pk}",
    ):
        assert path in page
        assert as_owner.get(path).status_code == 200
    assert f"/executions/{execution.pk}/" in page
    assert "&lt;b&gt;Ada&lt;/b&gt;" in page and "<b>Ada</b>" not in page


def test_the_entries_of_one_execution_read_like_a_story(
    as_owner: Client, workflow: Workflow, alice: User, execution: WorkflowExecution
) -> None:
    WorkflowEngine().cancel(execution.pk, by=alice)
    submitted(workflow, alice)
    entries = as_owner.get(f"{ENTRIES}?execution__id__exact={execution.pk}").context["cl"].result_list
    assert [entry.kind for entry in entries] == ["queued", "cancel_requested", "finished"]
    everything = list(as_owner.get(ENTRIES).context["cl"].result_list)
    assert everything == sorted(everything, key=lambda entry: -entry.pk)


def test_entries_and_waits_are_read_one_by_one(as_owner: Client, execution: WorkflowExecution) -> None:
    wait, entry = waiting(execution), ExecutionLog.objects.get()
    for path in (f"{ENTRIES}{entry.pk}/change/", f"{WAITS}{wait.pk}/change/"):
        page = as_owner.get(path).content.decode()
        assert f"{EXECUTIONS}{execution.pk}/change/" in page


def test_staff_see_what_they_may_see_anyway_and_no_more(bob: User, charlie: User, execution: WorkflowExecution) -> None:
    waiting(execution)
    for user, found in ((bob, 1), (charlie, 0)):
        client = signed_in(staff(user))
        for path in ALL:
            assert client.get(path).context["cl"].result_count == found
        page = client.get(f"{EXECUTIONS}{execution.pk}/change/")
        assert page.status_code == (200 if found else 302)


# Never by hand


@pytest.mark.parametrize("path", ALL)
def test_nothing_is_added_changed_or_deleted_by_hand(as_owner: Client, execution: WorkflowExecution, path: str) -> None:
    waiting(execution)
    models: dict[str, Any] = {EXECUTIONS: WorkflowExecution, ENTRIES: ExecutionLog, WAITS: ExecutionWait}
    row = models[path].objects.get()
    assert as_owner.get(f"{path}add/").status_code == 403
    assert as_owner.post(f"{path}{row.pk}/change/", {"status": "completed"}).status_code == 403
    assert as_owner.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    as_owner.post(path, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    row.refresh_from_db()


# Cancel


def test_cancel_stops_what_was_chosen(as_owner: Client, workflow: Workflow, alice: User, owner: User) -> None:
    one, other, spared = (submitted(workflow, alice) for _ in range(3))
    assert "Asked to stop: 2." in act(as_owner, "cancel", one, other)
    found = dict(WorkflowExecution.objects.values_list("pk", "status"))
    assert found == {one.pk: "cancelled", other.pk: "cancelled", spared.pk: "pending"}
    one.refresh_from_db()
    assert one.cancel_requested_by == owner


def test_a_running_one_is_asked_once(as_owner: Client, execution: WorkflowExecution) -> None:
    later = timezone.now() + timedelta(hours=1)
    WorkflowExecution.objects.update(status=ExecutionStatus.RUNNING, owner="somebody", due_at=later)
    assert "Asked to stop: 1." in act(as_owner, "cancel", execution)
    assert "asked to stop before: 1." in act(as_owner, "cancel", execution)
    execution.refresh_from_db()
    assert execution.is_cancelling


def test_what_has_ended_is_said_to_have_ended(as_owner: Client, execution: WorkflowExecution) -> None:
    WorkflowEngine().cancel(execution.pk)
    page = act(as_owner, "cancel", execution)
    assert "Already ended" in page and "Asked to stop" not in page


# Run again


def test_run_again_starts_the_same_anew_and_links_to_it(
    as_owner: Client, execution: WorkflowExecution, owner: User
) -> None:
    page = act(as_owner, "run_again", execution)
    new = WorkflowExecution.objects.get(retry_of=execution)
    assert (new.input_data, new.version_id, new.started_by) == (execution.input_data, execution.version_id, owner)
    assert f'href="{EXECUTIONS}{new.pk}/change/"' in page and f"#{execution.pk} runs again" in page


def test_what_cannot_run_says_why(as_owner: Client, execution: WorkflowExecution) -> None:
    execution.workflow.archive()
    assert "not found or inactive" in act(as_owner, "run_again", execution)
    assert WorkflowExecution.objects.count() == 1


def test_a_slip_of_select_all_starts_no_more_than_a_hundred(
    as_owner: Client, workflow: Workflow, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "AT_ONCE", 2)
    executions = [submitted(workflow, alice) for _ in range(4)]
    assert "Only the first 2 were taken" in act(as_owner, "run_again", *executions)
    assert WorkflowExecution.objects.count() == 6


@pytest.mark.parametrize("action", ["cancel", "run_again"])
def test_an_action_needs_the_right_to_run(
    bob: User, charlie: User, execution: WorkflowExecution, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    act(signed_in(staff(charlie)), action, execution)
    monkeypatch.setattr(admin, "can", lambda user, verb, workflow: verb == "view")
    assert "You may not do this to 1 of them." in act(signed_in(staff(bob)), action, execution)
    execution.refresh_from_db()
    assert execution.cancel_requested_at is None and WorkflowExecution.objects.count() == 1


def test_what_is_chosen_pauses_and_goes_on(as_owner: Client, workflow: Workflow, alice: User) -> None:
    numbers = [WorkflowEngine().submit(workflow.pk, by=alice) for _ in range(2)]
    for action, is_paused in (("pause", True), ("resume", False)):
        as_owner.post(EXECUTIONS, {"action": action, "_selected_action": numbers})
        paused = WorkflowExecution.objects.filter(pk__in=numbers, paused_at__isnull=False)
        assert paused.count() == (2 if is_paused else 0)


def test_a_child_leads_to_its_parent(as_owner: Client, execution: WorkflowExecution) -> None:
    facts = {"workflow": execution.workflow, "version": execution.version, "parent": execution, "root": execution}
    child = WorkflowExecution.objects.create(**facts, parent_node="a", parent_attempt=1, item_index=0)
    page = as_owner.get(f"{EXECUTIONS}{child.pk}/change/").content.decode()
    assert f">#{execution.pk}</a>" in page
    assert f"#{child.pk}" in as_owner.get(f"{EXECUTIONS}?parent__id__exact={execution.pk}").content.decode()
