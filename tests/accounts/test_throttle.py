"""Guessing a password takes longer than it is worth, and nobody is locked out for good."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client

from workflowsite.accounts.models import SignInAttempt


def attempt(client: Client, username: str = "alice", password: str = "guess", **extra: Any) -> Any:
    return client.post("/sign-in/", {"username": username, "password": password}, **extra)


@pytest.fixture
def after_five_guesses(client: Client, alice: User) -> Client:
    for _ in range(5):
        assert attempt(client).status_code == 200
    return client


def later(minutes: int) -> None:
    SignInAttempt.objects.update(at=F("at") - timedelta(minutes=minutes))


def test_after_five_guesses_even_the_right_password_must_wait(after_five_guesses: Client) -> None:
    page = attempt(after_five_guesses, password="alice's password")
    assert page.status_code == 429
    assert 14 * 60 < int(page.headers["Retry-After"]) <= 15 * 60
    assert "try again in 15 minutes, at " in page.content.decode()
    assert "_auth_user_id" not in after_five_guesses.session


def test_when_the_time_is_over_one_may_come_in(after_five_guesses: Client) -> None:
    later(minutes=16)
    assert attempt(after_five_guesses, password="alice's password").status_code == 302


def test_a_refused_try_does_not_make_the_wait_longer(after_five_guesses: Client) -> None:
    later(minutes=10)
    for _ in range(10):
        assert attempt(after_five_guesses).status_code == 429
    later(minutes=6)
    assert attempt(after_five_guesses, password="alice's password").status_code == 302


def test_others_at_the_same_address_may_still_come_in(after_five_guesses: Client, bob: User) -> None:
    assert attempt(after_five_guesses, "bob", "bob's password").status_code == 302


def test_the_same_person_elsewhere_may_still_come_in(after_five_guesses: Client) -> None:
    answer = attempt(after_five_guesses, password="alice's password", REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 302


def test_upper_case_is_the_same_person(after_five_guesses: Client) -> None:
    assert attempt(after_five_guesses, "ALICE").status_code == 429


def test_success_forgives(client: Client, alice: User) -> None:
    for _ in range(4):
        attempt(client)
    attempt(client, password="alice's password")
    client.logout()
    for _ in range(5):
        assert attempt(client).status_code == 200


def test_one_address_that_tries_many_names_must_wait(client: Client, alice: User) -> None:
    for number in range(30):
        assert attempt(client, f"user{number}").status_code == 200
    page = attempt(client, password="alice's password")
    assert page.status_code == 429
    assert "60 minutes" in page.content.decode()


def test_a_made_up_forwarding_header_is_no_new_address(after_five_guesses: Client) -> None:
    assert attempt(after_five_guesses, HTTP_X_FORWARDED_FOR="192.0.2.7").status_code == 429


def test_behind_a_known_proxy_the_visitor_counts(client: Client, alice: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    for _ in range(5):
        attempt(client, HTTP_X_FORWARDED_FOR="192.0.2.7")
    assert attempt(client, HTTP_X_FORWARDED_FOR="10.0.0.1, 192.0.2.7").status_code == 429
    assert attempt(client, HTTP_X_FORWARDED_FOR="192.0.2.8").status_code == 200


def test_the_admins_own_form_is_no_way_around(after_five_guesses: Client, bob: User, owner: User) -> None:
    """Strangers never see it; somebody signed in who is not staff does."""
    stranger = Client()
    assert stranger.get("/admin/login/").headers["Location"].startswith("/sign-in/")
    after_five_guesses.force_login(bob)
    form = {"username": "owner", "password": "guess"}
    for _ in range(5):
        assert after_five_guesses.post("/admin/login/", form).status_code == 200
    form["password"] = "owner's password"
    page = after_five_guesses.post("/admin/login/", form)
    assert "Too many tries" in page.content.decode()


def test_what_was_typed_as_a_name_is_not_kept(client: Client, db: None) -> None:
    attempt(client, "my password, by mistake")
    assert "mistake" not in str(SignInAttempt.objects.values().get())
