"""list: one operation after another, what each gives, and what is said where it cannot be done."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tests.workflows.steps.conftest import run, step
from workflows.errors import WorkflowStepError
from workflows.steps import config_errors, kinds
from workflows.steps.base import StepContext
from workflows.transform.thread import Stop, Stopped

ORDERS: list[dict[str, Any]] = [
    {"id": 1, "who": "Ada", "total": 30, "at": "2026-03-01", "tags": "red, blue", "lines": [{"n": 1}, {"n": 2}]},
    {"id": 2, "who": "Bob", "total": 5, "at": "2026-01-15", "tags": "", "lines": []},
    {"id": 3, "who": "ada", "total": None, "at": "2026-02-01", "tags": "blue", "lines": [{"n": 3}]},
]
PEOPLE = [{"key": "1", "name": "One"}, {"key": 3.0, "name": "Three"}, {"key": None, "name": "Nobody"}]


def done(*operations: dict[str, Any], items: Any = ORDERS, **more: Any) -> Any:
    return run("list", {"items": items, **more}, operations=list(operations))[0].output["items"]


def ids(*operations: dict[str, Any], items: Any = ORDERS) -> list[Any]:
    return [item["id"] for item in done(*operations, items=items)]


def refused(*operations: dict[str, Any], items: Any = ORDERS, **more: Any) -> str:
    with pytest.raises(WorkflowStepError) as caught:
        done(*operations, items=items, **more)
    assert caught.value.is_permanent
    return caught.value.message


def by(field: str = "", **more: Any) -> dict[str, Any]:
    return {"do": "sort", "keys": [{"field": field, **more}]}


# The step


def test_operations_work_on_what_the_one_before_them_gave_and_each_is_told() -> None:
    outcome, lines = run(
        "list",
        {"items": ORDERS, "shop": "x"},
        operations=[
            {"do": "filter", "conditions": [{"path": "total", "operator": "at_least", "value": 5}]},
            by("total"),
            {"do": "limit", "size": 1},
        ],
    )
    assert [item["id"] for item in outcome.output["items"]] == [2] and outcome.output["shop"] == "x"
    assert lines == ["Filter: 3 → 2", "Sort: 2 → 2", "Limit: 2 → 1"]


def test_the_list_stands_in_the_data_or_came_by_an_expression() -> None:
    assert run("list", {"a": {"b": [1]}}, items="a.b", save_as="c")[0].output == {"a": {"b": [1]}, "c": [1]}
    assert run("list", {}, items=[2, 1], operations=[by()])[0].output == {"items": [1, 2]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"a": 1}, "There is no “items” in the data; there is “a”."),
        ({}, "There is no “items” in the data; there is nothing."),
        ({"items": "a,b"}, "“items” must be a list; it is “a,b”."),
        ({"items": [0] * 100_001}, "“items” has 100,001 items; at most 100,000 are possible."),
    ],
)
def test_what_is_no_list_is_said_clearly(data: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkflowStepError) as caught:
        run("list", data)
    assert caught.value.message == words


@pytest.mark.parametrize(
    ("operation", "place", "words"),
    [
        ({}, "conditions", "Operations 1, conditions: add at least one."),
        ({"do": "pick"}, "fields", "Operations 1, fields: name at least one field, such as id."),
        ({"do": "group"}, "fields", "Operations 1, fields: name the field by which items belong together"),
        ({"do": "rename"}, "renames", "Operations 1, new names: add at least one."),
        (
            {"do": "join", "how": "append"},
            "other",
            "Operations 1, other list: name the list to join with, such as customers.",
        ),
        (
            {"do": "join", "other": 5, "how": "append"},
            "other",
            "Operations 1, other list: expected a list, or its name in the data",
        ),
        ({"do": "join", "other": "b"}, "on", "Operations 1, keys: add the fields by which items of both"),
        ({"do": "batches", "size": 0}, "size", "Operations 1, how many: a batch has at least one item."),
        ({"do": "limit", "size": -1}, "size", "Operations 1, how many must be at least 0; it is -1."),
        ({"do": "limit", "size": "many"}, "size", "Operations 1, how many must be a whole number; it is “many”."),
        ({"do": "shuffle"}, "do", "Operations 1, do must be one of"),
        ({"do": "unique", "fields": ["a..b"]}, "fields", "Operations 1, fields: two dots in a row"),
        (
            {"do": "summarise", "measures": [{"of": "sum", "field": "a"}] * 2},
            "measures",
            "Operations 1, what is worked out: two of them are called “sum_a”",
        ),
    ],
)
def test_what_publishing_can_see_is_named_at_its_field(operation: dict[str, Any], place: str, words: str) -> None:
    ((where, text),) = config_errors(kinds()["list"], {"operations": [operation]})
    assert where == f"operations.0.{place}" and text.startswith(words)


def test_settings_of_another_operation_do_not_matter() -> None:
    assert ids({"do": "limit", "size": 1, "how": "inner", "fields": [], "conditions": []}) == [1]


# Filter, sort, limit, duplicates


def test_items_that_fit_stay_also_where_any_condition_is_enough() -> None:
    conditions = [
        {"path": "who", "operator": "equals", "value": "Bob"},
        {"path": "total", "operator": "greater", "value": 9},
    ]
    assert ids({"do": "filter", "match": "any", "conditions": conditions}) == [1, 2]
    assert ids({"do": "filter", "match": "all", "conditions": conditions}) == []


def test_an_item_that_is_no_object_is_called_item() -> None:
    conditions = [{"path": "item", "operator": "greater", "value": 1}]
    assert done({"do": "filter", "conditions": conditions}, items=[1, 2, "x", None, 3]) == [2, 3]


def test_sorting_puts_numbers_dates_and_text_in_their_order_and_nothing_last() -> None:
    assert ids(by("total")) == [2, 1, 3]
    assert ids(by("total", direction="down")) == [1, 2, 3]
    assert ids(by("total", empty="first")) == [3, 2, 1]
    assert ids(by("at", direction="down")) == [1, 3, 2]
    assert done(by(), items=["10", "9", 2]) == [2, "9", "10"]
    assert done(by(compare="text"), items=["10", "9", 2]) == ["10", 2, "9"]
    assert done(by(), items=["Zoe", "émile", "Emil", "adam"]) == ["adam", "Emil", "émile", "Zoe"]


def test_what_is_equal_stays_in_its_order_and_further_fields_decide() -> None:
    rows = [{"id": 1, "a": 1, "b": 2}, {"id": 2, "a": 1, "b": 1}, {"id": 3, "a": 0, "b": 9}]
    assert ids(by("a"), items=rows) == [3, 1, 2]
    assert ids(by("a", direction="down"), items=rows) == [1, 2, 3]
    assert ids({"do": "sort", "keys": [{"field": "a"}, {"field": "b"}]}, items=rows) == [3, 2, 1]


@pytest.mark.parametrize(
    ("items", "compare", "words"),
    [
        ([3, "a"], "auto", "Item 2: It is text “a”; expected a number such as 12.5, as in the items before it."),
        (["a", [1]], "auto", "Item 2: It is a list of 1 item; expected text or a number"),
        ([{"a": 1}], "text", "Item 1: It is an object of 1 entry; expected text or a number."),
        ([float("nan")], "number", "Item 1: It is"),
        (["2026-01-01", "soon"], "date", "Item 2: It is text “soon”; expected a date such as 2026-11-24"),
        ([True, 1], "number", "Item 1: It is yes; expected a number"),
    ],
)
def test_what_cannot_be_compared_is_named_with_its_item(items: list[Any], compare: str, words: str) -> None:
    assert refused(by(compare=compare), items=items).startswith(words)


def test_a_limit_counts_from_either_end() -> None:
    numbers = [1, 2, 3, 4, 5]
    assert done({"do": "limit", "size": 2}, items=numbers) == [1, 2]
    assert done({"do": "limit", "size": 2, "skip": 1}, items=numbers) == [2, 3]
    assert done({"do": "limit", "size": 2, "end": "last"}, items=numbers) == [4, 5]
    assert done({"do": "limit", "size": 2, "end": "last", "skip": 4}, items=numbers) == [1]
    assert done({"do": "limit", "size": 2, "skip": 9}, items=numbers) == []


def test_duplicates_go_as_json_has_it() -> None:
    assert done({"do": "unique"}, items=[1, 1.0, True, "1", None, None, [1], [1], {"a": 1}, {"a": 1}]) == [
        *(1, True, "1", None, [1], {"a": 1}),
    ]
    rows = [{"id": 1, "a": 1}, {"id": 2, "a": 1}, {"id": 3}, {"id": 4}, {"id": 5, "a": None}]
    assert ids({"do": "unique", "fields": ["a"]}, items=rows) == [1, 3, 5]
    assert ids({"do": "unique", "fields": ["a"], "end": "last"}, items=rows) == [2, 4, 5]


# Fields of each item


def test_fields_of_each_item_are_kept_left_out_renamed_and_set() -> None:
    rows = [{"a": 1, "b": {"c": 2, "d": 3}}]
    assert done({"do": "pick", "fields": ["b.c", "gone"]}, items=rows) == [{"b": {"c": 2}}]
    assert done({"do": "drop", "fields": ["b.c", "gone"]}, items=rows) == [{"a": 1, "b": {"d": 3}}]
    assert done({"do": "rename", "renames": [{"old": "b.c", "new": "c"}]}, items=rows) == [
        {"a": 1, "b": {"d": 3}, "c": 2}
    ]
    made = done({"do": "set", "values": [{"name": "b.c", "value": "5", "type": "number"}]}, items=rows)
    assert made == [{"a": 1, "b": {"c": 5, "d": 3}}] and rows[0]["b"] == {"c": 2, "d": 3}


def test_an_item_without_fields_is_named() -> None:
    assert refused({"do": "pick", "fields": ["a"]}, items=[{}, 7]) == "Item 2 must be an object with fields; it is 7."


# Split, group, summarise, batches


def test_a_nested_list_or_a_text_is_split_into_items() -> None:
    made = done({"do": "split", "field": "lines"}, {"do": "pick", "fields": ["id", "lines"]})
    assert made == [{"id": 1, "lines": {"n": 1}}, {"id": 1, "lines": {"n": 2}}, {"id": 3, "lines": {"n": 3}}]
    assert done({"do": "split", "field": "lines", "carry": "part"}) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert done({"do": "split", "field": "tags", "separator": ",", "carry": "part"}) == ["red", "blue", "blue"]
    assert done({"do": "split"}, items=[[1, [2]], [], [3]]) == [1, [2], 3]


def test_what_cannot_be_split_is_named() -> None:
    assert refused({"do": "split", "field": "who"}).startswith("Item 1: “who” is “Ada”; expected a list")
    assert refused({"do": "split", "field": "id", "separator": ","}).endswith("is 1; expected text or a list.")


def test_items_are_grouped_by_fields_in_the_order_of_their_coming() -> None:
    made = done({"do": "group", "fields": ["a"], "name": "of"}, items=[{"a": 1}, {"a": "1"}, {}, {"a": 1, "b": 2}])
    assert made == [
        {"a": 1, "count": 2, "of": [{"a": 1}, {"a": 1, "b": 2}]},
        {"a": "1", "count": 1, "of": [{"a": "1"}]},
        {"a": None, "count": 1, "of": [{}]},
    ]


def test_every_measure_of_a_list() -> None:
    rows = [{"n": 0.1, "t": "b"}, {"n": "0.2", "t": "a"}, {"n": None, "t": "b"}]
    kinds_of = ("count", "sum", "average", "min", "max", "first", "last", "list", "distinct")
    measures = [{"of": of, "field": "n", "name": of} for of in kinds_of]
    (made,) = done(
        {"do": "summarise", "measures": [*measures, {"of": "concatenate", "field": "t", "separator": "+"}]}, items=rows
    )
    assert made == {
        "count": 2,
        "sum": 0.3,
        "average": 0.15,
        "min": 0.1,
        "max": "0.2",
        "first": 0.1,
        "last": "0.2",
        "list": [0.1, "0.2"],
        "distinct": 2,
        "concatenate_t": "b+a+b",
    }


def test_a_summary_of_each_group_and_of_an_empty_list() -> None:
    measures = [{"of": "sum", "field": "total"}, {}]
    made = done({"do": "summarise", "fields": ["who"], "measures": measures})
    assert made[0] == {"who": "Ada", "sum_total": 30, "count": 1} and len(made) == 3
    assert done({"do": "summarise", "measures": [{"of": "average", "field": "x"}]}, items=[]) == [{"average_x": None}]
    assert done({"do": "summarise", "fields": ["who"]}, items=[]) == []


def test_whole_numbers_are_added_exactly_however_large() -> None:
    measures = [{"of": "sum", "name": "s"}]
    assert done({"do": "summarise", "measures": measures}, items=[10**40, 1]) == [{"s": 10**40 + 1}]


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([{"n": 1}, {"n": "many"}], "Item 2: “n” is text “many”; expected a number to add up."),
        ([{"n": 1}, {"n": [1]}], "Item 2: “n” is a list of 1 item; expected a number to add up."),
        ([{"n": 1.5e308}, {"n": 1.5e308}], "The sum of “n” is too large to be written as a number."),
    ],
)
def test_what_cannot_be_added_is_named(items: list[Any], words: str) -> None:
    assert refused({"do": "summarise", "measures": [{"of": "sum", "field": "n"}]}, items=items) == words


def test_batches_are_lists_of_so_many() -> None:
    assert done({"do": "batches", "size": 2, "name": "of"}, items=[1, 2, 3]) == [
        {"number": 1, "count": 2, "of": [1, 2]},
        {"number": 2, "count": 1, "of": [3]},
    ]


# Join


def join(how: str, **more: Any) -> dict[str, Any]:
    return {"do": "join", "other": "people", "how": how, "on": [{"own": "id", "other": "key"}], **more}


@pytest.mark.parametrize(
    ("how", "names"),
    [
        ("inner", ["One", "Three"]),
        ("left", ["One", None, "Three"]),
        ("outer", ["One", None, "Three", "Nobody"]),
        ("without", [None]),
    ],
)
def test_lists_are_joined_by_keys_and_a_number_fits_the_same_number_in_text(how: str, names: list[Any]) -> None:
    assert [item.get("name") for item in done(join(how), people=PEOPLE)] == names


def test_nothing_fits_nothing() -> None:
    assert done(join("inner"), items=[{"id": None}, {}, {"id": " "}], people=PEOPLE) == []


def test_several_matches_give_several_items_and_fields_may_stand_under_a_name() -> None:
    people = [{"key": 1, "who": "X"}, {"key": 1, "who": "Y"}]
    assert [item["who"] for item in done(join("inner"), people=people)] == ["X", "Y"]
    assert [item["who"] for item in done(join("inner", clash="own"), people=people)] == ["Ada", "Ada"]
    assert [item["p"]["who"] for item in done(join("inner", under="p"), people=people)] == ["X", "Y"]


def test_lists_are_put_behind_each_other_or_side_by_side() -> None:
    assert done({"do": "join", "other": [3], "how": "append"}, items=[1, 2]) == [1, 2, 3]
    made = done({"do": "join", "other": [{"b": 1}], "how": "position"}, items=[{"a": 1}, {"a": 2}])
    assert made == [{"a": 1, "b": 1}, {"a": 2}]
    assert done({"do": "join", "other": [{"b": 1}, 5], "how": "position"}, items=[{"a": 1}]) == [{"a": 1, "b": 1}, 5]


def test_the_other_list_must_be_there() -> None:
    assert refused(join("inner")) == "There is no “people” in the data; there is “items”."
    assert refused(join("inner"), people={"a": 1}) == "“people” must be a list; it is an object of 1 entry."


# Careless and hostile


def test_a_join_that_explodes_is_stopped_before_it_is_made() -> None:
    many = [{"id": 1}] * 1_000
    others = [{"key": 1}] * 1_000
    assert "more than 100,000 items" in refused(join("inner"), items=many, people=others)


def test_a_split_that_explodes_is_stopped_before_it_is_made() -> None:
    assert "more than 100,000 items" in refused({"do": "split"}, items=[list(range(1_000))] * 101)


def test_one_large_text_shared_by_many_items_is_refused_before_it_is_written() -> None:
    value = [{"name": "t", "value": "x" * 100_000}]
    assert "larger than 16 MiB" in refused({"do": "set", "values": value}, items=[{}] * 1_000)


def test_deep_items_are_refused() -> None:
    deep: Any = []
    for _ in range(62):
        deep = [deep]
    assert "nested more than 64 levels" in refused(
        {"do": "group", "fields": ["a"]}, {"do": "group", "fields": ["a"]}, items=[{"b": deep}]
    )


def test_a_hundred_thousand_items_are_worked_on() -> None:
    dice = random.Random(5)
    rows = [{"k": n % 1_000, "v": dice.random(), "t": f"{n}"} for n in range(100_000)]
    made = done(
        {"do": "filter", "conditions": [{"path": "v", "operator": "less", "value": 0.5}]},
        by("v"),
        {"do": "unique", "fields": ["k"]},
        {
            "do": "join",
            "other": [{"key": str(n), "name": n} for n in range(1_000)],
            "on": [{"own": "k", "other": "key"}],
        },
        {"do": "summarise", "measures": [{}, {"of": "sum", "field": "k", "name": "s"}]},
        items=rows,
    )
    assert made == [{"count": 1_000, "s": 499_500}]


async def test_a_step_that_is_told_to_stop_ends_at_once_and_its_thread_soon_after() -> None:
    data = {"items": [{"n": n} for n in range(100_000)]}
    made = step("list", operations=[by("n")] * 50)
    task = asyncio.create_task(made.run(StepContext(data, data, "a", 1, datetime.now(UTC), "1:a:0")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2)


def test_work_that_nobody_waits_for_breaks_off() -> None:
    stop, seen = Stop(), []
    with pytest.raises(Stopped):
        for number in stop.each(range(100_000)):
            seen.append(number)
            stop.tell()
    assert len(seen) == 256


@pytest.mark.parametrize(
    "config", [{"items": ""}, {"items": 5}, {"items": {"a": 1}}, {"save_as": "1"}, {"operations": {}}]
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        step("list", **config)
