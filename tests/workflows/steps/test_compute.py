"""compute: dates, texts, numbers and hashes, of the data or of each item of a list."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tests.workflows.steps.conftest import run, step
from workflows.errors import WorkflowStepError
from workflows.steps import config_errors, kinds
from workflows.steps.base import StepContext
from workflows.transform import dates
from workflows.transform.calculations import DO

NOON = "2026-11-24T12:00:00+01:00"


def result(do: str, value: Any, *, time_zone: str = "Europe/Berlin", **more: Any) -> Any:
    row = {"do": do, "value": value, "save_as": "made", **more}
    return run("compute", {}, time_zone=time_zone, calculations=[row])[0].output["made"]


def refused(do: str, value: Any, **more: Any) -> str:
    with pytest.raises(WorkflowStepError) as caught:
        result(do, value, **more)
    assert caught.value.is_permanent and caught.value.details["row"] == 1
    return caught.value.message.partition(": ")[2]


# The step


def test_each_calculation_sees_what_those_before_it_gave() -> None:
    rows = [
        {"do": "trim", "field": "name"},
        {"do": "upper", "field": "name", "save_as": "loud"},
        {"do": "slug", "value": "A b", "save_as": "deep.slug"},
        {"do": "lower", "value": "X"},
    ]
    outcome, lines = run("compute", {"name": " Ada "}, calculations=rows)
    assert outcome.output == {"name": "Ada", "loud": "ADA", "deep": {"slug": "a-b"}, "result": "x"}
    assert lines == ["4 calculations"]


def test_each_item_of_a_list_is_worked_on() -> None:
    rows = [{"do": "date_format", "field": "at", "pattern": "d.M.yyyy"}]
    data = {"order": {"lines": [{"at": "2026-11-04"}, {"at": "2026-01-02"}]}}
    outcome, lines = run("compute", data, each="order.lines", calculations=rows)
    assert outcome.output == {"order": {"lines": [{"at": "4.11.2026"}, {"at": "2.1.2026"}]}}
    assert data["order"]["lines"][0]["at"] == "2026-11-04", "what came in is not changed"
    assert lines == ["1 calculation for each item of “order.lines”"]


def test_an_item_that_does_not_fit_is_named() -> None:
    rows = [{"do": "date_format", "field": "at"}]
    with pytest.raises(WorkflowStepError) as caught:
        run("compute", {"items": [{"at": "2026-11-04"}, {"at": "soon"}]}, each="items", calculations=rows)
    assert caught.value.message.startswith("Item 2: Calculation 1 (Date, “at”): Expected a date such as 2026-11-24")
    assert caught.value.details == {"row": 1, "field": "at", "item": 2}
    with pytest.raises(WorkflowStepError, match="Item 1 must be an object with fields; it is 5"):
        run("compute", {"items": [5]}, each="items", calculations=rows)


def test_a_field_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(WorkflowStepError, match="There is no “b” in the data; there is “a”"):
        run("compute", {"a": 1}, calculations=[{"do": "trim", "field": "b"}])
    assert "Name a field, or give a value." in refused_without_value()


def refused_without_value() -> str:
    with pytest.raises(WorkflowStepError) as caught:
        run("compute", {}, calculations=[{"do": "trim"}])
    return caught.value.message


def test_nothing_that_an_expression_gave_is_a_value_too() -> None:
    assert refused("trim", None) == "Expected text; it is nothing."
    assert result("trim", "") == ""


# Dates


@pytest.mark.parametrize(
    ("do", "value", "more", "made"),
    [
        (
            "date_format",
            "2026-11-04",
            {"pattern": "EEEE d MMMM yyyy 'at' h:mm a"},
            "Wednesday 4 November 2026 at 12:00 AM",
        ),
        ("date_format", NOON, {"pattern": "yy/MM/dd HH:mm:ss.SSS xxx", "zone": "UTC"}, "26/11/24 11:00:00.000 +00:00"),
        ("date_format", "Tue, 24 Nov 2026 11:00:00 GMT", {"pattern": "HH:mm"}, "12:00"),
        ("date_format", 1_795_518_000, {"pattern": "yyyy-MM-dd HH:mm"}, "2026-11-24 12:00"),
        ("date_format", "1795518000000", {"pattern": "yyyy-MM-dd HH:mm"}, "2026-11-24 12:00"),
        ("date_read", "24.12.26 08:05", {"pattern": "dd.MM.yy HH:mm"}, "2026-12-24T08:05:00+01:00"),
        ("date_read", "Dec 24, 2026", {"pattern": "MMM d, yyyy"}, "2026-12-24"),
        ("date_read", "12/24/2026 3:05 pm", {"pattern": "M/d/yyyy h:mm a", "zone": "UTC"}, "2026-12-24T15:05:00+00:00"),
        ("date_read", "2026-12-24T08:05-05:00", {"pattern": "yyyy-MM-dd'T'HH:mmxxx"}, "2026-12-24T14:05:00+01:00"),
        ("date_shift", "2026-01-31", {"unit": "months"}, "2026-02-28"),
        ("date_shift", "2024-02-29", {"unit": "years", "amount": -1}, "2023-02-28"),
        ("date_shift", "2026-03-28T08:00", {"unit": "days"}, "2026-03-29T08:00:00+02:00"),
        ("date_shift", "2026-03-28T08:00", {"unit": "hours", "amount": 24}, "2026-03-29T09:00:00+02:00"),
        ("date_shift", "2026-11-24", {"unit": "hours", "amount": -1}, "2026-11-23T23:00:00+01:00"),
        ("date_shift", NOON, {"unit": "days", "amount": 0.5}, "2026-11-25T00:00:00+01:00"),
        ("date_between", "2026-01-01", {"until": "2026-03-01"}, 59),
        ("date_between", "2026-03-01", {"until": "2026-01-31", "unit": "months"}, -1),
        ("date_between", "2000-02-29", {"until": "2026-02-27", "unit": "years"}, 25),
        ("date_between", NOON, {"until": "2026-11-24 12:30", "unit": "hours"}, 0.5),
        ("date_start", NOON, {"unit": "weeks"}, "2026-11-23T00:00:00+01:00"),
        ("date_start", "2026-11-24", {"unit": "months"}, "2026-11-01"),
        ("date_start", NOON, {"unit": "hours"}, "2026-11-24T12:00:00+01:00"),
        ("date_end", "2026-02-10", {"unit": "months"}, "2026-02-28"),
        ("date_end", NOON, {"unit": "days"}, "2026-11-24T23:59:59.999999+01:00"),
        ("date_zone", NOON, {"zone": "Asia/Tokyo"}, "2026-11-24T20:00:00+09:00"),
        ("timestamp", NOON, {}, 1_795_518_000),
        ("span_seconds", "1 h 30 min", {}, 5_400),
        ("span_say", 5_400, {}, "1 h 30 min"),
    ],
)
def test_dates(do: str, value: Any, more: dict[str, Any], made: Any) -> None:
    assert result(do, value, **more) == made


def test_the_parts_of_a_date() -> None:
    made = result("date_parts", "2026-11-29")
    assert (made["weekday_name"], made["week"], made["quarter"], made["is_weekend"]) == ("Sunday", 48, 4, True)


def test_a_date_without_a_value_is_the_moment_of_the_attempt_and_until_may_be_a_field() -> None:
    now = datetime(2026, 11, 24, 11, tzinfo=UTC)
    data = {"due": "2026-11-25"}
    made = step("compute", calculations=[{"do": "date_between", "until": "due", "unit": "hours", "save_as": "left"}])
    ctx = StepContext(data, data, "a", 1, now, "1:a:0", time_zone="UTC")
    assert asyncio.run(made.run(ctx)).output["left"] == 13


@pytest.mark.parametrize(
    ("do", "value", "more", "words"),
    [
        ("date_shift", "soon", {}, "Expected a date such as 2026-11-24"),
        ("date_shift", "2026-13-01", {}, "Expected a date"),
        ("date_shift", True, {}, "Expected a date"),
        ("date_shift", [1], {}, "Expected a date"),
        ("date_shift", "9" * 4_000, {}, "Expected a date"),
        ("date_shift", 1e300, {}, "Expected a date"),
        ("date_shift", "\x00" * 50, {}, "Expected a date"),
        ("date_shift", "9999-12-31", {}, "9999-12-31 and 1 days lead out of the calendar"),
        ("date_shift", "2026-01-01", {"unit": "years", "amount": -1e9}, "2026-01-01 and -1e+09 years lead out"),
        (
            "date_shift",
            "2026-01-01",
            {"unit": "months", "amount": 0.5},
            "Expected a whole number of months; it is 0.5.",
        ),
        ("date_end", "9999-12-31", {"unit": "years"}, "9999-01-01 and 1 years lead out of the calendar"),
        (
            "date_read",
            "31.02.2026",
            {"pattern": "dd.MM.yyyy"},
            "Expected a date like “dd.MM.yyyy”; it is “31.02.2026”.",
        ),
        ("date_read", "٣١.٠١.٢٠٢٦", {"pattern": "dd.MM.yyyy"}, "Expected a date like “dd.MM.yyyy”"),
        ("date_read", "13:00 pm 01.01.2026", {"pattern": "hh:mm a dd.MM.yyyy"}, "Expected a date like"),
        ("date_read", {"a": 1}, {}, "Expected a date like “yyyy-MM-dd”; it is an object of 1 entry."),
        ("span_seconds", "soon", {}, "“soon” is no length of time."),
        ("span_say", -1, {}, "Expected a number of seconds such as 5400; it is -1."),
    ],
)
def test_what_is_no_date_is_said(do: str, value: Any, more: dict[str, Any], words: str) -> None:
    assert refused(do, value, **more).startswith(words)


# Texts and numbers


@pytest.mark.parametrize(
    ("do", "value", "more", "made"),
    [
        ("title", "ada lovelace", {}, "Ada Lovelace"),
        ("truncate", "hello my nice world", {"length": 12}, "hello my…"),
        ("truncate", "donaudampfschifffahrt", {"length": 5}, "dona…"),
        ("truncate", "short", {"length": 5}, "short"),
        ("truncate", "x", {"length": 0}, ""),
        ("slug", "Crème Brûlée, 2× Größe!", {}, "creme-brulee-2-grosse"),
        ("replace", "a.b.c", {"find": ".", "by": "-"}, "a-b-c"),
        ("replace_pattern", "12 EUR, 3 EUR", {"find": r"(\d+) EUR", "by": r"€\1"}, "€12, €3"),
        ("replace_pattern", "Aa", {"find": "a", "by": "", "ignore_case": True}, ""),
        ("extract", "mail ada@example.com", {"find": r"\w+@[\w.]+"}, "ada@example.com"),
        ("extract", "k=v", {"find": r"(\w)=(\w)"}, ["k", "v"]),
        ("extract", "k=v", {"find": r"(?P<key>\w)=(?P<value>\w)"}, {"key": "k", "value": "v"}),
        ("extract", "a1b22", {"find": r"\d+", "every": True}, ["1", "22"]),
        ("extract", "none", {"find": r"\d+"}, None),
        ("extract", "none", {"find": r"\d+", "every": True}, []),
        ("split", "a,b,", {"separator": ","}, ["a", "b", ""]),
        ("split", "a\r\nb", {}, ["a", "b"]),
        ("join", ["a", 1, None], {"separator": ", "}, "a, 1, "),
        ("length", "äö", {}, 2),
        ("length", [1, 2, 3], {}, 3),
        ("number", "1,234.50 €", {}, 1234.5),
        ("number", "1.234,50", {"comma": True}, 1234.5),
        ("number", 7, {}, 7),
        ("round", "2.345", {"decimals": 2}, 2.35),
        ("round", 2.5, {}, 3),
        ("round", -2.5, {}, -3),
        ("round", 10**30, {}, 10**30),
        ("upper", 12.5, {}, "12.5"),
        ("url", "a b/ü", {}, "a%20b%2F%C3%BC"),
        ("unurl", "a%20b", {}, "a b"),
        ("base64", "Hällo", {}, "SMOkbGxv"),
        ("unbase64", "SMOkbGxv", {}, "Hällo"),
        ("unbase64", "SGk", {}, "Hi"),
        ("hash", "a", {"algorithm": "md5"}, "0cc175b9c0f1b6a831c399e269772661"),
        ("hash", "a", {"encoding": "base64"}, "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="),
        ("hash", "ü", {"algorithm": "sha512"}, hashlib.sha512("ü".encode()).hexdigest()),
    ],
)
def test_texts_and_numbers(do: str, value: Any, more: dict[str, Any], made: Any) -> None:
    assert result(do, value, **more) == made


@pytest.mark.parametrize(
    ("do", "value", "more", "words"),
    [
        ("upper", [1], {}, "Expected text; it is a list of 1 item."),
        ("join", "a", {}, "Expected a list; it is “a”."),
        ("number", "many", {}, "Expected a number such as 1,234.50; it is “many”."),
        ("number", "1" * 5_000, {}, ""),
        ("round", "x", {}, "Expected a number such as 12.345; it is “x”."),
        ("unbase64", "#!", {}, "Expected Base64 such as SGVsbG8=; it is “#!”."),
        ("unbase64", "/w==", {}, "What is encoded there is no text in UTF-8."),
        ("replace_pattern", "a", {"find": "a", "by": r"\2"}, "“\\2” stands for nothing: the pattern has 0 groups."),
        ("replace", "a" * 1_000_000, {"find": "a", "by": "x" * 10_000}, "The text would have more than 16,777,216"),
        (
            "replace_pattern",
            "a" * 10_000,
            {"find": "a", "by": "x" * 10_000},
            "The text would have more than 16,777,216",
        ),
        ("extract", "a" * 200_000, {"find": "a", "every": True}, "The pattern would give more than 100,000 items"),
        ("split", "," * 200_000, {"separator": ","}, "Splitting would give more than 100,000 items"),
        ("trim", "a" * 16_777_217, {}, "The text has 16,777,217 characters; at most 16,777,216 are possible."),
    ],
)
def test_what_cannot_be_done_with_a_text_is_said(do: str, value: Any, more: dict[str, Any], words: str) -> None:
    if words:
        assert refused(do, value, **more).startswith(words)
    else:
        assert isinstance(result(do, value, **more), int)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(.*)*x", r"a{1000}b{1000}"])
def test_no_pattern_takes_long(pattern: str) -> None:
    """Each would keep a backtracking search busy for longer than anybody lives."""
    try:
        assert result("extract", "a" * 100_000 + "!", find=pattern) is None
    except ValidationError as refusal:
        assert "is no pattern" in str(refusal)


def test_a_unique_id_is_the_same_for_the_same_text_and_for_the_same_step_of_a_run() -> None:
    assert result("uuid", "a") == result("uuid", "a") != result("uuid", "b")
    made = [run("compute", {}, calculations=[{"do": "uuid"}])[0].output["result"] for _ in range(2)]
    assert made[0] == made[1] and len(made[0]) == 36


# Signatures


def signed(reveal: Any) -> Any:
    made = step("compute", calculations=[{"do": "sign", "field": "body", "secret": "hook", "save_as": "signature"}])
    ctx = StepContext({}, {"body": "x"}, "a", 1, datetime.now(UTC), "1:a:0", reveal=reveal)
    return asyncio.run(made.run(ctx)).output


def test_a_signature_takes_its_key_from_a_secret_and_shows_it_nowhere() -> None:
    asked: list[tuple[str, str]] = []

    def reveal(name: str, host: str) -> str:
        asked.append((name, host))
        return "s3cret"

    output = signed(reveal)
    assert output == {"body": "x", "signature": hmac.new(b"s3cret", b"x", "sha256").hexdigest()}
    assert asked == [("hook", "signature")], "it goes to no host"


def test_a_signature_without_its_secret_is_refused() -> None:
    def reveal(name: str, host: str) -> str:
        raise WorkflowStepError("There is no secret “hook” here.", is_permanent=True)

    with pytest.raises(WorkflowStepError, match="There is no secret “hook” here"):
        signed(reveal)


# Settings


@pytest.mark.parametrize(
    ("row", "place", "words"),
    [
        ({"do": "date_format", "pattern": "%Y"}, "pattern", "“%” means nothing in “%Y”; expected a pattern such as"),
        ({"do": "date_format", "pattern": "YYYY"}, "pattern", "“Y” means nothing in “YYYY”"),
        ({"do": "date_format", "pattern": " "}, "pattern", "expected a pattern such as dd.MM.yyyy HH:mm"),
        (
            {"do": "date_shift", "zone": "Mars"},
            "zone",
            "expected a time zone such as Europe/Berlin or UTC; it is “Mars”",
        ),
        ({"do": "date_shift", "zone": "../../etc/passwd"}, "zone", "expected a time zone"),
        ({"do": "date_shift", "zone": "Europe"}, "zone", "expected a time zone"),
        ({"do": "date_shift", "amount": float("inf")}, "amount", "must be"),
        ({"do": "extract", "find": "("}, "find", "“(” is no pattern: missing ): ("),
        ({"do": "extract", "find": r"(?=a)"}, "find", "“(?=a)” is no pattern"),
        ({"do": "extract", "find": r"(a)\1"}, "find", "is no pattern"),
        ({"do": "extract"}, "find", r"expected a pattern such as \d+"),
        ({"do": "replace"}, "find", "expected the text that is replaced"),
        ({"do": "sign"}, "secret", "choose the secret that is the key of the signature"),
        ({"do": "guess"}, "do", "must be one of"),
        ({"do": "trim", "save_as": "a..b"}, "save_as", "two dots in a row"),
        ({"do": "truncate", "length": -1}, "length", "must be at least 0"),
    ],
)
def test_what_publishing_can_see_is_named_at_its_field(row: dict[str, Any], place: str, words: str) -> None:
    ((where, text),) = config_errors(kinds()["compute"], {"calculations": [row]})
    assert where == f"calculations.0.{place}" and words in text


def test_every_calculation_has_words_and_is_done() -> None:
    for do in DO:
        try:
            result(do, "2026-11-24", find="2", secret="a", amount=1)
        except WorkflowStepError as error:
            assert "Calculation 1" in error.message


def test_what_is_written_by_a_pattern_is_read_by_it_again() -> None:
    pattern = "EEE d MMM yyyy HH:mm:ss.SSS xxx"
    text = result("date_format", NOON, pattern=pattern)
    assert result("date_read", text, pattern=pattern) == NOON
    assert dates.wrong_pattern(pattern) == ""
