"""The keyring: which secret a workflow gets, where it may go, and what is said where it may not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import OperationalError
from django.utils import timezone

from executions.keyring import reveal
from workflows.errors import WorkflowStepError
from workflows.models import Secret, Workflow

pytestmark = pytest.mark.django_db

VALUE = "a value that stays inside"
HOST = "api.example.com"


def refused(workflow: Workflow, name: str = "KEY", host: str = HOST) -> str:
    with pytest.raises(WorkflowStepError) as error:
        reveal(workflow.pk, name, host)
    told = f"{error.value.message} {error.value.details}"
    assert error.value.is_permanent and VALUE not in told and len(told) < 1500
    return error.value.message


def keep(user: User, value: str = VALUE, group: Group | None = None, name: str = "KEY", host: str = HOST) -> Secret:
    return Secret.objects.make(user, name, value, [host], group=group)


def test_a_workflow_uses_its_owners_secret(alice: User, workflow: Workflow) -> None:
    keep(alice)
    assert reveal(workflow.pk, "KEY", HOST) == VALUE


def test_a_workflow_uses_its_groups_secret_and_the_owners_own_wins(
    alice: User, bob: User, team: Group, workflow: Workflow
) -> None:
    keep(bob, "of the team", team)
    assert reveal(workflow.pk, "KEY", HOST) == "of the team"
    keep(alice, "of alice")
    assert reveal(workflow.pk, "KEY", HOST) == "of alice"


def test_somebody_elses_secret_is_as_unknown_as_none(alice: User, bob: User, charlie: User, workflow: Workflow) -> None:
    keep(bob)
    keep(charlie, name="OTHER")
    assert refused(workflow) == refused(workflow, "OTHER").replace("OTHER", "KEY")
    assert "its owner alice has none of this name, nor the group team" in refused(workflow)
    assert "Secrets and variables" in refused(workflow)


def test_a_groups_secret_is_for_workflows_of_that_group(
    alice: User, bob: User, team: Group, workflow: Workflow
) -> None:
    keep(bob, group=team)
    workflow.group = None
    workflow.save()
    assert "no secret “KEY”" in refused(workflow)


def test_an_owner_who_left_the_group_reaches_its_secrets_no_more(
    alice: User, bob: User, team: Group, workflow: Workflow
) -> None:
    keep(bob, group=team)
    assert reveal(workflow.pk, "KEY", HOST) == VALUE
    alice.groups.clear()
    assert "no secret “KEY”" in refused(workflow)


def test_an_administrator_needs_no_membership(owner: User, bob: User, team: Group) -> None:
    keep(bob, group=team)
    workflow = Workflow.objects.create(name="Of the administrator", owner=owner, group=team)
    assert reveal(workflow.pk, "KEY", HOST) == VALUE


def test_a_workflow_without_owner_uses_none(bob: User, team: Group) -> None:
    keep(bob, group=team)
    example = Workflow.objects.create(name="Example", group=team)
    assert "has no owner" in refused(example) and "Copy it" in refused(example)


def test_it_goes_to_its_hosts_alone(alice: User, workflow: Workflow) -> None:
    keep(alice)
    for host in ("evil.test", "api.example.com:8080", "api.example.com.evil.test", "", "x" * 5000):
        assert "may not go to" in refused(workflow, host=host)
    assert "only to api.example.com. alice, whose it is, can add the host" in refused(workflow, host="evil.test")
    assert reveal(workflow.pk, "KEY", "API.example.com.:443") == VALUE


@pytest.mark.parametrize("name", ["", "KEY ", "key", "KEY%", "' OR 1=1 --", "\ud800"[:0] + "\0", "x" * 5000])
def test_odd_names_are_unknown(alice: User, workflow: Workflow, name: str) -> None:
    keep(alice)
    assert "There is no secret" in refused(workflow, name)


def test_a_secret_that_is_empty_or_under_another_key_says_whose_move_it_is(
    alice: User, workflow: Workflow, settings: Any
) -> None:
    keep(alice)
    settings.MASTER_KEYS = "b25lIG9mIHRoZSBvdGhlciBrZXlzIG9mIHRoZSB0ZXM="
    assert "cannot be decrypted with the keys of this server" in refused(workflow)
    Secret.objects.update(ciphertext="")
    assert "has no value any more. alice can give it one" in refused(workflow)


def test_when_it_was_used_is_noted_at_most_once_a_minute(
    alice: User, workflow: Workflow, django_assert_num_queries: Any
) -> None:
    secret, before = keep(alice), timezone.now()
    reveal(workflow.pk, "KEY", HOST)
    secret.refresh_from_db()
    assert secret.last_used_at is not None and secret.last_used_at >= before
    first = secret.last_used_at
    reveal(workflow.pk, "KEY", HOST)
    secret.refresh_from_db()
    assert secret.last_used_at == first
    Secret.objects.update(last_used_at=first - timedelta(minutes=2))
    reveal(workflow.pk, "KEY", HOST)
    secret.refresh_from_db()
    assert secret.last_used_at > first


def test_a_use_that_cannot_be_noted_fails_nothing(
    alice: User, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(alice)

    def locked(*_: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(Secret, "mark_used", locked)
    assert reveal(workflow.pk, "KEY", HOST) == VALUE


def test_an_unused_secret_shows_no_use(alice: User, workflow: Workflow) -> None:
    secret = keep(alice)
    refused(workflow, host="evil.test")
    secret.refresh_from_db()
    assert secret.last_used_at is None
