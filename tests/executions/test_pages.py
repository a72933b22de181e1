"""The pages of executions, as alice (owner), bob (her team) and charlie (a stranger) meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from executions import fragments, scene
from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, ExecutionStatus, WorkflowExecution
from executions.planner import fold
from tests.conftest import CHAIN
from workflows.graph import Graph, parse
from workflows.models import Workflow

BEGIN = datetime(2026, 11, 23, 7, 13, 4, 118_000, tzinfo=UTC)
ERROR: dict[str, Any] = {
    "type": "ValueError",
    "message": "no <such> VAT code",
    "node": "work",
    "step_name": "Shout",
    "attempt": 1,
    "traceback": "Traceback (most recent call last): here",
    "details": {"status": 422},
}
Write = Callable[..., WorkflowExecution]


def page(execution: WorkflowExecution, name: str = "show", *more: object) -> str:
    return reverse(f"executions:{name}", args=[execution.pk, *more])


def run_form(workflow: Workflow) -> str:
    return reverse("executions:run", args=[workflow.pk])


def graph_of(execution: WorkflowExecution) -> Graph:
    return parse(execution.version.definition)


def written(execution: WorkflowExecution, *entries: tuple[str, str | None, Any]) -> WorkflowExecution:
    """Entries as (kind, node, data), one second apart."""
    at = (BEGIN + timedelta(seconds=number) for number in range(len(entries)))
    ExecutionLog.objects.bulk_create(
        ExecutionLog(execution=execution, seq=seq, kind=kind, node=node, attempt=node and 1, at=next(at), data=data)
        for seq, (kind, node, data) in enumerate(entries, 1)
    )
    return execution


@pytest.fixture
def begun(workflow: Workflow, alice: User) -> Write:
    """Makes an execution of alice's chain, in the given status, with these entries."""

    def make(status: str = "running", *entries: tuple[str, str | None, Any], **fields: Any) -> WorkflowExecution:
        ended = BEGIN + timedelta(seconds=9) if status in ("completed", "failed", "cancelled") else None
        assert workflow.published is not None
        execution = WorkflowExecution.objects.create(
            workflow=workflow,
            version=workflow.published,
            status=status,
            started_by=alice,
            created_at=BEGIN,
            started_at=BEGIN,
            completed_at=ended,
            steps_total=3,
            **fields,
        )
        return written(execution, ("queued", None, {"by": "alice"}), ("started", None, {}), *entries)

    return make


@pytest.fixture
def running(begun: Write) -> WorkflowExecution:
    done = ("completed", "in", {"added": {}, "kept": True})
    line = ("logged", "work", {"level": "info", "text": "half <way>"})
    return begun("running", ("started", "in", {}), done, ("started", "work", {}), line)


@pytest.fixture
def failed(begun: Write) -> WorkflowExecution:
    entries: list[Any] = [("started", "in", {}), ("completed", "in", {"added": {}}), ("started", "work", {})]
    entries += [("failed", "work", {"error": ERROR}), ("finished", None, {"status": "failed"})]
    return begun("failed", *entries, error=ERROR, error_message=ERROR["message"])


# Start


def test_the_form_offers_the_input_that_one_gave_last(workflow: Workflow, as_alice: Client, as_bob: Client) -> None:
    as_alice.post(run_form(workflow), {"input_data": '{"mine": 1}', "key": ""})
    assert "mine" in as_alice.get(run_form(workflow)).text
    assert "mine" not in as_bob.get(run_form(workflow)).text


def test_the_form_offers_the_example_of_the_input_step_to_who_never_ran_it(
    workflow: Workflow, as_alice: Client
) -> None:
    example = {"id": "in", "type": "input", "data": {"example": {"text": "try me"}}}
    workflow.publish({"nodes": [example]})
    assert "try me" in as_alice.get(run_form(workflow)).text


def test_running_leads_to_the_execution_with_that_input(workflow: Workflow, as_bob: Client, bob: User) -> None:
    response = as_bob.post(run_form(workflow), {"input_data": '{"text": "hello"}', "key": "k"})
    execution = WorkflowExecution.objects.get()
    assert (response.status_code, response["Location"]) == (303, page(execution))
    assert execution.input_data == {"text": "hello"}
    assert execution.started_by == bob


def test_a_double_click_gives_one_execution_and_a_second_form_another(workflow: Workflow, as_alice: Client) -> None:
    form = as_alice.get(run_form(workflow))
    typed = {"input_data": "{}", "key": form.context["form"]["key"].value()}
    first, again = (as_alice.post(run_form(workflow), typed)["Location"] for _ in range(2))
    assert first == again
    assert "no-store" in form["Cache-Control"]  # else the way back would bring the same key
    as_alice.post(run_form(workflow), {**typed, "key": as_alice.get(run_form(workflow)).context["form"]["key"].value()})
    assert WorkflowExecution.objects.count() == 2


WRONG = {
    '{"a": 1,}': "line 1, column",
    '{"a": NaN}': "NaN is not a JSON value",
    '{"a": "\\u0000"}': "NUL",
    '{"a": "\\ud800"}': "surrogate",
    "[1, 2]": "must be a JSON object",
    '"text"': "must be a JSON object",
    "[" * 100_000: "nested too deep",
    '{"a":' + "[" * 70 + "]" * 70 + "}": "nested more than 64 levels",
    json.dumps({"a": "x" * (1024 * 1024)}): "the limit is 262,144",
}


@pytest.mark.parametrize(("text", "reason"), WRONG.items(), ids=list(WRONG.values()))
def test_an_input_that_cannot_be_used_is_an_error_at_the_field_and_stays_as_typed(
    text: str, reason: str, workflow: Workflow, as_alice: Client
) -> None:
    response = as_alice.post(run_form(workflow), {"input_data": text, "key": "k"})
    assert response.status_code == 422
    assert reason in response.text
    assert 'aria-invalid="true"' in response.text
    assert response.context["form"]["input_data"].value() == text
    assert not WorkflowExecution.objects.exists()


def test_a_raw_nul_is_refused_at_the_field_too(workflow: Workflow, as_alice: Client) -> None:
    assert as_alice.post(run_form(workflow), {"input_data": '{"a": "\x00"}'}).status_code == 422
    assert as_alice.post(run_form(workflow), {"input_data": "{}", "key": "\x00"}).status_code == 422


def test_an_empty_field_is_an_empty_object(workflow: Workflow, as_alice: Client) -> None:
    assert as_alice.post(run_form(workflow), {"input_data": ""}).status_code == 303
    assert WorkflowExecution.objects.get().input_data == {}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"is_active": False}, "switched off"), ({"published": None}, "not been published"), ({}, "")],
    ids=["off", "unpublished", "runnable"],
)
def test_the_form_says_why_a_workflow_cannot_be_run(
    fields: dict[str, Any], reason: str, workflow: Workflow, as_alice: Client
) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(**fields)
    text = as_alice.get(run_form(workflow)).text
    assert reason in text
    assert (" disabled>" in text) == bool(fields)
    assert as_alice.post(run_form(workflow), {"input_data": "{}"}).status_code == (422 if fields else 303)


def test_a_stranger_cannot_run(workflow: Workflow, as_charlie: Client) -> None:
    assert as_charlie.get(run_form(workflow)).status_code == 404
    assert as_charlie.post(run_form(workflow), {"input_data": "{}"}).status_code == 404
    assert not WorkflowExecution.objects.exists()


# Watch


def test_the_page_shows_state_progress_graph_steps_log_and_input(running: WorkflowExecution, as_bob: Client) -> None:
    text = as_bob.get(page(running)).text
    assert 'data-state="running"' in text
    assert "1 of 3 steps" in text
    assert text.count("<foreignObject") == 3
    assert text.count(f'id="entry-{running.pk}-') == 6
    assert "half &lt;way&gt;" in text
    assert f'hx-ws:connect="/ws/executions/{running.pk}/"' in text
    assert "Cancel" in text
    assert "style=" not in text and "onclick" not in text


def test_without_script_a_running_page_reloads_itself_and_a_finished_one_does_not(
    running: WorkflowExecution, failed: WorkflowExecution, as_alice: Client
) -> None:
    refresh = '<noscript><meta http-equiv="refresh"'
    assert refresh in as_alice.get(page(running)).text
    over = as_alice.get(page(failed)).text
    assert refresh not in over and "hx-ws:connect" not in over


def test_a_failure_stands_at_the_top_with_step_message_and_traceback(
    failed: WorkflowExecution, as_alice: Client
) -> None:
    text = as_alice.get(page(failed)).text
    banner = text[text.index('<section class="fail"') : text.index("</section>")]
    for part in ("Shout</a> failed", "no &lt;such&gt; VAT code", "ValueError", "Traceback", "422"):
        assert part in banner
    assert text.index("fail-top") < text.index("x-graph")


def test_a_cancelled_execution_has_no_failure_banner_even_where_a_step_failed(begun: Write, as_alice: Client) -> None:
    asked, broke = ("cancel_requested", None, {"by": "bob"}), ("failed", "work", {"error": ERROR})
    execution = begun("cancelled", ("started", "work", {}), asked, broke, ("finished", None, {"status": "cancelled"}))
    text = as_alice.get(page(execution)).text
    assert 'class="fail"' not in text
    assert "Asked to cancel</b> by bob" in text


def test_being_cancelled_is_said_until_it_is_true(begun: Write, as_alice: Client) -> None:
    execution = begun("running", ("started", "work", {}), ("cancel_requested", None, {"by": None}))
    text = as_alice.get(page(execution)).text
    assert "data-cancelling" in text and "Cancelling…" in text


@pytest.mark.parametrize(("seconds_left", "is_said"), [(25, False), (8, True)])
def test_a_silent_worker_is_said_and_until_when(
    running: WorkflowExecution, as_alice: Client, seconds_left: int, is_said: bool
) -> None:
    """A lease of thirty seconds that is renewed every ten has eight left only where its owner is gone or stuck."""
    rows = WorkflowExecution.objects.filter(pk=running.pk)
    rows.update(owner="somebody", due_at=timezone.now() + timedelta(seconds=seconds_left))
    assert (b"Another takes over at" in as_alice.get(page(running)).content) is is_said


def test_the_log_begins_with_its_newest_entries_and_the_rest_comes_on_demand(begun: Write, as_alice: Client) -> None:
    lines = [("logged", "work", {"level": "info", "text": f"line {number}"}) for number in range(3, 901)]
    execution = begun("running", *lines)
    text = as_alice.get(page(execution)).text
    assert text.count("<li id=") == 200
    assert "Show 700 earlier entries" in text
    older = as_alice.get(page(execution, "entries"), {"before": 701}, headers={"HX-Request": "true"}).text
    assert older.count("<li id=") == 500 and "line 700<" in older and "line 701<" not in older
    assert "Show 200 earlier entries" in older and "<html" not in older


def test_the_complete_log_can_be_paged_without_script(begun: Write, as_alice: Client) -> None:
    execution = begun("running", *[("logged", "work", {"level": "info", "text": "x"})] * 998)
    url = page(execution, "entries")
    newest, oldest = as_alice.get(url).text, as_alice.get(url, {"before": 501}).text
    assert "entries 501 to 1000" in newest and "?before=501" in newest and "?after=" not in newest
    assert "entries 1 to 500" in oldest and "?before=" not in oldest and "?after=500" in oldest
    assert "entries 501 to 1000" in as_alice.get(url, {"after": 500}).text
    assert "no entries here" in as_alice.get(url, {"after": "9" * 18}).text


def test_a_step_shows_what_it_saw_and_made_and_its_own_log(workflow: Workflow, begun: Write, as_alice: Client) -> None:
    made = {"added": {"text": "HELLO"}}
    first = [("started", "in", {}), ("completed", "in", {"added": {}, "kept": True})]
    rest = [("started", "work", {}), ("completed", "work", made), ("started", "out", {})]
    execution = begun("running", *first, *rest, input_data={"text": "hello"})
    text = as_alice.get(page(execution, "step", "work")).text
    assert "&quot;hello&quot;" in text and "&quot;HELLO&quot;" in text
    assert text.count("<li id=") == 2
    assert "Nothing has come out yet" in as_alice.get(page(execution, "step", "out")).text
    assert as_alice.get(page(execution, "step", "nowhere")).status_code == 404


@pytest.mark.parametrize("name", ["show", "entries", "steps", "result"])
def test_a_stranger_and_an_unknown_number_get_the_same_404(
    name: str, running: WorkflowExecution, as_charlie: Client, as_alice: Client
) -> None:
    assert as_charlie.get(page(running, name)).status_code == 404
    running.pk += 1
    assert as_alice.get(page(running, name)).status_code == 404


@pytest.mark.parametrize("number", ["0", "9223372036854775808", "9" * 60, "-1", "abc"])
def test_a_number_of_any_shape_is_unknown_and_no_error(number: str, as_alice: Client) -> None:
    for rest in ("", "entries/", "steps/a/", "cancel/"):
        assert as_alice.post(f"/executions/{number}/{rest}").status_code in (404, 405)
        assert as_alice.get(f"/executions/{number}/{rest}").status_code in (404, 405)


def test_an_example_may_be_watched_by_everybody_and_markup_in_it_is_text(as_charlie: Client) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    example = Workflow.objects.create(name=nasty)
    version = example.publish({"nodes": [{"id": "a", "type": "default", "data": {"label": nasty}}]})
    error = {**ERROR, "message": nasty, "step_name": nasty, "type": nasty, "traceback": nasty, "node": "a"}
    execution = WorkflowExecution.objects.create(workflow=example, version=version, input_data={nasty: nasty})
    lines = [("logged", "a", {"level": "warning", "text": nasty}), ("failed", "a", {"error": error})]
    written(execution, ("queued", None, {"by": nasty}), *lines, ("finished", None, {"status": "failed"}))
    for url in (page(execution), page(execution, "step", "a"), page(execution, "entries"), reverse("executions:list")):
        response = as_charlie.get(url)
        assert response.status_code == 200
        assert "<img" not in response.text


# Act


def test_cancelling_by_the_plain_form_leads_back_to_the_page(workflow: Workflow, as_bob: Client, bob: User) -> None:
    execution = WorkflowExecution.objects.get(pk=WorkflowEngine().submit(workflow.pk))
    response = as_bob.post(page(execution, "cancel"))
    assert (response.status_code, response["Location"]) == (303, page(execution))
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.CANCELLED
    assert execution.cancel_requested_by == bob


def test_cancelling_by_htmx_answers_with_the_pieces_that_changed(workflow: Workflow, as_alice: Client) -> None:
    execution = WorkflowExecution.objects.get(pk=WorkflowEngine().submit(workflow.pk))
    text = as_alice.post(page(execution, "cancel"), headers={"HX-Request": "true"}).text
    assert f'<hx-partial hx-target="#execution-{execution.pk}-status"' in text
    assert 'data-state="cancelled"' in text


def test_looking_does_not_cancel_and_a_stranger_cannot(
    running: WorkflowExecution, as_alice: Client, as_charlie: Client
) -> None:
    assert as_alice.get(page(running, "cancel")).status_code == 405
    assert as_charlie.post(page(running, "cancel")).status_code == 404
    assert as_charlie.post(page(running, "run_again")).status_code == 404
    running.refresh_from_db()
    assert running.cancel_requested_at is None


def test_cancelling_needs_the_token_of_the_form(running: WorkflowExecution, alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    response = strict.post(page(running, "cancel"))
    assert response.status_code == 403
    assert "too old to be sent" in response.text


def test_running_again_takes_the_same_version_and_input(failed: WorkflowExecution, as_bob: Client, bob: User) -> None:
    failed.workflow.publish({**CHAIN, "extra": "a newer version"})
    response = as_bob.post(page(failed, "run_again"))
    again = WorkflowExecution.objects.get(retry_of=failed)
    assert (response.status_code, response["Location"]) == (303, page(again))
    assert (again.version_id, again.input_data, again.started_by) == (failed.version_id, failed.input_data, bob)
    assert page(failed) in as_bob.get(page(again)).text


def test_running_again_what_was_archived_says_why_not(failed: WorkflowExecution, as_alice: Client) -> None:
    failed.workflow.archive()
    response = as_alice.post(page(failed, "run_again"), follow=True)
    assert "archived, so it cannot be run" in response.text


# The fragments


def test_what_the_socket_sends_is_what_the_page_shows(running: WorkflowExecution, as_alice: Client) -> None:
    shown = as_alice.get(page(running)).text
    graph, state = graph_of(running), fold(running.entries.told())
    pieces = fragments.pieces(running, graph, state)
    assert all(html in shown for html in pieces.values())
    assert all(html in shown for _, html in fragments.entries(running, graph, running.entries.all()))


def test_live_fragments_hold_nothing_that_depends_on_who_looks(running: WorkflowExecution) -> None:
    frame = fragments.state(running, graph_of(running), fold(running.entries.told()))
    assert "csrf" not in frame and "<form" not in frame and "<button" not in frame


def test_only_pieces_that_changed_are_sent_again(running: WorkflowExecution) -> None:
    graph, state = graph_of(running), fold(running.entries.told())
    before = fragments.pieces(running, graph, state)
    assert fragments.changed(fragments.pieces(running, graph, state), before) == {}
    written_next = ExecutionLog(execution=running, seq=7, kind="completed", node="work", attempt=1, data={}, took_ms=1)
    state.apply(written_next)
    after = fragments.changed(fragments.pieces(running, graph, state), before)
    assert {"node-work", "step-work", "links", "progress"} <= set(after)
    assert not {"node-in", "step-in", "node-out", "title", "failure"} & set(after)


def test_a_large_execution_shows_the_steps_at_work_and_a_way_to_all(alice: User, as_alice: Client) -> None:
    count = scene.LARGE + 50
    workflow = Workflow.objects.create(name="Large", owner=alice)
    nodes = [{"id": f"n{number}", "type": "default", "data": {}} for number in range(count)]
    version = workflow.publish({"nodes": nodes, "edges": []})
    execution = WorkflowExecution.objects.create(workflow=workflow, version=version)
    written(execution, ("queued", None, {}), ("started", None, {}), *[("started", f"n{n}", {}) for n in range(40)])
    text = as_alice.get(page(execution)).text
    assert "<foreignObject" not in text
    assert text.count('<tr class="is-running"') == scene.BUSY
    frame = fragments.state(execution, graph_of(execution), fold(execution.entries.told()))
    assert len(frame) < 20_000
    assert as_alice.get(page(execution, "steps")).text.count("<foreignObject") == count


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_the_pages_that_refuse_need_neither_request_nor_database(status: int) -> None:
    text = render_to_string(f"{status}.html")
    assert f">{status}<" in text and 'href="/"' in text and "<h1>" in text
