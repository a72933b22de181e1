"""Coming in and going out: by password, by POST, and never on to somebody else's site."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

PASSWORD = "alice's password"
SIGN_IN = "/sign-in/"


def sign_in(client: Client, password: str = PASSWORD, **more: str) -> Any:
    return client.post(SIGN_IN, {"username": "alice", "password": password, **more})


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_the_right_password_opens(client: Client, alice: User) -> None:
    assert sign_in(client).headers["Location"] == "/"
    assert is_in(client)


def test_a_wrong_password_does_not(client: Client, alice: User) -> None:
    page = sign_in(client, "guess")
    assert page.status_code == 200
    assert "do not belong together" in page.content.decode()
    assert not is_in(client)


def test_somebody_who_has_left_stays_out(client: Client, alice: User) -> None:
    User.objects.update(is_active=False)
    sign_in(client)
    assert not is_in(client)


def test_a_page_sends_strangers_to_sign_in_and_back(client: Client, alice: User) -> None:
    assert client.get("/password/").headers["Location"] == "/sign-in/?next=/password/"
    assert sign_in(client, next="/password/").headers["Location"] == "/password/"


def test_a_fragment_sends_the_whole_page_to_sign_in(client: Client, db: None) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/here/?page=2"}
    answer = client.get("/password/", headers=headers)
    assert answer.headers["HX-Redirect"] == "/sign-in/?next=/here/%3Fpage%3D2"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "\\\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_sent_on_to_another_site(client: Client, alice: User, target: str) -> None:
    assert sign_in(client, next=target).headers["Location"] == "/"


def test_who_is_in_is_not_asked_again(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get(SIGN_IN).status_code == 302


def test_signing_out_needs_a_post(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/sign-out/").status_code == 405
    assert is_in(client)
    assert client.post("/sign-out/").headers["Location"] == SIGN_IN
    assert not is_in(client)


def test_signing_out_needs_our_own_page(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/sign-out/").status_code == 403
    assert is_in(client)


def test_a_new_password_needs_the_old_one(client: Client, alice: User) -> None:
    client.force_login(alice)
    new = {"new_password1": "marmalade on toast", "new_password2": "marmalade on toast"}
    assert client.post("/password/", {"old_password": "guess", **new}).status_code == 200
    assert alice_has(PASSWORD)
    assert client.post("/password/", {"old_password": PASSWORD, **new}).status_code == 302
    assert alice_has("marmalade on toast")


def test_a_new_password_signs_other_browsers_out(client: Client, alice: User) -> None:
    elsewhere = Client()
    for browser in (client, elsewhere):
        browser.force_login(alice)
    new = {"new_password1": "marmalade on toast", "new_password2": "marmalade on toast"}
    client.post("/password/", {"old_password": PASSWORD, **new})
    assert client.get("/password/").status_code == 200
    assert elsewhere.get("/password/").status_code == 302


@pytest.mark.parametrize("weak", ["short", "password1234", "123456789012"])
def test_a_weak_password_is_refused(client: Client, alice: User, weak: str) -> None:
    client.force_login(alice)
    client.post("/password/", {"old_password": PASSWORD, "new_password1": weak, "new_password2": weak})
    assert alice_has(PASSWORD)


def alice_has(password: str) -> bool:
    return User.objects.get(username="alice").check_password(password)
