"""API tokens: shown once, kept as a hash, good for as long as their user is."""

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from workflowsite.accounts.models import ApiToken


def test_a_token_leads_to_its_user(alice: User) -> None:
    _, plain = ApiToken.issue(alice, "laptop")
    assert ApiToken.owner_of(plain) == alice


def test_a_token_is_kept_as_a_hash_alone(alice: User) -> None:
    token, plain = ApiToken.issue(alice, "laptop")
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    assert plain not in str(row)
    assert plain.startswith(row["prefix"])
    assert len(plain) == len("step_") + 43


@pytest.mark.parametrize("plain", ["", "step_", "step_" + "x" * 43, "\udc80", "\x00", "x" * 100_000])
def test_any_other_text_leads_to_nobody(alice: User, plain: str) -> None:
    ApiToken.issue(alice, "laptop")
    assert ApiToken.owner_of(plain) is None


def test_a_token_of_somebody_who_has_left_is_refused(alice: User) -> None:
    _, plain = ApiToken.issue(alice, "laptop")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert ApiToken.owner_of(plain) is None


def test_a_deleted_token_is_refused(alice: User) -> None:
    token, plain = ApiToken.issue(alice, "laptop")
    token.delete()
    assert ApiToken.owner_of(plain) is None


def test_its_use_is_noted_once_a_minute(alice: User) -> None:
    token, plain = ApiToken.issue(alice, "laptop")
    ApiToken.owner_of(plain)
    first = last_use(token)
    ApiToken.owner_of(plain)
    assert last_use(token) == first

    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    ApiToken.owner_of(plain)
    assert last_use(token) >= first


def test_the_command_prints_the_token_as_its_last_word(alice: User) -> None:
    said = StringIO()
    call_command("create_token", "alice", stdout=said)
    assert ApiToken.owner_of(said.getvalue().split()[-1]) == alice


def test_the_command_knows_no_stranger(db: None) -> None:
    with pytest.raises(CommandError, match="no active user named 'nobody'"):
        call_command("create_token", "nobody")
    assert not ApiToken.objects.exists()


def test_in_the_admin_a_token_can_be_revoked_and_not_edited(owner: User, alice: User) -> None:
    token, _ = ApiToken.issue(alice, "laptop")
    client = Client()
    client.force_login(owner)
    page = f"/admin/accounts/apitoken/{token.pk}"
    assert client.get("/admin/accounts/apitoken/").status_code == 200
    assert client.get("/admin/accounts/apitoken/add/").status_code == 403
    assert client.post(f"{page}/change/", {"name": "mine"}).status_code == 403
    assert client.post(f"{page}/delete/", {"post": "yes"}).status_code == 302
    assert not ApiToken.objects.exists()


def last_use(token: ApiToken) -> datetime:
    at = ApiToken.objects.get(pk=token.pk).last_used_at
    assert at is not None
    return at
