"""Workflows over REST: made, read, changed, archived; by whom, by whom not, and with what not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, RequestFactory

from tests.conftest import CHAIN, signed_in
from workflows.errors import EditConflict, EditError
from workflows.models import Workflow, WorkflowVersion
from workflowsite.accounts.models import ApiToken
from workflowsite.api import api

pytestmark = pytest.mark.django_db

SMALL = {"nodes": [{"id": "a", "type": "input", "data": {}}], "edges": []}
BROKEN = {"nodes": [{"id": "a", "type": "input"}], "edges": [{"source": "a", "target": "b"}]}
FIELDS = {"id", "name", "description", "is_active", "draft", "version", "created_at", "updated_at"}


def send(client: Client, method: str, path: str, body: Any) -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.generic(method, path, text, content_type="application/json")


def post(client: Client, body: Any) -> Any:
    return send(client, "POST", "/api/workflows/", body)


def put(client: Client, workflow: Workflow, body: Any) -> Any:
    return send(client, "PUT", f"/api/workflows/{workflow.pk}", body)


def refused(response: Any, status: int, code: str, **where: Any) -> str:
    told = response.json()
    assert (response.status_code, told["code"]) == (status, code), told
    assert set(told) == {"detail", "code", "where"}
    assert where.items() <= told["where"].items()
    assert told["detail"]
    return str(told["detail"])


# Making one


def test_a_definition_is_published_at_once(as_alice: Client, alice: User) -> None:
    response = post(as_alice, {"name": " Chain ", "description": "Three steps", "definition": CHAIN})
    workflow = Workflow.objects.get()
    told = response.json()
    assert response.status_code == 201 and set(told) == FIELDS | {"definition", "settings"}
    assert response.headers["Location"] == f"/api/workflows/{workflow.pk}"
    assert (told["name"], told["version"], told["draft"], told["is_active"]) == ("Chain", 1, False, True)
    assert told["definition"] == CHAIN
    assert workflow.owner == alice and workflow.is_runnable
    assert workflow.published is not None and workflow.published.created_by == alice


def test_a_draft_stays_one(as_alice: Client) -> None:
    told = post(as_alice, {"name": "Chain", "definition": BROKEN, "draft": True}).json()
    assert (told["version"], told["draft"], told["definition"]) == (None, True, BROKEN)
    assert not Workflow.objects.get().is_runnable


def test_what_editors_add_to_a_definition_comes_back_unchanged(as_alice: Client) -> None:
    node = {**SMALL["nodes"][0], "position": {"x": 1.5, "y": -2}, "selected": False, "ü": ["\U0001f600"]}
    definition = {"nodes": [node], "edges": [], "viewport": {"zoom": 1}}
    number = post(as_alice, {"name": "Editor's", "definition": definition}).json()["id"]
    assert as_alice.get(f"/api/workflows/{number}").json()["definition"] == definition


def test_a_bad_definition_creates_nothing(as_alice: Client) -> None:
    cycle = {
        "nodes": [{"id": "a", "type": "default"}, {"id": "b", "type": "default"}],
        "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "a"}],
    }
    text = refused(post(as_alice, {"name": "x", "definition": cycle}), 422, "graph.cycle")
    assert "“a”" in text and "“b”" in text
    assert not Workflow.objects.exists() and not WorkflowVersion.objects.exists()


def nodes(*given: Any) -> dict[str, Any]:
    return {"nodes": list(given), "edges": []}


BAD_DEFINITIONS = [
    ({}, "graph.shape"),
    ({"nodes": {}}, "graph.shape"),
    ({"nodes": []}, "graph.empty"),
    ({"nodes": [], "edges": 5}, "graph.shape"),
    (nodes(None), "graph.shape"),
    (nodes({"id": 5, "type": "input"}), "graph.bad_id"),
    (nodes({"id": "a" * 65, "type": "input"}), "graph.bad_id"),
    (nodes({"id": "a", "type": []}), "graph.shape"),
    (nodes({"id": "a", "type": "input", "data": [1]}), "graph.shape"),
    (nodes({"id": "a", "type": "input"}, {"id": "a", "type": "input"}), "graph.duplicate_id"),
    (nodes({"id": "a", "type": "no such kind"}), "step.unknown_type"),
    (nodes({"id": "a", "type": "delay", "data": {"seconds": "soon"}}), "step.config"),
    (nodes({"id": "a", "type": "delay", "data": {"seconds": -1}}), "step.config"),
    (BROKEN, "graph.unknown_node"),
    ({**SMALL, "edges": [{"source": "a", "target": "a"}]}, "graph.cycle"),
    ({**SMALL, "edges": [{"source": {}, "target": "a"}]}, "graph.shape"),
    (nodes(*({"id": f"n{index}", "type": "default"} for index in range(2001))), "graph.too_large"),
    (nodes({"id": "a", "type": "input", "data": {"notes": "\0"}}), "input"),
    (nodes({"id": "a", "type": "input", "data": {"notes": "\ud800"}}), "input"),
]


@pytest.mark.parametrize(("definition", "code"), BAD_DEFINITIONS, ids=lambda value: str(value)[:40])
def test_every_rule_of_a_definition_has_its_code(as_alice: Client, definition: Any, code: str) -> None:
    refused(post(as_alice, {"name": "x", "definition": definition}), 422, code)
    assert not Workflow.objects.exists()


def test_many_problems_are_told_in_one_sentence_of_bearable_length(as_alice: Client) -> None:
    wrong = nodes(*({"id": f"n{index}", "type": "nix"} for index in range(500)))
    text = refused(post(as_alice, {"name": "x", "definition": wrong}), 422, "step.unknown_type", node="n0")
    assert len(text) < 5000 and text.endswith("And 490 more.")


def body(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "definition": SMALL, **changes}


BAD_BODIES: dict[str, tuple[Any, int, str, str | None]] = {
    "nothing": ("", 422, "field", "body"),
    "no JSON": ("{'name': 1}", 400, "json", None),
    "NaN": ('{"name": NaN}', 400, "json", None),
    "100,000 brackets": ("[" * 100_000, 400, "json", None),
    "100,000 levels": ('{"name": "x", "definition": ' + '{"a":' * 100_000 + "1" + "}" * 100_001, 400, "json", None),
    "500 levels": ('{"name": "x", "definition": ' + '{"a":' * 500 + "1" + "}" * 501, 422, "input", "definition"),
    "six megabytes": (body(description="x" * 6_000_000), 413, "too_large", None),
    "a list": ([], 422, "field", "body"),
    "null": ("null", 422, "field", "body"),
    "no name": ({"definition": SMALL}, 422, "field", "name"),
    "no definition": ({"name": "x"}, 422, "field", "definition"),
    "a number for a name": (body(name=5), 422, "field", "name"),
    "null for a name": (body(name=None), 422, "field", "name"),
    "a blank name": (body(name="  "), 422, "field", "name"),
    "a long name": (body(name="x" * 201), 422, "field", "name"),
    "a NUL in the name": (body(name="a\0"), 422, "field", "name"),
    "half a surrogate in the description": (body(description="\udfff"), 422, "field", "description"),
    "a text for is_active": (body(is_active="yes"), 422, "field", "is_active"),
    "a number for draft": (body(draft=1), 422, "field", "draft"),
    "a list for the definition": (body(definition=[]), 422, "field", "definition"),
    "a text for the definition": (body(definition="{}"), 422, "field", "definition"),
    "a misspelt key": (body(defintion={}), 422, "field", "defintion"),
    "somebody else as owner": (body(owner=1), 422, "field", "owner"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_by_its_field(as_alice: Client, workflow: Workflow, name: str) -> None:
    given, status, code, field = BAD_BODIES[name]
    where = {"field": field} if field else {}
    refused(post(as_alice, given), status, code, **where)
    assert Workflow.objects.get() == workflow


# Reading


def test_one_workflow_is_told_to_those_who_may_see_it(
    as_alice: Client, as_bob: Client, as_charlie: Client, workflow: Workflow
) -> None:
    path = f"/api/workflows/{workflow.pk}"
    assert as_alice.get(path).json() == as_bob.get(path).json()
    theirs = refused(as_charlie.get(path), 404, "not_found")
    assert theirs == refused(as_charlie.get("/api/workflows/999"), 404, "not_found").replace("999", str(workflow.pk))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("number", ["0", "999", str(2**63), "9" * 400, "-1", "1.5", "abc", "%00", "１"])
def test_an_unknown_id_of_any_shape_is_not_found(as_alice: Client, method: str, number: str) -> None:
    refused(send(as_alice, method, f"/api/workflows/{number}", "{}"), 404, "not_found")


def test_the_list_holds_what_one_may_see_without_definitions(
    as_alice: Client, as_charlie: Client, workflow: Workflow, charlie: User
) -> None:
    example = Workflow.objects.create(name="Example", owner=None)
    mine = Workflow.objects.create(name="Charlie's", owner=charlie)
    told = as_alice.get("/api/workflows/").json()
    assert [item["id"] for item in told["items"]] == [example.pk, workflow.pk]
    assert set(told["items"][0]) == FIELDS and told["items"][1]["version"] == 1
    assert [item["id"] for item in as_charlie.get("/api/workflows/").json()["items"]] == [mine.pk, example.pk]


def test_the_list_comes_in_parts(as_alice: Client, alice: User) -> None:
    numbers = [Workflow.objects.create(name=f"w{index}", owner=alice).pk for index in range(5)][::-1]
    first = as_alice.get("/api/workflows/?limit=3").json()
    rest = as_alice.get("/api/workflows/", {"limit": 3, "cursor": first["next"]}).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == numbers
    assert rest["next"] is None


def test_the_list_costs_the_same_however_long_it_is(
    as_alice: Client, alice: User, django_assert_num_queries: Any
) -> None:
    for count in (2, 30):
        for index in range(count):
            Workflow.objects.create(name=f"w{index}", owner=alice).publish(SMALL)
        with django_assert_num_queries(3):  # session, user, list
            as_alice.get("/api/workflows/")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=0", f"cursor={2**63}"])
def test_a_bad_window_is_refused(as_alice: Client, query: str) -> None:
    refused(as_alice.get(f"/api/workflows/?{query}"), 422, "field", field=query.partition("=")[0])


# Changing


def test_only_what_is_named_changes(as_alice: Client, workflow: Workflow) -> None:
    told = put(as_alice, workflow, {"description": "New"}).json()
    assert (told["name"], told["description"], told["version"]) == ("Chain", "New", 1)
    told = put(as_alice, workflow, {"is_active": False, "name": "Other"}).json()
    assert (told["name"], told["description"], told["is_active"]) == ("Other", "New", False)


def test_nothing_named_changes_nothing(as_alice: Client, workflow: Workflow) -> None:
    before = as_alice.get(f"/api/workflows/{workflow.pk}").json()
    assert put(as_alice, workflow, {}).json() == before


def test_a_definition_that_is_put_is_published(as_bob: Client, workflow: Workflow, bob: User) -> None:
    told = put(as_bob, workflow, {"definition": SMALL}).json()
    assert (told["version"], told["definition"], told["draft"]) == (2, SMALL, False)
    assert workflow.versions.get(number=2).created_by == bob


def test_what_was_got_can_be_put_back_and_makes_no_new_version(as_alice: Client, workflow: Workflow) -> None:
    got = as_alice.get(f"/api/workflows/{workflow.pk}").json()
    told = put(as_alice, workflow, got).json()
    assert {**told, "updated_at": ""} == {**got, "updated_at": ""}
    assert workflow.versions.count() == 1


def test_a_draft_is_kept_beside_what_runs_and_published_later(as_alice: Client, workflow: Workflow) -> None:
    told = put(as_alice, workflow, {"definition": SMALL, "draft": True}).json()
    assert (told["version"], told["definition"], told["draft"]) == (1, SMALL, True)
    told = put(as_alice, workflow, {"draft": False}).json()
    assert (told["version"], told["definition"], told["draft"]) == (2, SMALL, False)


def test_a_bad_definition_changes_nothing_else_either(as_alice: Client, workflow: Workflow) -> None:
    refused(put(as_alice, workflow, {"name": "Other", "definition": BROKEN}), 422, "graph.unknown_node")
    workflow.refresh_from_db()
    assert workflow.name == "Chain" and workflow.versions.count() == 1


@pytest.mark.parametrize("field", ["name", "description", "is_active", "definition", "draft"])
def test_null_is_no_value_of_a_field(as_alice: Client, workflow: Workflow, field: str) -> None:
    refused(put(as_alice, workflow, {field: None}), 422, "field", field=field)


def test_an_example_may_be_seen_but_not_changed(as_charlie: Client, workflow: Workflow) -> None:
    Workflow.objects.update(owner=None, group=None)
    assert as_charlie.get(f"/api/workflows/{workflow.pk}").status_code == 200
    refused(put(as_charlie, workflow, {"name": "Mine"}), 403, "forbidden")


def test_a_stranger_cannot_change(as_charlie: Client, workflow: Workflow) -> None:
    refused(put(as_charlie, workflow, {"name": "Mine"}), 404, "not_found")
    workflow.refresh_from_db()
    assert workflow.name == "Chain"


# Archiving


def test_the_owner_archives(as_alice: Client, workflow: Workflow) -> None:
    path = f"/api/workflows/{workflow.pk}"
    response = as_alice.delete(path)
    assert response.status_code == 204 and response.content == b""
    workflow.refresh_from_db()
    assert workflow.archived_at and not workflow.is_active
    refused(as_alice.get(path), 404, "not_found")
    refused(as_alice.delete(path), 404, "not_found")
    assert as_alice.get("/api/workflows/").json()["items"] == []


def test_a_teammate_may_not_archive_and_a_stranger_not_even_know(
    as_bob: Client, as_charlie: Client, workflow: Workflow
) -> None:
    refused(as_bob.delete(f"/api/workflows/{workflow.pk}"), 403, "forbidden")
    refused(as_charlie.delete(f"/api/workflows/{workflow.pk}"), 404, "not_found")
    workflow.refresh_from_db()
    assert workflow.archived_at is None


# The door


@pytest.mark.parametrize("path", ["", "workflows/", "workflows/1", "nix", "workflows/1/nix", "docs/x"])
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_who_is_not_signed_in_learns_nothing(client: Client, workflow: Workflow, method: str, path: str) -> None:
    response = getattr(client, method)(f"/api/{path}")
    if response.status_code == 302:
        assert path == "" and response.headers["Location"].startswith("/sign-in/")
    elif response.status_code == 405:
        refused(response, 405, "method_not_allowed")
    else:
        refused(response, 401, "not_signed_in")


@pytest.mark.parametrize("path", ["docs", "openapi.json"])
def test_the_documentation_is_for_those_who_are_signed_in(client: Client, as_alice: Client, path: str) -> None:
    assert client.get(f"/api/{path}").headers["Location"] == f"/sign-in/?next=/api/{path}"
    assert as_alice.get(f"/api/{path}").status_code == 200


def test_the_documentation_brings_no_inline_code_and_no_foreign_file(as_alice: Client) -> None:
    page = as_alice.get("/api/docs").content.decode()
    assert "<style" not in page and "style=" not in page
    assert not re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", page)
    assert page.count("<script") == page.count('<script src="/static/js/')


def test_the_documentation_shows_every_operation_with_what_it_takes_and_answers(as_alice: Client) -> None:
    page = as_alice.get("/api/docs").text
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            assert f'<h2 id="{operation["summary"].lower().replace(" ", "-")}-title">' in page
            assert f'<b class="tag">{method.upper()}</b><code>{path}</code>' in page
    for name in ("Idempotency-Key", "input_data", "definition", "cursor", "execution_id"):
        assert f"<dt><code>{name}</code>" in page
    assert "It answers 202 Accepted" in page


@pytest.mark.parametrize("path", ["", "nix", "workflows/1/nix", "workflows/1/", "\u00fc%00"])
def test_a_path_that_is_none_is_a_refusal_like_all_others(as_alice: Client, path: str) -> None:
    refused(as_alice.get(f"/api/{path}"), 404, "not_found")


def test_a_wrong_method_says_which_are_right(as_alice: Client, workflow: Workflow) -> None:
    response = send(as_alice, "PATCH", f"/api/workflows/{workflow.pk}", {})
    refused(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "DELETE, GET, PUT"


def test_our_own_fault_is_told_in_the_same_shape_and_without_the_traceback(
    as_alice: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("the secret reason")

    monkeypatch.setattr("workflows.api.part", fail)
    assert "secret" not in refused(as_alice.get("/api/workflows/"), 500, "internal")
    assert "the secret reason" in caplog.text


def test_a_token_has_its_user_s_rights_and_no_more(workflow: Workflow, charlie: User, bob: User) -> None:
    for user, status in ((charlie, 404), (bob, 200)):
        _, token = ApiToken.issue(user, "tests")
        headers = {"Authorization": f"Bearer {token}"}
        assert Client().get(f"/api/workflows/{workflow.pk}", headers=headers).status_code == status


def test_the_owner_of_the_installation_sees_everything(owner: User, workflow: Workflow) -> None:
    assert signed_in(owner).get(f"/api/workflows/{workflow.pk}").status_code == 200


# Edits


def test_an_edit_over_the_api_is_told_with_who_made_it(as_bob: Client, bob: User, workflow: Workflow) -> None:
    put(as_bob, workflow, {"definition": SMALL, "draft": True})
    edit = workflow.edits.done()[0]
    assert (edit.by, edit.words) == (bob, "Rewrote the definition")


@pytest.mark.parametrize(
    ("error", "status", "code"), [(EditConflict(), 409, "draft.conflict"), (EditError("Not so."), 422, "draft.edit")]
)
def test_a_refused_edit_has_the_one_shape(error: EditError, status: int, code: str, rf: RequestFactory) -> None:
    assert refused(Answer(api.on_exception(rf.put("/"), error)), status, code) == error.message


class Answer:
    """A response of the API as refused() reads it."""

    def __init__(self, response: HttpResponse) -> None:
        self.status_code, self.json = response.status_code, lambda: json.loads(response.content)
