"""Conditions: each operator with what it takes, what it says, and whatever else may come. Pure: no database."""

from __future__ import annotations

import json
from datetime import UTC, tzinfo
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from workflows import paths
from workflows.conditions import CHOICES, MEANINGS, Condition, Operator, decide, judge
from workflows.paths import MISSING, found

BERLIN = ZoneInfo("Europe/Berlin")
HUGE = 10**4_250  # pytest can just write it out; beyond 4,300 digits Python refuses


def holds(came: Any, operator: str, value: Any = "", zone: tzinfo = UTC) -> bool:
    return said(came, operator, value, zone)[0]


def said(came: Any, operator: str, value: Any = "", zone: tzinfo = UTC) -> tuple[bool, str]:
    condition = Condition.model_construct(path="x", operator=operator, value=value)  # as a draft may have it
    verdict = judge(condition, {} if came is MISSING else {"x": came}, zone)
    return verdict.holds, verdict.words


# Each operator

NOTHINGS: list[Any] = [MISSING, None, "", "  \n", [], {}]
EMPTY_VALUES: list[Any] = ["", " ", None, []]

YES = [
    # a value that was typed is read as what it is compared with
    (10, "equals", "10"),
    (10, "equals", " 10.0 "),
    (10.5, "equals", "10.5"),
    ("10", "equals", "10"),
    ("10", "equals", 10),
    (True, "equals", "yes"),
    (True, "equals", "TRUE"),
    (False, "equals", "no"),
    (False, "equals", False),
    (["a", 1], "equals", '["a", 1]'),
    ({"a": 1}, "equals", {"a": 1}),
    ("ü😀", "equals", "ü😀"),
    (10, "not_equals", "11"),
    (MISSING, "not_equals", "11"),
    (None, "not_equals", "11"),
    (5, "not_equals", "abc"),
    # order
    (120, "greater", "100"),
    (120, "at_least", 120),
    (0.1, "less", "0.2"),
    (-1, "less", "0"),
    (3, "at_most", "3"),
    ("120", "greater", "100"),
    (HUGE, "greater", "1"),
    (-HUGE, "less", 1.5),
    (1, "less", "9" * 300),
    ("2026-11-25", "greater", "2026-11-24"),
    # one of several
    ("b", "one_of", "a, b"),
    (2, "one_of", "1,2,3"),
    ("a, b", "one_of", '["a, b", "c"]'),
    (True, "one_of", [False, True]),
    ("x", "not_one_of", "a, b"),
    (MISSING, "not_one_of", "a, b"),
    # parts
    ("a teapot", "contains", "tea"),
    (["red", "blue"], "contains", "red"),
    ([1, 2], "contains", "2"),
    ({"a.b": None}, "contains", "a.b"),
    (20095, "contains", "09"),
    ("a", "not_contains", "b"),
    (MISSING, "not_contains", "b"),
    ([], "not_contains", "b"),
    ("INV-1", "starts_with", "INV"),
    (20095, "starts_with", "20"),
    ("a.pdf", "ends_with", ".pdf"),
    ("INV-2026-7", "matches", "INV-*-7"),
    ("abc", "matches", "*"),
    ("abc", "matches", "abc"),
    ("a(b)[c]", "matches", "a(*)[c]"),
    # nothing
    *((nothing, "empty", "") for nothing in NOTHINGS),
    *((something, "not_empty", "") for something in (0, False, "a", [None], {"a": None})),
    # yes and no
    *((yes, "true", "") for yes in (True, "yes", "on", "1", "True")),
    *((no, "false", "") for no in (False, "no", "off", "0", "FALSE")),
    # length
    ("abc", "length_at_least", "3"),
    ([1, 2], "length_at_least", 2),
    ({}, "length_at_most", "0"),
    ("ab", "length_at_most", "2"),
]
NO = [
    (10, "equals", "11"),
    (10, "equals", "abc"),
    ("10", "equals", "10.0"),
    ("Open", "equals", "open"),
    (True, "equals", 1),
    (1, "equals", True),
    (0, "equals", "false"),
    (True, "equals", "maybe"),
    (MISSING, "equals", "null"),
    (None, "equals", None),
    ([1], "equals", "[true]"),
    ([1], "equals", "[1"),
    (10, "not_equals", "10"),
    (100, "greater", "100"),
    ("abc", "greater", "18"),
    (MISSING, "less", "18"),
    (None, "at_most", "18"),
    (True, "at_least", "0"),
    (float("nan"), "at_most", "5"),
    (float("inf"), "greater", "5"),
    (5, "greater", float("nan")),
    ([5], "greater", "1"),
    ("2026-11-25", "greater", "5"),
    ("b", "greater", "a"),
    ("c", "one_of", "a, b"),
    (MISSING, "one_of", "a, b"),
    ("a", "not_one_of", "a, b"),
    ("coffee", "contains", "tea"),
    (["reddish"], "contains", "red"),
    ({"a": "b"}, "contains", "b"),
    (True, "contains", "t"),
    (None, "contains", "None"),
    ("a teapot", "not_contains", "tea"),
    ("INV-1", "starts_with", "inv"),
    (["INV"], "starts_with", "INV"),
    ("a.pdf", "ends_with", "PDF"),
    ("aba", "matches", "ab*ba"),
    ("abc", "matches", "a?c"),
    ("abc", "matches", "a[b]c"),
    ("abc", "matches", "*d*"),
    (0, "empty", ""),
    (False, "empty", ""),
    (MISSING, "not_empty", ""),
    *((no, "true", "") for no in (False, "no", 1, "", None, MISSING, [True], "yes!")),
    *((yes, "false", "") for yes in (True, "yes", 0, "", None, MISSING)),
    ("ab", "length_at_least", "3"),
    (123, "length_at_least", "1"),
    (MISSING, "length_at_most", "5"),
    ([1], "length_at_most", "no number"),
]


@pytest.mark.parametrize(("came", "operator", "value"), YES)
def test_it_holds(came: Any, operator: str, value: Any) -> None:
    assert holds(came, operator, value)


@pytest.mark.parametrize(("came", "operator", "value"), NO)
def test_it_does_not_hold(came: Any, operator: str, value: Any) -> None:
    assert not holds(came, operator, value)


def test_the_tables_have_every_operator_on_both_sides() -> None:
    timed = {"before", "after"}
    assert {operator for _, operator, _ in YES} | timed == {operator for _, operator, _ in NO} | timed == set(MEANINGS)
    assert set(MEANINGS) == set(get_args(Operator)) == set(CHOICES)


@pytest.mark.parametrize(
    ("came", "operator", "value", "zone", "answer"),
    [
        ("2026-11-23", "before", "2026-11-24", UTC, True),
        ("2026-11-24", "before", "2026-11-24", UTC, False),
        ("2026-11-24", "after", "2026-11-24", UTC, False),
        # a whole day is compared with whole days
        ("2026-11-24T23:59", "after", "2026-11-24", UTC, False),
        ("2026-11-25T00:00", "after", "2026-11-24", UTC, True),
        ("2026-11-24", "before", "2026-11-24T12:00", UTC, False),
        # two times are compared to the second, wherever they were written
        ("2026-11-24T10:00:01+00:00", "after", "2026-11-24 10:00", UTC, True),
        ("2026-11-24T10:00Z", "before", "2026-11-24T10:30+01:00", UTC, False),
        # without a zone they are meant in the workflow's
        ("2026-11-24T10:00Z", "after", "2026-11-24T10:30", BERLIN, True),
        ("2026-11-24T10:00Z", "after", "2026-11-24T10:30", UTC, False),
        ("2026-11-24T23:30Z", "after", "2026-11-24", BERLIN, True),
        ("2026-11-24T23:30Z", "after", "2026-11-24", UTC, False),
        # no dates
        ("2026-02-30", "before", "2026-03-01", UTC, False),
        ("soon", "before", "2026-03-01", UTC, False),
        (20260301, "before", "2026-03-02", UTC, False),
        (MISSING, "before", "2026-03-01", UTC, False),
        # the ends of the calendar
        ("0001-01-01T00:00+14:00", "before", "2026-03-01", UTC, False),
        ("9999-12-31T23:59-14:00", "after", "2026-03-01", UTC, False),
        ("9999-12-31T23:59Z", "after", "2026-03-01", BERLIN, False),
        ("9999-12-31", "after", "2026-03-01", BERLIN, True),
    ],
)
def test_dates(came: Any, operator: str, value: str, zone: tzinfo, answer: bool) -> None:
    assert holds(came, operator, value, zone) is answer


# What it says


@pytest.mark.parametrize(
    ("came", "operator", "value", "words"),
    [
        (120, "greater", "100", "“x” is 120, which is more than 100"),
        (80, "greater", "100", "“x” is 80, which is not more than 100"),
        (17, "at_least", 18, "“x” is 17, which is less than 18"),
        ("open", "equals", "open", "“x” is “open”, which equals “open”"),
        ("shut", "equals", "open", "“x” is “shut”, which does not equal “open”"),
        (5, "not_equals", "5", "“x” is 5, which equals 5"),
        ("abc", "at_least", "18", "“x” is text “abc”, which cannot be compared with the number 18"),
        (5, "equals", "five", "“x” is the number 5, which cannot be compared with text “five”"),
        ("soon", "before", "2026-11-24", "“x” is text “soon”, which cannot be compared with the date 2026-11-24"),
        ([1, 2], "less", "3", "“x” is a list of 2 items, which cannot be compared with the number 3"),
        (MISSING, "greater", "100", "“x” is missing, so it cannot be compared with the number 100"),
        (MISSING, "equals", "open", "“x” is missing, so it does not equal “open”"),
        (MISSING, "empty", "", "“x” is missing, so it is empty"),
        (None, "empty", "", "“x” is nothing, which is empty"),
        ("b", "one_of", "a, b", "“x” is “b”, which is one of “a”, “b”"),
        (9, "one_of", "1,2,3,4,5,6,7", "“x” is 9, which is none of 1, 2, 3, 4, 5 and 2 more"),
        (True, "true", "", "“x” is yes, which is yes"),
        ("ab", "length_at_least", "3", "“x” is “ab”, which has a length of less than 3"),
        ({"a": 1}, "contains", "b", "“x” is an object of 1 entry, which does not contain “b”"),
    ],
)
def test_it_says_what_it_compared(came: Any, operator: str, value: Any, words: str) -> None:
    assert said(came, operator, value)[1] == words


def test_what_it_says_is_short_and_can_be_kept() -> None:
    for came in ("x" * 100_000, 10**5_000, -HUGE, ["a"] * 1_000, {"k" * 1_000: "v"}, "a\nb\x00\u2028\ud800"):
        words = said(came, "equals", "y" * 100_000)[1]
        assert len(words) < 400 and words.isprintable()
        words.encode()


# Several


def rule(*conditions: tuple[str, str, Any]) -> list[Condition]:
    return [Condition(path=path, operator=operator, value=value) for path, operator, value in conditions]  # type: ignore[arg-type]


SEVERAL = rule(("amount", "greater", "100"), ("country", "one_of", "de, fr"))


@pytest.mark.parametrize(
    ("match", "data", "answer", "words"),
    [
        (
            "all",
            {"amount": 120, "country": "de"},
            True,
            "“amount” is 120, which is more than 100; “country” is “de”, which is one of “de”, “fr”",
        ),
        ("all", {"amount": 120, "country": "it"}, False, "“country” is “it”, which is none of “de”, “fr”"),
        ("all", {"amount": 1, "country": "it"}, False, "“amount” is 1, which is not more than 100"),
        ("any", {"amount": 1, "country": "de"}, True, "“country” is “de”, which is one of “de”, “fr”"),
        (
            "any",
            {"amount": 1, "country": "it"},
            False,
            "“amount” is 1, which is not more than 100; “country” is “it”, which is none of “de”, “fr”",
        ),
    ],
)
def test_all_or_any_and_the_words_name_what_decided_it(
    match: Any, data: dict[str, Any], answer: bool, words: str
) -> None:
    verdict = decide(SEVERAL, match, data, UTC)
    assert (verdict.holds, verdict.words) == (answer, words)


# Paths

TREE = {
    "customer": {"items": [{"price": 5}, {"price": 7}], "name.first": "Ada"},
    "a.b": {"c": 1},
    "a": {"b": {"d": 2}},
    "": 3,
    "0": "zero",
    "__class__": "mine",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("customer.items.1.price", 7),
        ("customer.items", [{"price": 5}, {"price": 7}]),
        ("customer.name.first", "Ada"),
        ("a.b.c", 1),
        ("a.b.d", 2),
        ("0", "zero"),
        ("__class__", "mine"),
    ],
)
def test_a_path_finds(path: str, value: Any) -> None:
    assert found(TREE, path) == value


@pytest.mark.parametrize(
    "path",
    [
        *(
            "customer.items.2",
            "customer.items.-1",
            "customer.items.one",
            "customer.items.²",
            "customer.items.1.price.0",
        ),
        *("customer.items.99999999999999999999", "customer.items.__len__", "customer.__class__", "__dict__", "a..b"),
        *("customer.name.first.0", "customer. items", "Customer", ".".join("a" * 65), "a." * 100_000),
    ],
)
def test_a_path_that_leads_nowhere_finds_nothing(path: str) -> None:
    assert found(TREE, path) is MISSING


@pytest.mark.parametrize("data", [None, "text", 5, [], True])
def test_a_path_into_what_is_no_object_finds_nothing(data: Any) -> None:
    assert found(data, "a") is MISSING


def test_keys_with_dots_do_not_make_it_slow() -> None:
    """Every way to read the path is there, and none of them leads on."""
    tree: dict[str, Any] = {}
    for size in range(1, 60):
        tree[".".join("a" * size)] = {}
    assert found(tree, ".".join("a" * 60)) is MISSING
    assert str(MISSING) == "missing"


@pytest.mark.parametrize("path", ["", "  ", "a..b", ".a", "a.", "x" * 201, "a." * 64 + "a"])
def test_a_path_that_cannot_be_meant_is_told(path: str) -> None:
    assert paths.wrong(path)
    with pytest.raises(ValidationError):
        Condition.model_validate({"path": path, "operator": "empty"})


# What is written down


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        *((operator, value) for operator in ("equals", "contains", "one_of", "greater") for value in EMPTY_VALUES),
        *(("before", value) for value in ("tomorrow", 5, "2026-02-30", "24.11.2026")),
        *(("length_at_least", value) for value in ("-1", "1.5", "many")),
        ("is", "x"),
        ("__class__", "x"),
    ],
)
def test_a_value_that_its_operator_cannot_use_is_refused(operator: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        Condition(path="x", operator=operator, value=value)


@pytest.mark.parametrize("operator", ["empty", "not_empty", "true", "false"])
def test_some_need_no_value(operator: Any) -> None:
    assert Condition.model_validate({"path": "x", "operator": operator}).value == ""


# Whatever comes

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["10", "2026-11-24", "2026-11-24T10:00", "yes", "", "[", "*", "9" * 5_000, HUGE, -HUGE, "\ud800"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=1_500)
@given(came=JSON, operator=st.sampled_from(sorted(MEANINGS)), value=JSON, zone=st.sampled_from([UTC, BERLIN]))
def test_it_never_raises_and_always_knows(came: Any, operator: str, value: Any, zone: tzinfo) -> None:
    is_true, words = said(came, operator, value, zone)
    assert is_true in (True, False) and words.startswith("“x” is ") and len(words) < 1_000


@settings(max_examples=300)
@given(came=JSON, value=JSON)
def test_what_is_negated_is_the_opposite(came: Any, value: Any) -> None:
    for one, other in (("equals", "not_equals"), ("contains", "not_contains"), ("one_of", "not_one_of")):
        assert holds(came, one, value) is not holds(came, other, value)
    assert holds(came, "empty") is not holds(came, "not_empty")


@settings(max_examples=300)
@given(data=JSON, path=st.text(max_size=300))
def test_a_path_never_raises(data: Any, path: str) -> None:
    found(data, path)


@given(number=st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_equals_itself_as_it_is_typed(number: float) -> None:
    assert holds(number, "equals", json.dumps(number)) and holds(json.dumps(number), "at_most", number)


def test_nesting_beyond_pythons_own_limit_is_no_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for operator in MEANINGS:
        assert holds(deep, operator, deep) in (True, False)
        assert holds(deep, operator, "[" * 100_000) in (True, False)


def test_a_pattern_of_stars_is_not_slow() -> None:
    """A regular expression would go through all ways to match this before it gives up."""
    assert not holds("a" * 20_000, "matches", "*a" * 2_000 + "b")
