"""What may be kept as JSON: refused where people send it, made keepable where steps made it."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.errors import InputError
from workflows.values import MAX_DEPTH, clean, clean_text, copied, parse, require, require_object

KEEPABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3), inner, max_size=4
        )
    ),
    max_leaves=15,
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | st.text(max_size=2), max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=15,
)


def deep(levels: int, innermost: Any = None) -> Any:
    value: Any = [] if innermost is None else innermost
    for _ in range(levels - 1):
        value = [value]
    return value


def refused(value: Any, **how: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        require(value, **how)
    assert caught.value.message and len(caught.value.message) < 500
    return caught.value


# Reading text


@given(KEEPABLE)
def test_json_text_is_read_as_it_is(value: Any) -> None:
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "line", "column"), [("{", 1, 2), ('{"a": 1,\n "b" 2}', 2, 6), ("", 1, 1), ("[1,]", 1, 4), ("nul", 1, 1)]
)
def test_bad_json_is_told_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(InputError, match=f"not valid JSON.*line {line}, column {column}") as caught:
        parse(text, "definition")
    assert caught.value.field == "definition"


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_what_json_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a JSON value"):
        parse(text)


@pytest.mark.parametrize("text", ["[" * 100_000, b"\xff\xfe", b"\x80", "9" * 5_000])
def test_no_text_breaks_the_reader(text: str | bytes) -> None:
    with pytest.raises(InputError, match="not valid JSON"):
        parse(text)


# What people send


@given(KEEPABLE)
def test_what_can_be_kept_is_given_back_untouched(value: Any) -> None:
    assert require(value) is value


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": float("nan")}, "input_data.a"),
        ({"a": [1, float("inf")]}, "input_data.a[1]"),
        ([float("-inf")], "input_data[0]"),
        ({"a": {"b": "x\x00"}}, "input_data.a.b"),
        ({"a": ["\ud800"]}, "input_data.a[0]"),
        ("\udfff", "input_data"),
    ],
)
def test_the_first_place_that_cannot_be_kept_is_named(value: Any, where: str) -> None:
    error = refused(value)
    assert where in error.message and error.field == where


@pytest.mark.parametrize("key", ["\x00", "a\ud800"])
def test_a_key_that_cannot_be_kept_is_refused(key: str) -> None:
    assert "a key in input_data.a" in refused({"a": {key: 1}}).message


def test_pairs_of_surrogates_are_one_character_and_fine() -> None:
    assert require(json.loads('"\\ud83d\\ude00"')) == "😀"
    refused(json.loads('"\\ud83d"'))


def test_sixty_four_levels_are_allowed_and_no_more() -> None:
    assert require(deep(MAX_DEPTH)) and clean(deep(MAX_DEPTH)) == deep(MAX_DEPTH)
    assert "64 levels" in refused(deep(MAX_DEPTH + 1)).message
    with pytest.raises(InputError, match="64 levels"):
        clean(deep(MAX_DEPTH + 1))
    assert require(deep(MAX_DEPTH, {"a": "text"})), "what stands in the last level is no level"


@pytest.mark.parametrize("levels", [500, 100_000])
def test_any_depth_is_refused_without_breaking(levels: int) -> None:
    refused(deep(levels))
    with pytest.raises(InputError):
        clean(deep(levels))


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop += [loop, loop]
    refused(loop)
    with pytest.raises(InputError):
        clean(loop)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1, tzinfo=UTC),
        {1, 2},
        b"bytes",
        object(),
        Decimal("1.5"),
        {1: "a"},
        {None: "a"},
        {("a",): 1},
        ("\x00",),
        ({"a": float("nan")},),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    refused({"a": value})
    refused({"a": value}, max_bytes=10_000)


def test_a_number_that_cannot_be_written_is_refused() -> None:
    refused({"a": 10**5000})
    refused({"a": 10**5000}, max_bytes=10_000)


def test_the_limit_counts_bytes_and_not_characters() -> None:
    assert require({"a": "é"}, max_bytes=10)
    assert "limit is 9" in refused({"a": "é"}, max_bytes=9).message
    assert "1,000,008" in refused({"a": "x" * 1_000_000}, max_bytes=1_000_000).message


@pytest.mark.parametrize(
    ("value", "word"), [([], "a list"), ("x", "text"), (None, "null"), (True, "true or false"), (5, "a number")]
)
def test_an_input_is_an_object(value: Any, word: str) -> None:
    with pytest.raises(InputError, match=f"must be a JSON object .*, not {word}") as caught:
        require_object(value, "field")
    assert caught.value.field == "field"
    assert require_object({"a": 1}) == {"a": 1} and require_object({}) == {}


# What steps made


@given(KEEPABLE)
def test_cleaning_what_is_clean_changes_nothing(value: Any) -> None:
    assert clean(value) == value and json.dumps(clean(value)) == json.dumps(value)


@given(ANYTHING)
def test_whatever_was_cleaned_can_be_kept(value: Any) -> None:
    cleaned = clean(value)
    require(cleaned)
    text = json.dumps(cleaned, ensure_ascii=False, allow_nan=False)
    text.encode()
    assert json.loads(text) == cleaned and "\x00" not in text
    assert clean(cleaned) == cleaned


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("a\x00b\ud800", "a\ufffdb\ufffd"),
        (float("nan"), None),
        ([float("inf"), -0.5], [None, -0.5]),
        ((1, (2,)), [1, [2]]),
        ({3}, [3]),
        (frozenset(), []),
        ({1: {None: True}}, {"1": {"None": True}}),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        (Decimal("1.50"), "1.50"),
        (Color.RED, "red"),
        (OrderedDict(a=(1,)), {"a": [1]}),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_other_things_become_json(value: Any, cleaned: Any) -> None:
    assert clean(value) == cleaned and json.loads(json.dumps(clean(value))) == cleaned


def test_a_number_that_cannot_be_written_does_not_pass_for_clean() -> None:
    """Either it is refused here, or it is made writable: the journal's writer must never meet it."""
    try:
        json.dumps(clean({"a": 10**5000}))
    except InputError:
        return


@pytest.mark.parametrize("text", ["", "plain", "ü 😀", "\x01\x7f\ufffd", "\t\n"])
def test_good_text_stays(text: str) -> None:
    assert clean_text(text) is text or clean_text(text) == text


# Copies


@given(KEEPABLE)
def test_a_copy_is_equal_and_shares_no_container(value: Any) -> None:
    copy = copied(value)
    assert copy == value and not (_containers(copy) & _containers(value))


def _containers(value: Any) -> set[int]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return {id(value)}.union(*(_containers(item) for item in inner))
    return set()
