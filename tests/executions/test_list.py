"""The list of executions: what it finds, for whom, how it says so, and what is done to several at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from executions import catalogue
from executions.asked import Asked, asked
from executions.catalogue import PAGE, find, sight_of
from executions.models import ExecutionLog, ExecutionWait, WorkflowExecution
from tests.conftest import CHAIN
from workflows.models import Workflow

URL = "/executions/"
Make = Callable[..., WorkflowExecution]
ERROR = {"message": "no <such> VAT code", "step_name": "Shout", "type": "ValueError"}


@pytest.fixture
def make(workflow: Workflow, alice: User) -> Make:
    """One execution of alice's chain; what has ended took two seconds."""

    def made(status: str = "completed", of: Workflow = workflow, **fields: Any) -> WorkflowExecution:
        begun = fields.setdefault("created_at", timezone.now())
        ended = begun + timedelta(seconds=2) if status in ("completed", "failed", "cancelled") else None
        fields = {"started_at": begun, "completed_at": ended, "started_by": alice, "version": of.published} | fields
        return WorkflowExecution.objects.create(workflow=of, status=status, **fields)

    return made


@pytest.fixture
def others(charlie: User) -> Workflow:
    workflow = Workflow.objects.create(name="Charlie's", owner=charlie)
    workflow.publish(CHAIN)
    return workflow


def shown(client: Client, **words: Any) -> list[int]:
    """The numbers of the rows, from top to bottom."""
    text = client.get(URL, words).text
    return [int(number) for number in re.findall(r'<tr id="execution-(\d+)-row"', text)]


# Find


def test_the_list_shows_what_one_may_see_and_nothing_else(make: Make, as_bob: Client, as_charlie: Client) -> None:
    execution = make("running")
    assert shown(as_bob) == [execution.pk]
    strange = as_charlie.get(URL).text
    assert f"#{execution.pk}" not in strange and "Chain" not in strange
    assert "Nothing has run yet" in strange and "Choose a workflow to run" in strange


def test_a_failed_row_tells_step_and_cause_in_one_line(make: Make, as_alice: Client) -> None:
    make("failed", error=ERROR, error_message=ERROR["message"])
    text = as_alice.get(URL).text
    assert "<b>Shout</b>" in text
    assert "no &lt;such&gt; VAT code" in text


def test_what_was_neither_cancelled_nor_waits_for_ever_says_what_it_is(make: Make, as_alice: Client, bob: User) -> None:
    make("cancelled", cancel_requested_by=bob, cancel_requested_at=timezone.now())
    ExecutionWait.objects.create(execution=make("waiting"), node="work", reason="a <b>yes</b>")
    make("running", cancel_requested_at=timezone.now())
    text = as_alice.get(URL).text
    assert "Cancelled by bob" in text
    assert "For an answer: a &lt;b&gt;yes&lt;/b&gt;" in text
    assert "Cancelling…" in text


def test_drafts_and_archived_workflows_are_marked(make: Make, workflow: Workflow, as_alice: Client) -> None:
    make(version=workflow.versions.create(definition=CHAIN, number=None))
    assert '<span class="tag draft">draft</span>' in as_alice.get(URL).text
    assert "archived" not in as_alice.get(URL).text
    workflow.archive()
    assert '<span class="tag">archived</span>' in as_alice.get(URL).text


def test_the_tabs_hold_what_they_say_and_count_it(make: Make, as_alice: Client, others: Workflow) -> None:
    for status in ("pending", "running", "failed", "failed", "completed"):
        make(status)
    make("failed", others)
    text = as_alice.get(URL).text
    counts = dict(re.findall(r'status=(\w+)">\w+ <span class="n[^"]*">([0-9,+]+)<', text))
    assert counts == {"running": "2", "waiting": "0", "failed": "2", "completed": "1", "cancelled": "0"}
    assert len(shown(as_alice, status="running")) == 2
    assert len(shown(as_alice, status="failed")) == 2
    assert shown(as_alice, status="pending") == shown(as_alice, status="running")


def test_a_tab_counts_no_further_than_it_must(
    make: Make, as_alice: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(catalogue, "COUNTED", 2)
    monkeypatch.setattr("executions.board.COUNTED", 2)
    for _ in range(4):
        make("failed")
        make("running")
    text = as_alice.get(URL).text
    assert 'status=failed">Failed <span class="n is-failed">2+<' in text
    assert 'status=running">Running <span class="n">4<' in text  # those that live are all counted


def test_filters_combine_and_stand_in_the_address(make: Make, as_alice: Client, alice: User, bob: User) -> None:
    other = Workflow.objects.create(name="Other", owner=alice)
    other.publish(CHAIN)
    wanted = make("failed", started_by=bob, error_message="the ledger refused 10% of it")
    make("failed", started_by=alice, error_message="the ledger refused")
    make("failed", other, started_by=bob, error_message="the ledger refused")
    make("completed", started_by=bob)
    make("failed", started_by=bob, error_message="something else")
    words: dict[str, Any] = {
        "status": "failed",
        "workflow": wanted.workflow_id,
        "by": "bob",
        "q": "LEDGER refused 10%",
        "when": "day",
    }
    assert shown(as_alice, **words) == [wanted.pk]
    text = as_alice.get(URL, words).text
    assert 'value="LEDGER refused 10%"' in text and 'value="bob"' in text
    assert f'value="{wanted.workflow_id}" selected' in text and 'value="day" selected' in text


def test_a_number_leads_to_its_execution_and_quotes_make_it_a_text(make: Make, as_alice: Client) -> None:
    execution = make("failed", error_message="422 from the ledger")
    for words in (f"#{execution.pk}", f"{execution.pk}", f" # {execution.pk} "):
        response = as_alice.get(URL, {"q": words})
        assert (response.status_code, response["Location"]) == (302, f"/executions/{execution.pk}/")
    assert shown(as_alice, q='"422"') == [execution.pk]


def test_the_number_of_anothers_execution_is_as_unknown_as_any(make: Make, as_charlie: Client) -> None:
    execution = make("failed")
    texts = [as_charlie.get(URL, {"q": f"#{number}"}).text for number in (execution.pk, execution.pk + 1)]
    assert all(f"You asked for: number {execution.pk + more}." in text for more, text in enumerate(texts))


def test_ranges_of_time_find_what_began_in_them(make: Make, as_alice: Client) -> None:
    now = timezone.now()
    week, day, hour = (now - timedelta(days=3), now - timedelta(hours=5), now - timedelta(minutes=9))
    old, older, recent = make(created_at=now - timedelta(days=40)), make(created_at=week), make(created_at=day)
    newest = make(created_at=hour)
    assert shown(as_alice, when="hour") == [newest.pk]
    assert shown(as_alice, when="day") == [newest.pk, recent.pk]
    assert shown(as_alice, when="week") == [newest.pk, recent.pk, older.pk]
    that = f"{old.created_at:%Y-%m-%d}"
    assert shown(as_alice, when="between", since=that, until=that) == [old.pk]
    assert shown(as_alice, when="between", until=f"{week:%Y-%m-%d}") == [older.pk, old.pk]


@pytest.mark.parametrize("hours", [0, 1, 5, 23, 60, 119, 500])
def test_a_time_is_found_by_halving_with_gaps_and_a_little_disorder(
    hours: int, make: Make, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "SLACK", 16)  # numbers: two rows with their gaps
    now = timezone.now()
    for number in range(120):
        make(pk=1_000 + 7 * number, created_at=now - timedelta(hours=120 - number + (number % 2) * 1.5))
    begin = now - timedelta(hours=hours)
    every = WorkflowExecution.objects.order_by("-pk")
    found = catalogue._within(every, begin, now - timedelta(hours=hours / 2)).values_list("pk", flat=True)
    wanted = every.filter(created_at__gte=begin, created_at__lt=now - timedelta(hours=hours / 2))
    assert list(found) == list(wanted.values_list("pk", flat=True))


def test_a_date_that_is_none_is_said_and_filters_nothing(make: Make, as_alice: Client) -> None:
    execution = make()
    text = as_alice.get(URL, {"when": "between", "since": "<soon>", "until": "2026-13-01"}).text
    assert "From: “&lt;soon&gt;” is not a date. Write it like 2026-11-24." in text
    assert "To: “2026-13-01” is not a date" in text
    assert f"#{execution.pk}" in text
    assert (
        "From is later than To"
        in as_alice.get(URL, {"when": "between", "since": "2026-02-02", "until": "2026-01-01"}).text
    )


WORDS: list[dict[str, str]] = [
    {"before": "9" * 40},
    {"before": "x"},
    {"after": "-1"},
    {"after": "9" * 18, "q": "x"},
    {"workflow": "-1"},
    {"workflow": "9" * 18},
    {"status": "\x00"},
    {"q": "\x00"},
    {"q": "%_\\'\";--"},
    {"q": "9" * 18},
    {"q": "#" + "9" * 30},
    {"q": "x" * 5_000},
    {"by": "\ud800"},
    {"by": "' OR 1=1"},
    {"when": "between", "since": "0001-01-01", "until": "9999-12-31"},
    {"when": "fortnight"},
]


@pytest.mark.parametrize("words", WORDS, ids=str)
def test_words_of_any_shape_are_no_error(words: dict[str, str], make: Make, as_alice: Client) -> None:
    make("failed", error_message="x")
    query = urlencode(words, errors="surrogatepass")
    assert as_alice.get(f"{URL}?{query}").status_code == 200
    assert asked(words).address.startswith("?") or asked(words) == Asked()


def test_what_was_filtered_is_said_where_nothing_is_left(make: Make, workflow: Workflow, as_alice: Client) -> None:
    make()
    words: dict[str, Any] = {"status": "failed", "workflow": workflow.pk, "by": "<bob>", "when": "hour"}
    text = as_alice.get(URL, words).text
    assert "No execution matches" in text
    assert "You asked for: failed, of Chain, started by &lt;bob&gt;, in the last hour." in text
    assert f'href="{URL}">Show all executions' in text


def test_a_text_in_another_state_than_failed_says_why_it_finds_nothing(make: Make, as_alice: Client) -> None:
    make("failed", error_message="pelican")
    assert "Only failed executions have an error" in as_alice.get(URL, {"q": "pelican", "status": "running"}).text
    assert len(shown(as_alice, q="pelican")) == 1


def test_a_text_is_sought_in_the_newest_only_and_that_is_said(
    make: Make, as_alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "SEARCHED", 3)
    wanted = make("failed", error_message="pelican")
    for _ in range(4):
        make("failed", error_message="gull")
    text = as_alice.get(URL, {"q": "pelican"}).text
    assert "Nothing found so far" in text
    older = re.search(r'href="(\?[^"]+before=\d+)"', text)
    assert older
    assert f"#{wanted.pk}" in as_alice.get(URL + older[1].replace("&amp;", "&")).text


# Pages


def test_pages_follow_each_other_without_gap_or_repetition_in_both_directions(make: Make, as_alice: Client) -> None:
    made = [make().pk for _ in range(2 * PAGE + 3)][::-1]
    first = as_alice.get(URL)
    second = as_alice.get(URL + first.context["older"])
    third = as_alice.get(URL + second.context["older"])
    assert [pk for page in (first, second, third) for pk in page.context["found"].ids] == made
    assert third.context["older"] is None
    assert "There is nothing older" in as_alice.get(URL, {"before": made[-1]}).text
    make()  # what comes meanwhile moves no page
    assert as_alice.get(URL + third.context["newer"]).context["found"].ids == made[PAGE : 2 * PAGE]
    again = as_alice.get(URL + second.context["newer"]).context
    assert again["found"].ids == made[:PAGE]


def test_days_are_headings(make: Make, as_alice: Client) -> None:
    now = timezone.now()
    for ago in (400, 2, 1, 0):
        make(created_at=now - timedelta(days=ago))
    headings = re.findall(r'scope="rowgroup">([^<]+)<', as_alice.get(URL).text)
    yesterday, before = now - timedelta(days=1), now - timedelta(days=2)
    assert headings[:2] == ["Today", f"Yesterday, {yesterday:%A} {yesterday.day} {yesterday:%B}"]
    assert headings[2].startswith(f"{before:%A} {before.day} {before:%B}")
    assert headings[3].endswith(str((now - timedelta(days=400)).year))


# Against the usual


def test_a_slow_execution_says_how_many_times_the_usual_it_took(make: Make, as_alice: Client) -> None:
    for _ in range(5):
        make()
    now = timezone.now()
    make(created_at=now, completed_at=now + timedelta(seconds=8))
    text = as_alice.get(URL).text
    assert "4× usual" in text
    assert text.count("× usual") == 1


def test_the_usual_is_the_median_of_the_last_ten_that_completed(make: Make, as_alice: Client) -> None:
    now = timezone.now()
    for _ in range(10):
        make(created_at=now, completed_at=now + timedelta(seconds=500))
    for _ in range(10):
        make("failed", created_at=now, completed_at=now + timedelta(seconds=900))
        make()
    make("running")
    assert "usually 2 s" in as_alice.get(URL).text


def test_without_a_completed_execution_nothing_is_said_of_the_usual(make: Make, as_alice: Client) -> None:
    make("failed")
    make("running")
    assert "usual" not in as_alice.get(URL).text.split("</thead>")[1]


# The cost


def test_the_list_asks_the_database_as_often_for_fifty_as_for_one(
    make: Make, as_alice: Client, django_assert_max_num_queries: Any
) -> None:
    make("failed", error=ERROR)
    with CaptureQueriesContext(connection) as few:
        as_alice.get(URL)
    for number in range(PAGE):
        make(("failed", "running", "waiting")[number % 3], error=ERROR, error_message="x")
    with django_assert_max_num_queries(len(few) + 1):  # the waits
        as_alice.get(URL)
    assert len(few) <= 14


QUESTIONS = ["", "?status=failed", "?status=running", "?by=alice", "?status=completed&before=999", "?workflow=%s"]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", ["alice", "owner"])
def test_numbers_are_found_in_an_index_alone(
    question: str, name: str, make: Make, request: pytest.FixtureRequest
) -> None:
    """Else a list would read every row that others have: see tests/benchmarks/lists.py."""
    make("failed")
    words: Any = dict(
        part.split("=") for part in question.replace("%s", str(Workflow.objects.get().pk))[1:].split("&") if part
    )
    rows = catalogue.candidates(asked(words), sight_of(request.getfixturevalue(name)), timezone.now())
    plan = rows[: PAGE + 1].explain()
    if connection.vendor == "sqlite":
        assert "COVERING INDEX" in plan or (not question and name == "owner"), plan
        assert "execution_status" not in plan or name == "owner" or "running" in question, plan


def test_a_rare_visitor_never_reads_others_rows(make: Make, alice: User, others: Workflow) -> None:
    """Her state is not sought among those of all."""
    for _ in range(3):
        make("failed", others)
    mine = make("failed")
    assert find(asked({"status": "failed"}), sight_of(alice)).ids == [mine.pk]


# Several at once


def together(client: Client, verb: str, ids: list[Any], **more: str) -> str:
    response = client.post(reverse(f"executions:{verb}_together"), {"id": ids, **more})
    assert response.status_code == 303
    return client.get(response["Location"]).text


def test_chosen_executions_are_cancelled_and_the_answer_counts_them(make: Make, as_bob: Client) -> None:
    made = [make("pending"), make("pending"), make("completed")]
    text = together(as_bob, "cancel", [one.pk for one in made])
    assert "Asked 2 executions to end." in text
    assert f"Not cancelled: #{made[2].pk} (already ended)." in text
    states = WorkflowExecution.objects.order_by("pk").values_list("status", flat=True)
    assert list(states) == ["cancelled", "cancelled", "completed"]


def test_chosen_executions_run_again_with_their_version_and_input(
    make: Make, workflow: Workflow, as_bob: Client, bob: User
) -> None:
    old = make("failed", input_data={"a": 1})
    workflow.publish({**CHAIN, "extra": "newer"})
    assert "Started 1 execution again." in together(as_bob, "run", [old.pk], key="k")
    new = WorkflowExecution.objects.get(retry_of=old)
    assert (new.version_id, new.input_data, new.started_by) == (old.version_id, {"a": 1}, bob)
    assert ExecutionLog.objects.get(execution=new).kind == "queued"


def test_a_second_click_runs_nothing_twice(make: Make, as_alice: Client) -> None:
    ids = [make().pk, make("failed").pk]
    for _ in range(2):
        assert "Started 2 executions again." in together(as_alice, "run", [*ids, ids[0]], key="the form's")
    assert WorkflowExecution.objects.count() == 4
    together(as_alice, "run", ids, key="another form's")
    assert WorkflowExecution.objects.count() == 6


def test_each_page_has_a_key_of_its_own_and_is_not_kept(make: Make, as_alice: Client) -> None:
    make()
    first, second = as_alice.get(URL), as_alice.get(URL)
    assert first.context["key"] != second.context["key"]
    assert "no-store" in first["Cache-Control"]


def test_of_several_nothing_is_done_that_one_may_not_do(make: Make, others: Workflow, as_charlie: Client) -> None:
    hers, his = make("pending"), make("pending", others)
    text = together(as_charlie, "cancel", [hers.pk, his.pk, 999_999, "<b>", "9" * 40])
    assert "Asked 1 execution to end." in text
    assert f"#{hers.pk}, #999999, #&lt;b&gt;, #{'9' * 20} (there is no such execution)" in text
    hers.refresh_from_db()
    assert (hers.status, hers.cancel_requested_at) == ("pending", None)


def test_running_again_what_was_archived_says_why_not(make: Make, workflow: Workflow, as_alice: Client) -> None:
    old = make()
    workflow.archive()
    assert f"Not started again: #{old.pk} (the workflow is archived" in together(as_alice, "run", [old.pk])


@pytest.mark.parametrize("verb", ["cancel", "run"])
def test_none_and_too_many_are_refused_in_words(verb: str, make: Make, as_alice: Client) -> None:
    execution = make("pending")
    assert "No execution was chosen, so nothing was done." in together(as_alice, verb, [])
    many = [execution.pk, *range(10_000, 10_000 + PAGE)]
    assert f"At most {PAGE} at a time: {PAGE + 1} were chosen, and nothing was done." in together(as_alice, verb, many)
    execution.refresh_from_db()
    assert execution.status == "pending" and WorkflowExecution.objects.count() == 1


@pytest.mark.parametrize("verb", ["cancel", "run"])
def test_looking_does_nothing_and_a_form_without_token_is_refused(verb: str, make: Make, alice: User) -> None:
    url, execution = reverse(f"executions:{verb}_together"), make("pending")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.get(url, {"id": execution.pk}).status_code == 405
    assert strict.post(url, {"id": execution.pk}).status_code == 403
    execution.refresh_from_db()
    assert execution.status == "pending"


def test_the_answer_leads_back_to_the_list_as_it_was_asked_and_nowhere_else(make: Make, as_alice: Client) -> None:
    url = reverse("executions:cancel_together")
    for back, place in (
        ("status=failed&q=a%26b", "/executions/?status=failed&q=a%26b"),
        ("//evil.example/", "/executions/?"),
        ("https://evil.example/?status=failed\r\nSet-Cookie: a=b", "/executions/?"),
    ):
        assert as_alice.post(url, {"id": [1], "back": back})["Location"] == place


def test_the_words_of_an_address_are_read_and_written_alike() -> None:
    question = Asked(status="failed", q="a&b", workflow=3, by="bob", when="between", since="2026-01-01", before=12)
    words = dict(
        part.split("=") for part in question.address.replace("%26", "&")[1:].replace("a&b", "a%26b").split("&")
    )
    assert asked({**words, "q": "a&b"}) == question
    assert question.span(datetime(2026, 11, 24, tzinfo=UTC)) == (datetime(2026, 1, 1, tzinfo=UTC), None)
