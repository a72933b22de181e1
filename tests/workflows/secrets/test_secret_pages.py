"""The pages of secrets and variables: a value goes in and never comes out; who may do what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.messages import get_messages
from django.test import Client

from tests.conftest import signed_in
from workflows.models import Secret, Variable, Workflow

pytestmark = pytest.mark.django_db

VALUE = "hunter2 & <b>inside</b>"
NEW = {"name": "SHOP_KEY", "value": VALUE, "hosts": "api.example.com\r\n*.example.com", "description": "For the shop"}


@pytest.fixture
def secret(alice: User, team: Group) -> Secret:
    return Secret.objects.make(alice, "SHOP_KEY", VALUE, ["api.example.com"], group=team, description="For the shop")


@pytest.fixture
def variable(alice: User, team: Group) -> Variable:
    return Variable.objects.make(alice, "LIMIT", 12, group=team)


def told(response: Any) -> str:
    text: str = response.content.decode()
    assert "hunter2" not in text
    return text


def test_a_secret_is_kept_and_its_value_never_comes_back(as_alice: Client, alice: User) -> None:
    answer = as_alice.post("/secrets/new/", NEW)
    assert (answer.status_code, answer["Location"]) == (303, "/secrets/")
    secret = Secret.objects.get()
    assert (secret.owner, secret.hosts, secret.updated_by) == (alice, ["api.example.com", "*.example.com"], alice)
    assert secret.reveal() == VALUE and VALUE not in secret.ciphertext
    for path in ("/secrets/", f"/secrets/{secret.pk}/", f"/secrets/{secret.pk}/delete/"):
        assert "SHOP_KEY" in told(as_alice.get(path))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"value": "short"}, "at least 6 characters"),
        ({"value": "      \n   "}, "at least 6 characters"),
        ({"value": ""}, "This field is required"),
        ({"value": "x" * 70_000}, "at most 65,536 bytes"),
        ({"value": "abc\0defgh"}, "Null characters"),
        ({"name": "9lives"}, "no name of a secret"),
        ({"name": ""}, "This field is required"),
        ({"name": "two words"}, "no name of a secret"),
        ({"name": "Xx" * 40}, "at most 64 characters"),
        ({"name": "token_1234", "value": "token_1234"}, "stands in the name"),
        ({"hosts": "https://api.example.com/"}, "more than a host"),
        ({"hosts": ""}, "This field is required"),
        ({"hosts": " \n "}, "This field is required"),
        ({"hosts": "\n".join(f"h{n}.example" for n in range(60))}, "At most 50 hosts"),
        ({"group": "999"}, "Select a valid choice"),
        ({"description": "x" * 301}, "at most 300 characters"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_without_the_value(as_alice: Client, wrong: Any, why: str) -> None:
    answer = as_alice.post("/secrets/new/", NEW | wrong)
    assert answer.status_code == 422 and not Secret.objects.exists()
    assert why in told(answer)


def test_a_pasted_token_loses_the_space_around_it_and_a_key_file_keeps_its_lines(as_alice: Client) -> None:
    as_alice.post("/secrets/new/", NEW | {"value": "  a-token-1234 \r\n"})
    as_alice.post("/secrets/new/", NEW | {"name": "PEM", "value": "-----BEGIN-----\r\nabc\r\n-----END-----\r\n"})
    assert Secret.objects.get(name="SHOP_KEY").reveal() == "a-token-1234"
    assert Secret.objects.get(name="PEM").reveal() == "-----BEGIN-----\nabc\n-----END-----\n"


def test_a_name_is_taken_once_for_each_owner_and_group(
    as_alice: Client, as_bob: Client, as_charlie: Client, secret: Secret, team: Group
) -> None:
    assert "alice has a secret “SHOP_KEY” already" in told(as_alice.post("/secrets/new/", NEW))
    answer = as_bob.post("/secrets/new/", NEW | {"group": team.pk})
    assert "The group team has a secret “SHOP_KEY” already, of alice" in told(answer)
    assert as_bob.post("/secrets/new/", NEW).status_code == 303
    assert as_charlie.post("/secrets/new/", NEW).status_code == 303


def test_nobody_shares_with_a_group_that_is_not_theirs(as_charlie: Client, team: Group) -> None:
    assert "Select a valid choice" in told(as_charlie.post("/secrets/new/", NEW | {"group": team.pk}))


def test_the_owner_changes_everything_but_the_name(as_alice: Client, secret: Secret) -> None:
    path, typed = f"/secrets/{secret.pk}/", {"hosts": "localhost:8080", "description": "", "group": "", "name": "OTHER"}
    assert as_alice.post(path, typed).status_code == 303
    secret.refresh_from_db()
    assert (secret.name, secret.hosts, secret.group, secret.reveal()) == ("SHOP_KEY", ["localhost:8080"], None, VALUE)
    answer = as_alice.post(path, typed | {"value": "another hunter2"})
    assert "hunter2" not in " ".join(str(message) for message in get_messages(answer.wsgi_request))
    secret.refresh_from_db()
    assert secret.reveal() == "another hunter2"


def test_a_wrong_value_changes_nothing(as_alice: Client, secret: Secret) -> None:
    answer = as_alice.post(f"/secrets/{secret.pk}/", {"hosts": "localhost", "value": "abc"})
    assert answer.status_code == 422 and "at least 6 characters" in told(answer)
    secret.refresh_from_db()
    assert (secret.hosts, secret.reveal()) == (["api.example.com"], VALUE)


def test_a_member_of_the_group_sees_the_name_and_changes_nothing(
    as_bob: Client, secret: Secret, variable: Variable
) -> None:
    page = told(as_bob.get(f"/secrets/{secret.pk}/"))
    assert "SHOP_KEY" in page and "api.example.com" in page and 'name="value"' not in page
    assert "SHOP_KEY" in told(as_bob.get("/secrets/"))
    assert "12" in as_bob.get(f"/variables/{variable.pk}/").content.decode()
    for path in (f"/secrets/{secret.pk}/", f"/variables/{variable.pk}/"):
        for answer in (
            as_bob.post(path, NEW | {"kind": "text"}),
            as_bob.get(f"{path}delete/"),
            as_bob.post(f"{path}delete/"),
        ):
            assert answer.status_code == 403 and "Only its owner alice" in answer.content.decode()
    secret.refresh_from_db()
    assert secret.reveal() == VALUE and Variable.objects.get().value == 12


def test_a_stranger_finds_nothing(as_charlie: Client, secret: Secret, variable: Variable) -> None:
    for path in (f"/secrets/{secret.pk}/", f"/variables/{variable.pk}/"):
        for answer in (as_charlie.get(path), as_charlie.post(path, NEW), as_charlie.post(f"{path}delete/")):
            assert answer.status_code == 404
    page = told(as_charlie.get("/secrets/"))
    assert "SHOP_KEY" not in page and "LIMIT" not in page
    assert Secret.objects.count() == Variable.objects.count() == 1


def test_a_group_that_one_has_left_shows_nothing_any_more(as_bob: Client, bob: User, secret: Secret) -> None:
    bob.groups.clear()
    assert as_bob.get(f"/secrets/{secret.pk}/").status_code == 404


def test_an_administrator_changes_and_deletes_and_reads_no_value(
    owner: User, secret: Secret, variable: Variable
) -> None:
    client = signed_in(owner)
    assert "SHOP_KEY" in told(client.get("/secrets/"))
    assert client.post(f"/secrets/{secret.pk}/", {"hosts": "*", "value": "from the administrator"}).status_code == 303
    assert "It may go anywhere" in told(client.get(f"/secrets/{secret.pk}/"))
    assert client.post(f"/secrets/{secret.pk}/delete/").status_code == 303
    assert client.post(f"/variables/{variable.pk}/delete/").status_code == 303
    assert not Secret.objects.exists() and not Variable.objects.exists()


def test_nothing_is_done_by_looking(as_alice: Client, secret: Secret) -> None:
    as_alice.get(f"/secrets/{secret.pk}/delete/")
    as_alice.get(f"/secrets/{secret.pk}/?value=changed-value&hosts=*")
    secret.refresh_from_db()
    assert secret.reveal() == VALUE and secret.hosts == ["api.example.com"]


def test_a_form_of_another_site_is_refused(alice: User, secret: Secret) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post(f"/secrets/{secret.pk}/", {"hosts": "*"}).status_code == 403
    assert client.post("/secrets/new/", NEW | {"name": "X"}, headers={"HX-Request": "true"}).status_code == 403


@pytest.mark.parametrize("query", ["shop", "%", "%00", "'; --", "x" * 5000, "%ED%A0%80", "\0"])
def test_a_search_never_fails(as_alice: Client, secret: Secret, query: str) -> None:
    assert as_alice.get("/secrets/", {"q": query}).status_code == 200


# From inside a step's form


def test_a_steps_form_gets_the_fields_alone_and_then_the_name(as_alice: Client, workflow: Workflow) -> None:
    path, part = f"/secrets/new/?workflow={workflow.pk}", {"HX-Request": "true"}
    page = told(as_alice.get(path, headers=part))
    assert "<html" not in page and f'action="{path}"' in page
    wrong = as_alice.post(path, NEW | {"hosts": "https://x"}, headers=part)
    assert wrong.status_code == 422 and "<html" not in told(wrong)
    made = as_alice.post(path, NEW, headers=part)
    assert made.status_code == 200 and 'data-made="SHOP_KEY"' in told(made)


def test_in_the_workflow_of_somebody_else_it_is_shared_with_the_group(
    as_bob: Client, bob: User, team: Group, workflow: Workflow
) -> None:
    page = told(as_bob.get(f"/secrets/new/?workflow={workflow.pk}"))
    assert "belongs to alice" in page and f'value="{team.pk}" selected' in page
    as_bob.post(f"/secrets/new/?workflow={workflow.pk}", NEW | {"group": team.pk})
    assert Secret.objects.get().owner == bob
    assert Secret.objects.meant_by("SHOP_KEY", workflow) == Secret.objects.get()


def test_an_administrator_makes_it_for_the_workflows_owner(owner: User, alice: User, workflow: Workflow) -> None:
    signed_in(owner).post(f"/secrets/new/?workflow={workflow.pk}", NEW)
    secret = Secret.objects.get()
    assert (secret.owner, secret.updated_by) == (alice, owner)


def test_a_workflow_that_one_may_not_see_is_not_told_of(as_charlie: Client, workflow: Workflow) -> None:
    for number in (workflow.pk, 987654, "x", "9" * 40):
        assert "belongs to" not in told(as_charlie.get(f"/secrets/new/?workflow={number}"))


# Variables


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("text", "a text", "a text"),
        ("text", "", ""),
        ("text", "12", "12"),
        ("number", " 12 ", 12),
        ("number", "-1.5", -1.5),
        ("boolean", "yes", True),
        ("boolean", "False", False),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
    ],
)
def test_a_variable_is_what_it_is_said_to_be(as_alice: Client, kind: str, written: str, value: Any) -> None:
    assert as_alice.post("/variables/new/", {"name": "V", "kind": kind, "value": written}).status_code == 303
    variable = Variable.objects.get()
    assert variable.value == value and type(variable.value) is type(value)
    page = as_alice.get(f"/variables/{variable.pk}/").context["form"]
    again = {"kind": page.initial["kind"], "value": page.initial["value"]}
    assert as_alice.post(f"/variables/{variable.pk}/", again).status_code == 303
    assert Variable.objects.get().value == value


@pytest.mark.parametrize(
    ("kind", "written", "why"),
    [
        ("number", "twelve", "not valid JSON"),
        ("number", "true", "is no number"),
        ("number", "NaN", "not valid JSON"),
        ("boolean", "maybe", "neither yes nor no"),
        ("json", "{", "not valid JSON"),
        ("json", "[" * 100 + "]" * 100, "nested"),
        ("json", json.dumps("x" * 70_000), "the limit is 65,536"),
        ("text", "x" * 70_000, "the limit is 65,536"),
        ("other", "x", "Select a valid choice"),
    ],
)
def test_a_variable_that_is_not_so_is_refused(as_alice: Client, kind: str, written: str, why: str) -> None:
    answer = as_alice.post("/variables/new/", {"name": "V", "kind": kind, "value": written})
    assert answer.status_code == 422 and why in answer.content.decode() and not Variable.objects.exists()


def test_only_administrators_make_a_variable_for_all(as_alice: Client, owner: User, team: Group) -> None:
    given = {"name": "V", "kind": "text", "value": "x", "for_all": "on"}
    as_alice.post("/variables/new/", given)
    assert Variable.objects.get().owner is not None
    client = signed_in(owner)
    assert client.post("/variables/new/", given | {"group": team.pk}).status_code == 422
    assert client.post("/variables/new/", given).status_code == 303
    assert client.post("/variables/new/", given).status_code == 422
    everybodys = Variable.objects.get(owner=None)
    assert as_alice.get(f"/variables/{everybodys.pk}/").status_code == 200
    assert as_alice.post(f"/variables/{everybodys.pk}/", given).status_code == 403


def test_which_variable_a_name_means(alice: User, bob: User, charlie: User, team: Group, workflow: Workflow) -> None:
    example = Workflow.objects.create(name="Example")
    Variable.objects.make(None, "A", "all")
    Variable.objects.make(bob, "A", "team", group=team)
    Variable.objects.make(charlie, "A", "charlie")
    Variable.objects.make(charlie, "B", "charlie")
    assert Variable.objects.values_for(workflow) == {"A": "team"}
    Variable.objects.make(alice, "A", "alice")
    assert Variable.objects.values_for(workflow) == {"A": "alice"}
    assert Variable.objects.values_for(example) == {"A": "all"}


# The admin


def test_the_admin_shows_no_value_and_notes_none(owner: User, secret: Secret) -> None:
    client = signed_in(owner)
    path = f"/admin/workflows/secret/{secret.pk}/change/"
    page = told(client.get(path))
    assert "SHOP_KEY" in page and secret.ciphertext not in page
    typed = {"description": "x", "hosts": '["API.example.com"]', "value": "hunter2 once more"}
    assert client.post(path, typed).status_code == 302
    secret.refresh_from_db()
    assert (secret.reveal(), secret.hosts, secret.updated_by) == ("hunter2 once more", ["api.example.com"], owner)
    assert "Changed" in told(client.get(f"/admin/workflows/secret/{secret.pk}/history/"))
    for wrong in ({"value": "abc"}, {"hosts": '["https://x"]'}, {"hosts": "{}"}, {"hosts": "[1]"}, {"hosts": "["}):
        assert "errornote" in told(client.post(path, typed | wrong))
    assert "SHOP_KEY" in told(client.get("/admin/workflows/secret/?q=shop"))


def test_staff_see_in_the_admin_what_they_may_and_change_what_is_theirs(
    bob: User, charlie: User, secret: Secret, variable: Variable
) -> None:
    for user in (bob, charlie):
        user.is_staff = True
        user.save()
        user.user_permissions.set(Permission.objects.all())
    path, other = f"/admin/workflows/secret/{secret.pk}/change/", f"/admin/workflows/variable/{variable.pk}/change/"
    assert 'name="value"' not in told(signed_in(bob).get(path))
    for page in (path, other):
        assert signed_in(bob).post(page, {"description": "mine"}).status_code == 403
        assert signed_in(bob).post(page.replace("change", "delete"), {"post": "yes"}).status_code == 403
        assert signed_in(charlie).get(page).status_code == 302
    assert "SHOP_KEY" not in told(signed_in(charlie).get("/admin/workflows/secret/"))
    assert Secret.objects.count() == Variable.objects.count() == 1


def test_a_variable_is_changed_in_the_admin(owner: User, variable: Variable) -> None:
    path = f"/admin/workflows/variable/{variable.pk}/change/"
    assert signed_in(owner).post(path, {"description": "", "value": '{"a": 1}'}).status_code == 302
    assert Variable.objects.get().value == {"a": 1}
