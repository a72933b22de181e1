"""What the builder offers to an expression after real runs, what comes of it, and who may see either."""

from __future__ import annotations

import re
from contextlib import suppress
from html import unescape
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from executions import recall as recalling
from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import WorkflowExecution
from tests.executions.conftest import chain, drawn, node
from workflows.models import Variable, Workflow

pytestmark = pytest.mark.django_db(transaction=True)

HTMX = {"HX-Request": "true"}
FLOW = chain(
    node("in", "input", label="Take in", fields=[{"name": "name"}, {"name": "size"}]),
    node("fetch", "test_echo", label="Fetch", value={"title": "<b>News</b>", "rows": [{"a": 1}]}),
    node("use", "test_echo", label="Use", value="{{ steps.fetch.output.fetch.title }} for {{ input.name }}"),
)


@pytest.fixture
def flow(workflow: Workflow) -> Workflow:
    """Alice's, shared with her team."""
    workflow.publish(FLOW)
    return workflow


def run(workflow: Workflow, given: Any = None, version: Any = None) -> WorkflowExecution:
    execution_id = WorkflowEngine().submit(workflow.pk, given or {}, version=version)
    with suppress(WorkflowExecutionError):
        async_to_sync(WorkflowEngine().see_through)(execution_id)
    return WorkflowExecution.objects.get(pk=execution_id)


def at(workflow: Workflow, name: str, node_id: str = "use") -> str:
    return reverse(f"workflows:{name}", args=[workflow.pk, node_id])


def offered(client: Client, workflow: Workflow, node_id: str = "use") -> dict[str, str]:
    text = client.get(at(workflow, "names", node_id)).text
    pairs = re.findall(r"<code>(.*?)</code> <span[^>]*>(.*?)</span>", text, re.S)
    return {unescape(path): unescape(sample) for path, sample in pairs}


def previewed(client: Client, workflow: Workflow, node_id: str = "use", **typed: str) -> dict[str, str]:
    """By setting, the text of its preview."""
    response = client.post(at(workflow, "preview", node_id), typed, headers=HTMX)
    assert response.status_code == 200
    parts = re.findall(r'id="setting-([\w-]+)-preview">(.*?)</div>', response.text, re.S)
    return {name: " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split()) for name, html in parts}


# Offers


def test_before_any_run_there_are_the_names_of_the_graph(flow: Workflow, as_alice: Client) -> None:
    text = as_alice.get(at(flow, "names")).text
    assert "Run it once to see values." in text
    assert {"input.name", "input.size", "steps.fetch.output", "steps.in.output"} <= offered(as_alice, flow).keys()


def test_after_a_run_there_are_its_values_as_text(flow: Workflow, as_alice: Client) -> None:
    execution = run(flow, {"name": "Ada"})
    found = offered(as_alice, flow)

    assert found["input.name"] == "“Ada”" and found["input.size"] == ""
    assert found["steps.fetch.output.fetch.title"] == "“<b>News</b>”"
    assert found["steps.fetch.output.fetch.rows[0].a"] == "1"
    assert found["data.fetch.title"] == "“<b>News</b>”" and found["data.name"] == "“Ada”"
    text = as_alice.get(at(flow, "names")).text
    assert "<b>News" not in text and f"#{execution.pk}" in text
    assert 'data-expression="{{ steps.fetch.output.fetch.title }}"' in text


def test_a_step_that_is_new_sees_what_the_one_before_it_handed_on(flow: Workflow, as_alice: Client) -> None:
    run(flow, {"name": "Ada"})
    flow.keep_draft(
        drawn([*FLOW["nodes"], node("new", "test_echo"), node("lone", "test_echo")], "in>fetch", "fetch>use", "use>new")
    )

    assert offered(as_alice, flow, "new")["data.use"] == "“<b>News</b> for Ada”"
    assert offered(as_alice, flow, "new")["data.name"] == "“Ada”"
    assert "steps.fetch.output" not in offered(as_alice, flow, "lone"), "it does not come before it"
    assert offered(as_alice, flow, "lone")["data.name"] == "“Ada”", "it would get the input"


def test_a_draft_that_was_tried_counts_and_the_newest_value_wins(flow: Workflow, as_alice: Client) -> None:
    run(flow, {"name": "Ada"})
    draft = chain(*FLOW["nodes"][:1], node("fetch", "test_echo", value="tried"), *FLOW["nodes"][2:])
    run(flow, {"name": "Bo"}, flow.draft_version(draft))
    found = offered(as_alice, flow)

    assert (found["steps.fetch.output.fetch"], found["input.name"]) == ("“tried”", "“Bo”")


def test_one_step_alone_says_what_it_got_and_not_what_the_workflow_is_given(flow: Workflow, as_alice: Client) -> None:
    run(flow, {"name": "Ada"})
    alone = {**FLOW, "nodes": [node("use", "test_echo")], "edges": []}
    run(flow, {"fetch": 1, "own": "data"}, flow.draft_version(alone, note="only Use"))
    found = offered(as_alice, flow)

    assert found["data.own"] == "“data”" and found["input.name"] == "“Ada”" and "input.own" not in found
    assert found["steps.fetch.output.fetch.title"] == "“<b>News</b>”", "the last run that ran that step"


def test_a_step_that_failed_still_says_what_it_got(flow: Workflow, as_alice: Client) -> None:
    flow.publish(chain(*FLOW["nodes"][:2], node("use", "test_echo", value="{{ input.nobody }}")))
    assert run(flow, {"name": "Ada"}).status == "failed"

    assert offered(as_alice, flow)["data.name"] == "“Ada”"
    assert "“input.nobody” is not there" in previewed(as_alice, flow, value="{{ input.nobody }}")["value"]


def test_in_a_loop_there_is_the_item_and_nothing_of_the_steps_around_it(workflow: Workflow, as_alice: Client) -> None:
    workflow.publish(
        drawn(
            [
                node("a", "test_echo", value=1),
                node("each", "for_each", items="{{ input.rows }}"),
                node("first", "test_echo", value="{{ input.item.x }}"),
                node("second", "test_echo"),
            ],
            *("a>each", "each:each>first", "first>second"),
        )
    )
    assert {"input.item", "input.index"} <= offered(as_alice, workflow, "second").keys()
    run(workflow, {"rows": [{"x": 5}]})
    found = offered(as_alice, workflow, "second")

    assert found["input.item.x"] == "5" and found["steps.first.output.first"] == "5"
    assert "steps.a.output" not in found
    assert previewed(as_alice, workflow, "second", value="{{ input.item.x + 1 }}")["value"].endswith("number 6")


def test_variables_are_offered_with_their_values(flow: Workflow, as_alice: Client, alice: User, charlie: User) -> None:
    Variable.objects.make(alice, "limit", 100)
    Variable.objects.make(charlie, "strange", 1)
    found = offered(as_alice, flow)

    assert found["vars.limit"] == "100" and "vars.strange" not in found


def test_large_values_are_their_size_and_are_read_where_that_is_not_too_much(
    flow: Workflow, as_alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.publish(chain(*FLOW["nodes"][:1], node("fetch", "test_echo", value=["x" * 1000] * 400), *FLOW["nodes"][2:]))
    run(flow, {"name": "Ada"})

    assert offered(as_alice, flow)["steps.fetch.output.fetch"] == "… 391.8 KiB"
    assert previewed(as_alice, flow, value="{{ data.fetch | length }}")["value"].endswith("number 400")
    monkeypatch.setattr(recalling, "READ_BYTES", 1_000)
    assert "is too large to be looked at here" in previewed(as_alice, flow, value="{{ data.fetch }}")["value"]


def test_a_file_that_is_gone_costs_neither_list_nor_preview(flow: Workflow, as_alice: Client, tmp_path: Any) -> None:
    flow.publish(chain(*FLOW["nodes"][:1], node("fetch", "test_echo", value="x" * 400_000), *FLOW["nodes"][2:]))
    execution = run(flow, {"name": "Ada"})
    gone = [path for path in tmp_path.rglob(f"{execution.pk}/*") if path.is_file()]
    assert gone
    for path in gone:
        path.unlink()

    assert offered(as_alice, flow)["input.name"] == "“Ada”"
    assert "its file is gone" in previewed(as_alice, flow, value="{{ data.fetch }}")["value"]


# Previews


def test_a_preview_is_of_what_is_typed_and_saves_nothing(flow: Workflow, as_alice: Client) -> None:
    run(flow, {"name": "Ada"})
    before = Workflow.objects.get(pk=flow.pk).revision
    found = previewed(
        as_alice, flow, value="{{ input.name | upper }}!", number="{{ data.fetch.rows[0].a }}", label="New"
    )

    assert found["value"].endswith("text ADA!") and found["number"].endswith("number 1")
    assert Workflow.objects.get(pk=flow.pk).revision == before


def test_the_page_itself_has_the_previews_without_script(flow: Workflow, as_alice: Client) -> None:
    assert "Run it once to see what comes of this." in as_alice.get(at(flow, "step")).text
    run(flow, {"name": "Ada"})
    text = as_alice.get(at(flow, "step")).text

    assert "&lt;b&gt;News&lt;/b&gt; for Ada" in text and "<b>News" not in text


@pytest.mark.parametrize("value", ["{{", "{{ }}", "{% if %}", "{{ input.name", "}}" * 50, "{{ steps.gone.output }}"])
def test_what_is_half_typed_is_said_once_at_its_field(value: str, flow: Workflow, as_alice: Client) -> None:
    run(flow, {"name": "Ada"})
    assert previewed(as_alice, flow, value=value)["value"] == "", "what is wrong with it stands at the field already"
    flow.keep_draft(chain(*FLOW["nodes"][:2], node("use", "test_echo", value=value)))
    errors = re.findall(r'id="setting-value-errors">(.*?)</div>', as_alice.get(at(flow, "step")).text, re.S)
    assert len(errors) == 1 and (bool(errors[0]) or value.startswith("}}"))


def test_a_name_that_is_not_before_the_step_is_said_at_the_field_of_its_row(flow: Workflow, as_alice: Client) -> None:
    rows = [{"path": "a", "value": "b"}, {"path": "{{ steps.later.output.x }}", "value": "{{ 1 + }}"}]
    flow.keep_draft(chain(*FLOW["nodes"][:2], node("ask", "branch", conditions=rows)))
    text = as_alice.get(at(flow, "step", "ask")).text
    errors = dict(re.findall(r'id="setting-([\w-]+)-errors">(.*?)</div>', text, re.S))

    assert "names the step “later”, which is not there" in errors["conditions-1-path"]
    assert "column" in errors["conditions-1-value"] and not errors["conditions-0-value"]
    assert "#setting-conditions-1-path" in text and "#setting-conditions-1-value" in text


def test_an_endless_expression_ends_and_the_next_one_works(flow: Workflow, as_alice: Client) -> None:
    run(flow, {"name": "Ada", "l": list(range(1000))})
    bomb = "".join(f"{{% for {name} in input.l %}}" for name in "abcd") + "x" + "{% endfor %}" * 4

    assert previewed(as_alice, flow, value=bomb)["value"]
    assert previewed(as_alice, flow, value="{{ 1 + 1 }}")["value"].endswith("number 2")


def test_an_expression_reads_no_secret_in_a_preview(flow: Workflow, as_alice: Client) -> None:
    run(flow, {"name": "Ada"})
    text = as_alice.post(at(flow, "preview"), {"value": "{{ secrets.key }}"}, headers=HTMX).text
    assert "<pre" not in text


# Rights


@pytest.mark.parametrize("name", ["names", "preview"])
def test_only_who_may_edit_gets_either(
    flow: Workflow, as_bob: Client, as_charlie: Client, client: Client, name: str
) -> None:
    run(flow, {"name": "Ada"})
    example = Workflow.objects.create(name="Example")
    example.publish(FLOW)

    def asked(who: Client, workflow: Workflow, node_id: str = "use") -> int:
        ask = who.get if name == "names" else who.post
        return ask(at(workflow, name, node_id)).status_code

    assert asked(as_bob, flow) == 200
    assert asked(as_bob, flow, "nothing") == 404
    assert asked(as_charlie, flow) == 404
    assert asked(as_charlie, example) == 403
    assert asked(client, flow) == 302
    flow.archive()
    assert asked(as_bob, flow) == 403


def test_who_may_only_look_sees_expressions_and_no_values(as_charlie: Client) -> None:
    example = Workflow.objects.create(name="Example")
    example.publish(FLOW)
    run(example, {"name": "Ada"})
    text = as_charlie.get(at(example, "step")).text

    assert "steps.fetch.output.fetch.title" in text and "for Ada" not in text
    assert "data-insert" not in text and "ƒx" not in text


def test_a_get_of_a_preview_leads_to_the_workflow(flow: Workflow, as_alice: Client) -> None:
    assert as_alice.get(at(flow, "preview")).status_code == 303
    assert as_alice.post(at(flow, "names")).status_code == 405


# The switch to an expression


def test_a_choice_becomes_an_expression_and_back_and_can_be_undone(flow: Workflow, as_alice: Client) -> None:
    flow.keep_draft(chain(node("use", "process", operation="trim")))

    def press(what: str, **typed: str) -> Any:
        revision = Workflow.objects.get(pk=flow.pk).revision
        as_alice.post(at(flow, "step"), {"revision": revision, "do": what, **typed})
        return Workflow.objects.get(pk=flow.pk).definition["nodes"][0]["data"].get("operation")

    assert press("expression operation", operation="trim") == '{{ "trim" }}'
    text = as_alice.get(at(flow, "step")).text
    assert '<textarea id="setting-operation"' in text and 'value="plain operation"' in text
    assert press("plain operation", operation='{{ "trim" }}') == "trim"
    assert press("expression nothing") == "trim"
