"""The run form of a workflow that declares fields: generated, checked, turned into JSON and back, losing nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from executions.models import WorkflowExecution
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

FIELDS: list[dict[str, Any]] = [
    {"name": "customer", "label": "Customer <b>", "required": True, "help": "As on the invoice."},
    {"name": "loaves", "type": "number", "label": "Loaves", "default": 2},
    {"name": "crust", "type": "choice", "choices": ["soft", "dark"], "default": "soft"},
    {"name": "due", "type": "date"},
    {"name": "dry", "type": "boolean"},
    {"name": "extras", "type": "json"},
]
TYPED = {
    "field-customer": "Ada",
    "field-loaves": " 3.5 ",
    "field-crust": "dark",
    "field-due": "2026-11-24",
    "field-dry": "on",
    "field-extras": '{"a": [1]}',
}
GIVEN = {"customer": "Ada", "loaves": 3.5, "crust": "dark", "due": "2026-11-24", "dry": True, "extras": {"a": [1]}}


def asking(*fields: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "in", "type": "input", "data": {"fields": list(fields), **data}}]}


@pytest.fixture
def order(alice: User, workflow: Workflow) -> Workflow:
    order = Workflow.objects.create(name="Order", owner=alice, group=workflow.group)
    order.publish(asking(*FIELDS), by=alice)
    return order


def address(workflow: Workflow, name: str = "run") -> str:
    return reverse(f"executions:{name}", args=[workflow.pk])


def only_input() -> Any:
    return WorkflowExecution.objects.get().input_data


def value(response: Any, name: str) -> Any:
    return response.context["form"][f"field-{name}"].value()


# Fields


def test_every_field_is_asked_for_with_its_label_help_and_default(order: Workflow, as_alice: Client) -> None:
    response = as_alice.get(address(order))
    assert "Customer &lt;b&gt;" in response.text and "As on the invoice." in response.text
    assert (value(response, "loaves"), value(response, "crust"), value(response, "customer")) == ("2", "soft", "")
    for mark in ('inputmode="decimal"', 'type="date"', 'type="checkbox"', "<option", "<textarea", "required"):
        assert mark in response.text


def test_what_is_typed_becomes_the_input_with_its_types(order: Workflow, as_bob: Client) -> None:
    response = as_bob.post(address(order), TYPED)
    assert response.status_code == 303
    assert json.dumps(only_input(), sort_keys=True) == json.dumps(GIVEN, sort_keys=True)


def test_what_is_left_empty_is_left_out_or_null_where_it_has_a_default(order: Workflow, as_alice: Client) -> None:
    as_alice.post(address(order), {"field-customer": "Ada", "field-loaves": "", "field-crust": "soft", "field-due": ""})
    assert only_input() == {"customer": "Ada", "loaves": None, "crust": "soft", "dry": False}


def test_every_error_stands_at_its_field_and_in_the_summary_and_everything_stays(
    order: Workflow, as_alice: Client
) -> None:
    wrong = {**TYPED, "field-customer": " ", "field-loaves": "3,5", "field-due": "24.11.2026", "field-extras": "{"}
    response = as_alice.post(address(order), {**wrong, "key": "k"})
    assert response.status_code == 422 and not WorkflowExecution.objects.exists()
    assert {name: value(response, name) for name in ("customer", "loaves", "due", "extras")} == {
        "customer": " ",
        "loaves": "3,5",
        "due": "24.11.2026",
        "extras": "{",
    }
    assert response.context["form"]["key"].value() == "k"
    assert response.text.count("write 3.5 with a point.") == 2  # at the field, and in the summary
    assert response.text.count('aria-invalid="true"') == 4
    assert 'href="#id_field-loaves"' in response.text and "autofocus" in response.text
    assert 'value="24.11.2026"' in response.text and 'type="date"' not in response.text  # it would show nothing


def test_a_double_click_gives_one_execution(order: Workflow, as_alice: Client) -> None:
    key = as_alice.get(address(order)).context["form"]["key"].value()
    first, again = (as_alice.post(address(order), {**TYPED, "key": key})["Location"] for _ in range(2))
    assert first == again


def test_what_one_gave_last_is_offered_as_far_as_it_fits(
    order: Workflow, alice: User, as_alice: Client, as_bob: Client
) -> None:
    as_alice.post(address(order), TYPED)
    assert value(as_alice.get(address(order)), "loaves") == "3.5"
    assert value(as_alice.get(address(order) + "?offer=defaults"), "loaves") == "2"
    assert value(as_bob.get(address(order)), "customer") == ""
    order.publish(asking(*FIELDS[:2], {**FIELDS[2], "choices": ["soft", "crisp"]}, *FIELDS[3:]), by=alice)
    offered = as_alice.get(address(order))
    assert (value(offered, "crust"), value(offered, "loaves"), value(offered, "dry")) == ("soft", "3.5", "on")


def test_the_example_of_the_step_is_offered_to_who_never_ran_it(alice: User, order: Workflow, as_alice: Client) -> None:
    order.publish(asking(*FIELDS, example={"customer": "Grace", "note": 1}), by=alice)
    response = as_alice.get(address(order))
    assert (value(response, "customer"), value(response, "loaves")) == ("Grace", "2")
    assert as_alice.post(address(order), {"field-customer": "x", "beside": '{"note": 1}'}).status_code == 303
    assert only_input()["note"] == 1


def test_a_field_may_have_the_name_of_anything_in_the_page(alice: User, order: Workflow, as_alice: Client) -> None:
    names = ("key", "asks", "beside", "turn", "input_data", "csrfmiddlewaretoken")
    order.publish(asking(*({"name": name} for name in names)), by=alice)
    page = as_alice.get(address(order)).context["form"]
    typed = {"key": page["key"].value(), "asks": page.names, "beside": ""}
    as_alice.post(address(order), typed | {f"field-{name}": name for name in names})
    assert only_input() == {name: name for name in names}


def test_a_text_of_several_lines_gets_several_lines(alice: User, order: Workflow, as_alice: Client) -> None:
    order.publish(asking({"name": "letter", "default": "Dear\nAda"}), by=alice)
    assert "Dear\nAda</textarea>" in as_alice.get(address(order)).text
    as_alice.post(address(order), {"field-letter": "Dear\r\nBob"})
    assert only_input() == {"letter": "Dear\nBob"}


# What somebody careless or hostile sends


HOSTILE: dict[str, tuple[dict[str, str], str]] = {
    "a NUL in a text": ({"field-customer": "a\x00"}, "Null characters"),
    "half a surrogate": ({"field-extras": '"\\ud800"'}, "surrogate"),
    "a choice that is none": ({"field-crust": "gold"}, "must be one of “soft”, “dark”, not “gold”"),
    "a list where a value is": ({"field-loaves": "[1]"}, "must be a number"),
    "a number of 5,000 digits": ({"field-loaves": "9" * 5000}, "must be a number"),
    "too much": ({"field-customer": "x" * 300_000}, "the limit is 262,144"),
    "no JSON beside": ({"beside": "{"}, "cannot be read"),
    "a list beside": ({"beside": "[1]"}, "must be a JSON object"),
    "a key of any length": ({"key": "k" * 65}, "at most 64"),
    "endless nesting": ({"field-extras": "[" * 100_000}, "nested too deep"),
}


@pytest.mark.parametrize(("change", "reason"), HOSTILE.values(), ids=list(HOSTILE))
def test_what_cannot_be_used_is_refused_with_a_sentence(
    change: dict[str, str], reason: str, order: Workflow, as_alice: Client
) -> None:
    response = as_alice.post(address(order), {**TYPED, **change})
    assert response.status_code == 422
    assert any(reason in sentence for _, sentence in response.context["form"].problems)
    assert not WorkflowExecution.objects.exists()


def test_a_value_beside_the_fields_cannot_take_the_place_of_one(order: Workflow, as_alice: Client) -> None:
    as_alice.post(address(order), {**TYPED, "beside": '{"customer": 5, "note": true}'})
    assert only_input() == {"customer": "Ada", "note": True, **GIVEN}


# JSON, the second tab


def turned(client: Client, workflow: Workflow, typed: dict[str, str], to: str) -> Any:
    return client.post(address(workflow), {**typed, "turn": to})


def test_the_tabs_take_along_what_was_typed_in_both_directions(order: Workflow, as_alice: Client) -> None:
    response = turned(as_alice, order, {**TYPED, "beside": '{"note": 7}', "key": "k"}, "json")
    text = response.context["form"]["input_data"].value()
    assert (response.status_code, json.loads(text)) == (200, {"note": 7, **GIVEN})
    back = turned(as_alice, order, {"input_data": text, "key": "k"}, "form")
    assert [value(back, name) for name in ("customer", "loaves", "crust", "due", "dry")] == [
        *("Ada", "3.5", "dark", "2026-11-24", "on")
    ]
    assert json.loads(back.context["form"]["beside"].value()) == {"note": 7}
    assert back.context["form"]["key"].value() == "k"
    assert "<code>note</code>" in back.text
    assert not WorkflowExecution.objects.exists()


def test_what_json_leaves_out_stands_in_the_form_as_its_default(order: Workflow, as_alice: Client) -> None:
    response = turned(as_alice, order, {"input_data": '{"crust": null}'}, "form")
    assert [value(response, name) for name in ("loaves", "crust", "due")] == ["2", "", ""]


def test_what_does_not_fit_yet_is_taken_along_too(order: Workflow, as_alice: Client) -> None:
    wrong = {**TYPED, "field-loaves": "many", "field-due": "soon", "field-crust": "gold"}
    text = turned(as_alice, order, wrong, "json").context["form"]["input_data"].value()
    assert json.loads(text) == {**GIVEN, "loaves": "many", "due": "soon", "crust": "gold"}
    back = turned(as_alice, order, {"input_data": text}, "form")
    assert [value(back, name) for name in ("loaves", "due", "crust")] == ["many", "soon", "gold"]
    assert '<option value="gold" selected' in back.text and 'value="soon"' in back.text


@pytest.mark.parametrize(
    ("typed", "to", "kept"),
    [({**TYPED, "field-extras": "{broken"}, "json", "{broken"), ({"input_data": "{broken"}, "form", "{broken")],
    ids=["form", "json"],
)
def test_what_cannot_be_read_stays_where_it_is_and_says_why(
    typed: dict[str, str], to: str, kept: str, order: Workflow, as_alice: Client
) -> None:
    response = turned(as_alice, order, typed, to)
    assert response.status_code == 422 and "not valid JSON" in response.text
    assert kept in response.text


def test_json_is_checked_by_the_same_rules(order: Workflow, as_alice: Client) -> None:
    response = as_alice.post(address(order), {"input_data": '{"loaves": "3", "due": "soon"}'})
    assert response.status_code == 422
    for sentence in ("“Customer &lt;b&gt;” is required.", "leave out the quotes", "“Due” must be a date"):
        assert sentence in response.text
    assert as_alice.post(address(order), {"input_data": '{"customer": "Ada", "n": 1}'}).status_code == 303
    assert only_input() == {"customer": "Ada", "n": 1, "loaves": 2, "crust": "soft"}


def test_the_json_tab_has_an_address_and_names_the_fields(order: Workflow, as_alice: Client) -> None:
    text = as_alice.get(address(order) + "?as=json").text
    assert "customer (text, required), loaves (number)" in text


def test_a_workflow_without_fields_has_no_tabs(workflow: Workflow, as_alice: Client) -> None:
    response = as_alice.get(address(workflow))
    assert 'name="turn"' not in response.text and 'name="input_data"' in response.text


# A workflow that changes while somebody fills in its form


def test_a_form_of_other_fields_is_shown_again_and_nothing_is_lost(
    order: Workflow, alice: User, as_alice: Client
) -> None:
    asks = as_alice.get(address(order)).context["form"].names
    order.publish(asking(FIELDS[0], {"name": "urgent", "type": "boolean", "default": True}), by=alice)
    response = as_alice.post(address(order), {**TYPED, "asks": asks})
    assert response.status_code == 422 and "has changed" in response.text
    form = response.context["form"]
    assert json.loads(form["beside"].value())["loaves"] == " 3.5 "
    again = {"field-customer": "Ada", "asks": form.names, "beside": form["beside"].value()}
    assert as_alice.post(address(order), again).status_code == 303
    assert only_input()["crust"] == "dark"


def test_a_form_of_fields_that_are_gone_does_not_start_with_nothing(
    order: Workflow, alice: User, as_alice: Client
) -> None:
    asks = as_alice.get(address(order)).context["form"].names
    order.publish({"nodes": [{"id": "p", "type": "process"}]}, by=alice)
    response = as_alice.post(address(order), {**TYPED, "asks": asks})
    assert response.status_code == 422 and "has changed" in response.text
    text = turned(as_alice, order, {"asks": "", "beside": response.context["form"]["beside"].value()}, "json")
    assert json.loads(text.context["form"]["input_data"].value())["customer"] == "Ada"


# At once


def test_one_click_starts_with_the_example(alice: User, workflow: Workflow, as_bob: Client) -> None:
    workflow.publish({"nodes": [{"id": "in", "type": "input", "data": {"example": {"name": "Ada"}}}]}, by=alice)
    response = as_bob.post(address(workflow, "start"), {"key": "k"})
    execution = WorkflowExecution.objects.get()
    assert (response.status_code, response["Location"]) == (303, reverse("executions:show", args=[execution.pk]))
    assert execution.input_data == {"name": "Ada"}


def test_the_button_for_a_row_starts_its_workflow_with_a_key_of_its_own(workflow: Workflow, as_alice: Client) -> None:
    pages = [as_alice.get("/").text for _ in range(2)]
    keys = [re.findall(r'name="key" value="(\w{32})"', page) for page in pages]
    assert f'action="{address(workflow, "start")}"' in pages[0] and 'aria-label="Run Chain"' in pages[0]
    assert keys[0] and not set(keys[0]) & set(keys[1])


def test_one_click_starts_with_what_one_gave_last(order: Workflow, as_alice: Client) -> None:
    as_alice.post(address(order), TYPED)
    as_alice.post(address(order, "start"))
    assert [one.input_data for one in WorkflowExecution.objects.all()] == [GIVEN, GIVEN]


def test_one_click_leads_to_the_form_where_something_must_be_given(order: Workflow, as_alice: Client) -> None:
    response = as_alice.post(address(order, "start"), {"key": "k"})
    assert (response.status_code, response["Location"]) == (303, address(order))
    assert not WorkflowExecution.objects.exists()


def test_two_clicks_on_one_button_start_one_execution(workflow: Workflow, as_alice: Client) -> None:
    first, again = (as_alice.post(address(workflow, "start"), {"key": "k"})["Location"] for _ in range(2))
    assert first == again and WorkflowExecution.objects.count() == 1


@pytest.mark.parametrize("key", ["k" * 65, "\x00", "\x00" * 100])
def test_a_key_of_any_shape_leads_to_the_form(key: str, workflow: Workflow, as_alice: Client) -> None:
    assert as_alice.post(address(workflow, "start"), {"key": key})["Location"] == address(workflow)
    assert not WorkflowExecution.objects.exists()


def test_looking_starts_nothing_and_what_cannot_run_says_why(workflow: Workflow, as_alice: Client) -> None:
    assert as_alice.get(address(workflow, "start")).status_code == 405
    Workflow.objects.update(is_active=False)
    response = as_alice.post(address(workflow, "start"), follow=True)
    assert "switched off" in response.text
    assert not WorkflowExecution.objects.exists()


def test_a_stranger_starts_nothing(order: Workflow, as_charlie: Client) -> None:
    assert as_charlie.post(address(order, "start")).status_code == 404
    assert as_charlie.post(address(order), TYPED).status_code == 404
    assert not WorkflowExecution.objects.exists()
