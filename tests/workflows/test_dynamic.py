"""Expressions in every kind of field: typed, kept, turned on and off, and what is said of them in advance. Pure."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field

from workflows import config, dynamic
from workflows.config import Setting
from workflows.dynamic import toggled
from workflows.graph import parse
from workflows.memory import Memory, Withheld
from workflows.names import groups
from workflows.previews import SHOWN, previews, told
from workflows.steps import base
from workflows.steps.recipe import Recipe

IT = "{{ input.x }}"


class Item(base.Config):
    name: str = ""
    is_on: bool = False
    way: Literal["up", "down"] = "up"


class Sample(base.Config):
    text: str = ""
    whole: int = Field(5, ge=0, title="How many")
    is_on: bool = True
    way: Literal["up", "down"] = "up"
    lines: list[str] = []
    items: list[Item] = []
    extra: dict[str, Any] = {}
    fixed: str = ""


class Kind(base.Step[Sample]):
    kind, label = "sample", "Sample"
    literal = frozenset({"fixed"})
    Config = Sample


def shown(data: dict[str, Any]) -> dict[str, Setting]:
    return {one.name: one for one in dynamic.taking(config.settings(Sample, data, {}), Kind.literal)}


def read(typed: dict[str, str], data: dict[str, Any]) -> dict[str, Any]:
    return config.read(Sample, typed, data)


# Fields


def test_a_field_says_how_it_takes_an_expression() -> None:
    found = {name: one.takes for name, one in shown({"way": IT, "items": [{}]}).items()}

    assert found == {
        "text": "text",
        "whole": "text",
        "extra": "text",
        "fixed": "",
        "is_on": "either",
        "lines": "either",
        "items": "either",
        "way": "only",
    }
    assert [one.takes for one in shown({"items": [{}]})["items"].rows[0].fields] == ["text", "either", "either"]


@pytest.mark.parametrize("name", ["text", "whole", "is_on", "way", "lines", "items", "extra"])
def test_an_expression_is_shown_and_kept_in_every_kind_of_field(name: str) -> None:
    assert shown({name: IT})[name].value == IT
    assert read({name: IT}, {name: IT})[name] == IT
    assert read({name: "{{ input.y }}"}, {name: IT})[name] == "{{ input.y }}"


@pytest.mark.parametrize("name", ["is_on", "way", "lines", "items"])
def test_a_switch_a_choice_and_a_list_are_a_field_of_text_while_an_expression_stands_there(name: str) -> None:
    assert shown({name: IT})[name].look == "expression" and not shown({name: IT})[name].rows
    assert shown({})[name].look != "expression"


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("is_on", "true", True),
        ("is_on", "false", False),
        ("is_on", "soon", "soon"),
        ("way", "down", "down"),
        ("lines", "a\nb", ["a", "b"]),
        ("items", '[{"name": "a"}]', [{"name": "a"}]),
        ("items", "{oops", "{oops"),
        ("whole", "7", 7),
    ],
)
def test_what_is_no_expression_any_more_is_read_as_its_field_has_it(name: str, typed: str, value: Any) -> None:
    assert read({name: typed}, {name: IT})[name] == value


def test_what_was_left_of_an_expression_stays_while_one_types_on() -> None:
    """The page still has the field of text; the draft has the value by now."""
    assert read({"is_on": "true"}, {"is_on": True})["is_on"] is True
    assert read({"items": "[]"}, {"items": []})["items"] == []
    assert read({"is_on": IT}, {"is_on": False})["is_on"] == IT
    assert read({"items": IT}, {})["items"] == IT


def test_an_emptied_expression_is_the_default_again() -> None:
    for name in ("is_on", "way", "lines", "items", "whole"):
        assert name not in read({name: ""}, {name: IT})


def test_a_switch_that_is_off_is_no_expression() -> None:
    assert read({}, {"is_on": True})["is_on"] is False
    assert read({"is_on": "on"}, {"is_on": False})["is_on"] is True


def test_a_line_may_hold_an_expression_and_stays_a_line() -> None:
    assert read({"lines": f"a\n{IT}"}, {})["lines"] == ["a", IT]
    assert shown({"lines": [IT]})["lines"].look == "lines"


# On and off


@pytest.mark.parametrize(
    ("data", "place", "expression"),
    [
        ({}, "is_on", "{{ true }}"),
        ({"is_on": False}, "is_on", "{{ false }}"),
        ({"way": "down"}, "way", '{{ "down" }}'),
        ({}, "way", '{{ "up" }}'),
        ({"lines": ["a", 'b "c"']}, "lines", '{{ ["a", "b \\"c\\""] }}'),
        ({"items": [{"name": "a", "deep": {"x": {}}}]}, "items", '{{ [{"name": "a", "deep": {"x": {} } }] }}'),
    ],
)
def test_a_setting_becomes_an_expression_that_gives_the_same_and_back(
    data: dict[str, Any], place: str, expression: str
) -> None:
    on = toggled(Sample, data, "expression", place)
    assert on[place] == expression
    off = toggled(Sample, on, "plain", place)
    assert off[place] == data.get(place, Sample.model_fields[place].get_default(call_default_factory=True))


@pytest.mark.parametrize("value", [[IT], ["}} {{"], [None], ["a}}b"], None])
def test_what_no_expression_can_say_begins_empty(value: Any) -> None:
    assert toggled(Sample, {"lines": value}, "expression", "lines")["lines"] == '{{ "" }}'


@pytest.mark.parametrize("value", [IT, "{{ 5 }}", "text {{ true }}", "{{ [1, }}"])
def test_what_the_form_cannot_choose_goes_back_to_the_default(value: str) -> None:
    assert "is_on" not in toggled(Sample, {"is_on": value}, "plain", "is_on")


def test_in_a_row_as_well_and_nowhere_that_is_not_there() -> None:
    data = {"items": [{"is_on": True}, "no row"]}
    assert toggled(Sample, data, "expression", "items.0.is_on")["items"][0] == {"is_on": "{{ true }}"}
    for place in ("", "items.9.is_on", "items.1.is_on", "items.-1.is_on", "items.x", "text", "nothing", "items.0.name"):
        assert toggled(Sample, data, "plain", place)["items"] == data["items"] or place == "items"
    assert data == {"items": [{"is_on": True}, "no row"]}


# What comes of it

BOMB = "".join(f"{{% for {name} in input.many %}}" for name in "abcd") + "x" + "{% endfor %}" * 4
MEMORY = Memory(
    {
        "input": {
            "x": 3,
            "rows": [{"a": 1}],
            "many": list(range(500)),
            "long": "x" * 5_000,
            "big": Withheld("… 3 MiB"),
            "<b>": "<script>",
        },
        "data": {},
        "steps": {"fetch": {"status": "completed", "output": {"title": "News"}, "error": None}},
        "vars": {},
    },
    7,
)


def come(data: dict[str, Any], memory: Memory = MEMORY) -> dict[str, tuple[str, str]]:
    made = previews(Recipe(Kind, data), memory, "preview test")
    return {place: (one.kind, one.text) for place, one in made.items()}


def test_each_field_says_what_comes_of_it_and_what_that_is() -> None:
    found = come(
        {
            "text": "Read {{ steps.fetch.output.title | upper }}",
            "whole": "{{ input.x }}",
            "is_on": "{{ input.x > 2 }}",
            "extra": {"deep": ["{{ input.x + 1 }}"]},
            "items": [{"name": "a"}, {"name": "{{ input.rows | length }} rows"}],
            "lines": "{{ ['a'] }}",
            "fixed": "{{ input.x }}",
        }
    )
    assert found == {
        "text": ("text", "Read NEWS"),
        "whole": ("number", "3"),
        "is_on": ("yes or no", "true"),
        "extra": ("object, 1 entry", '{"deep": [4]}'),
        "items.1.name": ("text", "1 rows"),
        "lines": ("list, 1 item", '["a"]'),
    }


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        ({"text": "{{ input.y }}"}, "text", "“input.y” is not there"),
        ({"text": "a\n b {{ input.x | nothing }}"}, "text", "Line 2, column"),
        ({"extra": {"a": "{{ input.x }}", "b": "{{ input.y }}"}}, "extra", "“input.y” is not there"),
        ({"whole": "{{ steps.fetch.output.title }}"}, "whole", "How many must be a whole number; it is “News”."),
        ({"whole": "{{ input.x - 9 }}"}, "whole", "How many must be at least 0; it is -6."),
        ({"items": [{"way": "{{ input.x }}"}]}, "items.0.way", "must be one of"),
        ({"text": "{{ input.big }}"}, "text", "“input.big” is too large to be looked at here (3 MiB)"),
        ({"text": "{{ input.big | upper }}"}, "text", "is too large"),
        ({"text": BOMB}, "text", "turns"),
    ],
)
def test_what_gives_nothing_is_said_with_its_place(data: dict[str, Any], place: str, words: str) -> None:
    kind, text = come(data)[place]
    assert kind == "wrong" and words in text


def test_a_long_value_is_cut_and_an_empty_one_is_said() -> None:
    assert len(come({"text": "{{ input.long }}"})["text"][1]) == SHOWN + 1
    assert told("").text == "an empty text" and told(None).text == "null"


def test_without_a_run_nothing_is_worked_out() -> None:
    assert come({"text": "{{ 1 / 0 }}"}, Memory()) == {"text": ("none", "Run it once to see what comes of this.")}


# What may be named

GRAPH = {
    "nodes": [
        {"id": "in", "type": "input", "data": {"fields": [{"name": "amount"}, {"name": "x"}, {"name": "no name"}, 5]}},
        {"id": "fetch", "type": "default", "data": {"label": "Fetch"}},
        {"id": "a-b", "type": "default", "data": {}},
        {"id": "use", "type": "default", "data": {}},
        {"id": "after", "type": "default", "data": {}},
    ],
    "edges": [
        {"source": s, "target": t} for s, t in (("in", "fetch"), ("fetch", "a-b"), ("a-b", "use"), ("use", "after"))
    ],
}


def named(memory: Memory) -> dict[str, dict[str, str]]:
    graph = parse(GRAPH)
    return {
        group.title: {one.path: one.sample for one in group.names}
        for group in groups(graph, graph.nodes["use"], memory)
    }


def test_names_come_from_the_graph_and_values_from_the_last_run() -> None:
    found = named(MEMORY)

    assert found["Fetch"] == {"steps.fetch.output": "an object with 1 entry", "steps.fetch.output.title": "“News”"}
    assert found["a-b"] == {'steps["a-b"].output': ""}
    assert found["Input of the execution"]["input.x"] == "3"
    assert found["Input of the execution"]["input.rows[0].a"] == "1"
    assert found["Input of the execution"]["input.amount"] == "", "declared, though no run had it"
    assert found["Input of the execution"]["input.big"] == "… 3 MiB"
    assert "use" not in found and "after" not in found


def test_without_a_run_there_are_the_names_alone() -> None:
    found = named(Memory())

    assert list(found) == ["a-b", "Fetch", "in", "Input of the execution", "More"]
    assert set(found["Input of the execution"]) == {"input", "input.amount", "input.x"}
    assert not any(sample for names in found.values() for name, sample in names.items() if name != "now")


def test_much_and_deep_data_is_offered_in_part() -> None:
    deep: Any = "end"
    for _ in range(30):
        deep = {"a": deep}
    found = named(Memory({"data": {f"k{n}": {"x": n, "d": deep} for n in range(500)}, "input": {}}, 1))

    assert len(found["Came in with the data"]) <= 81
    assert "data.k0.d.a.a" in found["Came in with the data"] and "data.k0.d.a.a.a" not in found["Came in with the data"]


def test_a_failed_step_offers_why() -> None:
    steps = {"fetch": {"status": "failed", "output": {}, "error": {"message": "No"}}}

    assert named(Memory({"steps": steps}, 1))["Fetch"] == {
        "steps.fetch.status": "“failed”",
        "steps.fetch.error.message": "“No”",
    }
