"""Export and import by page: what goes out, what comes in, by whom, and what is refused without a loss."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests import conftest
from tests.workflows.test_exchange import FLOWS, N8N_NODE
from tests.workflows.test_versions import at, said, stored, whispering
from workflows.exchange import read
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

CHAIN: dict[str, Any] = conftest.CHAIN
NEW = "/workflows/import/"


def file(content: Any, name: str = "graph.json") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content if isinstance(content, bytes) else json.dumps(content).encode())


def paste(client: Client, content: Any, url: str = NEW, **more: Any) -> Any:
    return client.post(url, {"text": content if isinstance(content, str) else json.dumps(content), **more})


def refused(response: Any) -> str:
    assert response.status_code == 422
    return said(response)


# Export


def test_the_file_holds_the_workflow_and_what_is_said_of_it(workflow: Workflow, as_bob: Client) -> None:
    workflow.description, workflow.max_parallel = "For the night", 2
    workflow.save()
    workflow.set_tags(["sales", "night"])
    response = as_bob.get(at("export", workflow))
    parcel = read(response.content)
    assert (parcel.name, parcel.description, parcel.tags) == ("Chain", "For the night", ("night", "sales"))
    assert (parcel.max_parallel, parcel.definition) == (2, CHAIN)
    assert response["Content-Type"] == "application/json" and response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == 'attachment; filename="chain-v1.json"'


def test_the_draft_goes_out_before_what_runs_and_each_version_by_its_number(workflow: Workflow, as_bob: Client) -> None:
    workflow.keep_draft(whispering())
    draft, first = as_bob.get(at("export", workflow)), as_bob.get(at("export", workflow), {"version": "1"})
    assert read(draft.content).definition == whispering() and read(first.content).definition == CHAIN
    assert "chain-draft.json" in draft["Content-Disposition"] and "chain-v1.json" in first["Content-Disposition"]


@pytest.mark.parametrize("name", ['"; rm -rf / \r\nX: y', "ünïcödé / ../..", "日本語", "<b>" * 60, "\u202egnp.exe"])
def test_the_files_name_is_plain_whatever_the_workflow_is_called(name: str, alice: User, as_alice: Client) -> None:
    workflow = Workflow.objects.create(name=name[:200], owner=alice)
    told = as_alice.get(at("export", workflow))["Content-Disposition"]
    assert told.startswith('attachment; filename="') and told.endswith('-draft.json"')
    assert told.removeprefix('attachment; filename="').rstrip('"').replace("-", "").replace(".", "").isalnum()
    assert told.isascii()


@pytest.mark.parametrize("version", ["2", "0", "-1", "x", "9" * 60, "١"])
def test_a_version_that_is_not_there_cannot_be_exported(workflow: Workflow, as_alice: Client, version: str) -> None:
    assert as_alice.get(at("export", workflow), {"version": version}).status_code == 404


# Import something new


def test_a_pasted_graph_becomes_a_draft_of_ones_own(as_charlie: Client, charlie: User) -> None:
    response = paste(as_charlie, FLOWS[1], name=" My   graph ")
    workflow = Workflow.objects.get()
    assert (response.status_code, response["Location"]) == (303, at("show", workflow))
    assert (workflow.name, workflow.owner, workflow.published, workflow.draft) == ("My graph", charlie, None, FLOWS[1])
    assert not workflow.is_runnable


def test_an_exported_file_comes_in_with_all_that_is_said_of_it(workflow: Workflow, as_bob: Client, bob: User) -> None:
    workflow.set_tags(["night"])
    exported = as_bob.get(at("export", workflow)).content
    as_bob.post(NEW, {"file": file(exported)})
    made = Workflow.objects.latest("pk")
    assert made != workflow and (made.name, made.owner, made.draft) == ("Chain", bob, CHAIN)
    assert list(made.tags.values_list("name", flat=True)) == ["night"]
    assert as_bob.get(at("export", made)).content == exported


@pytest.mark.parametrize("flow", FLOWS)
def test_any_graph_comes_out_as_it_came_in(as_alice: Client, flow: dict[str, Any]) -> None:
    paste(as_alice, flow)
    workflow = Workflow.objects.get()
    assert read(as_alice.get(at("export", workflow)).content).definition == flow
    assert as_alice.get(at("show", workflow)).status_code == 200


def test_without_any_name_the_files_own_is_taken(as_alice: Client) -> None:
    as_alice.post(NEW, {"file": file(CHAIN, "night_shift.json")})
    assert Workflow.objects.get().name == "night shift"


def test_unknown_kinds_are_kept(as_alice: Client) -> None:
    odd = {"nodes": [{"id": "a", "type": "wizard", "data": {"spell": "x"}}], "edges": []}
    paste(as_alice, odd)
    assert Workflow.objects.get().draft == odd


def test_what_is_not_used_is_said(as_alice: Client) -> None:
    response = as_alice.post(NEW, {"text": json.dumps({"definition": CHAIN, "<i>": 1})}, follow=True)
    assert "nothing here reads it: “&lt;i&gt;”" in said(response)


# Refused


def test_nothing_chosen_and_nothing_pasted_is_said(as_alice: Client) -> None:
    assert "Choose a file, or paste" in refused(as_alice.post(NEW, {"text": " "}))


def test_an_empty_file_is_said_to_be_empty(as_alice: Client) -> None:
    assert "The file is empty." in refused(as_alice.post(NEW, {"file": file(b"")}))


@pytest.mark.parametrize(
    "text", ["{not json", "[1, 2]", '{"nodes": [], "nodes": [], "edges": []}', '{"nodes": [NaN]}', "<script>alert(1)"]
)
def test_refused_text_stays_in_its_field_as_text(as_alice: Client, text: str) -> None:
    response = paste(as_alice, text, name="Mine")
    assert refused(response)
    assert text not in response.text.split("<textarea")[0] or text == "[1, 2]"
    assert response.context["form"]["text"].value() == text and 'value="Mine"' in response.text
    assert "<script>alert" not in response.text
    assert not Workflow.objects.exists()


def test_a_refused_files_text_stands_in_the_field_to_be_mended(as_alice: Client) -> None:
    response = as_alice.post(NEW, {"file": file(b'{"nodes": [oops]}')})
    assert "line 1" in refused(response) and "[oops]}</textarea>" in response.text


def test_a_file_that_is_no_text_is_refused(as_alice: Client) -> None:
    assert "not UTF-8" in refused(as_alice.post(NEW, {"file": file(b"\x89PNG\r\n\x1a\n\xff\x00")}))


def test_a_file_that_is_too_large_is_refused_with_the_limit(as_alice: Client) -> None:
    assert "at most 5 MB are taken" in refused(as_alice.post(NEW, {"file": file(b" " * (5 * 1024 * 1024 + 1))}))


def test_an_n8n_export_is_called_one(as_alice: Client) -> None:
    export = {"name": "Theirs", "nodes": [N8N_NODE], "connections": {}}
    assert "This is an n8n export" in refused(as_alice.post(NEW, {"file": file(export)}))


def test_a_nul_in_the_text_is_no_error_of_ours(as_alice: Client) -> None:
    assert paste(as_alice, '{"nodes": []}\0').status_code == 422


def test_more_than_any_page_may_send_is_no_error_of_ours(as_alice: Client) -> None:
    assert paste(as_alice, " " * (5 * 1024 * 1024 + 1)).status_code == 400


def test_a_name_that_is_too_long_is_refused_and_the_text_kept(as_alice: Client) -> None:
    response = paste(as_alice, CHAIN, name="x" * 201)
    assert "200" in refused(response) and response.context["form"]["text"].value() == json.dumps(CHAIN)


# Import into what is there


def into(client: Client, workflow: Workflow, content: Any, revision: Any = None) -> Any:
    revision = stored(workflow).revision if revision is None else revision
    return paste(client, content, at("import-into", workflow), revision=revision)


def test_an_import_into_a_workflow_replaces_its_draft_alone(workflow: Workflow, as_bob: Client, bob: User) -> None:
    told = {"name": "Another", "description": "x", "tags": ["y"], "definition": whispering()}
    assert into(as_bob, workflow, told).status_code == 303
    after = stored(workflow)
    assert (after.name, after.description, after.tags.count()) == ("Chain", "", 0)
    assert after.draft == whispering() and after.published == workflow.published
    assert after.undo(by=bob).words == "Imported what was pasted"
    assert stored(workflow).definition == CHAIN


def test_an_import_says_which_file_it_was(workflow: Workflow, as_bob: Client) -> None:
    data = {"file": file(whispering(), "quiet<b>.json"), "revision": workflow.revision}
    as_bob.post(at("import-into", workflow), data)
    assert stored(workflow).edits.done()[0].words == "Imported “quiet<b>.json”"


@pytest.mark.parametrize("revision", ["0", "", "x", "9" * 40])
def test_an_import_over_unseen_changes_is_refused_and_kept(
    workflow: Workflow, as_alice: Client, bob: User, revision: str
) -> None:
    workflow.keep_draft(whispering("trim"), by=bob)
    response = into(as_alice, workflow, whispering(), revision=revision)
    assert response.status_code == 409 and "nothing was done" in said(response)
    assert response.context["form"]["text"].value() == json.dumps(whispering())
    assert f'name="revision" value="{workflow.revision}"' in response.text
    assert stored(workflow).draft == whispering("trim")


def test_a_wrong_import_leaves_the_draft_alone(workflow: Workflow, as_alice: Client) -> None:
    assert into(as_alice, workflow, "{").status_code == 422
    assert stored(workflow).draft is None and stored(workflow).revision == workflow.revision


# Rights


def test_a_stranger_neither_exports_nor_imports(workflow: Workflow, as_charlie: Client) -> None:
    assert as_charlie.get(at("export", workflow)).status_code == 404
    assert as_charlie.get(at("import-into", workflow)).status_code == 404
    assert into(as_charlie, workflow, CHAIN).status_code == 404


def test_an_example_may_be_exported_by_all_and_imported_into_by_none(as_charlie: Client) -> None:
    example = Workflow.objects.create(name="Example")
    example.publish(CHAIN)
    assert read(as_charlie.get(at("export", example)).content).definition == CHAIN
    assert as_charlie.get(at("import-into", example)).status_code == 403
    assert into(as_charlie, example, whispering()).status_code == 403
    assert stored(example).draft is None


def test_who_is_not_signed_in_is_sent_to_the_door(workflow: Workflow, client: Client) -> None:
    for url in (NEW, at("import-into", workflow), at("export", workflow), reverse("workflows:import")):
        assert client.get(url)["Location"].startswith("/sign-in/")
