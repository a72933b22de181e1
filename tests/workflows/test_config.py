"""A step's settings as a form: fields out of any Config, and values back out of what was typed. Pure."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field

from workflows import config
from workflows.picker import choices
from workflows.steps import base, kinds


class Item(base.Config):
    name: str = Field(description="How it is called.")
    many: int = 1
    words: list[str] = []


class Sample(base.Config):
    text: str = ""
    long: str = Field("", max_length=1_000, title="A long one")
    whole: int = 5
    share: float | None = None
    is_on: bool = False
    way: Literal["up", "down"] = "up"
    lines: list[str] = []
    items: list[Item] = []
    extra: dict[str, Any] = {}
    anything: Any = None


def looks(data: dict[str, Any], errors: dict[str, list[str]] | None = None) -> dict[str, config.Setting]:
    return {setting.name: setting for setting in config.settings(Sample, data, errors or {})}


def read(typed: dict[str, str], data: dict[str, Any] | None = None) -> dict[str, Any]:
    return config.read(Sample, typed, data or {})


def test_each_type_gets_its_look() -> None:
    assert {name: setting.look for name, setting in looks({}).items()} == {
        "text": "text",
        "long": "long",
        "whole": "number",
        "share": "number",
        "is_on": "switch",
        "way": "choice",
        "lines": "lines",
        "items": "rows",
        "extra": "json",
        "anything": "json",
    }


def test_a_default_is_a_placeholder_and_not_a_value() -> None:
    whole = looks({})["whole"]
    assert (whole.value, whole.placeholder) == ("", "5")
    assert looks({})["way"].value == "up"
    assert looks({"whole": 7})["whole"].value == "7"


def test_titles_and_names_become_labels() -> None:
    assert looks({})["long"].label == "A long one"
    assert looks({})["is_on"].label == "Is on"


def test_an_untouched_form_changes_nothing() -> None:
    typed = {"text": "", "long": "", "whole": "", "share": "", "way": "up", "lines": "", "extra": "", "anything": ""}
    assert read(typed) == {}
    data = {"way": "up", "is_on": False, "text": "x"}
    assert read({**typed, "text": "x"}, data) == data, "what was written down stays written down"


def test_every_value_is_read_by_its_look() -> None:
    typed = {
        "text": " a ",
        "whole": "7",
        "share": "0.5",
        "is_on": "on",
        "way": "down",
        "lines": "a\n\n b ",
        "extra": "{}",
    }
    assert read({**typed, "anything": '[1, "x"]'}) == {
        "text": " a ",
        "whole": 7,
        "share": 0.5,
        "is_on": True,
        "way": "down",
        "lines": ["a", "b"],
        "anything": [1, "x"],
    }


@pytest.mark.parametrize("text", ["{oops", "NaN", "[" * 10_000, '{"a": 1e999}'])
def test_json_that_is_none_is_kept_as_text(text: str) -> None:
    kept = read({"extra": text})["extra"]
    assert kept == text or kept == {"a": float("inf")}, "the draft refuses what no database keeps"


def test_unknown_settings_stay() -> None:
    assert read({"text": "a"}, {"mine": 1}) == {"mine": 1, "text": "a"}


@pytest.mark.parametrize("odd", [None, "yes", "{{ input.is_on }}", 1, []])
def test_a_switch_that_is_off_leaves_what_is_neither_yes_nor_no(odd: Any) -> None:
    assert read({}, {"is_on": odd}) == {"is_on": odd}
    assert read({"is_on": "on"}, {"is_on": odd}) == {"is_on": True}
    assert read({}, {"is_on": True}) == {"is_on": False}


def test_rows_are_forms_in_the_form() -> None:
    data = {"items": [{"name": "a", "mine": 1}, {"many": 3}, "no item"]}
    rows = looks(data, {"items.1.name": ["Name is required."]})["items"].rows
    assert [field.name for field in rows[1].fields] == ["items.1.name", "items.1.many", "items.1.words"]
    assert [field.errors for field in rows[1].fields] == [("Name is required.",), (), ()]
    typed = {"items.0.name": "b", "items.0.many": "", "items.0.words": "x\ny", "items.1.name": "c", "items.1.many": "3"}
    assert read(typed, data)["items"] == [
        {"name": "b", "mine": 1, "words": ["x", "y"]},
        {"many": 3, "name": "c"},
        "no item",
    ]


def test_a_problem_deep_inside_stands_at_the_field_that_can_mend_it() -> None:
    assert looks({}, {"extra.a.b": ["wrong"]})["extra"].errors == ("wrong",)
    assert looks({"items": [{}]}, {"items.0.name": ["wrong"]})["items"].errors == ()


@pytest.mark.parametrize(
    ("verb", "place", "names"),
    [
        ("add", "items", ["a", "b", None]),
        ("remove", "items.0", ["b"]),
        ("up", "items.1", ["b", "a"]),
        ("down", "items.0", ["b", "a"]),
        ("up", "items.0", ["a", "b"]),
        ("down", "items.1", ["a", "b"]),
        ("remove", "items.7", ["a", "b"]),
        ("remove", "items.-1", ["a", "b"]),
        ("remove", "items.x", ["a", "b"]),
        ("remove", "text", ["a", "b"]),
        ("add", "nothing", ["a", "b"]),
    ],
)
def test_rows_are_arranged(verb: str, place: str, names: list[str | None]) -> None:
    made = config.arranged(Sample, {"items": [{"name": "a"}, {"name": "b"}]}, verb, place)
    assert [row.get("name") for row in made["items"]] == names


def test_rows_do_not_grow_without_end() -> None:
    data: dict[str, Any] = {"items": [{}] * config.MOST_ROWS}
    assert config.arranged(Sample, data, "add", "items") == data


class Choosy(base.Config):
    operation: Literal["sort", "limit"] = "sort"
    is_on: bool = False
    by: str = Field("", json_schema_extra={"when": {"operation": ["sort"]}, "example": "price"})
    most: int = Field(5, json_schema_extra={"when": {"operation": ["limit"], "is_on": [True]}})


class Several(base.Config):
    items: list[Choosy] = []


def choosy(data: dict[str, Any], errors: dict[str, list[str]] | None = None) -> dict[str, config.Setting]:
    return {setting.name: setting for setting in config.settings(Choosy, data, errors or {})}


@pytest.mark.parametrize(
    ("data", "off"),
    [
        ({}, ["most"]),
        ({"operation": "limit"}, ["by", "most"]),
        ({"operation": "limit", "is_on": True}, ["by"]),
        ({"operation": "nonsense"}, ["by", "most"]),
        ({"operation": ["what"]}, ["most"]),
        ({"operation": "{{ input.way }}", "is_on": True}, []),
    ],
)
def test_a_field_that_means_nothing_beside_a_choice_is_off(data: dict[str, Any], off: list[str]) -> None:
    assert [name for name, setting in choosy(data).items() if setting.is_off] == off


def test_what_is_off_keeps_its_value_and_what_is_wrong_is_never_off() -> None:
    data = {"operation": "limit", "by": "price"}
    assert choosy(data)["by"].is_off and choosy(data)["by"].value == "price"
    assert config.read(Choosy, {"operation": "limit", "by": "price", "most": ""}, data) == data
    assert not choosy(data, {"by": ["wrong"]})["by"].is_off


def test_in_a_row_a_field_names_the_fields_of_its_own_row() -> None:
    rows = {one.name: one for one in config.settings(Several, {"items": [{}, {"operation": "limit"}]}, {})}[
        "items"
    ].rows
    assert rows[1].fields[2].when == '{"items.1.operation": ["sort"]}' and rows[1].fields[2].is_off
    assert not rows[0].fields[2].is_off


def test_an_example_stands_in_a_field_without_a_default() -> None:
    assert [setting.placeholder for setting in choosy({}).values()][2:] == ["price", "5"]


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        *(("request", "HTTP request"), ("url", "HTTP request"), ("Fetch", "HTTP request"), ("csv", "CSV")),
        *(("excel", "Spreadsheet"), ("mail", "Email"), ("database", "SQL"), ("query", "SQL"), ("js", "Code")),
        *(("merge", "Merge lists"), ("filter", "Filter"), ("unique", "Remove duplicates"), ("loop", "For each")),
        *(
            ("date", "Dates, texts, hashes"),
            ("sleep", "Delay"),
            ("if", "If / else"),
            ("gpt", "AI"),
            ("save", "Write a file"),
        ),
    ],
)
def test_the_picker_knows_the_words_that_other_tools_use(typed: str, label: str) -> None:
    assert choices(typed)[0].label == label


def test_the_picker_finds_what_begins_with_the_words_first() -> None:
    assert next(choice.label for choice in choices("up")) == "Upper case"
    assert {choice.label for choice in choices("text")} >= {"Process"}
    assert choices("zebra") == []
    assert len(choices("")) == len(choices("  ")) >= len(kinds())


def test_inside_of_a_row_nobody_is_told_which_row() -> None:
    rows = looks({"items": [{}, {}]}, {"items.1.name": ["Items 2, name is required."], "items.1.many": ["Odd."]})
    fields = rows["items"].rows[1].fields
    assert [field.errors for field in fields[:2]] == [("Name is required.",), ("Odd.",)]


class Clashing(base.Config):
    """Called as what a form in a browser has, and as what stands beside it in the same form."""

    form: Literal["text", "json"] = "text"
    do: Literal["read", "write"] = "read"
    id: str = Field("", json_schema_extra={"when": {"do": ["write"]}})
    elements: bool = False


def test_a_setting_may_be_called_as_what_a_form_already_has() -> None:
    fields = config.settings(Clashing, {}, {})
    assert [field.control for field in fields] == ["form.", "do.", "id.", "elements."]
    assert fields[2].when == '{"do.": ["write"]}'
    typed = {"form.": "json", "do.": "write", "id.": "a", "elements.": "on", "do": "add rows", "form": "x"}
    assert config.read(Clashing, typed, {}) == {"form": "json", "do": "write", "id": "a", "elements": True}
