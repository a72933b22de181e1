"""branch and switch: which way they go, and what they say about it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.workflows.steps.conftest import run, step
from workflows.graph import Node
from workflows.steps import config_errors, handles_of, kinds, way
from workflows.steps.base import Done
from workflows.steps.switch import Switch

LARGE = {"path": "amount", "operator": "greater", "value": "100"}
VIP = {"path": "customer.vip", "operator": "true"}


@pytest.mark.parametrize(
    ("data", "handle", "line"),
    [
        ({"amount": 120}, "true", "“amount” is 120, which is more than 100: goes to “true”"),
        ({"amount": 80}, "false", "“amount” is 80, which is not more than 100: goes to “false”"),
        ({}, "false", "“amount” is missing, so it cannot be compared with the number 100: goes to “false”"),
        (
            {"amount": "lots"},
            "false",
            "“amount” is text “lots”, which cannot be compared with the number 100: goes to “false”",
        ),
    ],
)
def test_a_branch_says_why_it_goes_where_it_goes(data: dict[str, Any], handle: str, line: str) -> None:
    assert run("branch", data, conditions=[LARGE]) == (Done(data, handle), [line])


def test_all_or_any_of_several() -> None:
    data = {"amount": 120, "customer": {"vip": False}}
    assert run("branch", data, conditions=[LARGE, VIP])[0].handle == "false"
    assert run("branch", data, conditions=[LARGE, VIP], match="any")[0].handle == "true"


def test_dates_are_meant_in_the_workflows_time_zone(settings: Any) -> None:
    late = {"path": "at", "operator": "after", "value": "2026-11-24"}
    data = {"at": "2026-11-24T23:30Z"}
    settings.TIME_ZONE = "UTC"
    assert run("branch", data, conditions=[late])[0].handle == "false"
    assert run("branch", data, conditions=[late], time_zone="Europe/Berlin")[0].handle == "true"
    settings.TIME_ZONE = "Europe/Berlin"
    assert run("branch", data, conditions=[late])[0].handle == "true"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"conditions": []},
        {"conditions": [{}]},
        {"conditions": "amount > 100"},
        {"conditions": [LARGE] * 51},
        {"conditions": [LARGE], "match": "some"},
        {"conditions": [{**LARGE, "value": ""}]},
    ],
)
def test_a_branch_without_something_to_compare_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        step("branch", **config)


def test_what_is_wrong_is_told_at_its_field() -> None:
    errors = config_errors(kinds()["branch"], {"conditions": [LARGE, {**LARGE, "value": "a lot"}]})
    words = "Conditions 2, value: “is more than” needs a number such as 100, or a date such as 2026-11-24, not “a lot”."
    assert errors == [("conditions.1.value", words)]


# switch


def case(case_id: str, country: str, **more: Any) -> dict[str, Any]:
    return {"id": case_id, "conditions": [{"path": "country", "value": country}], **more}


CASES = [case("de", "de", label="Germany"), case("eu", "de"), case("fr", "fr", label="France")]


@pytest.mark.parametrize(
    ("country", "handle", "last"),
    [
        ("de", "de", "“country” is “de”, which equals “de”: goes to “Germany”"),
        ("fr", "fr", "“country” is “fr”, which equals “fr”: goes to “France”"),
        ("it", "default", "No case holds: goes to “otherwise”"),
    ],
)
def test_a_switch_goes_by_the_first_case_that_holds(country: str, handle: str, last: str) -> None:
    outcome, lines = run("switch", {"country": country}, cases=CASES)
    assert (outcome.handle, lines[-1]) == (handle, last)
    assert outcome.output == {"country": country}


def test_a_switch_says_which_cases_do_not_hold() -> None:
    lines = run("switch", {"country": "fr"}, cases=CASES)[1]
    assert lines[0] == "“country” is “fr”, which does not equal “de”: not “Germany”"
    assert len(lines) == 3


def test_a_switch_without_cases_goes_on() -> None:
    assert run("switch", {})[0].handle == "default"


@pytest.mark.parametrize(
    "cases",
    [
        [case("a", "x"), case("a", "y")],
        [case("default", "x")],
        [case("error", "x")],
        [case("each", "x")],
        [case("", "x")],
        [case("a b", "x")],
        [case("x" * 65, "x")],
        [{"id": "a"}],
        [case("a", "x", label="x" * 61)],
        [case(f"c{number}", "x") for number in range(51)],
        "a",
    ],
)
def test_cases_that_connections_could_not_tell_apart_are_refused(cases: Any) -> None:
    with pytest.raises(ValidationError):
        step("switch", cases=cases)


def test_the_ways_of_a_switch_go_by_the_names_of_its_cases() -> None:
    node = Node("a", "switch", {"cases": CASES})
    assert handles_of(node) == ("de", "eu", "fr", "default")
    assert [way(node, handle) for handle in handles_of(node)] == ["Germany", "eu", "France", "otherwise"]


@pytest.mark.parametrize("cases", [None, "text", 5, {}, [None, 5, {"id": 7}, {"id": ""}, {"label": "x"}]])
def test_a_switch_that_is_still_wrong_has_the_ways_that_can_be_read(cases: Any) -> None:
    assert handles_of(Node("a", "switch", {"cases": cases})) == ("default",)
    assert way(Node("a", "switch", {"cases": cases}), "gone") == "gone"
    Switch.filled({"cases": cases})


def test_an_id_is_made_once_and_stays_when_the_name_changes() -> None:
    made = Switch.filled(
        {"cases": [{}, {"label": "Very urgent!"}, {"label": "default"}, {"id": "old", "label": "Old"}]}
    )
    assert [case["id"] for case in made["cases"]] == ["case-1", "very-urgent", "default-2", "old"]
    assert [case["label"] for case in made["cases"]] == ["Case 1", "Very urgent!", "default", "Old"]
    renamed = [{**case, "label": "Other"} for case in made["cases"]]
    assert Switch.filled({"cases": renamed})["cases"] == renamed


def test_two_cases_of_one_name_get_two_ids() -> None:
    made = Switch.filled({"cases": [{"label": "A"}, {"label": "A"}, {"label": "ü"}]})
    assert [case["id"] for case in made["cases"]] == ["a", "a-2", "step"]
