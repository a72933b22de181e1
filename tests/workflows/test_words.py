"""How times, numbers and JSON are said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workflows.words import age, as_json, count, duration, iso

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "<1 ms"),
        (43, "43 ms"),
        (999.9, "999 ms"),
        (1_200, "1.2 s"),
        (59_990, "59.9 s"),
        (60_000, "1 m 00 s"),
        (184_000, "3 m 04 s"),
        (3_600_000, "1 h 00 m"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_said_as_short_as_it_is_useful(ms: float, said: str) -> None:
    assert duration(ms) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "just now"), (48, "48 s ago"), (60, "1 min ago"), (7_200, "2 hours ago"), (86_400, "1 day ago")],
)
def test_an_age_is_said_roughly(seconds: int, said: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == said


def test_a_time_ahead_of_our_clock_is_just_now() -> None:
    assert age(NOW + timedelta(seconds=5), NOW) == "just now"


def test_many_are_many() -> None:
    assert (count(1, "step"), count(2_000, "step"), count(0, "entry")) == ("1 step", "2,000 steps", "0 entries")


def test_a_moment_is_written_in_utc_with_milliseconds() -> None:
    assert iso(NOW + timedelta(microseconds=7_900)) == "2026-11-23T12:00:00.007Z"


@pytest.mark.parametrize(
    "value",
    [{}, [], None, 1.5, "ö", {"a": [1, {"b": None}]}, {"long": ["x" * 50] * 3, "": {"nested": {"deep": "y" * 90}}}],
)
def test_json_that_is_laid_out_is_the_same_json(value: Any) -> None:
    assert json.loads(as_json(value)) == value


def test_what_fits_stands_on_one_line_and_what_does_not_is_broken() -> None:
    assert as_json({"x": 0, "y": 0}) == '{"x": 0, "y": 0}'
    assert as_json({"a": "x" * 60, "b": ["y" * 60]}).count("\n") == 3
