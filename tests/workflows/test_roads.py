"""Branches, items, calls and what follows a failure, as people build them: through the builder's pages."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.conftest import CHAIN
from tests.workflows.test_builder import HTMX, at, data, do, settings_form, stored
from workflows.models import Workflow

LARGE = {"path": "amount", "operator": "greater", "value": "100"}
FORKED: dict[str, Any] = {
    "nodes": [
        {"id": "in", "type": "input", "data": {"label": "Order"}},
        {"id": "fork", "type": "branch", "data": {"label": "Large?", "conditions": [LARGE]}},
        {
            "id": "which",
            "type": "switch",
            "data": {
                "label": "Which?",
                "cases": [
                    {"id": "de", "label": "Germany", "conditions": [{"path": "country", "value": "de"}]},
                    {"id": "fr", "label": "France", "conditions": [{"path": "country", "value": "fr"}]},
                ],
            },
        },
        {"id": "send", "type": "default", "data": {"label": "Send"}},
        {"id": "call", "type": "default", "data": {"label": "Call them"}},
    ],
    "edges": [
        {"source": "in", "target": "fork"},
        {"source": "fork", "target": "which", "sourceHandle": "true"},
        {"source": "which", "target": "send", "sourceHandle": "fr"},
        {"source": "fork", "target": "call", "sourceHandle": "false"},
    ],
}


@pytest.fixture
def forked(alice: User, team: Any) -> Workflow:
    workflow = Workflow.objects.create(name="Forked", owner=alice, group=team)
    workflow.keep_draft(FORKED, alice)
    return workflow


def page(client: Client, workflow: Workflow, *args: str, query: str = "") -> str:
    address = at(workflow, "step", *args) if args else at(workflow, "steps")
    return html.unescape(client.get(address + query).text)


def handles(workflow: Workflow) -> set[tuple[str, str | None, str]]:
    edges = stored(workflow).definition["edges"]
    return {(edge["source"], edge.get("sourceHandle"), edge["target"]) for edge in edges}


def options(text: str, name: str) -> list[str]:
    (inside,) = re.findall(rf'<select id="{name}"[^>]*>(.*?)</select>', text, re.S)
    return [words.strip() for words in re.findall(r"<option[^>]*>(.*?)</option>", inside, re.S)]


def problems(client: Client, workflow: Workflow) -> str:
    text = html.unescape(client.get(at(workflow)).text)
    return re.sub(r"<[^>]+>", "", text[text.index('id="b-problems"') :])


# Conditions as rows


def test_a_new_branch_asks_for_a_condition_and_says_what_is_missing(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="branch", after="work")
    assert data(workflow, "if-else") == {"label": "If / else", "conditions": [{}]}
    text = page(as_alice, workflow, "if-else")
    assert "Conditions 1, field: name a field of the data" in text
    assert "is more than" in text and "is like (* is anything)" in text
    assert handles(workflow) == {("in", None, "work"), ("work", None, "if-else"), ("if-else", "true", "out")}


def test_a_condition_is_typed_and_the_problems_go(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="branch", after="work")
    form = settings_form(as_alice, workflow, "if-else")
    typed = {"conditions.0.path": "amount", "conditions.0.operator": "greater", "conditions.0.value": "100"}
    assert do(as_alice, workflow, "step", "if-else", htmx=True, **{**form, **typed}).status_code == 200
    assert data(workflow, "if-else")["conditions"] == [LARGE]
    assert "No problems" in problems(as_alice, workflow)


def test_a_value_that_does_not_fit_is_kept_and_told_at_its_field(forked: Workflow, as_alice: Client) -> None:
    form = settings_form(as_alice, forked, "fork") | {"conditions.0.value": "a lot"}
    response = do(as_alice, forked, "step", "fork", htmx=True, **form)
    assert response.status_code == 200 and 'id="setting-conditions-0-value-errors"' in response.text
    text = page(as_alice, forked, "fork")
    assert 'value="a lot"' in text and "“is more than” needs a number such as 100" in text


def test_a_number_in_json_stays_a_number_until_somebody_types(forked: Workflow, as_alice: Client) -> None:
    definition = stored(forked).definition
    definition["nodes"][1]["data"]["conditions"] = [{**LARGE, "value": 100}, {**LARGE, "value": [1, "b"]}]
    forked.keep_draft(definition, None)
    form = settings_form(as_alice, forked, "fork")
    assert form["conditions.0.value"] == "100" and form["conditions.1.value"] == '[1, "b"]'
    do(as_alice, forked, "step", "fork", **form)
    assert [one["value"] for one in data(forked, "fork")["conditions"]] == [100, [1, "b"]]
    do(as_alice, forked, "step", "fork", **{**form, "conditions.0.value": "101"})
    assert [one["value"] for one in data(forked, "fork")["conditions"]] == ["101", [1, "b"]]


@pytest.mark.parametrize(
    ("verb", "paths"),
    [
        ("add conditions", ["a", "b", None]),
        ("remove conditions.0", ["b"]),
        ("up conditions.1", ["b", "a"]),
        ("down conditions.0", ["b", "a"]),
        ("up conditions.0", ["a", "b"]),
        ("remove conditions.7", ["a", "b"]),
        ("remove conditions.0.path", ["a", "b"]),
        ("add conditions.0.conditions", ["a", "b"]),
        ("add __class__", ["a", "b"]),
        ("remove conditions.-1", ["a", "b"]),
        ("remove conditions." + "9" * 50, ["a", "b"]),
        ("remove ", ["a", "b"]),
    ],
)
def test_rows_are_added_moved_and_removed(
    verb: str, paths: list[str | None], forked: Workflow, as_alice: Client
) -> None:
    definition = stored(forked).definition
    definition["nodes"][1]["data"]["conditions"] = [
        {"path": "a", "operator": "empty"},
        {"path": "b", "operator": "empty"},
    ]
    forked.keep_draft(definition, None)
    assert do(as_alice, forked, "step", "fork", do=verb, **settings_form(as_alice, forked, "fork")).status_code == 303
    assert [one.get("path") for one in data(forked, "fork")["conditions"]] == paths


# Cases


def cases(workflow: Workflow) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data(workflow, "which")["cases"]
    return found


def test_a_case_is_added_with_an_id_and_a_row_to_fill_in(forked: Workflow, as_alice: Client) -> None:
    form = settings_form(as_alice, forked, "which")
    do(as_alice, forked, "step", "which", do="add cases", **form)
    assert cases(forked)[2] == {"id": "case-3", "label": "Case 3", "conditions": [{}]}
    assert "“Case 3”" in page(as_alice, forked, query="?after=which") or "Case 3" in page(as_alice, forked, "which")


def test_conditions_inside_a_case_are_rows_too(forked: Workflow, as_alice: Client) -> None:
    do(as_alice, forked, "step", "which", do="add cases.1.conditions", **settings_form(as_alice, forked, "which"))
    assert [len(case["conditions"]) for case in cases(forked)] == [1, 2]
    form = settings_form(as_alice, forked, "which") | {"cases.1.conditions.1.path": "vip"}
    do(as_alice, forked, "step", "which", do="up cases.1.conditions.1", **form)
    assert [one.get("path") for one in cases(forked)[1]["conditions"]] == ["vip", "country"]
    do(as_alice, forked, "step", "which", do="remove cases.1.conditions.0", **settings_form(as_alice, forked, "which"))
    assert [len(case["conditions"]) for case in cases(forked)] == [1, 1]


@pytest.mark.parametrize(
    "verb",
    [
        *("add cases.9.conditions", "add cases.x.conditions", "add cases.0.id", "remove cases.0.conditions.5"),
        *("up cases.0.conditions.0.path", "add cases.0.conditions.0.path.0", "add cases.-1.conditions"),
    ],
)
def test_rows_that_are_not_there_change_nothing(verb: str, forked: Workflow, as_alice: Client) -> None:
    do(as_alice, forked, "step", "which", do=verb, **settings_form(as_alice, forked, "which"))
    assert cases(forked) == FORKED["nodes"][2]["data"]["cases"]


def test_a_case_keeps_its_id_and_its_connections_when_its_name_changes(forked: Workflow, as_alice: Client) -> None:
    form = settings_form(as_alice, forked, "which")
    assert "cases.1.id" not in form
    do(as_alice, forked, "step", "which", **{**form, "cases.1.label": "Far away", "cases.1.id": "mine"})
    assert (cases(forked)[1]["id"], cases(forked)[1]["label"]) == ("fr", "Far away")
    assert "No problems" in problems(as_alice, forked)
    assert "Which? (Far away)" in page(as_alice, forked, "send")


def test_a_moved_case_takes_its_id_along(forked: Workflow, as_alice: Client) -> None:
    do(as_alice, forked, "step", "which", do="up cases.1", **settings_form(as_alice, forked, "which"))
    assert [case["id"] for case in cases(forked)] == ["fr", "de"]
    assert ("which", "fr", "send") in handles(forked)


def test_a_deleted_case_leaves_a_problem_that_is_mended_where_it_is_told(forked: Workflow, as_alice: Client) -> None:
    do(as_alice, forked, "step", "which", do="remove cases.1", **settings_form(as_alice, forked, "which"))
    words = "“Send” runs after “Which?” by “fr”, but that step has only “Germany”, “otherwise”."
    assert words in problems(as_alice, forked)
    text = page(as_alice, forked, "which")
    assert "This way is gone" in text and 'name="source" value="which fr"' in text
    do(as_alice, forked, "disconnect", "send", source="which fr")
    assert "by “fr”" not in problems(as_alice, forked)
    assert "This way is gone" not in page(as_alice, forked, "which")


# Ways


def test_every_way_is_offered_in_plain_words(forked: Workflow, as_alice: Client) -> None:
    found = options(page(as_alice, forked, "call"), "connect")
    assert found == ["Order", "Large? (true)", "Which? (Germany)", "Which? (France)", "Which? (otherwise)", "Send"]


def test_a_step_is_connected_by_the_way_that_was_chosen(forked: Workflow, as_alice: Client) -> None:
    do(as_alice, forked, "connect", "call", source="which default")
    assert ("which", "default", "call") in handles(forked)


@pytest.mark.parametrize("source", ["fork maybe", "fork out", "which fr x", "in true", "in error"])
def test_a_way_that_is_not_there_is_refused_in_words(source: str, forked: Workflow, as_alice: Client) -> None:
    response = do(as_alice, forked, "connect", "send", source=source)
    assert response.status_code == 422 and "has no way “" in html.unescape(response.text)
    assert handles(forked) == {(e["source"], e.get("sourceHandle"), e["target"]) for e in FORKED["edges"]}


@pytest.mark.parametrize("source", ["", "gone out", "gone"])
def test_a_step_that_is_gone_is_refused_in_words(source: str, forked: Workflow, as_alice: Client) -> None:
    assert do(as_alice, forked, "connect", "send", source=source).status_code == 422


def test_the_picker_asks_by_which_way_and_begins_with_a_free_one(forked: Workflow, as_alice: Client) -> None:
    text = page(as_alice, forked, query="?after=which")
    assert re.findall(r'name="handle" value="(\w+)"( checked)?', text) == [
        *(("de", " checked"), ("fr", ""), ("default", ""))
    ]
    assert re.findall(r'value="(\w+)" checked', page(as_alice, forked, query="?after=which&handle=default")) == [
        "default"
    ]
    assert re.findall(r'value="(\w+)" checked', page(as_alice, forked, query="?after=which&handle=nonsense")) == ["de"]
    assert 'name="handle" value="out"' in page(as_alice, forked, query="?after=send")


def test_a_step_is_added_by_the_way_that_was_chosen(forked: Workflow, as_alice: Client) -> None:
    do(as_alice, forked, "steps", kind="process", after="which", handle="default")
    assert ("which", "default", "process") in handles(forked)
    do(as_alice, forked, "steps", kind="delay", after="which")
    assert ("which", "de", "delay") in handles(forked), "where none was chosen: the free one"
    response = do(as_alice, forked, "steps", kind="delay", after="which", handle="nonsense")
    assert response.status_code == 422 and "“Which?” has no way “nonsense”" in html.unescape(response.text)


def test_a_step_says_where_each_of_its_ways_leads(forked: Workflow, as_alice: Client) -> None:
    text = page(as_alice, forked, "which")
    ways = text[text.index('id="b-ways"') :]
    assert "Add a step by “Germany”" in ways and "Add a step by “otherwise”" in ways
    assert f'{at(forked, "steps")}?after=which&handle=default"' in ways
    assert "Leads to Send" not in text


def test_what_runs_for_each_item_is_told_apart(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="for_each", after="in")
    do(as_alice, workflow, "steps", kind="countdown", after="for-each")
    assert handles(workflow) >= {("for-each", "done", "work"), ("for-each", "each", "countdown")}
    text = page(as_alice, workflow, "for-each")
    assert '<li id="step-countdown" class=" is-inner">' in text and '<li id="step-work">' in text
    assert "each item" in text and "all items" in text
    assert 'class="node is-inner' in text


# When it fails


def test_a_policy_is_typed_undone_and_done_again(workflow: Workflow, as_alice: Client) -> None:
    form = settings_form(as_alice, workflow, "work")
    assert "Tried once; the execution stops" in page(as_alice, workflow, "work")
    typed = {"policy.attempts": "3", "policy.backoff_s": "2", "policy.on_failure": "error"}
    response = do(as_alice, workflow, "step", "work", htmx=True, **{**form, **typed})
    assert data(workflow, "work")["policy"] == {"attempts": 3, "backoff_s": 2, "on_failure": "error"}
    for part in ("failing-words", "b-ways", "setting-policy-attempts-errors"):
        assert f'hx-target="#{part}"' in response.text
    assert "Changed what happens when it fails of “Shout”" in page(as_alice, workflow, "work")
    assert "Tried 3 times, about 2 s, 4 s apart; then the execution goes on by “error”" in page(
        as_alice, workflow, "work"
    )
    do(as_alice, workflow, "undo")
    assert "policy" not in data(workflow, "work")
    do(as_alice, workflow, "redo")
    assert data(workflow, "work")["policy"]["attempts"] == 3


def test_a_step_whose_failure_has_a_way_offers_it(workflow: Workflow, as_alice: Client) -> None:
    assert "Shout (error)" not in page(as_alice, workflow, "out")
    form = settings_form(as_alice, workflow, "work") | {"policy.on_failure": "error"}
    do(as_alice, workflow, "step", "work", **form)
    assert "Shout (error)" in options(page(as_alice, workflow, "out"), "connect")
    do(as_alice, workflow, "connect", "out", source="work error")
    assert ("work", "error", "out") in handles(workflow) and "No problems" in problems(as_alice, workflow)
    do(as_alice, workflow, "step", "work", **{**settings_form(as_alice, workflow, "work"), "policy.on_failure": "stop"})
    assert "“Give out” runs after “Shout” by “error”" in problems(as_alice, workflow)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("attempts", "0", "Attempts must be at least 1"),
        ("attempts", "lots", "Attempts must be a whole number; it is “lots”"),
        ("attempts", "1e9", "Attempts must be at most 1000"),
        ("backoff_s", "-1", "Wait before the second attempt must be at least 0"),
        ("timeout_s", "0", "Time limit must be more than 0"),
        ("on_failure", "explode", "When it fails for good must be one of"),
    ],
)
def test_a_wrong_policy_is_kept_and_told_at_its_field(
    field: str, value: str, words: str, workflow: Workflow, as_alice: Client
) -> None:
    form = settings_form(as_alice, workflow, "work") | {f"policy.{field}": value}
    do(as_alice, workflow, "step", "work", **form)
    text = page(as_alice, workflow, "work")
    place = text[text.index(f'id="setting-policy-{field}-errors"') :]
    assert words in place[:400]
    assert words in problems(as_alice, workflow)
    assert '<details class="b-more" open id="setting-policy">' in text


def test_nothing_typed_leaves_no_policy_behind(workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "step", "work", **settings_form(as_alice, workflow, "work"))
    assert stored(workflow).draft is None and "policy" not in data(workflow, "work")


def test_two_people_who_change_a_policy_see_both_sides(workflow: Workflow, as_alice: Client, as_bob: Client) -> None:
    form = settings_form(as_bob, workflow, "work")
    revision = str(stored(workflow).revision)
    do(as_alice, workflow, "step", "work", **{**form, "policy.attempts": "3"})
    response = do(as_bob, workflow, "step", "work", **{**form, "policy.attempts": "5", "revision": revision})
    assert response.status_code == 409
    assert "Changed what happens when it fails of “Shout”" in html.unescape(response.text)
    assert data(workflow, "work")["policy"] == {"attempts": 3}


# Which workflow is called


@pytest.fixture
def others(alice: User, charlie: User, team: Any) -> dict[str, Workflow]:
    made = {
        "mine": Workflow.objects.create(name="My other", owner=alice),
        "draft": Workflow.objects.create(name="Only a draft", owner=alice),
        "off": Workflow.objects.create(name="Switched off", owner=alice, is_active=False),
        "example": Workflow.objects.create(name="Everybody's"),
        "theirs": Workflow.objects.create(name="Charlie's secret", owner=charlie),
    }
    for name, workflow in made.items():
        if name != "draft":
            workflow.publish(CHAIN)
    return made


def test_those_that_one_may_run_are_offered_by_name(
    workflow: Workflow, others: dict[str, Workflow], as_alice: Client
) -> None:
    do(as_alice, workflow, "steps", kind="call", after="out")
    text = page(as_alice, workflow, "run-a-workflow")
    assert options(text, "setting-workflow") == ["Choose…", "Chain", "Everybody's", "My other"]
    assert "Charlie" not in text
    form = settings_form(as_alice, workflow, "run-a-workflow") | {"workflow": str(others["mine"].pk)}
    do(as_alice, workflow, "step", "run-a-workflow", **form)
    assert data(workflow, "run-a-workflow")["workflow"] == others["mine"].pk
    assert "No problems" in problems(as_alice, workflow)


def test_one_that_one_may_not_run_is_told_and_gives_nothing_away(
    workflow: Workflow, others: dict[str, Workflow], as_alice: Client
) -> None:
    do(as_alice, workflow, "steps", kind="call", after="out")
    form = settings_form(as_alice, workflow, "run-a-workflow") | {"workflow": str(others["theirs"].pk)}
    do(as_alice, workflow, "step", "run-a-workflow", **form)
    text = page(as_alice, workflow, "run-a-workflow")
    assert "is not yours to run. Choose another one." in text and "Charlie" not in text
    assert f"Workflow {others['theirs'].pk}" in options(text, "setting-workflow")[0]
    do(as_alice, workflow, "step", "run-a-workflow", **settings_form(as_alice, workflow, "run-a-workflow"))
    assert data(workflow, "run-a-workflow")["workflow"] == others["theirs"].pk, "untouched is kept"


@pytest.mark.parametrize("value", ["", "seven", "-1", "1e400", "9" * 90, "<script>", "0"])
def test_what_is_no_workflow_is_an_error_at_its_field(value: str, workflow: Workflow, as_alice: Client) -> None:
    do(as_alice, workflow, "steps", kind="call", after="out")
    form = settings_form(as_alice, workflow, "run-a-workflow") | {"workflow": value}
    assert do(as_alice, workflow, "step", "run-a-workflow", **form).status_code == 303
    response = as_alice.get(at(workflow, "step", "run-a-workflow"))
    place = response.text[response.text.index('id="setting-workflow-errors"') :]
    assert 'class="error"' in place[:200] and "<script>&" not in response.text and "><script>" not in place[:600]


def test_two_of_one_name_are_told_apart_by_their_number(alice: User, workflow: Workflow, as_alice: Client) -> None:
    twin = Workflow.objects.create(name="Chain", owner=alice)
    twin.publish(CHAIN)
    do(as_alice, workflow, "steps", kind="call", after="out")
    found = options(page(as_alice, workflow, "run-a-workflow"), "setting-workflow")
    assert found[1:] == [f"Chain (#{workflow.pk})", f"Chain (#{twin.pk})"]


# Careless and hostile


def test_a_stranger_changes_nothing(forked: Workflow, as_charlie: Client) -> None:
    for verb, args, typed in (
        ("step", ["fork"], {"conditions.0.value": "1"}),
        ("step", ["which"], {"do": "remove cases.0"}),
        ("steps", [], {"kind": "branch"}),
        ("connect", ["send"], {"source": "fork true"}),
    ):
        assert do(as_charlie, forked, verb, *args, **typed).status_code == 404
    assert stored(forked).definition == FORKED


ROWS: list[Any] = ["text", 5, {"a": 1}, [None, 5, "x", []], [{"path": 5, "value": {"a": [1]}}]]
CASES: list[Any] = ["text", 5, [None, 5, []], [{"id": 5}], [{"id": "a", "conditions": "x"}]]


@pytest.mark.parametrize(
    "broken",
    [
        *({"conditions": value} for value in ROWS),
        {"conditions": [{"path": "a", "operator": ["x"], "value": None}]},
        {"conditions": [LARGE] * 200, "match": 5},
        {"policy": "never"},
        {"policy": [1]},
    ],
)
def test_a_branch_that_came_broken_has_a_form_and_a_problem(
    broken: dict[str, Any], forked: Workflow, as_alice: Client
) -> None:
    definition = stored(forked).definition
    definition["nodes"][1]["data"] = {"label": "Large?", "conditions": [LARGE], **broken}
    forked.keep_draft(definition, None)
    assert as_alice.get(at(forked, "step", "fork")).status_code == 200
    assert "to solve before you publish" in problems(as_alice, forked)
    before = stored(forked).definition
    do(as_alice, forked, "step", "fork", **settings_form(as_alice, forked, "fork"))
    assert stored(forked).definition == before, "nothing was typed, so nothing changed"


@pytest.mark.parametrize("broken", [{"cases": value} for value in CASES])
def test_a_switch_that_came_broken_has_a_form(broken: dict[str, Any], forked: Workflow, as_alice: Client) -> None:
    definition = stored(forked).definition
    definition["nodes"][2]["data"] = {"label": "Which?", **broken}
    forked.keep_draft(definition, None)
    assert as_alice.get(at(forked, "step", "which")).status_code == 200
    assert (
        do(as_alice, forked, "step", "which", do="add cases", **settings_form(as_alice, forked, "which")).status_code
        == 303
    )


def test_hostile_words_are_only_words(forked: Workflow, as_alice: Client) -> None:
    evil = '"><script>alert(1)</script>{{ 7|add:7 }}'
    form = settings_form(as_alice, forked, "which") | {"cases.1.label": evil, "cases.0.conditions.0.path": evil}
    do(as_alice, forked, "step", "which", **form)
    for response in (as_alice.get(at(forked, "step", "which")), as_alice.get(at(forked, "steps") + "?after=which")):
        assert response.status_code == 200 and "<script>alert" not in response.text and "add:7" in response.text


def test_what_cannot_be_kept_is_refused_and_the_draft_stays(forked: Workflow, as_alice: Client) -> None:
    form = settings_form(as_alice, forked, "fork") | {"conditions.0.value": "a\x00b"}
    assert do(as_alice, forked, "step", "fork", **form).status_code == 422
    assert stored(forked).definition == FORKED


def test_a_condition_is_the_same_with_script_and_without(forked: Workflow, as_alice: Client) -> None:
    form = settings_form(as_alice, forked, "fork") | {"conditions.0.value": "7"}
    with_script = as_alice.post(at(forked, "step", "fork"), {**form, "revision": stored(forked).revision}, headers=HTMX)
    assert with_script.status_code == 200 and data(forked, "fork")["conditions"][0]["value"] == "7"
    form = settings_form(as_alice, forked, "fork") | {"conditions.0.value": "8"}
    assert do(as_alice, forked, "step", "fork", **form).status_code == 303
    assert data(forked, "fork")["conditions"][0]["value"] == "8"
