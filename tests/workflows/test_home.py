"""Home: what one may see, how it has been going, what needs attention, and the first click."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from executions.models import WorkflowExecution
from tests.conftest import CHAIN
from workflows import glance
from workflows.models import Workflow
from workflows.usual import usual
from workflows.views import home

Make = Callable[..., WorkflowExecution]


@pytest.fixture
def make(workflow: Workflow) -> Make:
    """One execution of alice's chain; what has ended took two seconds."""

    def made(status: str = "completed", of: Workflow = workflow, **fields: Any) -> WorkflowExecution:
        begun = fields.setdefault("created_at", timezone.now())
        ended = begun + timedelta(seconds=2) if status in ("completed", "failed", "cancelled") else None
        fields = {"started_at": begun, "completed_at": ended, "version": of.published} | fields
        return WorkflowExecution.objects.create(workflow=of, status=status, **fields)

    return made


def named(name: str, owner: User, **fields: Any) -> Workflow:
    workflow = Workflow.objects.create(name=name, owner=owner, **fields)
    workflow.publish(CHAIN)
    return workflow


def names(client: Client, **words: Any) -> list[str]:
    """The rows, from top to bottom."""
    return [row["workflow"].name for row in client.get("/", words).context["rows"]]


# Find


def test_home_shows_what_one_may_see_and_nothing_else(workflow: Workflow, as_bob: Client, as_charlie: Client) -> None:
    assert names(as_bob) == ["Chain"]
    assert "Chain" not in as_charlie.get("/").text


def test_an_empty_home_says_how_to_begin(as_charlie: Client) -> None:
    text = as_charlie.get("/").text
    assert "There is no workflow yet" in text
    assert reverse("workflows:new") in text


def test_a_search_finds_by_name_and_description_and_says_when_it_finds_nothing(alice: User, as_alice: Client) -> None:
    named("Chain", alice)
    named("Other", alice, description="about a chain of shops")
    named("Third", alice)
    assert names(as_alice, q="CHA") == ["Chain", "Other"]
    nothing = as_alice.get("/", {"q": "<b>zebra"}).text
    assert "No workflow has “&lt;b&gt;zebra” in its name, description or tags" in nothing
    assert "<table" not in nothing


def test_tabs_sort_by_the_state_of_the_last_execution_and_count(alice: User, as_alice: Client, make: Make) -> None:
    for name, states in {
        "Fails": ["completed", "failed"],
        "Mended": ["failed", "completed"],
        "Runs": ["running"],
    }.items():
        workflow = named(name, alice)
        for status in states:
            make(status, workflow)
    Workflow.objects.create(name="Empty", owner=alice)
    context = as_alice.get("/").context
    assert {label: held for _, label, _, held in context["tabs"]} == {
        "All": 5,
        "Failing": 1,
        "Running": 1,
        "Waiting": 0,
        "Drafts": 1,
    }
    assert names(as_alice, state="failing") == ["Fails"]
    assert names(as_alice, state="running") == ["Runs"]
    assert names(as_alice, state="drafts") == ["Empty"]
    assert "Nothing is waiting" in as_alice.get("/?state=waiting").text


def test_the_order_is_by_name_or_as_asked(alice: User, as_alice: Client, make: Make) -> None:
    for name in ("B", "A", "C"):
        make("failed" if name == "C" else "completed", named(name, alice))
    Workflow.objects.filter(name="Chain").delete()
    assert names(as_alice) == ["A", "B", "C"]
    assert names(as_alice, sort="newest") == ["C", "A", "B"]
    assert names(as_alice, sort="failing") == ["C", "A", "B"]


@pytest.mark.parametrize(
    "words",
    [
        {"page": "0"},
        {"page": "-1"},
        {"page": "99999"},
        {"page": "9" * 50},
        {"page": "²"},
        {"sort": "x", "state": "'"},
        {"q": "\x00"},
        {"q": "%" * 5_000},
        {"q": "_"},
    ],
    ids=str,
)
def test_words_of_any_shape_are_no_error(words: dict[str, str], workflow: Workflow, as_alice: Client) -> None:
    assert as_alice.get("/", words).status_code == 200


def test_what_does_not_fit_on_a_page_follows_on_the_next(
    alice: User, as_alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "PAGE", 2)
    for name in "ABCDE":
        named(name, alice)
    first = as_alice.get("/", {"sort": "failing"})
    assert "1 to 2 of 5" in first.text
    second = as_alice.get("/" + first.context["later"])
    assert [row["workflow"].name for row in second.context["rows"]] == ["C", "D"]
    assert 'value="failing" selected' in second.text
    assert names(as_alice, page=3) == ["E"] and names(as_alice, page=4) == []
    assert "This page is empty" in as_alice.get("/?page=4").text


def test_archived_workflows_are_gone_from_home(workflow: Workflow, as_alice: Client) -> None:
    workflow.archive()
    assert names(as_alice) == []


# A row


def test_a_row_tells_of_the_last_execution_and_of_the_last_ten(make: Make, as_bob: Client) -> None:
    for status in ["failed", *["completed"] * 8, "cancelled", "running"]:
        last = make(status)
    text = as_bob.get("/").text
    assert f'href="/executions/{last.pk}/"' in text
    assert 'aria-label="Last 10 executions: 8 completed, 1 cancelled, 1 running"' in text
    assert text.count('<rect class="is-completed"') == 8
    assert "usually </span>2 s" in text


def test_a_failure_has_a_mark_below_the_ground_and_what_was_cancelled_is_hollow() -> None:
    now = timezone.now()
    for status, rects in (("failed", 2), ("cancelled", 1), ("completed", 1)):
        one = glance.Short(1, status, now, now, now + timedelta(seconds=1), False, False)
        bars = glance.Glance(1, (one,), 1000).bars
        assert bars.count("<rect") == rects
        assert ('y="22"' in bars) == (status == "failed")


def test_the_height_of_a_bar_is_the_time_against_the_usual_and_stays_in_its_field() -> None:
    now = timezone.now()
    took = [
        glance.Short(1, "completed", now, now, now + timedelta(seconds=s), False, False) for s in (0, 1, 2, 4, 9_999)
    ]
    heights = [glance._height(one, 2_000) for one in took]
    assert heights == sorted(heights)
    assert min(heights) >= 3 and max(heights) == glance.TALL
    assert heights[2] < heights[3]


def test_a_row_runs_at_once_by_a_form_and_with_other_input_by_a_link(workflow: Workflow, as_alice: Client) -> None:
    make_one = as_alice.get("/")
    text = make_one.text
    row = text[text.index("<tbody>") :]
    assert f'<form method="post" action="/workflows/{workflow.pk}/start/">' in row
    key = re.search(r'name="key" value="(\w+)"', row)
    assert key and key[1] not in as_alice.get("/").text  # a new form is a new execution
    assert "no-store" in make_one["Cache-Control"]
    assert reverse("executions:run", args=[workflow.pk]) in row


def test_what_cannot_be_run_offers_no_run(alice: User, as_alice: Client) -> None:
    draft = Workflow.objects.create(name="Draft", owner=alice)
    off = named("Off", alice, is_active=False)
    text = as_alice.get("/").text
    assert f"/workflows/{draft.pk}/start/" not in text and f"/workflows/{off.pk}/start/" not in text
    assert 'aria-label="Continue Draft"' in text
    assert '<span class="tag draft">empty</span>' in text and '<span class="tag">off</span>' in text


# Attention


def test_what_failed_last_needs_attention_with_its_cause(make: Make, as_bob: Client) -> None:
    make("completed")
    assert "Needs attention" not in as_bob.get("/").text
    error = {"step_name": "Shout", "message": "no <such> VAT code"}
    failed = make("failed", error=error, error_message=error["message"])
    text = as_bob.get("/").text
    panel = text[text.index("attention-title") : text.index("</ul>")]
    assert "Shout: " in panel and "no &lt;such&gt; VAT code" in panel
    assert f'href="/executions/{failed.pk}/"' in panel
    make("completed")
    assert "Needs attention" not in as_bob.get("/").text


def test_what_others_failed_at_and_tries_of_a_draft_need_nobodys_attention(
    make: Make, workflow: Workflow, as_alice: Client, as_charlie: Client
) -> None:
    make("failed", error_message="hers")
    assert "Needs attention" not in as_charlie.get("/").text
    make("failed", version=workflow.versions.create(definition=CHAIN, number=None))
    assert "Needs attention" not in as_alice.get("/").text


def test_what_nobody_works_on_and_what_has_waited_long_needs_attention(
    make: Make, as_alice: Client, as_charlie: Client
) -> None:
    now = timezone.now()
    make("pending", due_at=now - timedelta(minutes=5), started_at=None)
    make("running", owner="gone", due_at=now - timedelta(seconds=1))
    make("waiting", due_at=now + timedelta(days=9), created_at=now - timedelta(days=2))
    make("running", owner="alive", due_at=now + timedelta(seconds=30))
    make("pending", due_at=now, started_at=None)
    make("waiting", due_at=now + timedelta(days=9))
    words = [(matter.word, matter.state) for matter in as_alice.get("/").context["matters"]]
    assert words == [("Overdue", "waiting"), ("Silent", "waiting"), ("Waiting", "waiting")]
    assert as_charlie.get("/").context["matters"] == []


def test_many_failures_are_counted_and_not_all_listed(make: Make, alice: User, as_alice: Client) -> None:
    for number in range(8):
        make("failed", named(f"W{number}", alice))
    text = as_alice.get("/").text
    assert text.count('class="chip is-failed">') == 5 + 8
    assert "3 more failing" in text


# The first click


def test_where_nothing_has_run_the_first_run_is_one_click_away(workflow: Workflow, as_bob: Client, make: Make) -> None:
    text = as_bob.get("/").text
    assert "Run your first workflow" in text
    assert "btn primary" in text and text.count("btn primary") == 1
    make()
    text = as_bob.get("/").text
    assert "Run your first workflow" not in text
    assert text.count("btn primary") == 1


# The cost


def test_home_asks_the_database_as_often_for_twenty_as_for_one(
    alice: User, team: Group, make: Make, as_bob: Client, django_assert_max_num_queries: Any
) -> None:
    make("failed")
    with CaptureQueriesContext(connection) as few:
        as_bob.get("/")
    for number in range(20):
        workflow = named(f"W{number}", alice, group=team)
        for status in ("completed", "failed"):
            make(status, workflow)
    with django_assert_max_num_queries(len(few)):
        assert as_bob.get("/").text.count('<td class="w-name">') == 21
    assert len(few) <= 13


def test_the_usual_is_the_median_of_the_last_ten_and_needs_one_query(
    make: Make, workflow: Workflow, django_assert_num_queries: Any
) -> None:
    now = timezone.now()
    for seconds in (1_000, *range(1, 11)):
        make(created_at=now, completed_at=now + timedelta(seconds=seconds))
    make("failed")
    with django_assert_num_queries(1):
        assert usual([workflow.pk, 999]) == {workflow.pk: 5_500.0}


def test_what_the_socket_sends_is_what_home_shows(make: Make, workflow: Workflow, as_alice: Client) -> None:
    make("running")
    face = glance.faces([workflow.pk])[workflow.pk]
    cell = re.search(r"<hx-partial[^>]*>(.*)</hx-partial>", face.frame, re.DOTALL)
    assert cell and cell[1] in as_alice.get("/").text
    assert "csrf" not in face.frame and "<form" not in face.frame


def test_tags_are_shown_searched_and_filtered_by(alice: User, as_alice: Client) -> None:
    named("Chain", alice).set_tags(["billing", "night"])
    named("Other", alice).set_tags(["day"])
    assert names(as_alice, q="bill") == ["Chain"]
    assert names(as_alice, tag="Night") == ["Chain"]
    text = as_alice.get("/", {"tag": "night"}).text
    assert 'href="?tag=billing"' in text
    nothing = as_alice.get("/", {"tag": "<b>"}).text
    assert "has the tag “&lt;b&gt;”" in nothing


def test_a_strangers_tags_are_nobodys_business(alice: User, as_charlie: Client) -> None:
    named("Chain", alice).set_tags(["billing"])
    assert names(as_charlie, tag="billing") == names(as_charlie, q="billing") == []
