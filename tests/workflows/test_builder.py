"""The builder's pages, as alice (owner), bob (her team) and charlie (a stranger) meet them, with script and without."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, WorkflowExecution
from tests.conftest import CHAIN
from workflows.models import Workflow
from workflows.steps import kinds

CYCLE: dict[str, Any] = {**CHAIN, "edges": [{"source": "in", "target": "work"}, {"source": "work", "target": "in"}]}
HTMX = {"HX-Request": "true"}


def at(workflow: Workflow, name: str = "show", *args: str) -> str:
    return reverse(f"workflows:{name}", args=[workflow.pk, *args])


def stored(workflow: Workflow) -> Workflow:
    return Workflow.objects.select_related("published").get(pk=workflow.pk)


def order(workflow: Workflow) -> list[str]:
    now = stored(workflow)
    return [node["data"]["label"] for node in now.definition["nodes"]]


def edges(workflow: Workflow) -> set[tuple[str, str]]:
    return {(edge["source"], edge["target"]) for edge in stored(workflow).definition["edges"]}


def data(workflow: Workflow, node_id: str) -> dict[str, Any]:
    return next(node["data"] for node in stored(workflow).definition["nodes"] if node["id"] == node_id)


def do(client: Client, workflow: Workflow, verb: str, /, *args: str, htmx: Any = False, **typed: str) -> Any:
    """A form of the page as it is now, sent."""
    form = {"revision": str(stored(workflow).revision), **typed}
    return client.post(at(workflow, verb, *args), form, headers=HTMX if htmx else {})


def settings_form(client: Client, workflow: Workflow, node_id: str) -> dict[str, str]:
    """What a browser would send of a step's settings, had nothing been typed."""
    text = client.get(at(workflow, "step", node_id)).text
    form = text[text.index('<form id="settings"') :]
    form = form[: form.index("</form>")]
    found = dict(re.findall(r'<input[^>]* name="([\w.]+)" value="([^"]*)"', form))
    found |= dict.fromkeys(re.findall(r'type="checkbox"[^>]* name="([\w.]+)" checked', form), "on")
    found |= {
        name: text.lstrip("\n")
        for name, text in re.findall(r'<textarea[^>]* name="([\w.]+)"[^>]*>(.*?)</textarea>', form, re.S)
    }
    found |= dict.fromkeys(re.findall(r'<input type="checkbox"[^>]* name="([\w.]+)" checked', form), "on")
    for name, options in re.findall(r'<select[^>]* name="([\w.]+)"[^>]*>(.*?)</select>', form, re.S):
        found[name] = re.findall(r'value="([^"]*)" selected', options)[0]
    found = {name: value.replace("&quot;", '"').replace("&#x27;", "'") for name, value in found.items()}
    return {name: found[name] for name in found if name != "csrfmiddlewaretoken"}


@pytest.fixture
def example(db: None) -> Workflow:
    """Nobody's: everybody may look at it and run it."""
    workflow = Workflow.objects.create(name="Example")
    workflow.publish(CHAIN)
    return workflow


@pytest.fixture
def empty(alice: User) -> Workflow:
    return Workflow.objects.create(name="Empty", owner=alice)


# Look


def test_the_page_draws_and_lists_every_step(workflow: Workflow, as_bob: Client) -> None:
    text = as_bob.get(at(workflow)).text
    assert text.count('class="node') == 3
    assert [label for label in ("Take in", "Shout", "Give out") if text.count(label) < 2] == []
    assert "style=" not in text


def test_who_may_only_look_gets_no_form_but_a_copy(example: Workflow, as_charlie: Client) -> None:
    text = as_charlie.get(at(example, "step", "work")).text
    assert "Add step" not in text and "Delete" not in text and 'id="undo"' not in text
    assert "<fieldset disabled>" in text
    assert at(example, "copy") in text and reverse("executions:run", args=[example.pk]) in text


def test_a_stranger_finds_nothing_and_can_do_nothing(workflow: Workflow, as_charlie: Client) -> None:
    before = stored(workflow).revision
    for name, *args in VERBS:
        assert as_charlie.post(at(workflow, name, *args), {"revision": before}).status_code == 404, name
    for name, *args in (("show",), ("steps",), ("step", "work"), ("about",), ("definition",)):
        assert as_charlie.get(at(workflow, name, *args)).status_code == 404, name
    assert stored(workflow).revision == before


def test_looking_is_not_editing(example: Workflow, as_charlie: Client) -> None:
    before = stored(example).revision
    for name, *args in VERBS:
        if name != "copy":
            assert as_charlie.post(at(example, name, *args), {"revision": before}).status_code == 403, name
    assert as_charlie.get(at(example, "steps")).status_code == 403
    assert stored(example).revision == before


VERBS = (
    *(("undo",), ("redo",), ("discard",), ("steps",), ("step", "work"), ("connect", "work"), ("disconnect", "work")),
    *(("move", "work"), ("duplicate", "work"), ("delete", "work"), ("about",), ("definition",), ("activate",)),
    *(("archive",), ("bring_back",), ("copy",)),
)


def test_an_archived_workflow_is_read_until_it_is_brought_back(workflow: Workflow, as_alice: Client) -> None:
    workflow.archive()
    assert "Add step" not in as_alice.get(at(workflow)).text
    forms = (("delete", "work"), ("publish",), ("restore", "1"), ("take-over", "1"), ("import-into",))
    refused = [do(as_alice, workflow, *form, text=json.dumps(CHAIN)) for form in forms]
    assert [answer.status_code for answer in refused] == [403] * len(forms)
    assert all("is archived: bring it back before you change it" in answer.text for answer in refused)
    assert as_alice.get(at(workflow, "steps")).status_code == 403, "no list of steps that cannot be added"
    assert do(as_alice, workflow, "bring_back").status_code == 303
    assert "Add step" in as_alice.get(at(workflow)).text
    assert not stored(workflow).is_active


def test_a_get_of_a_verb_goes_to_the_workflow(workflow: Workflow, as_alice: Client) -> None:
    for name, *args in (("undo",), ("move", "work"), ("delete", "work"), ("archive",), ("copy",)):
        response = as_alice.get(at(workflow, name, *args))
        assert (response.status_code, response["Location"]) == (303, at(workflow))
    assert stored(workflow).archived_at is None and order(workflow) == ["Take in", "Shout", "Give out"]


def test_a_step_that_is_gone_is_a_404_that_names_it(workflow: Workflow, as_alice: Client) -> None:
    for node_id in ("nothing", "a" * 500, "%3Cb%3E"):
        assert as_alice.get(f"/workflows/{workflow.pk}/steps/{node_id}/").status_code == 404


def test_htmx_gets_the_parts_and_no_page_around_them(workflow: Workflow, as_alice: Client) -> None:
    response = as_alice.get(at(workflow, "step", "work"), headers=HTMX)
    assert "<html" not in response.text and 'hx-target="#b-side"' in response.text
    assert "HX-Request" in response["Vary"]
    back = as_alice.get(at(workflow), headers={**HTMX, "HX-History-Restore-Request": "true"})
    assert "<html" in back.text


def test_the_last_execution_stands_on_the_graph(workflow: Workflow, as_alice: Client) -> None:
    assert workflow.published is not None
    execution = WorkflowExecution.objects.create(workflow=workflow, version=workflow.published, status="failed")
    for seq, (node, kind) in enumerate((("in", "completed"), ("work", "failed")), 1):
        ExecutionLog.objects.create(execution=execution, seq=seq, kind=kind, node=node, took_ms=1_500)
    text = as_alice.get(at(workflow)).text
    assert f"Shows execution #{execution.pk}" in text
    assert "is-failed was" in text and "Input · 1.5 s" in text


# Steps


def test_an_empty_workflow_offers_its_first_step(empty: Workflow, as_alice: Client) -> None:
    text = as_alice.get(at(empty)).text
    assert "Add the first step" in text and 'value="process:Upper case"' in text


def test_a_workflow_is_built_without_script(empty: Workflow, as_alice: Client) -> None:
    response = do(as_alice, empty, "steps", kind="input")
    assert response["Location"] == at(empty, "step", "input")
    do(as_alice, empty, "steps", kind="process:Upper case", after="input")
    do(as_alice, empty, "steps", kind="output", after="upper-case")
    assert order(empty) == ["Input", "Upper case", "Output"]
    assert edges(empty) == {("input", "upper-case"), ("upper-case", "output")}
    assert data(empty, "upper-case") == {"label": "Upper case", "operation": "uppercase"}
    assert stored(empty).publish().number == 1


@pytest.mark.parametrize(
    ("words", "kind"), [("inp", "input"), ("UPPER", "process"), ("wait", "delay"), ("text lower", "process")]
)
def test_enter_in_the_search_adds_the_best_that_it_finds(
    words: str, kind: str, empty: Workflow, as_alice: Client
) -> None:
    do(as_alice, empty, "steps", kind="", q=words)
    assert [node["type"] for node in stored(empty).definition["nodes"]] == [kind]


def test_a_search_without_a_find_changes_nothing_and_says_so(empty: Workflow, as_alice: Client) -> None:
    response = do(as_alice, empty, "steps", kind="", q="<b>zebra")
    assert response.status_code == 422
    assert "No kind of step is called “&lt;b&gt;zebra”" in response.text
    assert stored(empty).definition["nodes"] == []


def test_enter_without_a_word_adds_nothing(empty: Workflow, as_alice: Client) -> None:
    for kind in ("", "zebra"):
        response = do(as_alice, empty, "steps", kind=kind, q=" ")
        assert response.status_code == 422 and "No step was chosen." in response.text
    assert stored(empty).definition["nodes"] == []


def test_the_picker_is_searched_by_plain_words(workflow: Workflow, as_alice: Client) -> None:
    headers = {**HTMX, "HX-Target": "div#kinds"}
    part = as_alice.get(at(workflow, "steps"), {"q": "upper"}, headers=headers).text
    assert "Upper case" in part and "Countdown" not in part and "<title>" not in part
    assert "No kind of step" in as_alice.get(at(workflow, "steps"), {"q": "zebra"}, headers=headers).text


def test_a_step_goes_beside_or_into_the_line(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="default", after="in")
    assert edges(workflow) == {("in", "pass-on"), ("pass-on", "work"), ("work", "out")}
    do(as_alice, workflow, "steps", kind="default", after="in", beside="1")
    assert ("in", "pass-on-2") in edges(workflow) and ("in", "pass-on") in edges(workflow)


def test_a_step_is_moved_duplicated_and_deleted(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "move", "out", way="up")
    assert edges(workflow) == {("in", "out"), ("out", "work")}
    do(as_alice, workflow, "duplicate", "work")
    assert order(workflow) == ["Take in", "Give out", "Shout", "Shout 2"]
    response = do(as_alice, workflow, "delete", "out")
    assert edges(workflow) == {("in", "work"), ("work", "shout-2")}
    assert response["Location"] == at(workflow, "step", "in"), "one goes on at the step before"
    assert "Deleted “Give out”" in as_alice.get(response["Location"]).text


def test_connections_are_drawn_and_taken_away(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "connect", "out", source="in out")
    assert ("in", "out") in edges(workflow)
    do(as_alice, workflow, "disconnect", "out", source="work out")
    assert edges(workflow) == {("in", "work"), ("in", "out")}


def test_only_ends_that_make_no_cycle_are_offered(workflow: Workflow, as_alice: Client) -> None:
    offers = as_alice.get(at(workflow, "step", "work")).context["offers"]
    assert offers == [], "what comes before is connected, and what comes after would be a cycle"
    assert as_alice.get(at(workflow, "step", "out")).context["offers"] == [("in out", "Take in")]


@pytest.mark.parametrize(
    ("name", "node", "form", "words"),
    [
        ("connect", "in", {"source": "out out"}, "already runs after"),
        ("connect", "out", {"source": "zebra out"}, "no step “zebra” any more"),
        ("connect", "out", {"source": ""}, "no step “” any more"),
        ("disconnect", "in", {"source": "out out"}, "not there any more"),
        ("move", "in", {"way": "up"}, "is first already"),
        ("move", "zebra", {}, "no step “zebra” any more"),
        ("duplicate", "zebra", {}, "no step “zebra” any more"),
        ("delete", "zebra", {}, "no step “zebra” any more"),
        ("step", "zebra", {"label": "x"}, "no step “zebra” any more"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    name: str, node: str, form: dict[str, str], words: str, workflow: Workflow, as_alice: Client
) -> None:
    before = stored(workflow).revision
    for htmx in (False, True):
        response = do(as_alice, workflow, name, node, htmx=htmx, **form)
        assert response.status_code == 422 and words in response.text
        assert ("<html" in response.text) is not htmx
    assert stored(workflow).revision == before


def test_a_broken_draft_offers_json_and_undo_alone(workflow: Workflow, as_alice: Client) -> None:
    workflow.keep_draft(CYCLE)
    text = as_alice.get(at(workflow)).text
    assert "cannot be drawn" in text and "form a cycle" in text and at(workflow, "definition") in text
    assert do(as_alice, workflow, "delete", "work").status_code == 422
    assert as_alice.get(at(workflow, "step", "work")).status_code == 404
    do(as_alice, workflow, "undo")
    assert "cannot be drawn" not in as_alice.get(at(workflow)).text


@pytest.mark.parametrize(
    "draft",
    [
        {},
        {"nodes": 5},
        {"nodes": [7]},
        {"nodes": [{"id": "a"}]},
        {"nodes": [], "edges": [{"source": "a", "target": "b"}]},
    ],
)
def test_any_draft_can_be_looked_at(draft: dict[str, Any], workflow: Workflow, as_alice: Client) -> None:
    workflow.keep_draft(draft)
    for name in ("show", "steps", "definition", "about"):
        assert as_alice.get(at(workflow, name)).status_code == 200
    for name, *args in (("steps",), ("delete", "a"), ("step", "a")):
        assert do(as_alice, workflow, name, *args, kind="input").status_code in (303, 422)


# Settings


def test_every_kind_has_a_form_that_gives_back_what_it_was_given(empty: Workflow, as_alice: Client) -> None:
    for kind in kinds():
        do(as_alice, empty, "steps", kind=kind)
    for node in stored(empty).definition["nodes"]:
        before = stored(empty).revision
        response = do(as_alice, empty, "step", node["id"], **settings_form(as_alice, empty, node["id"]))
        assert response.status_code == 303
        assert stored(empty).revision == before, f"{node['type']}: nothing was typed, so nothing changed"


def test_what_is_typed_is_kept_while_typing(workflow: Workflow, as_alice: Client) -> None:
    form = settings_form(as_alice, workflow, "work")
    response = do(
        as_alice, workflow, "step", "work", htmx=True, **{**form, "label": "Whisper", "operation": "lowercase"}
    )
    assert response.status_code == 200
    assert data(workflow, "work") == {"label": "Whisper", "operation": "lowercase"}
    for part in ("b-outline", "b-drawing", "b-problems", "w-head", "step-base", "setting-operation-errors"):
        assert f'hx-target="#{part}"' in response.text
    assert 'hx-target="#b-side"' not in response.text, "nobody's fields are replaced under their fingers"


def test_a_wrong_setting_is_kept_and_told_at_its_field(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="countdown", after="in")
    form = settings_form(as_alice, workflow, "countdown")
    response = do(as_alice, workflow, "step", "countdown", htmx=True, **{**form, "seconds": "soon"})
    assert response.status_code == 200
    assert data(workflow, "countdown")["seconds"] == "soon"
    text = as_alice.get(at(workflow, "step", "countdown")).text
    assert 'value="soon"' in text
    assert "Seconds must be a number; it is “soon”." in text
    assert "1 problem" in text and f"{at(workflow, 'step', 'countdown')}#setting-seconds" in text


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("5", 5), (" 5 ", 5), ("5.50", 5.5), ("1e3", 1000.0), ("-1", -1), ("1_0", "1_0"), ("nan", "nan"), ("5,5", "5,5")],
)
def test_numbers_are_read_as_people_write_them(typed: str, kept: Any, workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="countdown", after="in")
    do(as_alice, workflow, "step", "countdown", label="C", seconds=typed)
    assert data(workflow, "countdown")["seconds"] == kept


def test_an_emptied_setting_is_the_default_again(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="countdown", after="in")
    do(as_alice, workflow, "step", "countdown", label="C", seconds="7")
    do(as_alice, workflow, "step", "countdown", label="C", seconds="")
    assert data(workflow, "countdown") == {"label": "C"}


def test_lists_and_json_are_typed_as_text(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="check", after="in")
    typed = {"label": "Check", "required": "name\r\n\r\n  city ", "allowed": '{"size": ["S", "M"]}'}
    do(as_alice, workflow, "step", "check", **typed)
    assert data(workflow, "check")["required"] == ["name", "city"]
    assert data(workflow, "check")["allowed"] == {"size": ["S", "M"]}
    do(as_alice, workflow, "step", "check", **{**typed, "allowed": "{oops"})
    assert data(workflow, "check")["allowed"] == "{oops"
    assert "Allowed must be a JSON object; it is “{oops”." in as_alice.get(at(workflow, "step", "check")).text


@pytest.mark.parametrize("place", ["²", "9" * 5000, "-1", "", "0", "x"])
def test_a_place_that_no_row_has_arranges_nothing(place: str, workflow: Workflow, as_alice: Client) -> None:
    for verb in ("remove", "up", "down"):
        assert do(as_alice, workflow, "step", "in", do=f"{verb} fields.{place}").status_code == 303
    assert data(workflow, "in") == {"label": "Take in", "fields": []}


def test_what_was_done_is_told_in_at_most_as_many_words_as_are_kept(workflow: Workflow, as_alice: Client) -> None:
    for letter in "xyz":
        assert do(as_alice, workflow, "step", "work", htmx=True, label=letter * 400).status_code == 200
    assert do(as_alice, workflow, "duplicate", "work").status_code == 303
    assert [len(edit.words) for edit in workflow.edits.all()] == [300, 300]


def test_true_is_not_one(workflow: Workflow, as_alice: Client) -> None:
    for value in (True, 1, 1.0):
        typed = json.dumps({**CHAIN, "value": value})
        do(as_alice, workflow, "definition", definition=typed)
        assert json.dumps(stored(workflow).definition["value"]) == json.dumps(value)


def test_unknown_settings_policy_and_position_survive(alice: User, as_alice: Client) -> None:
    node = {
        "id": "a",
        "type": "process",
        "data": {"label": "A", "x-mine": [1], "policy": {"attempts": 3}},
        "position": {"x": 1},
    }
    workflow = Workflow.objects.create(name="Kept", owner=alice)
    workflow.keep_draft({"nodes": [node], "viewport": {"zoom": 2}})
    do(as_alice, workflow, "step", "a", **{**settings_form(as_alice, workflow, "a"), "label": "B"})
    kept = stored(workflow).definition
    assert kept["nodes"] == [{**node, "data": {"x-mine": [1], "policy": {"attempts": 3}, "label": "B"}}]
    assert kept["viewport"] == {"zoom": 2}


def test_a_step_of_an_unknown_kind_can_be_renamed_and_loses_nothing(alice: User, as_alice: Client) -> None:
    workflow = Workflow.objects.create(name="Foreign", owner=alice)
    workflow.keep_draft({"nodes": [{"id": "a", "type": "n8n.magic", "data": {"spell": "x"}}]})
    text = as_alice.get(at(workflow, "step", "a")).text
    assert "no step kind “n8n.magic”" in text
    do(as_alice, workflow, "step", "a", **{**settings_form(as_alice, workflow, "a"), "label": "Magic"})
    assert data(workflow, "a") == {"spell": "x", "label": "Magic"}


def test_notes_are_for_people(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "step", "work", **{**settings_form(as_alice, workflow, "work"), "notes": "Why it is here"})
    assert data(workflow, "work")["notes"] == "Why it is here"
    do(as_alice, workflow, "step", "work", **{**settings_form(as_alice, workflow, "work"), "notes": " ", "label": ""})
    assert data(workflow, "work") == {"operation": "uppercase"}


NASTY = ['<script>alert("x")</script>', "{{ 7*7 }}", "\"'><img src=x>", "a" * 5_000, "\u202eevil", "]]></hx-partial>"]


@pytest.mark.parametrize("text", NASTY)
def test_markup_in_settings_is_text(text: str, workflow: Workflow, as_alice: Client) -> None:
    for htmx in (False, True):
        typed = {"label": text, "notes": text, "operation": text}
        response = do(as_alice, workflow, "step", "work", htmx=htmx, **typed)
        page = response.text + as_alice.get(at(workflow, "step", "work")).text
        assert "<script>alert" not in page and "<img src=x" not in page
        assert page.count("</hx-partial>") == page.count("<hx-partial")


def test_what_cannot_be_saved_while_typing_takes_nobodys_form_away(workflow: Workflow, as_alice: Client) -> None:
    response = do(as_alice, workflow, "step", "work", htmx=True, label="a\0b", operation="uppercase")
    assert response.status_code == 422 and "holds a NUL" in response.text and "Not saved" in response.text
    assert 'hx-target="#b-side"' not in response.text


def test_what_no_database_keeps_is_refused_in_words(workflow: Workflow, as_alice: Client) -> None:
    before = stored(workflow).revision
    response = do(as_alice, workflow, "step", "work", label="a\0b")
    assert response.status_code == 422 and "holds a NUL" in response.text
    assert stored(workflow).revision == before


@pytest.mark.parametrize("base", ["", "{oops", "[1]", "null", '{"operation": "trim"}', "[" * 9_000])
def test_a_forged_base_breaks_nothing(base: str, workflow: Workflow, as_alice: Client) -> None:
    response = do(as_alice, workflow, "step", "work", base=base, label="Shout", operation="uppercase")
    assert response.status_code == 303
    assert data(workflow, "work")["operation"] == "uppercase"


# Undo and redo


def test_undo_and_redo_survive_a_reload(workflow: Workflow, as_alice: Client, as_bob: Client) -> None:
    do(as_alice, workflow, "delete", "work")
    assert "Undo: Deleted “Shout”, by alice" in as_bob.get(at(workflow)).text
    do(as_bob, workflow, "undo")
    assert order(workflow) == ["Take in", "Shout", "Give out"]
    assert "Redo: Deleted “Shout”" in as_bob.get(at(workflow)).text
    do(as_bob, workflow, "redo")
    assert order(workflow) == ["Take in", "Give out"]


def test_the_page_reads_the_words_of_history_and_not_its_definitions(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "definition", definition=json.dumps({**CHAIN, "viewport": {}}))
    do(as_alice, workflow, "undo")
    do(as_alice, workflow, "redo")
    with CaptureQueriesContext(connection) as asked:
        assert "Rewrote the definition" in as_alice.get(at(workflow)).text
    read = [query["sql"] for query in asked if "workflows_workflowedit" in query["sql"]]
    assert len(read) == 2 and not [sql for sql in read if "splices" in sql]


def test_nothing_to_undo_is_said(example: Workflow, owner: User, client: Client) -> None:
    client.force_login(owner)
    assert "Nothing to undo" in client.get(at(example)).text
    assert "nothing to undo" in do(client, example, "undo").text


def test_the_draft_is_discarded_and_comes_back(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "delete", "work")
    do(as_alice, workflow, "discard")
    assert stored(workflow).draft is None and len(order(workflow)) == 3
    do(as_alice, workflow, "undo")
    assert len(order(workflow)) == 2


# Two at once


def stale(client: Client, workflow: Workflow, name: str, *args: str, htmx: Any = False, **typed: str) -> HttpResponse:
    """A form of a page that was loaded before somebody else's change."""
    form = {"revision": str(stored(workflow).revision - 1), **typed}
    return client.post(at(workflow, name, *args), form, headers=HTMX if htmx else {})  # type: ignore[return-value]


def test_a_change_on_an_older_draft_is_not_made_and_both_are_shown(
    workflow: Workflow, as_alice: Client, as_bob: Client
) -> None:
    do(as_bob, workflow, "step", "work", **{**settings_form(as_bob, workflow, "work"), "label": "Whisper"})
    base = json.dumps({"label": "Shout", "operation": "uppercase"})
    for htmx in (False, True):
        response = stale(as_alice, workflow, "step", "work", htmx=htmx, base=base, label="Roar <b>", operation="trim")
        text = response.content.decode()
        assert response.status_code == 409
        assert "Renamed “Shout” to “Whisper”" in text and "bob" in text
        assert "Renamed “Whisper” to “Roar &lt;b&gt;” and changed operation" in text
        assert 'name="label" value="Roar &lt;b&gt;"' in text
        assert ("<html" in text) is not htmx
    assert data(workflow, "work") == {"label": "Whisper", "operation": "uppercase"}


def test_mine_on_top_of_theirs_keeps_what_each_of_us_changed(
    workflow: Workflow, as_alice: Client, as_bob: Client
) -> None:
    mine = {**settings_form(as_alice, workflow, "work"), "operation": "trim"}
    do(as_bob, workflow, "step", "work", **{**settings_form(as_bob, workflow, "work"), "label": "Whisper"})
    assert stale(as_alice, workflow, "step", "work", **mine).status_code == 409
    again = {name: value for name, value in mine.items() if name != "revision"}
    assert do(as_alice, workflow, "step", "work", **again).status_code == 303
    assert data(workflow, "work") == {"label": "Whisper", "operation": "trim"}


def test_every_verb_refuses_an_older_draft(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="default", after="in")
    before = stored(workflow)
    for name, *args in (*VERBS[:10], ("definition",)):
        typed = {"kind": "input", "source": "in out", "label": "x", "definition": "{}"}
        assert stale(as_alice, workflow, name, *args, **typed).status_code == 409, name
    after = stored(workflow)
    assert (after.revision, after.definition) == (before.revision, before.definition)


def test_a_change_of_what_is_gone_shows_what_was_typed(workflow: Workflow, as_alice: Client, as_bob: Client) -> None:
    mine = {**settings_form(as_alice, workflow, "work"), "notes": "a long thought"}
    do(as_bob, workflow, "delete", "work")
    text = stale(as_alice, workflow, "step", "work", **mine).content.decode()
    assert "no step “work” any more" in text and "a long thought" in text and "Deleted “Shout”" in text


@pytest.mark.parametrize("revision", ["", "-1", "abc", "9" * 30, "１", "1.0"])
def test_a_form_without_a_true_revision_counts_as_too_old(revision: str, workflow: Workflow, as_alice: Client) -> None:
    response = as_alice.post(at(workflow, "delete", "work"), {"revision": revision})
    assert response.status_code == 409
    assert len(order(workflow)) == 3


def test_the_api_and_the_builder_see_each_other(workflow: Workflow, as_alice: Client) -> None:
    revision = stored(workflow).revision
    body = {"definition": {"nodes": [{"id": "a", "type": "default"}], "edges": []}, "draft": True}
    token = as_alice.put(f"/api/workflows/{workflow.pk}", json.dumps(body), content_type="application/json")
    assert token.status_code == 200
    assert as_alice.post(at(workflow, "delete", "work"), {"revision": revision}).status_code == 409
    do(as_alice, workflow, "undo")
    assert len(order(workflow)) == 3


# As JSON


def test_the_draft_is_written_as_json(workflow: Workflow, as_alice: Client) -> None:
    assert "&quot;Shout&quot;" in as_alice.get(at(workflow, "definition")).text
    response = do(as_alice, workflow, "definition", definition=json.dumps(CYCLE))
    assert (response.status_code, response["Location"]) == (303, at(workflow))
    now = stored(workflow)
    assert now.draft == CYCLE and now.published is not None and now.published.number == 1


def test_json_that_cannot_be_read_is_an_error_at_the_field_with_line_and_column(
    workflow: Workflow, as_alice: Client
) -> None:
    response = do(as_alice, workflow, "definition", definition='{\n "nodes": [,]\n}')
    assert response.status_code == 422
    assert "line 2, column 12" in response.text and 'aria-invalid="true"' in response.text
    assert "&quot;nodes&quot;: [,]" in response.text


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": "\\u0000"}', "[" * 5_000, '{"a": "\\ud800"}', "", "null", "7"])
def test_what_cannot_be_kept_never_breaks_the_page(text: str, workflow: Workflow, as_alice: Client) -> None:
    assert do(as_alice, workflow, "definition", definition=text).status_code == 422
    assert stored(workflow).draft is None


# About


def test_a_new_workflow_needs_no_more_than_a_click(as_charlie: Client) -> None:
    response = as_charlie.post(reverse("workflows:new"), {"name": " "})
    made = Workflow.objects.get()
    assert response["Location"] == at(made)
    assert (made.name, made.owner and made.owner.username) == ("Untitled workflow", "charlie")


def test_too_long_a_name_is_told_and_kept(as_charlie: Client) -> None:
    response = as_charlie.post(reverse("workflows:new"), {"name": "n" * 201})
    assert response.status_code == 422 and "n" * 201 in response.text
    assert not Workflow.objects.exists()


def about(**typed: str) -> dict[str, str]:
    return {"name": "Chain", "description": "", "tags": "", "group": "", "max_parallel": "8", "time_zone": "", **typed}


def test_it_is_renamed_described_and_tagged(workflow: Workflow, as_alice: Client) -> None:
    typed = about(
        name="Better", description="For Ada", tags="Billing, night  shift,,billing", time_zone="Europe/Berlin"
    )
    assert do(as_alice, workflow, "about", **typed).status_code == 303
    now = stored(workflow)
    assert (now.name, now.description, now.time_zone) == ("Better", "For Ada", "Europe/Berlin")
    assert [tag.name for tag in now.tags.all()] == ["billing", "night shift"]
    assert 'value="billing, night shift"' in as_alice.get(at(workflow, "about")).text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"name": " "}, "required"),
        ({"max_parallel": "0"}, "greater than or equal to 1"),
        ({"max_parallel": "many"}, "whole number"),
        ({"time_zone": "Mars/Olympus"}, "is no time zone"),
        ({"tags": "x" * 41}, "at most 40 characters"),
        ({"group": "999"}, "valid choice"),
        ({"name": "a\0b"}, "Null characters"),
    ],
)
def test_a_wrong_word_about_it_changes_nothing(
    typed: dict[str, str], words: str, workflow: Workflow, as_alice: Client
) -> None:
    response = do(as_alice, workflow, "about", **about(**typed))
    assert response.status_code == 422 and words in response.text
    assert stored(workflow).name == "Chain" and "<h1>Chain</h1>" in response.text


def test_only_who_administers_shares_it(workflow: Workflow, as_bob: Client, as_alice: Client) -> None:
    assert do(as_bob, workflow, "about", **about(group="", name="By bob")).status_code == 303
    assert stored(workflow).group is not None and stored(workflow).name == "By bob"
    do(as_alice, workflow, "about", **about(group=""))
    assert stored(workflow).group is None


def test_it_is_turned_off_and_on(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "activate", to="off")
    assert not stored(workflow).is_runnable
    do(as_alice, workflow, "activate", to="on")
    assert stored(workflow).is_runnable


def test_the_owner_archives_and_the_team_may_not(workflow: Workflow, as_alice: Client, as_bob: Client) -> None:
    assert do(as_bob, workflow, "archive").status_code == 403
    assert do(as_alice, workflow, "archive").status_code == 303
    assert stored(workflow).archived_at is not None
    assert do(as_bob, workflow, "bring_back").status_code == 403


def test_a_copy_is_ones_own_and_begins_as_the_original_is(example: Workflow, as_charlie: Client) -> None:
    example.set_tags(["text"])
    response = do(as_charlie, example, "copy")
    made = Workflow.objects.get(name="Copy of Example")
    assert response["Location"] == at(made)
    assert made.owner is not None and made.owner.username == "charlie"
    assert made.definition == CHAIN and made.published is None
    assert [tag.name for tag in made.tags.all()] == ["text"]


@pytest.mark.django_db(transaction=True)
async def test_editing_does_not_touch_what_runs(workflow: Workflow, alice: User) -> None:
    result = await WorkflowEngine().execute_workflow(workflow.pk, {"a": "b"})
    assert result.output_data is not None and result.output_data["a"] == "B"
