"""A workflow's settings: typed in plain words, refused at their field, taken along by copy, file and API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.conftest import CHAIN
from workflows import spans
from workflows.errors import InputError
from workflows.exchange import read, write
from workflows.models import Workflow
from workflows.transfer import packed, unpacked

pytestmark = pytest.mark.django_db

BASE = {"name": "Chain", "description": "", "tags": "", "group": "", "max_parallel": "8", "time_zone": ""}
SET = {
    "time_limit": "1 h 30 min",
    "concurrency": "3",
    "concurrency_key": "customer.id",
    "concurrency_per_key": "2",
    "token_budget": "10000",
    "priority": "1",
    "on_failure": "",
    "keep_days": "7",
}
LIMITS = {
    "time_limit_s": 5_400,
    "concurrency": 3,
    "concurrency_key": "customer.id",
    "concurrency_per_key": 2,
    "token_budget": 10_000,
    "priority": 1,
    "keep_days": 7,
}


def about(workflow: Workflow) -> str:
    return reverse("workflows:about", args=[workflow.pk])


def limits(workflow: Workflow) -> dict[str, Any]:
    workflow.refresh_from_db()
    return {name: getattr(workflow, name) for name in LIMITS}


def test_everything_is_kept_as_it_was_typed(as_alice: Client, workflow: Workflow) -> None:
    assert as_alice.post(about(workflow), {**BASE, **SET}).status_code == 303
    assert limits(workflow) == LIMITS
    text = as_alice.get(about(workflow)).text
    assert 'value="1 h 30 min"' in text and 'value="customer.id"' in text
    assert all(f"<h3>{title}</h3>" in text for title in ("Runs", "Time", "When an execution fails", "History"))


def test_empty_means_none_and_what_is_left_out_stays(as_alice: Client, workflow: Workflow) -> None:
    as_alice.post(about(workflow), {**BASE, **SET})
    as_alice.post(about(workflow), {**BASE, **SET, "time_limit": "", "concurrency": "", "keep_days": ""})
    assert limits(workflow) == {**LIMITS, "time_limit_s": None, "concurrency": None, "keep_days": None}
    as_alice.post(about(workflow), {**BASE, "name": "Better"})
    assert limits(workflow)["priority"] == 1 and limits(workflow)["concurrency_per_key"] == 2


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"time_limit": "30"}, "Say the unit too"),
        ({"time_limit": "soon"}, "is no length of time"),
        ({"time_limit": "3 fortnights"}, "is no unit of time"),
        ({"time_limit": "0 s"}, "between 1 s and 366 d"),
        ({"time_limit": "-5 min"}, "is no length of time"),
        ({"time_limit": "999999 d"}, "between 1 s and 366 d"),
        ({"concurrency": "0"}, "greater than or equal to 1"),
        ({"concurrency": "many"}, "whole number"),
        ({"concurrency_key": "customer id"}, "is no place in the input"),
        ({"concurrency_key": "{{ x }}"}, "is no place in the input"),
        ({"concurrency_per_key": "0"}, "greater than or equal to 1"),
        ({"priority": "9"}, "valid choice"),
        ({"keep_days": "-1"}, "greater than or equal to 0"),
        ({"on_failure": "999999"}, "valid choice"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    as_alice: Client, workflow: Workflow, typed: dict[str, str], words: str
) -> None:
    before = limits(workflow)
    response = as_alice.post(about(workflow), {**BASE, **SET, "description": "Typed long", **typed})
    (name,) = typed
    assert response.status_code == 422 and words in response.text
    assert f'id="id_{name}_error"' in response.text and "Typed long" in response.text
    assert limits(workflow) == before


def test_only_workflows_that_one_may_see_can_be_started_on_a_failure(
    as_alice: Client, as_bob: Client, workflow: Workflow, alice: User, charlie: User
) -> None:
    mine = Workflow.objects.create(name="Tell me", owner=alice)
    foreign = Workflow.objects.create(name="Charlie's own", owner=charlie)
    text = as_alice.get(about(workflow)).text
    assert "Tell me" in text and "Charlie" not in text
    assert as_alice.post(about(workflow), {**BASE, "on_failure": str(foreign.pk)}).status_code == 422
    assert as_alice.post(about(workflow), {**BASE, "on_failure": str(workflow.pk)}).status_code == 422
    assert as_alice.post(about(workflow), {**BASE, "on_failure": str(mine.pk)}).status_code == 303
    assert "Tell me" not in as_bob.get(about(workflow)).text, "bob may edit this one, and not see that one"
    as_bob.post(about(workflow), {**BASE, "on_failure": ""})
    workflow.refresh_from_db()
    assert workflow.on_failure == mine, "what he cannot see he cannot change"


def test_a_copy_and_a_file_take_the_settings_along(workflow: Workflow, alice: User) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(**LIMITS)
    workflow.refresh_from_db()
    assert limits(workflow.copy(alice)) == LIMITS
    assert limits(unpacked(read(write(packed(workflow))), "", alice)) == LIMITS


def test_a_file_without_settings_is_read_as_ever(alice: User) -> None:
    made = unpacked(read(json.dumps({"definition": CHAIN})), "Old", alice)
    assert limits(made) == {**dict.fromkeys(LIMITS), "concurrency_key": "", "concurrency_per_key": 1, "priority": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"time_limit_s": 0},
        {"time_limit_s": "1 h"},
        {"keep_days": True},
        {"priority": 7},
        {"concurrency_key": "a b"},
    ],
)
def test_a_file_with_settings_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        read(json.dumps({"definition": CHAIN, "settings": wrong}))


def test_the_api_gives_and_takes_them(as_alice: Client, workflow: Workflow) -> None:
    url = f"/api/workflows/{workflow.pk}"
    changed = as_alice.put(url, {"settings": LIMITS}, content_type="application/json")
    assert changed.status_code == 200 and changed.json()["settings"] == {
        **LIMITS, "max_parallel": 8, "time_zone": "", "on_failure": None
    }  # fmt: skip
    as_alice.put(url, {"settings": {"keep_days": None}}, content_type="application/json")
    assert limits(workflow) == {**LIMITS, "keep_days": None}


@pytest.mark.parametrize(
    "wrong", [{"time_limit_s": 0}, {"keep_days": -1}, {"priority": 5}, {"on_failure": 999_999}, {"nonsense": 1}]
)
def test_the_api_refuses_what_cannot_be(as_alice: Client, workflow: Workflow, wrong: dict[str, Any]) -> None:
    before = limits(workflow)
    response = as_alice.put(f"/api/workflows/{workflow.pk}", {"settings": wrong}, content_type="application/json")
    assert response.status_code == 422 and "settings" in str(response.json()["where"])
    assert limits(workflow) == before


def test_the_page_says_what_is_kept_and_what_would_go(as_alice: Client, as_charlie: Client, workflow: Workflow) -> None:
    url = reverse("executions:kept", args=[workflow.pk])
    assert "0 executions are kept" in as_alice.get(url).text
    assert "They stay for ever." in as_alice.get(url, {"keep_days": "0"}).text
    alone = as_alice.get(url, {"keep_days": "5"}, headers={"HX-Request": "true"}).text
    assert "Nothing is older than 5 days" in alone and "<html" not in alone
    for odd in ("-1", "soon", "9" * 40, ""):
        assert as_alice.get(url, {"keep_days": odd}).status_code == 200
    assert as_charlie.get(url).status_code == 404


# Spans


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", None),
        ("45 s", 45),
        ("30min", 1_800),
        ("2 h 15 min", 8_100),
        ("1.5 h", 5_400),
        ("1,5 hours", 5_400),
        ("3 Days", 259_200),
        ("1 d, 2 h and 3 s", 93_603),
    ],
)
def test_spans_are_read_as_people_write_them(text: str, whole: int | None) -> None:
    assert spans.seconds(text) == whole
    assert spans.seconds(spans.said(whole)) == whole


@pytest.mark.parametrize("text", ["5", "min", "5 x", "1 h of it", "h 5", "٣ min", "400 d", "0.1 s"])
def test_other_texts_are_no_spans(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        spans.seconds(text)
