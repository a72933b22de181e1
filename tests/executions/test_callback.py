"""The one-time address of a callback: open to whoever has it, once, and to nobody who guesses."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client, RequestFactory
from django.utils import timezone

from executions.callbacks import url_of
from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, ExecutionWait
from executions.worker import Worker
from tests.executions.conftest import become_due, drawn, entries, node, submit, told, until
from tests.executions.questions import asking, awaiting_a_call
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)
STEP = "work"  # the one that the fixtures wait at

CALLED = drawn([node("call", "callback"), node("a"), node("late")], "call>a", "call:expired>late")


def address(wait: ExecutionWait) -> str:
    return url_of(wait, RequestFactory().get("/")).removeprefix("http://testserver")


def post(wait: ExecutionWait, body: Any = b"{}", kind: str = "application/json", **how: Any) -> Any:
    return Client().post(address(wait), body, content_type=kind, **how)


def said(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/json"
    found = json.loads(response.content)
    assert found["detail"].endswith(".")
    return response.status_code, found.get("code", "")


@pytest.fixture
def wait(workflow: Workflow) -> ExecutionWait:
    return awaiting_a_call(workflow)


def kept(wait: ExecutionWait) -> Any:
    wait.refresh_from_db()
    return wait.answer


# What it takes


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [
        (b'{"paid": true, "sum": 12.5}', "application/json", {"paid": True, "sum": 12.5}),
        (b'{"a": "\xc3\xa9"}', "application/json; charset=utf-8", {"a": "é"}),
        (b'{"a": 1}', "application/vnd.api+json", {"a": 1}),
        (
            b"paid=yes&line=1&line=2&none=",
            "application/x-www-form-urlencoded",
            {"paid": "yes", "line": ["1", "2"], "none": ""},
        ),
        (b"", "application/json", {}),
        (b"", "text/plain", {}),
        (b"", "application/x-www-form-urlencoded", {}),
    ],
)
def test_a_json_object_or_a_form_is_taken(wait: ExecutionWait, body: bytes, kind: str, data: Any) -> None:
    response = post(wait, body, kind)
    assert said(response) == (202, "") and kept(wait) == data
    assert response["Cache-Control"] == "no-store"


def test_a_form_in_parts_is_taken_and_a_file_is_not(wait: ExecutionWait) -> None:
    with_file = Client().post(address(wait), {"a": "1", "file": SimpleUploadedFile("x.txt", b"x")})
    assert said(with_file) == (415, "media_type") and kept(wait) is None
    assert Client().post(address(wait), {"a": "1"}).status_code == 202
    assert kept(wait) == {"a": "1"}


@pytest.mark.parametrize(
    ("body", "kind", "refusal"),
    [
        (b"{", "application/json", (400, "json")),
        (b'{"a": NaN}', "application/json", (400, "json")),
        (b'{"a": 1, "a": 2, ', "application/json", (400, "json")),
        (b"\xff\xfe\xfd", "application/json", (400, "json")),
        (b"[" * 100_000, "application/json", (400, "json")),
        (b"[1, 2]", "application/json", (422, "input")),
        (b"null", "application/json", (422, "input")),
        (b'"text"', "application/json", (422, "input")),
        (b'{"a": "\\u0000"}', "application/json", (422, "input")),
        (b'{"a": "\\ud800"}', "application/json", (422, "input")),
        (b'{"a": ' * 70 + b"1" + b"}" * 70, "application/json", (422, "input")),
        (b"<paid/>", "application/xml", (415, "media_type")),
        (b"paid", "text/plain", (415, "media_type")),
        (b"{}", "", (415, "media_type")),
        (b"{}", "no such thing", (415, "media_type")),
        (b"nonsense", "multipart/form-data", (400, "unreadable")),
        (b"nonsense", "multipart/form-data; boundary=x", (202, "")),
        (
            b"&".join(b"a%d=1" % number for number in range(2_000)),
            "application/x-www-form-urlencoded",
            (400, "unreadable"),
        ),
        (b'{"a": "' + b"x" * 256 * 1024 + b'"}', "application/json", (413, "too_large")),
        (b"a=" + b"x" * 300_000, "application/x-www-form-urlencoded", (413, "too_large")),
        (b"x" * 6 * 1024 * 1024, "application/json", (413, "too_large")),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_cannot_be_taken_is_refused_and_the_address_still_works(
    wait: ExecutionWait, body: bytes, kind: str, refusal: tuple[int, str]
) -> None:
    response = post(wait, body, kind)
    assert said(response) == refusal
    if refusal[0] != 202:
        assert kept(wait) is None
        assert post(wait, b'{"then": 1}').status_code == 202


def test_a_claimed_length_that_is_nonsense_is_refused(wait: ExecutionWait) -> None:
    assert said(post(wait, b"{}", CONTENT_LENGTH="9999999999"))[0] == 413
    assert kept(wait) is None


# Who may


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options", "trace"])
def test_only_a_post_does_anything(wait: ExecutionWait, method: str) -> None:
    response = getattr(Client(), method)(address(wait))
    assert response.status_code == 405 and response["Allow"] == "POST"
    if method != "head":
        assert said(response) == (405, "method_not_allowed")
    assert kept(wait) is None


def test_whatever_is_wrong_with_an_address_the_answer_is_the_same(workflow: Workflow, wait: ExecutionWait) -> None:
    other = awaiting_a_call(workflow)
    good = address(wait)
    token = good.rstrip("/").rsplit("/", 1)[1]
    wrong = [
        good.replace(token, "0" * 64),
        good.replace(token, token[:-1]),
        good.replace(token, token + "0"),
        good.replace(token, token.upper()),
        good.replace(token, "é" * 64),
        good.replace(f"/{STEP}/", "/in/"),
        good.replace(f"/{wait.execution_id}/", f"/{other.execution_id}/"),
        good.replace(f"/{wait.execution_id}/", "/987654/"),
        good.replace(f"/{wait.execution_id}/", f"/{10**40}/"),
        good.replace(f"/{STEP}/", f"/{'x' * 500}/"),
        good.replace(f"/{STEP}/", "/wo%00rk/"),
        good.replace(f"/{STEP}/", "/wo rk/"),
    ]
    answers = {(response.status_code, response.content) for response in (Client().post(url) for url in wrong)}
    assert len(answers) == 1 and answers.pop()[0] == 404
    assert kept(wait) is None and kept(other) is None


def test_a_session_is_no_help_and_no_hindrance(wait: ExecutionWait, as_charlie: Client) -> None:
    """No cookie is asked for, and a stranger's changes nothing: not even a CSRF token is wanted."""
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = as_charlie.cookies
    assert strict.post(address(wait), b"{}", content_type="application/json").status_code == 202


def test_an_approval_has_no_such_address(workflow: Workflow) -> None:
    question = asking(workflow)
    assert said(post(question)) == (404, "not_found")
    question.refresh_from_db()
    assert question.answered_at is None


def test_the_address_is_bound_to_the_servers_secret(wait: ExecutionWait, settings: Any) -> None:
    before = address(wait)
    settings.SECRET_KEY = "another"
    assert Client().post(before, b"{}", content_type="application/json").status_code == 404


def test_a_repaired_step_gets_another_address(wait: ExecutionWait) -> None:
    before = address(wait)
    ExecutionLog.objects.create(execution=wait.execution, seq=5, kind="repaired", node=STEP, at=timezone.now(), data={})
    assert address(wait) != before
    assert Client().post(before, b"{}", content_type="application/json").status_code == 404
    assert post(wait).status_code == 202


# Once


def test_it_works_once(wait: ExecutionWait) -> None:
    assert post(wait, b'{"n": 1}').status_code == 202
    assert said(post(wait, b'{"n": 2}')) == (409, "callback.taken")
    assert said(post(wait, b"{")) == (409, "callback.taken"), "before anything is said of the body"
    assert kept(wait) == {"n": 1}


def test_of_many_calls_at_once_one_is_taken(wait: ExecutionWait) -> None:
    def call(number: int) -> int:
        try:
            return int(post(wait, json.dumps({"n": number}).encode()).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as callers:
        codes = list(callers.map(call, range(40)))
    assert sorted(codes) == [202] + [409] * 39
    assert kept(wait) == {"n": codes.index(202)}


def test_too_late_is_gone(workflow: Workflow) -> None:
    assert said(post(awaiting_a_call(workflow, due_s=-1))) == (410, "callback.closed")
    cancelled = awaiting_a_call(workflow)
    cancelled.execution.request_cancel()
    assert said(post(cancelled)) == (410, "callback.closed")
    ended = awaiting_a_call(workflow)
    assert WorkflowEngine().cancel(ended.execution_id)
    assert said(post(ended)) == (410, "callback.closed")
    assert not ExecutionWait.objects.filter(answered_at__isnull=False).exists()


# The whole way


async def test_a_call_goes_on_with_what_was_posted(engine_room: Worker) -> None:
    number = await submit(CALLED, {"order": 7})
    await until(number, "waiting")
    wait = await ExecutionWait.objects.select_related("execution").aget(execution=number)
    assert (wait.kind, wait.asks) == ("callback", None)
    response = await sync_to_async(post)(wait, b'{"paid": true, "approved": true, "by": "alice"}')
    assert response.status_code == 202
    output = (await until(number, "completed")).output_data
    assert output == {"order": 7, "callback": {"paid": True, "approved": True, "by": "alice"}, "a": 1}
    answered = next(entry for entry in await entries(number) if entry.kind == "answered")
    assert (answered.data["by"], answered.data["kind"]) == (None, "callback")
    assert (await sync_to_async(post)(wait)).status_code == 409


async def test_a_call_that_does_not_come_expires(engine_room: Worker) -> None:
    definition = {**CALLED, "nodes": [node("call", "callback", due=1, due_unit="hours"), *CALLED["nodes"][1:]]}
    number = await submit(definition)
    await until(number, "waiting")
    await become_due(number)
    await until(number, "completed")
    assert {"skipped a", "completed late"} <= set(await told(number))
    wait = await ExecutionWait.objects.select_related("execution").aget(execution=number)
    assert (await sync_to_async(post)(wait)).status_code == 410
