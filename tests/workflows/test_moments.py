"""Which moment a text means, and what is said where it means none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from workflows.errors import InputError
from workflows.moments import is_path, moment_of, read

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC", now: datetime = NOW, **data: Any) -> str:
    found = moment_of(text, now, zone, data)
    assert found.tzinfo is UTC
    return f"{found:%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-12-24 08:00", "UTC", "2026-12-24 08:00:00"),
        ("2026-12-24 08:00", BERLIN, "2026-12-24 07:00:00"),
        ("2026-07-24 08:00", BERLIN, "2026-07-24 06:00:00"),
        ("2026-12-24T08:00:30+02:00", BERLIN, "2026-12-24 06:00:30"),
        ("2026-12-24T08:00:00Z", BERLIN, "2026-12-24 08:00:00"),
        (" 2026-12-24 ", BERLIN, "2026-12-23 23:00:00"),
        ("10:00", "UTC", "2026-11-24 10:00:00"),
        ("09:30", "UTC", "2026-11-25 09:30:00"),
        ("9:00", "UTC", "2026-11-25 09:00:00"),
        ("10:00", BERLIN, "2026-11-25 09:00:00"),
        ("11:00:05", BERLIN, "2026-11-24 10:00:05"),
        ("00:00", "Pacific/Kiritimati", "2026-11-24 10:00:00"),
    ],
)
def test_a_text_means_a_moment(text: str, zone: str, moment: str) -> None:
    assert at(text, zone) == moment


def test_a_day_may_have_23_or_25_hours() -> None:
    """The clocks of Berlin go back on 25 October 2026 at 3 and forward on 29 March 2026 at 2."""
    evening = datetime(2026, 10, 24, 18, 0, tzinfo=UTC)
    assert at("08:00", BERLIN, evening) == "2026-10-25 07:00:00"
    assert at("02:30", BERLIN, evening) == "2026-10-25 00:30:00", "of two, the first"
    assert at("02:30", BERLIN, datetime(2026, 3, 28, 18, 0, tzinfo=UTC)) == "2026-03-29 01:30:00", "of none, after it"


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("at", {"at": "2026-12-24 08:00"}),
        ("order.at", {"order": {"at": "2026-12-24 08:00"}}),
        ("lines.1.at", {"lines": [{}, {"at": "2026-12-24 08:00"}]}),
        ("größe_1", {"größe_1": "2026-12-24 08:00"}),
    ],
)
def test_a_path_leads_into_the_data(path: str, data: dict[str, Any]) -> None:
    assert is_path(path) and at(path, **data) == "2026-12-24 08:00:00"


@pytest.mark.parametrize(
    ("path", "data", "sentence"),
    [
        ("at", {}, "The data has no “at”, which should hold the time. It has nothing."),
        ("at", {"to": 1}, "It has “to”."),
        ("a.b", {"a": "text"}, "no “a.b”"),
        ("a.5", {"a": [1]}, "no “a.5”"),
        (f"a.{'9' * 5000}", {"a": [1]}, "no “a.9"),
        ("at", {"at": 1_800_000_000}, "“at” in the data must be text such as"),
        ("at", {"at": None}, "not null"),
        ("at", {"at": {"x": 1}}, "not an object"),
        ("at", {"at": "soon"}, "“at” in the data is “soon”, which is no time. Write 2026-12-24 08:00"),
        ("at", {"at": "at"}, "is “at”, which is no time"),
    ],
)
def test_a_path_that_leads_to_no_moment_says_why(path: str, data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        at(path, **data)
    assert sentence in refused.value.message and len(refused.value.message) < 400


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon!", "25:00", "8", "08:60", "24:00", "2026-02-30", "2026-13-01", "26-12-24", "2026-12-24 25:00"),
        *("2026-W52-4", "20261224", "2026-12-24T08:00+99:00", "٢٠٢٦-١٢-٢٤", "2026-12-24 08:00 x" * 50),
        *("9999-12-31T23:59:59-12:00"),
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no time"):
        read(text, NOW, "Pacific/Kiritimati")


def test_a_path_is_no_number_and_no_sentence() -> None:
    assert not any(is_path(text) for text in ("", "8", "08:00", "a b", "a..b", ".a", "a.", "2026-12-24", "{{ a }}"))
