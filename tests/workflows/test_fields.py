"""Declared fields: one model, and the same rules and sentences for a form's texts and for JSON."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from workflows import fields
from workflows.answers import text_of
from workflows.blueprint import Blueprint
from workflows.errors import InputError
from workflows.fields import Field
from workflows.models.workflow import definition_problems
from workflows.steps.input import Config


def field(name: str = "x", **facts: Any) -> Field:
    return Field.model_validate({"name": name, **facts})


def short(value: Any) -> str:
    return value.name if isinstance(value, Field) else str(value)[:40]


def refused(declared: Field, value: Any) -> str:
    with pytest.raises(InputError) as caught:
        fields.check([declared], {declared.name: value})
    return caught.value.message


def refused_text(declared: Field, text: str) -> str:
    with pytest.raises(InputError) as caught:
        fields.read([declared], {declared.name: text})
    return caught.value.message


NUMBER, YESNO, DAY = (
    field("age", type="number", label="Age"),
    field("dry", type="boolean"),
    field("due", type="date", label="Due"),
)
SIZE = field("size", type="choice", label="Size", choices=["S", "M", "L"])
NOT_A_DATE = "“Due” must be a date such as 2026-11-24, not"
ANY = field("filter", type="json", label="Filter")


# What fits


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        (field(), "Ada ", "Ada "),
        (field(), "two\r\nlines", "two\nlines"),
        (NUMBER, "3", 3),
        (NUMBER, " 3.5 ", 3.5),
        (NUMBER, "-0.25", -0.25),
        (NUMBER, ".5", 0.5),
        (NUMBER, "2e3", 2000.0),
        (NUMBER, "9" * 400, int("9" * 400)),
        (YESNO, "on", True),
        (YESNO, "", False),
        (YESNO, "No", False),
        (SIZE, "M", "M"),
        (DAY, " 2028-02-29 ", "2028-02-29"),
        (ANY, '{"a": [1, null]}', {"a": [1, None]}),
        (ANY, '"text"', "text"),
    ],
    ids=short,
)
def test_a_text_is_read_as_its_type_and_stands_in_the_form_as_it_was(declared: Field, text: str, value: Any) -> None:
    read = fields.read([declared], {declared.name: text})
    assert read == {declared.name: value} and type(read[declared.name]) is type(value)
    assert fields.read([declared], {declared.name: text_of(declared, value)}) == read
    assert fields.check([declared], read) == read


def test_false_and_zero_are_values_also_where_one_is_required() -> None:
    declared = [field("n", type="number", required=True), field("b", type="boolean", required=True)]
    assert fields.check(declared, {"n": 0, "b": False}) == {"n": 0, "b": False}
    assert fields.read(declared, {"n": "0"}) == {"n": 0, "b": False}


def test_defaults_fill_what_is_absent_and_never_what_was_taken_away() -> None:
    declared = [field("n", type="number", default=3), field("t", default="hello"), field("o")]
    assert fields.check(declared, {}) == {"n": 3, "t": "hello"}
    assert fields.check(declared, {"n": None}) == {"n": None, "t": "hello"}
    assert fields.read(declared, {"n": "", "t": " ", "o": ""}) == {"n": None, "t": None}


def test_a_default_is_not_shared_between_two_inputs() -> None:
    declared = [field("many", type="json", default=[1])]
    fields.check(declared, {})["many"].append(2)
    assert fields.check(declared, {}) == {"many": [1]}


def test_what_no_field_declares_passes_as_it_came() -> None:
    assert fields.check([NUMBER], {"other": [{}], "age": 1}) == {"other": [{}], "age": 1}


# What does not


@pytest.mark.parametrize(
    ("declared", "value", "sentence"),
    [
        (field(label="Name"), 5, "“Name” must be text, not 5."),
        (NUMBER, "one", "“Age” must be a number such as 3 or 3.5, not “one”."),
        (NUMBER, "3,5", "“Age” must be a number such as 3 or 3.5, not “3,5”: write 3.5 with a point."),
        (NUMBER, "3", "“Age” must be a number such as 3 or 3.5, not “3”, which is text: leave out the quotes."),
        (NUMBER, True, "“Age” must be a number such as 3 or 3.5, not true."),
        (NUMBER, float("nan"), "“Age” must be a number such as 3 or 3.5, not NaN."),
        (NUMBER, [3], "“Age” must be a number such as 3 or 3.5, not a list."),
        (NUMBER, "", "“Age” must be a number such as 3 or 3.5, not “”."),
        (NUMBER, "x" * 99, f"“Age” must be a number such as 3 or 3.5, not “{'x' * 60}…”."),
        (YESNO, "true", "“Dry” must be yes or no (true or false), not “true”, which is text: leave out the quotes."),
        (YESNO, 1, "“Dry” must be yes or no (true or false), not 1."),
        (SIZE, "XL", "“Size” must be one of “S”, “M”, “L”, not “XL”."),
        (SIZE, {"S": 1}, "“Size” must be one of “S”, “M”, “L”, not an object."),
        (DAY, "24.11.2026", f"{NOT_A_DATE} “24.11.2026”."),
        (DAY, "20261124", f"{NOT_A_DATE} “20261124”."),
        (
            DAY,
            "2026-02-30",
            "“Due” must be a date such as 2026-11-24, not “2026-02-30”, which is no day of the calendar.",
        ),
        (DAY, "２０２６-11-24", f"{NOT_A_DATE} “２０２６-11-24”."),
    ],
    ids=short,
)
def test_what_does_not_fit_is_said_with_what_was_expected_and_what_came(
    declared: Field, value: Any, sentence: str
) -> None:
    assert refused(declared, value) == sentence


@pytest.mark.parametrize(
    ("declared", "text"), [(NUMBER, "one"), (NUMBER, "3,5"), (SIZE, "XL"), (DAY, "2026-02-30"), (DAY, "soon")]
)
def test_a_form_and_json_are_refused_in_the_same_words(declared: Field, text: str) -> None:
    assert refused_text(declared, text) == refused(declared, text)


@pytest.mark.parametrize("text", ["1_000", "0x10", "３", "1e999", "NaN", "Infinity", "--1", "1 2", "9" * 5000, "१२"])
def test_what_only_python_calls_a_number_is_none(text: str) -> None:
    assert refused_text(NUMBER, text).startswith("“Age” must be a number")


def test_required_means_there_and_not_empty() -> None:
    for declared in (field(required=True), field(type="number", required=True), field(type="json", required=True)):
        assert refused_text(declared, "  ") == "“X” is required."
        assert refused(declared, None) == "“X” is required."
    assert refused(field(required=True), " ") == "“X” is required."
    with pytest.raises(InputError, match="is required"):
        fields.check([field(required=True)], {})


def test_broken_json_says_line_and_column() -> None:
    assert refused_text(ANY, '{"a": 1,}').startswith("“Filter” is not valid JSON: ")
    assert "line 1, column" in refused_text(ANY, '{"a": 1,}')
    assert "nested too deep" in refused_text(ANY, "[" * 100_000)


@pytest.mark.parametrize("value", ["a\x00", "\ud800"])
def test_what_no_database_keeps_is_refused_at_its_field(value: str) -> None:
    assert refused(field(label="Name"), value).startswith("“Name” holds a NUL or half of a surrogate pair")
    assert refused(ANY, [value]).startswith("“Filter”[0] holds a NUL")


def test_all_problems_are_told_at_once_and_by_field() -> None:
    with pytest.raises(InputError) as caught:
        fields.check([NUMBER, SIZE, field("ok")], {"age": "one", "size": "XL", "ok": "yes"})
    assert list(caught.value.problems) == ["age", "size"]
    assert caught.value.field == "input_data.age"
    assert caught.value.message == " ".join(caught.value.problems.values())


# What is offered


def test_what_was_given_last_is_offered_where_it_still_fits() -> None:
    declared = [field("n", type="number", default=1), SIZE, field("t", default="hello")]
    assert fields.offered(declared, {"n": 7, "size": "XXL", "beside": 5}) == {"n": 7, "beside": 5, "t": "hello"}


def test_a_cleared_default_stays_cleared() -> None:
    assert fields.offered([field("t", default="hello")], {"t": None}) == {"t": None}


# Declaring them


@pytest.mark.parametrize(
    ("facts", "where", "reason"),
    [
        ({"name": "a b"}, "name", "begins with a letter"),
        ({"name": "1st"}, "name", "begins with a letter"),
        ({"name": "a\n"}, "name", "begins with a letter"),
        ({"name": "a" * 65}, "name", "at most 64"),
        ({"name": "x", "type": "datum"}, "type", "'text', 'number'"),
        ({"name": "x", "type": "choice"}, "choices", "needs something to choose from"),
        ({"name": "x", "type": "choice", "choices": []}, "choices", "needs something to choose from"),
        ({"name": "x", "type": "choice", "choices": ["a", "a"]}, "choices", "twice"),
        ({"name": "x", "type": "choice", "choices": ["a", " "]}, "choices", "empty"),
        ({"name": "x", "type": "choice", "choices": [str(n) for n in range(501)]}, "choices", "At most 500"),
        ({"name": "x", "type": "choice", "choices": ["a"], "default": "b"}, "default", "must be “a”, not “b”"),
        ({"name": "x", "type": "number", "default": "{0}"}, "default", "not “{0}”"),
        ({"name": "x", "type": "date", "default": "soon"}, "default", "a date such as"),
        ({"name": "x", "required": "perhaps"}, "required", "boolean"),
    ],
    ids=short,
)
def test_a_declaration_that_makes_no_sense_is_refused_at_its_place(
    facts: dict[str, Any], where: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"fields": [{"name": "first"}, facts]})
    (error,) = caught.value.errors()
    assert error["loc"] == ("fields", 1, where)
    assert reason in error["msg"]


def test_a_name_that_is_there_twice_is_pointed_at() -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"fields": [{"name": "a"}, {"name": "b"}, {"name": "a"}]})
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [
        (("fields", 2, "name"), "Two fields have the name “a”")
    ]


def test_letters_of_any_language_make_a_name_and_a_title() -> None:
    assert field("größe_in_cm").title == "Größe in cm"
    assert field("x", label=" Size ").title == "Size"


def test_a_wrong_declaration_is_a_problem_of_the_definition_at_its_place() -> None:
    data = {"fields": [{"name": "n", "type": "number", "default": "x"}]}
    (problem,) = definition_problems({"nodes": [{"id": "in", "type": "input", "data": data}]})
    assert (problem.code, problem.node, problem.field) == ("step.config", "in", "fields.0.default")


def test_every_setting_of_a_field_can_be_asked_for_by_a_form() -> None:
    for setting in Field.model_fields.values():
        assert setting.title and setting.description


# Of a whole definition


def asking(node_id: str, *declared: dict[str, Any]) -> dict[str, Any]:
    return {"id": node_id, "type": "input", "data": {"fields": list(declared)}}


def test_the_input_steps_that_come_first_ask_and_others_do_not() -> None:
    nodes = [asking("a", {"name": "x"}, {"name": "y"}), asking("b", {"name": "y", "type": "number"}, {"name": "z"})]
    nodes += [asking("later", {"name": "late"}), {"id": "p", "type": "process"}]
    blueprint = Blueprint({"nodes": nodes, "edges": [{"source": "a", "target": "later"}]}, 8)
    assert [(field.name, field.type) for field in blueprint.fields] == [("x", "text"), ("y", "text"), ("z", "text")]


def test_a_declaration_that_has_become_wrong_asks_nothing() -> None:
    assert Blueprint({"nodes": [asking("a", {"name": "no name"})]}, 8).fields == ()
