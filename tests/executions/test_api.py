"""Executions over REST: what people may do, what others may not, and what no input can break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as site
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from executions.engine import WorkflowEngine
from executions.models import ExecutionStatus, WorkflowExecution
from tests.conftest import signed_in
from workflows.models import Workflow
from workflowsite.accounts.models import ApiToken

pytestmark = pytest.mark.django_db

HUGE = "9" * 400
UNKNOWN_IDS = ["0", "999999", str(2**63), str(2**64), HUGE, "-1", "1.5", "abc", "%00", "12%20", "１", "null"]


@pytest.fixture
def execution(workflow: Workflow, alice: User) -> WorkflowExecution:
    return submitted(workflow, alice)


@pytest.fixture
def completed(workflow: Workflow, alice: User) -> WorkflowExecution:
    result = async_to_sync(WorkflowEngine().execute_workflow)(workflow.pk, {"name": "Ada"}, by=alice)
    return WorkflowExecution.objects.get(pk=result.execution_id)


def submitted(workflow: Workflow, user: User, **how: Any) -> WorkflowExecution:
    return WorkflowExecution.objects.get(pk=WorkflowEngine().submit(workflow.pk, {"name": "Ada"}, by=user, **how))


def execute(client: Client, workflow: Workflow, body: Any = None, **headers: str) -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps({} if body is None else body)
    path = f"/api/workflows/{workflow.pk}/execute"
    return client.post(path, text, content_type="application/json", headers=headers)


def refused(response: Any, status: int, code: str, **where: Any) -> str:
    """Checks the one shape of all refusals and gives the sentence."""
    told = response.json()
    assert (response.status_code, told["code"]) == (status, code), told
    assert set(told) == {"detail", "code", "where"}
    assert where.items() <= told["where"].items()
    assert told["detail"]
    return str(told["detail"])


# Execute


def test_execute_answers_at_once_with_the_execution(as_alice: Client, workflow: Workflow, alice: User) -> None:
    response = execute(as_alice, workflow, {"input_data": {"name": "Ada"}})
    execution = WorkflowExecution.objects.get()
    assert response.status_code == 202
    assert response.json() == {
        "execution_id": execution.pk,
        "status": "pending",
        "output_data": None,
        "error_message": "",
    }
    assert execution.input_data == {"name": "Ada"} and execution.started_by == alice
    assert response.headers["Location"] == f"/api/executions/{execution.pk}"
    assert as_alice.get(response.headers["Location"]).json()["id"] == execution.pk


@pytest.mark.parametrize("body", ["", "{}", '{"input_data": {}}'])
def test_execute_needs_no_input(as_alice: Client, workflow: Workflow, body: str) -> None:
    assert execute(as_alice, workflow, body).status_code == 202
    assert WorkflowExecution.objects.get().input_data == {}


def test_a_teammate_may_execute_and_a_stranger_learns_nothing(
    as_bob: Client, as_charlie: Client, workflow: Workflow
) -> None:
    assert execute(as_bob, workflow).status_code == 202
    refused(execute(as_charlie, workflow), 404, "not_found")
    assert WorkflowExecution.objects.count() == 1


def test_everybody_may_execute_a_workflow_without_owner(as_charlie: Client, workflow: Workflow) -> None:
    Workflow.objects.update(owner=None, group=None)
    assert execute(as_charlie, workflow).status_code == 202


def test_an_inactive_workflow_is_a_conflict(as_alice: Client, workflow: Workflow) -> None:
    Workflow.objects.update(is_active=False)
    assert "not found or inactive" in refused(execute(as_alice, workflow), 409, "execution")


def test_an_archived_workflow_is_unknown(as_alice: Client, workflow: Workflow) -> None:
    workflow.archive()
    refused(execute(as_alice, workflow), 404, "not_found")


def deep(levels: int) -> str:
    return '{"input_data": ' + '{"a": ' * levels + "1" + "}" * levels + "}"


BAD_BODIES = {
    "no JSON": ("{", 400, "json"),
    "a second document": ("{} {}", 400, "json"),
    "NaN": ('{"input_data": {"a": NaN}}', 400, "json"),
    "infinity": ('{"input_data": {"a": -Infinity}}', 400, "json"),
    "a number that overflows": ('{"input_data": {"a": 1e999}}', 422, "input"),
    "a number of 5,000 digits": ('{"input_data": {"a": %s}}' % ("9" * 5000), 400, "json"),
    "bytes that are no UTF-8": (b'{"input_data": {"a": "\xff\xfe"}}', 400, "json"),
    "a NUL": ('{"input_data": {"a": "\\u0000"}}', 422, "input"),
    "a NUL in a key": ('{"input_data": {"\\u0000": 1}}', 422, "input"),
    "a lone surrogate": ('{"input_data": {"a": "\\ud800"}}', 422, "input"),
    "100 levels": (deep(100), 422, "input"),
    "700 levels": (deep(700), 422, "input"),  # more than 900, with the middleware's frames, end the parser itself
    "100,000 levels": (deep(100_000), 400, "json"),
    "100,000 brackets": ("[" * 100_000, 400, "json"),
    "more than a body may have": ('{"input_data": {"a": "%s"}}' % ("x" * 6_000_000), 413, "too_large"),
    "a list as the body": ("[]", 422, "field"),
    "null as the body": ("null", 422, "field"),
    "a text as the body": ('"input_data"', 422, "field"),
    "a list as the input": ('{"input_data": []}', 422, "field"),
    "null as the input": ('{"input_data": null}', 422, "field"),
    "a number as the input": ('{"input_data": 5}', 422, "field"),
    "an unknown key": ('{"name": "Ada"}', 422, "field"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_and_starts_nothing(as_alice: Client, workflow: Workflow, name: str) -> None:
    body, status, code = BAD_BODIES[name]
    refused(execute(as_alice, workflow, body), status, code)
    assert not WorkflowExecution.objects.exists()


def test_a_refusal_says_where(as_alice: Client, workflow: Workflow) -> None:
    refused(execute(as_alice, workflow, '{\n"input_data": {,}}'), 400, "json", line=2)
    refused(execute(as_alice, workflow, {"input": {}}), 422, "field", field="input")
    refused(
        execute(as_alice, workflow, {"input_data": {"a": {"b": ["x", "\0"]}}}), 422, "input", field="input_data.a.b[1]"
    )


def test_of_two_keys_of_one_name_the_last_counts(as_alice: Client, workflow: Workflow) -> None:
    assert execute(as_alice, workflow, '{"input_data": {"a": 1, "a": 2}}').status_code == 202
    assert WorkflowExecution.objects.get().input_data == {"a": 2}


@pytest.mark.parametrize(
    ("media_type", "body", "status", "code"),
    [
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--\r\n", 415, "media_type"),
        ("multipart/form-data", b"--x\r\n", 400, "unreadable"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n',
            415,
            "media_type",
        ),
        ("application/x-www-form-urlencoded", b"a=1&b=2", 400, "json"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1500), 400, "unreadable"),
    ],
)
def test_a_form_is_no_json(
    workflow: Workflow, alice: User, media_type: str, body: bytes, status: int, code: str
) -> None:
    client = with_csrf_token(alice)
    response = client.post(
        f"/api/workflows/{workflow.pk}/execute", body, content_type=media_type, headers={"X-CSRFToken": "a" * 32}
    )
    refused(response, status, code)


@pytest.mark.parametrize("number", UNKNOWN_IDS)
def test_an_unknown_workflow_is_not_found(as_alice: Client, workflow: Workflow, number: str) -> None:
    response = as_alice.post(f"/api/workflows/{number}/execute", "{}", content_type="application/json")
    refused(response, 404, "not_found")


# The idempotency key


def test_one_key_gives_one_execution(as_alice: Client, workflow: Workflow) -> None:
    first = execute(as_alice, workflow, **{"Idempotency-Key": "order 4711"})
    again = execute(as_alice, workflow, **{"Idempotency-Key": "order 4711"})
    other = execute(as_alice, workflow, **{"Idempotency-Key": "order 4712"})
    assert [answer.status_code for answer in (first, again, other)] == [202] * 3
    assert first.json() == again.json() and first.headers["Location"] == again.headers["Location"]
    assert other.json()["execution_id"] != first.json()["execution_id"]


def test_without_a_key_each_request_starts_one(as_alice: Client, workflow: Workflow) -> None:
    for key in ({}, {}, {"Idempotency-Key": ""}, {"Idempotency-Key": "  "}):
        assert execute(as_alice, workflow, **key).status_code == 202
    assert WorkflowExecution.objects.count() == 4


@pytest.mark.parametrize(("key", "status"), [("k" * 200, 202), ("k" * 201, 422), ("ü€", 202), ("a\0b", 422)])
def test_a_key_has_at_most_200_characters_that_can_be_kept(
    as_alice: Client, workflow: Workflow, key: str, status: int
) -> None:
    response = execute(as_alice, workflow, **{"Idempotency-Key": key})
    assert response.status_code == status
    if status == 422:
        refused(response, 422, "field", field="Idempotency-Key")


@pytest.mark.django_db(transaction=True)
def test_one_key_at_the_same_time_gives_one_execution(workflow: Workflow, alice: User) -> None:
    _, token = ApiToken.issue(alice, "tests")

    def post(_: int) -> tuple[int, int]:
        response = execute(Client(), workflow, Authorization=f"Bearer {token}", **{"Idempotency-Key": "once"})
        connections.close_all()
        return response.status_code, response.json()["execution_id"]

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(post, range(24)))
    assert len(answers) == 1 and answers.pop()[0] == 202
    assert WorkflowExecution.objects.count() == 1


# Who asks


def test_a_token_is_enough(workflow: Workflow, alice: User) -> None:
    _, token = ApiToken.issue(alice, "tests")
    client = Client(enforce_csrf_checks=True)
    assert execute(client, workflow, Authorization=f"Bearer {token}").status_code == 202
    assert WorkflowExecution.objects.get().started_by == alice


@pytest.mark.parametrize("told", ["", "Bearer", "Bearer ", "Bearer wrong", "Bearer \0", "Basic YTpi", "Bearer ü"])
def test_a_wrong_token_is_not(workflow: Workflow, told: str) -> None:
    refused(execute(Client(), workflow, Authorization=told), 401, "not_signed_in")


def with_csrf_token(user: User) -> Client:
    """A session in a client that checks as a browser's requests are checked; the token is 32 times an a."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.cookies[site.CSRF_COOKIE_NAME] = "a" * 32
    return client


def test_a_session_needs_its_csrf_token(workflow: Workflow, alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    refused(execute(client, workflow), 403, "csrf")
    assert execute(with_csrf_token(alice), workflow, **{"X-CSRFToken": "a" * 32}).status_code == 202


def test_who_is_no_longer_active_is_out(workflow: Workflow, alice: User) -> None:
    _, token = ApiToken.issue(alice, "tests")
    User.objects.update(is_active=False)
    refused(execute(Client(), workflow, Authorization=f"Bearer {token}"), 401, "not_signed_in")


ROUTES = [
    ("get", "/api/executions/"),
    ("get", "/api/executions/1"),
    ("get", "/api/executions/1/logs"),
    ("post", "/api/executions/1/cancel"),
    ("post", "/api/workflows/1/execute"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_gets_nothing(client: Client, method: str, path: str) -> None:
    response = getattr(client, method)(path)
    refused(response, 401, "not_signed_in")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


# Lists


def ids(response: Any) -> list[int]:
    assert response.status_code == 200, response.content
    return [item["id"] for item in response.json()["items"]]


def test_the_list_shows_what_one_may_see_newest_first(
    as_alice: Client, as_bob: Client, as_charlie: Client, workflow: Workflow, alice: User
) -> None:
    numbers = [submitted(workflow, alice).pk for _ in range(3)][::-1]
    assert ids(as_alice.get("/api/executions/")) == ids(as_bob.get("/api/executions/")) == numbers
    assert ids(as_charlie.get("/api/executions/")) == []


def test_the_list_carries_no_data(as_alice: Client, execution: WorkflowExecution) -> None:
    (item,) = as_alice.get("/api/executions/").json()["items"]
    assert item["status"] == "pending" and item["steps_total"] == 3
    assert not {"input_data", "output_data", "error"} & item.keys()


def parts(client: Client, path: str) -> Iterator[list[int]]:
    cursor = ""
    while True:
        response = client.get(f"{path}?limit=3{cursor}")
        yield ids(response)
        if response.json()["next"] is None:
            return
        cursor = f"&cursor={response.json()['next']}"


def test_parts_of_the_list_join_without_gap_or_overlap(as_alice: Client, workflow: Workflow, alice: User) -> None:
    numbers = [submitted(workflow, alice).pk for _ in range(7)][::-1]
    walk = parts(as_alice, "/api/executions/")
    first = next(walk)
    submitted(workflow, alice)  # what comes meanwhile moves nothing
    assert [first, *walk] == [numbers[:3], numbers[3:6], numbers[6:]]


def test_the_list_costs_the_same_however_long_it_is(
    as_alice: Client, workflow: Workflow, alice: User, django_assert_num_queries: Any
) -> None:
    for count in (2, 30):
        for _ in range(count):
            submitted(workflow, alice)
        with django_assert_num_queries(3):  # session, user, list
            as_alice.get("/api/executions/")


def test_filters_choose_and_combine(as_alice: Client, workflow: Workflow, alice: User, bob: User) -> None:
    mine, bobs, failed = submitted(workflow, alice), submitted(workflow, bob), submitted(workflow, alice)
    WorkflowExecution.objects.filter(pk=failed.pk).update(
        status=ExecutionStatus.FAILED, created_at=failed.created_at - timedelta(days=2)
    )
    since = (mine.created_at - timedelta(days=1)).isoformat()
    cases: list[tuple[dict[str, Any], list[WorkflowExecution]]] = [
        ({"status": "failed"}, [failed]),
        ({"status": ["failed", "pending"]}, [failed, bobs, mine]),
        ({"status": "waiting"}, []),
        ({"workflow_id": workflow.pk}, [failed, bobs, mine]),
        ({"workflow_id": workflow.pk + 1}, []),
        ({"started_by": "bob"}, [bobs]),
        ({"started_by": "nobody"}, []),
        ({"since": since}, [bobs, mine]),
        ({"until": since}, [failed]),
        ({"until": since[:19]}, [failed]),
        ({"since": since, "started_by": "alice"}, [mine]),
    ]
    for query, expected in cases:
        assert ids(as_alice.get("/api/executions/", query)) == [row.pk for row in expected], query


BAD_QUERIES = [
    *("limit=0", "limit=201", "limit=-1", "limit=", "limit=x", f"limit={HUGE}", "limit=%00"),
    *("cursor=0", "cursor=-1", "cursor=x", f"cursor={2**63}", f"cursor={HUGE}", "cursor=%ED%A0%80"),
    *("status=done", "status=", "status=%00", "workflow_id=x", f"workflow_id={2**64}", "workflow_id=%00"),
    *("since=yesterday", "since=%00", "until=0000-00-00", "since=9999-12-31T23:59:59-14:00"),
    *("started_by=%00", f"started_by={'x' * 151}"),
]


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_bad_query_is_refused_by_its_name(as_alice: Client, query: str) -> None:
    name = query.partition("=")[0]
    assert name in refused(as_alice.get(f"/api/executions/?{query}"), 422, "field")


def test_a_list_is_found_without_its_slash_too(as_alice: Client, execution: WorkflowExecution) -> None:
    assert ids(as_alice.get("/api/executions?limit=1", follow=True)) == [execution.pk]


# One


def test_an_execution_is_told_with_all_of_its_data(as_alice: Client, completed: WorkflowExecution) -> None:
    told = as_alice.get(f"/api/executions/{completed.pk}").json()
    assert told["status"] == "completed" and told["steps_done"] == told["steps_total"] == 3
    assert told["input_data"] == {"name": "Ada"} and told["output_data"]["result"] == {"name": "ADA"}
    assert told["version"] == 1 and told["error"] is None and told["duration_ms"] >= 0


@pytest.mark.parametrize("tail", ["", "/logs"])
def test_another_s_execution_is_as_unknown_as_none(
    as_bob: Client, as_charlie: Client, execution: WorkflowExecution, tail: str
) -> None:
    assert as_bob.get(f"/api/executions/{execution.pk}{tail}").status_code == 200
    theirs = refused(as_charlie.get(f"/api/executions/{execution.pk}{tail}"), 404, "not_found")
    none = refused(as_charlie.get(f"/api/executions/999{tail}"), 404, "not_found")
    assert theirs.replace(str(execution.pk), "") == none.replace("999", "")


@pytest.mark.parametrize("number", UNKNOWN_IDS)
def test_an_unknown_execution_is_not_found(as_alice: Client, number: str) -> None:
    refused(as_alice.get(f"/api/executions/{number}"), 404, "not_found")
    refused(as_alice.get(f"/api/executions/{number}/logs"), 404, "not_found")
    refused(as_alice.post(f"/api/executions/{number}/cancel"), 404, "not_found")


def test_an_execution_of_an_archived_workflow_stays_readable(
    as_alice: Client, workflow: Workflow, execution: WorkflowExecution
) -> None:
    workflow.archive()
    assert as_alice.get(f"/api/executions/{execution.pk}").status_code == 200


# Its journal


def test_the_journal_comes_whole_and_in_order(as_alice: Client, completed: WorkflowExecution) -> None:
    told = as_alice.get(f"/api/executions/{completed.pk}/logs").json()
    entries = told["items"]
    assert told["next"] is None
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["kind"] == "finished"
    assert {"logged", "started", "completed"} <= {entry["kind"] for entry in entries}
    lines = [entry for entry in entries if entry["kind"] == "logged"]
    assert lines[0]["step_name"] == "Take in" and lines[0]["text"] and lines[0]["level"] == "info"


def test_the_journal_comes_in_parts(as_alice: Client, completed: WorkflowExecution) -> None:
    seen: list[int] = []
    after: str | None = "0"
    while after is not None:
        told = as_alice.get(f"/api/executions/{completed.pk}/logs?limit=2&after={after}").json()
        assert len(told["items"]) <= 2
        seen += [entry["seq"] for entry in told["items"]]
        after = told["next"]
    assert seen == list(range(1, completed.entries.count() + 1))


def test_the_steps_alone_come_with_what_they_saw_and_made(as_alice: Client, completed: WorkflowExecution) -> None:
    entries = as_alice.get(f"/api/executions/{completed.pk}/logs?steps=true").json()["items"]
    assert [entry["node_id"] for entry in entries] == ["in", "work", "out"]
    assert entries[1]["input_data"] == {"name": "Ada"} and entries[1]["output_data"] == {"name": "ADA"}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", f"limit={HUGE}", "after=-1", "after=x", f"after={2**31}", "steps=perhaps"]
)
def test_a_bad_window_on_the_journal_is_refused(as_alice: Client, execution: WorkflowExecution, query: str) -> None:
    refused(as_alice.get(f"/api/executions/{execution.pk}/logs?{query}"), 422, "field")


# Cancel


def test_a_pending_execution_is_cancelled(as_bob: Client, execution: WorkflowExecution, bob: User) -> None:
    response = as_bob.post(f"/api/executions/{execution.pk}/cancel")
    assert response.status_code == 202 and response.json()["status"] == "cancelled"
    assert response.json()["error_message"] == "Execution cancelled by user"
    execution.refresh_from_db()
    assert execution.cancel_requested_by == bob


def test_a_running_execution_is_asked_once_and_asking_again_does_no_harm(
    as_alice: Client, execution: WorkflowExecution
) -> None:
    later = execution.created_at + timedelta(hours=1)
    WorkflowExecution.objects.update(status=ExecutionStatus.RUNNING, owner="somebody", due_at=later)
    for _ in range(2):
        response = as_alice.post(f"/api/executions/{execution.pk}/cancel")
        assert response.status_code == 202 and response.json()["status"] == "running"
    assert as_alice.get(f"/api/executions/{execution.pk}").json()["cancel_requested_at"]


def test_what_has_ended_cannot_be_cancelled(as_alice: Client, completed: WorkflowExecution) -> None:
    response = as_alice.post(f"/api/executions/{completed.pk}/cancel")
    assert "completed" in refused(response, 409, "execution.ended")


def test_a_stranger_cannot_cancel(as_charlie: Client, execution: WorkflowExecution) -> None:
    refused(as_charlie.post(f"/api/executions/{execution.pk}/cancel"), 404, "not_found")
    execution.refresh_from_db()
    assert execution.cancel_requested_at is None


def test_who_may_look_but_not_run_is_forbidden(
    execution: WorkflowExecution, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executions.api.can", lambda user, verb, workflow: verb == "view")
    refused(signed_in(alice).post(f"/api/executions/{execution.pk}/cancel"), 403, "forbidden")


def test_a_post_route_answers_no_get(as_alice: Client, execution: WorkflowExecution) -> None:
    response = as_alice.get(f"/api/executions/{execution.pk}/cancel")
    refused(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"
