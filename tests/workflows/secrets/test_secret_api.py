"""Secrets and variables over REST: a value goes in and never out, and rights are those of the pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.conftest import signed_in
from workflows.models import Secret, Variable

pytestmark = pytest.mark.django_db

VALUE = "hunter2-hunter2"
NEW = {"name": "SHOP_KEY", "value": VALUE, "hosts": ["API.example.com"], "description": "For the shop"}


@pytest.fixture
def secret(alice: User, team: Group) -> Secret:
    return Secret.objects.make(alice, "SHOP_KEY", VALUE, ["api.example.com"], group=team)


@pytest.fixture
def variable(alice: User, team: Group) -> Variable:
    return Variable.objects.make(alice, "LIMIT", 12, group=team)


def call(client: Client, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    answer = client.generic(method, f"/api{path}", text, content_type="application/json")
    assert "hunter2" not in answer.content.decode()
    return answer.status_code, json.loads(answer.content) if answer.content else None


def test_a_secret_is_made_listed_changed_and_deleted(as_alice: Client, alice: User) -> None:
    status, made = call(as_alice, "POST", "/secrets/", NEW | {"group": "team"})
    assert status == 201
    facts = {"name": "SHOP_KEY", "owner": "alice", "group": "team", "hosts": ["api.example.com"], "has_value": True}
    assert made.items() >= facts.items() and made["last_used_at"] is None
    assert call(as_alice, "GET", "/secrets/") == (200, {"items": [made], "next": None})
    path = f"/secrets/{made['id']}"
    status, changed = call(as_alice, "PUT", path, {"hosts": ["*"]})
    assert status == 200 and changed["hosts"] == ["*"] and changed["group"] == "team"
    assert Secret.objects.get().reveal() == VALUE
    _, changed = call(as_alice, "PUT", path, {"value": "another hunter2", "group": None, "description": ""})
    assert (changed["group"], changed["description"]) == (None, "")
    assert Secret.objects.get().reveal() == "another hunter2"
    assert call(as_alice, "DELETE", path) == (204, None)
    assert call(as_alice, "DELETE", path)[0] == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"value": "hunt"}, "value"),
        ({"value": 5}, "value"),
        ({"value": None}, "value"),
        ({"value": "hunter2\0hunter2"}, "value"),
        ({"value": "hunter2" * 10_000}, "value"),
        ({"name": "a b"}, "name"),
        ({"name": "hunter2_key", "value": "hunter2"}, "name"),
        ({"hosts": []}, "hosts"),
        ({"hosts": "api.example.com"}, "hosts"),
        ({"hosts": ["https://x"]}, "hosts"),
        ({"hosts": [1]}, "hosts.0"),
        ({"group": "strangers"}, "group"),
        ({"description": "x" * 301}, "description"),
        ({"ciphertext": "x"}, "ciphertext"),
        ({"owner": "bob"}, "owner"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(as_alice: Client, wrong: dict[str, Any], field: str) -> None:
    answer = as_alice.generic("POST", "/api/secrets/", json.dumps(NEW | wrong), content_type="application/json")
    told = json.loads(answer.content)
    assert (answer.status_code, told["where"].get("field")) == (422, field)
    assert VALUE not in told["detail"] and not Secret.objects.exists()


def test_a_change_that_is_wrong_in_one_part_changes_nothing(as_alice: Client, secret: Secret) -> None:
    assert call(as_alice, "PUT", f"/secrets/{secret.pk}", {"hosts": ["*"], "value": "short"})[0] == 422
    secret.refresh_from_db()
    assert (secret.hosts, secret.reveal()) == (["api.example.com"], VALUE)


def test_a_name_that_is_taken_is_refused(as_alice: Client, as_bob: Client, secret: Secret) -> None:
    status, told = call(as_alice, "POST", "/secrets/", NEW)
    assert (status, told["where"]) == (422, {"field": "name"})
    status, told = call(as_bob, "POST", "/secrets/", NEW | {"group": "team"})
    assert (status, told["where"]) == (422, {"field": "group"})
    assert call(as_bob, "POST", "/secrets/", NEW)[0] == 201


def test_who_may_use_it_sees_it_and_who_owns_it_changes_it(
    as_bob: Client, as_charlie: Client, owner: User, secret: Secret, variable: Variable
) -> None:
    assert [row["name"] for row in call(as_bob, "GET", "/secrets/")[1]["items"]] == ["SHOP_KEY"]
    assert [row["value"] for row in call(as_bob, "GET", "/variables/")[1]["items"]] == [12]
    for kind, row in (("secrets", secret), ("variables", variable)):
        assert call(as_charlie, "GET", f"/{kind}/")[1]["items"] == []
        for method in ("PUT", "DELETE"):
            assert call(as_bob, method, f"/{kind}/{row.pk}", {})[0] == 403
            assert call(as_charlie, method, f"/{kind}/{row.pk}", {})[0] == 404
        assert call(signed_in(owner), "PUT", f"/{kind}/{row.pk}", {"description": "seen"})[0] == 200


def test_nobody_comes_in_without_signing_in(secret: Secret) -> None:
    assert call(Client(), "GET", "/secrets/")[0] == call(Client(), "PUT", f"/secrets/{secret.pk}", {})[0] == 401


def test_a_variable_is_made_listed_changed_and_deleted(as_alice: Client) -> None:
    status, made = call(as_alice, "POST", "/variables/", {"name": "LIMIT", "value": {"a": [1, None]}})
    assert status == 201 and made["value"] == {"a": [1, None]}
    path = f"/variables/{made['id']}"
    assert call(as_alice, "PUT", path, {"value": False})[1]["value"] is False
    assert call(as_alice, "PUT", path, {"description": "x"})[1]["value"] is False
    assert call(as_alice, "PUT", path, {"value": "x" * 70_000})[0] == 422
    assert call(as_alice, "DELETE", path) == (204, None)


def test_a_variable_for_all_is_an_administrators(as_alice: Client, owner: User) -> None:
    body = {"name": "LIMIT", "value": 1, "for_all": True}
    assert call(as_alice, "POST", "/variables/", body)[0] == 403
    status, made = call(signed_in(owner), "POST", "/variables/", body)
    assert (status, made["owner"]) == (201, None)
    assert call(as_alice, "PUT", f"/variables/{made['id']}", {"value": 2})[0] == 403
    assert call(signed_in(owner), "PUT", f"/variables/{made['id']}", {"group": "team"})[0] == 422


def test_the_list_comes_in_parts_and_is_found_without_its_slash(as_alice: Client, alice: User) -> None:
    for number in range(3):
        Secret.objects.make(alice, f"KEY_{number}", VALUE, ["*"])
    first = call(as_alice, "GET", "/secrets/?limit=2")[1]
    assert [row["name"] for row in first["items"]] == ["KEY_2", "KEY_1"]
    assert [row["name"] for row in call(as_alice, "GET", f"/secrets/?cursor={first['next']}")[1]["items"]] == ["KEY_0"]
    assert as_alice.get("/api/secrets").status_code == as_alice.get("/api/variables").status_code == 308
