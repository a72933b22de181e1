"""Pause, resume, run again, repair and the items of a for-each, as pages and over REST: by right, and by whoever is
careless or means harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from executions import fragments
from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, WorkflowExecution
from executions.plan import graph_of
from executions.planner import fold
from tests.executions.conftest import chain, drawn, node
from tests.executions.test_pages import BEGIN, ERROR, Write, begun, failed, page, running, written
from workflows.models import Workflow

__all__ = ["begun", "failed", "running"]  # fixtures
pytestmark = pytest.mark.django_db

HOSTILE = ("<script>alert(1)</script>", "\0", "𝕬" * 600, "'; DROP TABLE executions_executionlog; --", "{{ 7*7 }}")


def said(response: Any) -> str:
    text: str = response.content.decode()
    return text


def call(client: Client, method: str, path: str, body: Any = None) -> Any:
    data = "" if body is None else json.dumps(body)
    return client.generic(method, f"/api/executions/{path}", data, content_type="application/json")


@pytest.fixture
def waiting(workflow: Workflow, alice: User) -> WorkflowExecution:
    """One that nobody has taken up yet."""
    return WorkflowExecution.objects.get(pk=WorkflowEngine().submit(workflow.pk, {"text": "a"}, by=alice))


def entry_of(execution: WorkflowExecution) -> Any:
    return execution.entries.get(kind="repaired")


# Pause and resume


def test_pausing_and_resuming_are_plain_forms_and_say_who(
    waiting: WorkflowExecution, as_bob: Client, bob: User
) -> None:
    response = as_bob.post(page(waiting, "pause"))
    assert (response.status_code, response["Location"]) == (303, page(waiting))
    waiting.refresh_from_db()
    assert waiting.paused_at and waiting.paused_by == bob
    shown = said(as_bob.get(page(waiting)))
    assert "Paused by bob" in shown and "data-paused" in shown
    as_bob.post(page(waiting, "resume"))
    waiting.refresh_from_db()
    assert waiting.paused_at is None


def test_a_second_pause_and_a_resume_of_what_is_not_paused_say_so(waiting: WorkflowExecution, as_alice: Client) -> None:
    as_alice.post(page(waiting, "pause"))
    assert "is paused already" in said(as_alice.post(page(waiting, "pause"), follow=True))
    as_alice.post(page(waiting, "resume"))
    assert "is not paused" in said(as_alice.post(page(waiting, "resume"), follow=True))


def test_what_has_ended_cannot_be_paused(failed: WorkflowExecution, as_alice: Client) -> None:
    assert "has ended: it is failed" in said(as_alice.post(page(failed, "pause"), follow=True))
    failed.refresh_from_db()
    assert failed.paused_at is None


def test_htmx_gets_the_state_and_the_state_is_the_same_for_everybody(
    waiting: WorkflowExecution, as_alice: Client, as_bob: Client
) -> None:
    answer = as_alice.post(page(waiting, "pause"), headers={"HX-Request": "true"})
    assert answer.status_code == 200 and "hx-partial" in said(answer) and "csrf" not in said(answer)
    for client in (as_alice, as_bob):
        assert f"execution-{waiting.pk}-why" in said(client.get(page(waiting)))


@pytest.mark.parametrize("name", ["pause", "resume", "cancel", "run_again", "again", "again_from", "repair"])
def test_who_may_only_look_may_not_steer(
    failed: WorkflowExecution, workflow: Workflow, name: str, charlie: User
) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(owner=None, group=None)
    client = Client()
    client.force_login(charlie)
    draft = workflow.versions.create(definition=workflow.published.definition, number=None)  # type: ignore[union-attr]
    WorkflowExecution.objects.filter(pk=failed.pk).update(version=draft)
    response = client.post(page(failed, name))
    is_open_to_runners = name in ("pause", "resume", "cancel")
    assert response.status_code == (303 if is_open_to_runners else 403)
    assert is_open_to_runners or "edit" in said(response)


@pytest.mark.parametrize("name", ["pause", "resume"])
def test_a_get_changes_nothing(waiting: WorkflowExecution, as_alice: Client, name: str) -> None:
    assert as_alice.get(page(waiting, name)).status_code == 405


def test_a_step_can_be_chosen_to_pause_before_and_let_go_again(waiting: WorkflowExecution, as_alice: Client) -> None:
    url = page(waiting, "pause_before", "work")
    as_alice.post(url)
    waiting.refresh_from_db()
    assert waiting.pause_before == ["work"]
    shown = said(as_alice.get(page(waiting, "step", "work")))
    assert "Pauses before it" in shown and "Do not pause before it" in shown
    as_alice.post(url, {"no": "1"})
    waiting.refresh_from_db()
    assert waiting.pause_before == []
    assert as_alice.post(page(waiting, "pause_before", "nowhere")).status_code == 404


def test_the_run_form_can_pause_before_a_step(workflow: Workflow, as_alice: Client) -> None:
    url = reverse("executions:run", args=[workflow.pk])
    assert "Pause before a step" in said(as_alice.get(url))
    as_alice.post(url, {"input_data": "{}", "key": "", "pause_before": ["out", "", "<b>"]})
    assert WorkflowExecution.objects.latest("pk").pause_before == ["out"]


# Words on the page


def test_a_failure_that_was_handled_looks_failed_and_the_head_says_so(begun: Write, as_alice: Client) -> None:
    done: list[Any] = [("started", "in", {}), ("completed", "in", {"added": {}}), ("started", "work", {})]
    done += [("failed", "work", {"error": ERROR, "handle": "error"}), ("finished", None, {"status": "completed"})]
    text = said(as_alice.get(page(begun("completed", *done))))
    assert "1 failed and was handled" in text and "it went on by “error”" in text and "Failed, handled" in text


def test_a_retry_a_repair_and_a_limit_are_said_in_words(begun: Write, as_alice: Client) -> None:
    retried = {"error": ERROR, "until": BEGIN.isoformat(), "failures": 1, "of": 5}
    repaired = {"by": "bob", "reason": "<i>the</i> address", "input": {}}
    execution = begun(
        "running",
        *(("started", "work", {}), ("retried", "work", retried), ("limited", None, {"limit": "time", "value": 3})),
        *(
            ("repaired", "work", repaired),
            ("paused", None, {"by": None, "before": "out"}),
            ("resumed", None, {"by": "al"}),
        ),
    )
    text = said(as_alice.get(page(execution)))
    assert "no &lt;such&gt; VAT code; attempt 2 of 5 at" in text
    assert "by bob, it is tried again with another input: &lt;i&gt;the&lt;/i&gt; address" in text
    assert "before “Result”" in text or "before “out”" in text.lower() or "before “" in text
    assert "time, 3" in text


def test_a_cancelled_execution_proves_how_it_stopped(begun: Write, as_alice: Client) -> None:
    execution = begun(
        "cancelled",
        *(("started", "work", {}), ("cancel_requested", None, {"by": "bob"}), ("cancelled", "work", None)),
        ("finished", None, {"status": "cancelled"}),
    )
    text = said(as_alice.get(page(execution)))
    assert "How it was stopped" in text and "asked by <b>bob</b>" in text and "2 s</b> in all" in text


def test_a_failed_execution_says_what_is_kept_and_offers_its_repair(
    failed: WorkflowExecution, as_alice: Client
) -> None:
    text = said(as_alice.get(page(failed)))
    assert "1 finished step" in text and "“Shout”, then up to 1 step more" in text
    assert page(failed, "repair") in text and page(failed, "again_from") in text
    step = said(as_alice.get(page(failed, "step", "work")))
    assert "Run again from here…" in step and "Repair…" in step


# Run again


def test_another_input_makes_a_new_execution_of_the_same_version(failed: WorkflowExecution, as_bob: Client) -> None:
    WorkflowExecution.objects.filter(pk=failed.pk).update(input_data={"text": "typo"})
    form = as_bob.get(page(failed, "again"))
    assert "typo" in said(form) and f"#{failed.pk}" in said(form)
    response = as_bob.post(page(failed, "again"), {"input_data": '{"text": "right"}', "key": "k"})
    new = WorkflowExecution.objects.latest("pk")
    assert response["Location"] == page(new)
    assert (new.retry_of_id, new.version_id, new.input_data) == (failed.pk, failed.version_id, {"text": "right"})


def test_input_that_is_no_json_is_said_at_its_field_and_kept(failed: WorkflowExecution, as_alice: Client) -> None:
    response = as_alice.post(page(failed, "again"), {"input_data": '{"text": }', "key": ""})
    assert (
        response.status_code == 422 and "line 1, column" in said(response) and "{&quot;text&quot;: }" in said(response)
    )
    assert WorkflowExecution.objects.count() == 1


def test_from_a_step_it_says_first_what_is_reused_and_what_runs(failed: WorkflowExecution, as_alice: Client) -> None:
    response = as_alice.get(page(failed, "again_from"), {"node": "work"})
    names = {key: [step["label"] for step in response.context[key]] for key in ("reused", "again")}
    assert names["again"][0] == "Shout" and len(names["again"]) == 2 and len(names["reused"]) == 1
    assert WorkflowExecution.objects.count() == 1, "looking starts nothing"


def test_from_a_step_a_double_click_gives_one_execution(failed: WorkflowExecution, as_alice: Client) -> None:
    key = as_alice.get(page(failed, "again_from"), {"node": "work"}).context["key"]
    first, again = (as_alice.post(page(failed, "again_from"), {"node": "work", "key": key}) for _ in range(2))
    assert first.status_code == 303 and first["Location"] == again["Location"]
    new = WorkflowExecution.objects.latest("pk")
    assert [entry.kind for entry in new.entries.order_by("seq")] == ["queued", "reused"]


@pytest.mark.parametrize("node_id", ["nowhere", *HOSTILE])
def test_from_a_step_that_is_not_there_nothing_starts(
    failed: WorkflowExecution, as_alice: Client, node_id: str
) -> None:
    for response in (
        as_alice.get(page(failed, "again_from"), {"node": node_id}),
        as_alice.post(page(failed, "again_from"), {"node": node_id, "key": node_id}),
    ):
        assert response.status_code in (200, 409) and "<script>alert" not in said(response)
    assert WorkflowExecution.objects.count() == 1


def test_what_is_under_way_cannot_run_again_from_a_step(running: WorkflowExecution, as_alice: Client) -> None:
    response = as_alice.post(page(running, "again_from"), {"node": "work"})
    assert response.status_code == 409 and "has not ended yet" in said(response)


# Repair


def test_a_repair_lets_the_same_execution_go_on_and_says_who_and_why(failed: WorkflowExecution, as_bob: Client) -> None:
    response = as_bob.post(page(failed, "repair"), {"reason": "It is back", "how": "again", "node": "work"})
    assert (response.status_code, response["Location"]) == (303, page(failed))
    entry = entry_of(failed)
    assert entry.node == "work" and entry.data["by"] == "bob" and entry.data["reason"] == "It is back"
    failed.refresh_from_db()
    assert failed.status == "pending" and failed.completed_at is None


def test_a_repair_may_give_an_input_or_an_output(failed: WorkflowExecution, as_alice: Client) -> None:
    form = as_alice.get(page(failed, "repair"))
    assert "Shout" in said(form) and "Kept" in said(form)
    as_alice.post(page(failed, "repair"), {"reason": "x", "how": "output", "output": '{"text": "BY HAND"}'})
    assert entry_of(failed).data["output"]["added"] == {"text": "BY HAND"}


WRONG = {
    "no reason": ({"how": "again"}, "required"),
    "no choice": ({"reason": "x"}, "required"),
    "an unknown choice": ({"reason": "x", "how": "delete"}, "delete is not one of"),
    "no json": ({"reason": "x", "how": "input", "given": "{oops"}, "line 1, column"),
    "no object": ({"reason": "x", "how": "output", "output": "[1]"}, "must be a JSON object"),
    "too deep": ({"reason": "x", "how": "output", "output": '{"a":' * 99 + "1" + "}" * 99}, "nested"),
    "too long a reason": ({"reason": "x" * 501, "how": "again"}, "at most 500"),
    "a NUL": ({"reason": "a\0b", "how": "again"}, "Null characters are not allowed"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_repair_is_said_at_its_field_and_nothing_typed_is_lost(
    failed: WorkflowExecution, as_alice: Client, what: str
) -> None:
    typed, sentence = WRONG[what]
    response = as_alice.post(page(failed, "repair"), {"node": "work", **typed})
    text = said(response)
    assert response.status_code == 422 and sentence in text and "Nothing was repaired" in text
    kept = response.context["form"].data
    assert all(kept[name] == value for name, value in typed.items())
    assert not failed.entries.filter(kind="repaired").exists()


def test_only_what_failed_can_be_repaired_and_the_page_says_so(running: WorkflowExecution, as_alice: Client) -> None:
    assert "Only what has failed can be repaired" in said(as_alice.get(page(running, "repair")))
    response = as_alice.post(page(running, "repair"), {"reason": "x", "how": "again"})
    assert response.status_code == 409
    assert running.entries.filter(kind="repaired").count() == 0


def test_two_who_repair_at_once_are_told(failed: WorkflowExecution, as_alice: Client, as_bob: Client) -> None:
    typed = {"reason": "x", "how": "again", "node": "work"}
    assert as_alice.post(page(failed, "repair"), typed).status_code == 303
    second = as_bob.post(page(failed, "repair"), typed)
    assert second.status_code == 409 and "it is pending" in said(second)
    assert failed.entries.filter(kind="repaired").count() == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_reasons_are_text_and_nothing_else(failed: WorkflowExecution, as_alice: Client, text: str) -> None:
    as_alice.post(page(failed, "repair"), {"reason": text[:500], "how": "again", "node": "work"})
    shown = said(as_alice.get(page(failed)))
    assert "<script>alert" not in shown and "49</" not in shown


# Items


@pytest.fixture
def parent(workflow: Workflow, alice: User) -> WorkflowExecution:
    """A for-each of 250 items: 200 completed, 3 failed, 1 under way."""
    definition = drawn(
        [node("each", "test_each", label="For each order"), node("item", "test_count"), node("end", "test_count")],
        "each:each>item",
        "each:done>end",
    )
    version = workflow.publish(definition, by=alice)
    now = timezone.now()
    row: dict[str, Any] = {"workflow": workflow, "version": version}
    execution = WorkflowExecution.objects.create(status="waiting", started_by=alice, started_at=now, **row)
    waited = {"kind": "child", "until": None, "each": 250, "parallel": 8}
    written(execution, ("queued", None, {}), ("started", None, {}), ("started", "each", {}), ("waited", "each", waited))
    row |= {
        "parent": execution,
        "parent_node": "each",
        "parent_attempt": 1,
        "root": execution,
        "body": "each",
        "depth": 1,
    }
    children = []
    for index in range(204):
        status = "failed" if index < 3 else "running" if index == 203 else "completed"
        done = None if status == "running" else now
        given = {"item": {"order": f"<b>{index}</b>"}, "index": index}
        facts = {"status": status, "completed_at": done, "started_at": now, "input_data": given}
        facts["error_message"] = "no <such> code" if status == "failed" else ""
        children.append(WorkflowExecution(item_index=index, **facts, **row))
    WorkflowExecution.objects.bulk_create(children)
    return execution


def test_the_page_draws_the_body_and_counts_the_items(parent: WorkflowExecution, as_alice: Client) -> None:
    text = said(as_alice.get(page(parent)))
    assert "203 of 250 items" in text and "3 failed" in text and "1 under way" in text
    assert "of-items" in text and "for each, 203 of 250 items" in text
    assert "0 of 2 steps" in text, "the steps of the body are not its own"


def test_items_come_a_page_at_a_time_and_can_be_filtered(parent: WorkflowExecution, as_alice: Client) -> None:
    url = page(parent, "items")
    first = as_alice.get(url, {"node": "each"})
    assert [row.item_index for row in first.context["rows"]] == list(range(100)) and first.context["next"] == 99
    last = as_alice.get(url, {"node": "each", "after": "199"})
    assert [row.item_index for row in last.context["rows"]] == [200, 201, 202, 203] and last.context["next"] is None
    bad = as_alice.get(url, {"status": "failed"})
    assert [row.item_index for row in bad.context["rows"]] == [0, 1, 2]
    assert "no &lt;such&gt; code" in said(bad) and "<b>0</b>" not in said(bad)


def test_a_page_of_items_costs_the_same_however_many_there_are(
    parent: WorkflowExecution, as_alice: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(14):
        as_alice.get(page(parent, "items"), {"node": "each"})


@pytest.mark.parametrize("asked", [{"node": "nowhere"}, {"node": "<b>"}, {"node": "each", "status": "exploded"}])
def test_items_that_are_not_there_are_unknown(parent: WorkflowExecution, as_alice: Client, asked: Any) -> None:
    assert as_alice.get(page(parent, "items"), asked).status_code == 404


def test_an_execution_without_items_has_no_page_of_them(failed: WorkflowExecution, as_alice: Client) -> None:
    assert as_alice.get(page(failed, "items")).status_code == 404


def test_a_child_names_its_parent_and_cannot_be_run_or_repaired_alone(
    parent: WorkflowExecution, as_alice: Client, as_charlie: Client
) -> None:
    child = parent.children.get(item_index=1)
    text = said(as_alice.get(page(child)))
    assert "Item 2 of “For each order” in" in text and page(parent) in text
    assert "Run again" not in text and "Repair…" not in text
    assert as_charlie.get(page(child)).status_code == 404
    assert as_alice.post(page(child, "repair"), {"reason": "x", "how": "again"}).status_code == 409
    assert call(as_alice, "POST", f"{child.pk}/rerun", {}).status_code in (403, 409)


def test_a_step_of_the_body_leads_to_the_items(parent: WorkflowExecution, as_alice: Client) -> None:
    assert as_alice.get(page(parent, "step", "item"))["Location"] == f"{page(parent, 'items')}?node=each"


def test_the_live_pieces_of_a_parent_are_bytes_for_everybody(parent: WorkflowExecution, as_bob: Client) -> None:
    state = fold(parent.entries.told().order_by("seq"))
    pieces = fragments.pieces(parent, graph_of(parent), state)
    shown = said(as_bob.get(page(parent)))
    assert pieces["items"] in shown and pieces["why"] in shown and "csrf" not in "".join(pieces.values())


# REST


def api(owner: User) -> Client:
    client = Client(enforce_csrf_checks=False)
    client.force_login(owner)
    return client


def test_pause_and_resume_over_rest(waiting: WorkflowExecution, as_alice: Client) -> None:
    assert call(as_alice, "POST", f"{waiting.pk}/pause", {}).status_code == 202
    told = call(as_alice, "GET", f"{waiting.pk}").json()
    assert told["paused_at"] and told["why"].startswith("Paused by alice")
    assert call(as_alice, "POST", f"{waiting.pk}/resume").status_code == 202
    assert call(as_alice, "GET", f"{waiting.pk}").json()["paused_at"] is None
    assert call(as_alice, "POST", f"{waiting.pk}/pause", {"before": ["work"]}).status_code == 202
    waiting.refresh_from_db()
    assert waiting.pause_before == ["work"] and waiting.paused_at is None


@pytest.mark.parametrize("body", [{"before": ["nowhere"]}, {"before": "work"}, {"before": ["<b>"]}, {"now": True}, []])
def test_a_pause_that_makes_no_sense_is_refused(waiting: WorkflowExecution, as_alice: Client, body: Any) -> None:
    response = call(as_alice, "POST", f"{waiting.pk}/pause", body)
    assert response.status_code == 422 and set(response.json()) == {"detail", "code", "where"}
    waiting.refresh_from_db()
    assert waiting.paused_at is None and waiting.pause_before == []


def test_what_has_ended_is_neither_paused_nor_resumed(failed: WorkflowExecution, as_alice: Client) -> None:
    for verb in ("pause", "resume"):
        response = call(as_alice, "POST", f"{failed.pk}/{verb}")
        assert (response.status_code, response.json()["code"]) == (409, "execution.ended")


def test_execute_takes_steps_to_pause_before_and_names_those_that_are_not_there(
    workflow: Workflow, as_alice: Client
) -> None:
    url = f"/api/workflows/{workflow.pk}/execute"
    good = as_alice.post(url, json.dumps({"pause_before": ["work"]}), content_type="application/json")
    assert good.status_code == 202 and WorkflowExecution.objects.latest("pk").pause_before == ["work"]
    bad = as_alice.post(url, json.dumps({"pause_before": ["nowhere"]}), content_type="application/json")
    assert bad.status_code == 422 and bad.json()["where"] == {"field": "pause_before"}


def test_a_rerun_is_planned_and_done_over_rest(failed: WorkflowExecution, as_alice: Client) -> None:
    plan = call(as_alice, "GET", f"{failed.pk}/rerun?from_node=work").json()
    assert plan == {"reused": ["in"], "again": ["work", "out"], "outside": []}
    response = call(as_alice, "POST", f"{failed.pk}/rerun", {"from_node": "work"})
    assert response.status_code == 202
    assert response["Location"] == f"/api/executions/{response.json()['execution_id']}"
    assert call(as_alice, "POST", f"{failed.pk}/rerun", {"input_data": {"text": "b"}}).status_code == 202
    both = call(as_alice, "POST", f"{failed.pk}/rerun", {"input_data": {}, "from_node": "work"})
    assert both.status_code == 409 and "from the beginning" in both.json()["detail"]


def test_a_repair_over_rest(failed: WorkflowExecution, as_alice: Client) -> None:
    body = {"node": "work", "reason": "sent by hand", "output_data": {"text": "A"}}
    assert call(as_alice, "POST", f"{failed.pk}/repair", body).status_code == 202
    assert entry_of(failed).data["reason"] == "sent by hand"
    again = call(as_alice, "POST", f"{failed.pk}/repair", body)
    assert again.status_code == 409 and "only what has failed" in again.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"node": "in"},
        {"node": "nowhere"},
        {"node": 5},
        {"reason": "a\0b"},
        {"input_data": {}, "output_data": {}},
        {"output_data": {}, "handle": "nowhere"},
        {"output_data": [1]},
        {"how": "again"},
    ],
    ids=str,
)
def test_a_repair_that_makes_no_sense_is_refused(failed: WorkflowExecution, as_alice: Client, body: Any) -> None:
    assert call(as_alice, "POST", f"{failed.pk}/repair", body).status_code in (409, 422)
    failed.refresh_from_db()
    assert failed.status == "failed" and not failed.entries.filter(kind="repaired").exists()


@pytest.mark.parametrize("verb", ["pause", "resume", "rerun", "repair"])
def test_a_stranger_steers_nothing_over_rest(failed: WorkflowExecution, as_charlie: Client, verb: str) -> None:
    assert call(as_charlie, "POST", f"{failed.pk}/{verb}", {}).status_code == 404


def test_the_log_keeps_nothing_of_what_was_refused(failed: WorkflowExecution, as_alice: Client) -> None:
    before = ExecutionLog.objects.count()
    as_alice.post(page(failed, "repair"), {"how": "again"})
    as_alice.get(page(failed, "again_from"), {"node": "work"})
    assert ExecutionLog.objects.count() == before


def test_the_status_says_why_over_rest(alice: User, as_alice: Client) -> None:
    workflow = Workflow.objects.create(name="One at a time", owner=alice, concurrency=1)
    workflow.publish(chain(node("a")))
    first, second = (WorkflowEngine().submit(workflow.pk, by=alice) for _ in range(2))
    told = call(as_alice, "GET", f"{second}").json()["why"]
    assert told == f"Waits for a slot: held by #{first} (limit 1)."
    assert call(as_alice, "GET", f"{first}").json()["why"] is None


def test_earlier_attempts_are_segments_of_the_bar(begun: Write, as_alice: Client) -> None:
    retried = {"error": ERROR, "until": BEGIN.isoformat(), "failures": 1, "of": 3}
    again = [("started", "work", {}), ("retried", "work", retried)] * 2
    execution = begun("running", *again, ("started", "work", {}))
    state = fold(execution.entries.told().order_by("seq"))
    assert len(state.nodes["work"].past) == 2
    rows = said(as_alice.get(page(execution))).split("<tr")
    (row,) = [text for text in rows if "-step-work" in text]
    assert row.count("seg-fail") == 2 and "data-since" in row
