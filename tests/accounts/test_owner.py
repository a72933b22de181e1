"""The first start: a one-time link instead of a default password."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from workflowsite.accounts import owner as owners
from workflowsite.accounts.owner import first_owner

NEW_PASSWORD = {"password1": "marmalade on toast", "password2": "marmalade on toast"}


@pytest.fixture
def link(db: None) -> str:
    path = first_owner()
    assert path is not None
    return path


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_the_first_owner_has_no_password(link: str) -> None:
    user = User.objects.get()
    assert user.is_superuser
    assert not user.has_usable_password()
    assert not Client().login(username="owner", password="")


def test_looking_at_the_link_uses_nothing_up(client: Client, link: str) -> None:
    for _ in range(2):
        page = client.get(link)
        assert page.status_code == 200
        assert "<button" in page.content.decode()
        assert not is_in(client)
    assert client.post(link).status_code == 302


def test_its_button_signs_in_and_asks_for_a_password(client: Client, link: str) -> None:
    assert client.post(link).headers["Location"] == "/set-up/"
    assert is_in(client)
    assert client.get("/set-up/").status_code == 200


def test_the_link_works_once(client: Client, link: str) -> None:
    client.post(link)
    second = Client()
    for answer in (second.get(link), second.post(link)):
        assert answer.status_code == 410
        assert "make run" in answer.content.decode()
    assert not is_in(second)


def test_of_two_at_the_same_moment_one_comes_in(link: str) -> None:
    first, second = User.objects.get(), User.objects.get()
    assert owners.use_up(first)
    assert not owners.use_up(second)


def test_an_old_link_says_so(client: Client, link: str, settings: Any) -> None:
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert client.get(link).status_code == 410
    assert client.post(link).status_code == 410
    assert not is_in(client)


@pytest.mark.parametrize(
    "path",
    [
        "/welcome/MQ/x-y/",
        "/welcome/OTk5/x-y/",
        "/welcome/%00/x/",
        "/welcome/é/x/",
        "/welcome/OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5/x/",
    ],
)
def test_a_made_up_link_opens_nothing(client: Client, link: str, path: str) -> None:
    assert client.post(path).status_code == 410
    assert not is_in(client)


def test_the_button_needs_our_own_page(link: str) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post(link).status_code == 403
    assert client.get(link).status_code == 200


def test_who_skips_the_password_gets_a_new_link_at_the_next_start(client: Client, link: str) -> None:
    client.post(link)
    again = first_owner()
    assert again is not None
    assert again != link
    assert User.objects.count() == 1
    assert Client().post(again).status_code == 302


def test_name_and_password_can_be_set_and_end_the_links(client: Client, link: str) -> None:
    unused = first_owner()
    assert unused is not None
    client.post(link)
    assert client.post("/set-up/", {"username": "ada", **NEW_PASSWORD}).headers["Location"] == "/"
    assert client.get("/password/").status_code == 200  # still signed in
    assert Client().login(username="ada", password=NEW_PASSWORD["password1"])
    assert first_owner() is None
    assert Client().post(unused).status_code == 410


def test_a_name_that_is_taken_or_a_weak_password_is_said_at_the_field(client: Client, link: str) -> None:
    User.objects.create(username="ada")
    client.post(link)
    page = client.post("/set-up/", {"username": "ada", **NEW_PASSWORD}).content.decode()
    assert "already exists" in page
    page = client.post("/set-up/", {"username": "eve", "password1": "short", "password2": "short"}).content.decode()
    assert "too short" in page
    assert not User.objects.exclude(password__startswith="!").exclude(password="").exists()


def test_set_up_is_no_way_around_the_old_password(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.post("/set-up/", {"username": "alice", **NEW_PASSWORD}).headers["Location"] == "/password/"
    assert User.objects.get(username="alice").check_password("alice's password")


def test_set_up_is_closed_to_strangers(client: Client, db: None) -> None:
    assert client.get("/set-up/").headers["Location"].startswith("/sign-in/")


def test_an_account_from_the_environment_takes_the_links_place(db: None, settings: Any) -> None:
    settings.FIRST_OWNER_USERNAME, settings.FIRST_OWNER_PASSWORD = "root", "from the environment"
    assert first_owner() is None
    assert Client().login(username="root", password="from the environment")
    assert User.objects.get().is_superuser


def test_an_account_that_exists_is_left_alone(alice: User, settings: Any) -> None:
    settings.FIRST_OWNER_USERNAME, settings.FIRST_OWNER_PASSWORD = "alice", "from the environment"
    assert first_owner() is None
    assert User.objects.get().check_password("alice's password")
    assert not User.objects.get().is_superuser


def test_no_link_where_somebody_can_sign_in(alice: User) -> None:
    assert first_owner() is None
    assert User.objects.count() == 1


def test_an_ordinary_account_named_owner_is_not_made_one(db: None) -> None:
    ordinary = User.objects.create_user("owner")
    assert first_owner() is not None
    ordinary.refresh_from_db()
    assert not ordinary.is_superuser
