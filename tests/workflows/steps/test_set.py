"""set: fields get values and names, and others are kept or left out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.workflows.steps.conftest import run, step
from workflows.errors import WorkflowStepError
from workflows.graph import Node
from workflows.steps import config_errors, kinds, make

DATA = {"id": 7, "customer": {"name": "Ada", "phone": "5"}, "lines": [{"price": 3}], "a.b": 1}


def output(data: dict[str, Any] = DATA, **config: Any) -> dict[str, Any]:
    return dict(run("set", data, **config)[0].output)


def field(name: str, value: Any, kind: str = "as_is") -> dict[str, Any]:
    return {"name": name, "value": value, "type": kind}


def test_without_settings_the_data_goes_on() -> None:
    assert output() == DATA


def test_names_with_dots_make_objects_in_objects_and_reach_into_lists() -> None:
    made = output(fields=[field("customer.city.zip", "10115"), field("lines.0.price", 4), field("total", 4)])
    assert made["customer"] == {"name": "Ada", "phone": "5", "city": {"zip": "10115"}}
    assert made["lines"] == [{"price": 4}] and made["total"] == 4


def test_what_came_in_is_not_changed() -> None:
    output(fields=[field("customer.name", "Bob"), field("lines.0.price", 4)], drop=["customer.phone"])
    assert DATA["customer"] == {"name": "Ada", "phone": "5"} and DATA["lines"] == [{"price": 3}]


@pytest.mark.parametrize(
    ("value", "kind", "made"),
    [
        ("7", "as_is", "7"),
        ([1], "as_is", [1]),
        (None, "as_is", None),
        ("7", "number", 7),
        (" 7.50 ", "number", 7.5),
        (7, "text", "7"),
        ({"a": 1}, "text", '{"a": 1}'),
        ("yes", "boolean", True),
        ("false", "boolean", False),
        ('{"a": [1]}', "json", {"a": [1]}),
        ([1], "json", [1]),
    ],
)
def test_a_value_becomes_what_it_shall_be(value: Any, kind: str, made: Any) -> None:
    assert output({}, fields=[field("x", value, kind)]) == {"x": made}


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("soon", "number", "Fields to set 1, value: expected a number such as 12.5; it is “soon”."),
        ("1e999", "number", "Fields to set 1, value: expected a number such as 12.5; it is “1e999”."),
        ("NaN", "number", "Fields to set 1, value: expected a number such as 12.5; it is “NaN”."),
        ("perhaps", "boolean", "Fields to set 1, value: expected yes or no; it is “perhaps”."),
        ("{oops", "json", 'Fields to set 1, value: expected JSON such as [1, 2] or {"a": 1}; it is “{oops”.'),
        ("[" * 5_000, "json", 'Fields to set 1, value: expected JSON such as [1, 2] or {"a": 1}; it is “' + "[" * 60),
    ],
)
def test_a_value_that_cannot_be_that_is_named(value: Any, kind: str, words: str) -> None:
    ((place, text),) = config_errors(kinds()["set"], {"fields": [field("x", value, kind)]})
    assert place == "fields.0.value" and text.startswith(words)


def test_only_named_fields_are_kept_each_where_it_stood() -> None:
    assert output(keep="picked", pick=["id", "customer.name", "a.b"]) == {
        "id": 7,
        "customer": {"name": "Ada"},
        "a.b": 1,
    }
    assert output(keep="none", fields=[field("x", 1)]) == {"x": 1}


def test_fields_are_left_out_also_deep_inside_and_with_dots_in_their_names() -> None:
    made = output(drop=["customer.phone", "lines.0.price", "a.b"])
    assert made == {"id": 7, "customer": {"name": "Ada"}, "lines": [{}]}


def test_a_renamed_field_stays_in_its_place() -> None:
    assert list(output(renames=[{"old": "id", "new": "number"}])) == ["number", "customer", "lines", "a.b"]
    assert output(renames=[{"old": "customer.name", "new": "name"}])["name"] == "Ada"


def test_two_fields_change_their_names_with_each_other() -> None:
    renames = [{"old": "a", "new": "b"}, {"old": "b", "new": "a"}]
    assert output({"a": 1, "b": 2}, renames=renames) == {"a": 2, "b": 1}


def test_a_renamed_field_is_kept_among_those_that_are_picked() -> None:
    assert output(keep="picked", pick=[], renames=[{"old": "id", "new": "n"}]) == {"n": 7}


def test_what_is_not_there_is_said_and_stops_nothing() -> None:
    outcome, lines = run("set", {"a": 1}, drop=["gone"], renames=[{"old": "away", "new": "b"}])
    assert outcome.output == {"a": 1} and lines[0] == "warning: Not in the data: gone, away"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("id.x", "“id.x” cannot be set: what should hold “x” is 7, and not an object."),
        ("lines.5", "“lines.5” cannot be set: “5” is no item of a list of 1 item."),
        ("lines.first", "“lines.first” cannot be set: “first” is no item of a list of 1 item."),
    ],
)
def test_a_place_that_cannot_be_is_said(name: str, words: str) -> None:
    with pytest.raises(WorkflowStepError) as caught:
        output(fields=[field(name, 1)])
    assert caught.value.message == words and caught.value.is_permanent


@pytest.mark.parametrize(
    "config",
    [
        {"fields": [{"value": 1}]},
        {"fields": [field("a..b", 1)]},
        {"fields": [field(".".join("a" * 100), 1)]},
        {"fields": [field("a", 1)] * 101},
        {"fields": "a=1"},
        {"drop": [""]},
        {"keep": "some"},
        {"renames": [{"old": "a", "new": ""}]},
        {"renames": [{"old": "a", "new": "c"}, {"old": "b", "new": "c"}]},
    ],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        step("set", **config)


def test_a_result_that_is_too_large_is_refused_before_it_is_written() -> None:
    text = "x" * 1_000_000
    with pytest.raises(WorkflowStepError, match="larger than 16 MiB"):
        output({}, fields=[field(f"f{n}", text) for n in range(20)])


def test_a_new_step_has_an_empty_row_that_asks_for_a_name() -> None:
    with pytest.raises(ValidationError, match="name a field of the data"):
        make(Node("a", "set", dict(kinds()["set"].start)))
