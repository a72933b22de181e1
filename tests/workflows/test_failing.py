"""“When it fails”: what one line says, and what the form keeps. Pure: no database."""

from __future__ import annotations

from typing import Any

import pytest

from workflows.failing import read, said, section
from workflows.policy import Policy


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({}, "Tried once; the execution stops"),
        ({"on_failure": "continue"}, "Tried once; the execution goes on without it"),
        ({"on_failure": "error", "timeout_s": 30}, "Tried once, at most 30 s; the execution goes on by “error”"),
        ({"attempts": 2}, "Tried 2 times, about 1 s apart; then the execution stops"),
        ({"attempts": 4, "backoff_s": 2}, "Tried 4 times, about 2 s, 4 s, 8 s apart; then the execution stops"),
        (
            {"attempts": 9, "backoff_s": 0.5, "backoff_max_s": 1, "timeout_s": 5},
            "Tried 9 times, about 0.5 s, 1 s, 1 s, … apart, at most 5 s each time; then the execution stops",
        ),
        ({"attempts": 1000, "backoff_s": 86_400}, None),
    ],
)
def test_one_line_says_what_holds(policy: dict[str, Any], words: str | None) -> None:
    assert said(Policy.model_validate(policy)) == words or words is None


def test_the_section_is_open_where_something_is_set() -> None:
    assert section({}).is_set is False and section({"policy": {}}).is_set is False
    found = section({"policy": {"attempts": 3}})
    assert found.is_set and found.words.startswith("Tried 3 times")
    assert found.settings[0].name == "policy.attempts"
    assert ("error", "it goes on by “error”") in found.settings[-1].options


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"attempts": 0}, "policy.attempts"),
        ({"attempts": "many"}, "policy.attempts"),
        ({"backoff_s": -1}, "policy.backoff_s"),
        ({"timeout_s": 0}, "policy.timeout_s"),
        ({"on_failure": "explode"}, "policy.on_failure"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_is_kept(policy: dict[str, Any], field: str) -> None:
    found = section({"policy": policy})
    (wrong,) = [setting for setting in found.settings if setting.errors]
    assert wrong.name == field and wrong.value == str(next(iter(policy.values())))
    assert found.words == "This is not followed before it is mended"


@pytest.mark.parametrize("policy", ["never", 5, ["stop"], True])
def test_what_is_no_policy_at_all_is_told_and_stays_until_one_is_set(policy: Any) -> None:
    assert section({"policy": policy}).errors
    assert read({"policy.attempts": ""}, {"policy": policy}) == {"policy": policy}
    assert read({"policy.attempts": "3"}, {"policy": policy}) == {"policy": {"attempts": 3}}


def test_what_is_typed_is_kept_and_what_is_emptied_goes() -> None:
    assert read({"policy.attempts": "3", "policy.on_failure": "stop"}, {"a": 1}) == {"a": 1, "policy": {"attempts": 3}}
    assert read({"policy.attempts": "lots"}, {}) == {"policy": {"attempts": "lots"}}
    assert read({"policy.attempts": ""}, {"policy": {"attempts": 3}}) == {}
    assert read({"policy.attempts": ""}, {"policy": {"attempts": 3, "theirs": 1}}) == {"policy": {"theirs": 1}}
    assert read({}, {"policy": {"attempts": 3}}) == {"policy": {"attempts": 3}}, "its fields were not in the form"
