"""Light or dark and single keys: chosen once, drawn by the server from then on, and never a way out of the site."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

HERE = "http://testserver/executions/?status=failed"


def choose(client: Client, came_from: str = HERE, **what: str) -> Any:
    return client.post("/preferences/", what, headers={"Referer": came_from})


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_chosen_theme_is_in_the_very_first_bytes_of_every_page(as_alice: Client, theme: str) -> None:
    response = choose(as_alice, theme=theme)
    assert (response.status_code, response["Location"]) == (303, "/executions/?status=failed")
    for path in ("/", "/executions/", "/password/", "/nothing/here/"):
        assert f'<html lang="en" data-theme="{theme}"' in as_alice.get(path).text
        assert f'<meta name="color-scheme" content="{theme}">' in as_alice.get(path).text


def test_a_new_visitor_and_who_goes_back_to_it_have_the_systems_theme(as_alice: Client) -> None:
    assert "data-theme" not in as_alice.get("/").text
    choose(as_alice, theme="dark")
    choose(as_alice, theme="system")
    assert "data-theme" not in as_alice.get("/").text
    assert '<meta name="color-scheme" content="light dark">' in as_alice.get("/").text


def test_who_is_not_signed_in_has_a_theme_too(client: Client) -> None:
    choose(client, "http://testserver/sign-in/", theme="dark")
    assert 'data-theme="dark"' in client.get("/sign-in/").text


def test_single_keys_can_be_switched_off_and_on_and_the_theme_stays(as_alice: Client) -> None:
    choose(as_alice, theme="dark")
    choose(as_alice, keys="off")
    assert '<html lang="en" data-theme="dark" data-keys="off">' in as_alice.get("/").text
    choose(as_alice, keys="on")
    assert "data-keys" not in as_alice.get("/").text


@pytest.mark.parametrize(
    "elsewhere",
    [
        "",
        "https://elsewhere.example/",
        "http://testserver//elsewhere.example/",
        "http://testserver.elsewhere.example/",
        "javascript:alert(1)",
        "http://[::1",
        "//elsewhere.example",
    ],
)
def test_the_way_back_never_leaves_the_site(as_alice: Client, elsewhere: str) -> None:
    assert choose(as_alice, elsewhere, theme="dark")["Location"] == "/"


@pytest.mark.parametrize("theme", ["", "pink", 'dark" onload="alert(1)', "dark\r\nSet-Cookie: a=b", "x" * 10_000])
def test_what_is_no_theme_is_not_kept(as_alice: Client, theme: str) -> None:
    response = choose(as_alice, theme=theme)
    assert response.status_code == 303
    assert not response.cookies


def test_a_cookie_that_somebody_wrote_by_hand_is_not_believed(as_alice: Client) -> None:
    as_alice.cookies["stepstream_theme"] = '"><script>alert(1)</script>'
    assert "alert(1)" not in as_alice.get("/").text
    assert "data-theme" not in as_alice.get("/").text


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(as_alice: Client) -> None:
    cookie = choose(as_alice, theme="dark").cookies["stepstream_theme"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/"


def test_another_site_cannot_choose(alice: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert choose(client, "https://elsewhere.example/", theme="dark").status_code == 403


def test_the_admin_follows_the_chosen_theme(owner: Any, client: Client) -> None:
    client.force_login(owner)
    assert '<meta name="color-scheme" content="light dark">' in client.get("/admin/").text
    choose(client, theme="dark")
    assert '<meta name="color-scheme" content="dark">' in client.get("/admin/").text
