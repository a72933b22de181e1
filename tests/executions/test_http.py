"""http steps in the engine: one key over retries, a cancel in the middle, many at once, and what the journal keeps."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import transaction

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import WorkflowExecution
from executions.worker import Worker
from tests.executions.conftest import chain, drawn, entries, lines, make, node, row, run, submit, told, until
from tests.remote import Gate, Remote, Seen, answer, as_json, drip, raw, running, silence
from workflows.models import Secret

pytestmark = pytest.mark.django_db(transaction=True)

AGAIN = {"attempts": 5, "backoff_s": 0, "backoff_max_s": 0}
AT_ONCE = 500


@pytest.fixture
def remote(settings: Any) -> Iterator[Remote]:
    with running(Remote()) as found:
        settings.HTTP_ALLOW = [found.rule]
        yield found


def http(url: str, **config: Any) -> dict[str, Any]:
    return node("call", "http", url=url, **config)


async def test_its_response_is_in_the_output_beside_the_data(remote: Remote) -> None:
    url = remote.on("/orders", as_json({"paid": True}, 201, "Created"))
    result = await run(chain(node("in", "input"), http(url, method="POST")), {"order": 7})
    assert result.output_data["order"] == 7
    response = result.output_data["response"]
    assert (response["status"], response["body"], response["url"]) == (201, {"paid": True}, url)
    told_lines = await lines(result.execution_id, "call")
    assert told_lines[0] == f"POST {url}" and told_lines[1].startswith("201 Created, 14 bytes in ")


async def test_every_attempt_carries_one_key(remote: Remote, engine_room: Worker) -> None:
    """A status, a cut answer and a reset first, then the answer: to the other side that is one order."""
    ways = answer(status=503, retry_after="0"), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), raw(reset=True)
    url = remote.on("/pay", *ways, as_json({"paid": True}))
    execution_id = await submit(chain(http(url, method="POST", policy=AGAIN)))
    await until(execution_id, "completed")
    assert list(remote.keys.values()) == [4] and "" not in remote.keys
    kinds = Counter(await told(execution_id))
    assert (kinds["started call"], kinds["retried call"], kinds["completed call"]) == (4, 3, 1)


async def test_two_steps_and_two_executions_have_keys_of_their_own(remote: Remote) -> None:
    url = remote.on("/pay", as_json({}))
    definition = chain(node("a", "http", url=url, method="POST"), node("b", "http", url=url, method="POST"))
    workflow = await make(definition)
    for _ in range(2):
        await WorkflowEngine().execute_workflow(workflow.pk)
    assert sorted(remote.keys.values()) == [1, 1, 1, 1]


async def test_what_may_have_been_done_is_not_repeated_without_a_key(remote: Remote, engine_room: Worker) -> None:
    url = remote.on("/pay", raw(reset=True), as_json({}))
    execution_id = await submit(chain(http(url, method="POST", idempotency=False, policy=AGAIN)))
    found = await until(execution_id, "failed")
    assert "It may have been done" in found.error_message and len(remote.seen) == 1


async def test_what_stays_as_it_is_is_not_tried_again(remote: Remote, engine_room: Worker) -> None:
    url = remote.on("/", as_json({"message": "No such order"}, 404, "Not Found"))
    found = await until(await submit(chain(http(url, policy=AGAIN))), "failed")
    assert found.error_message.endswith(f"GET {url} answered 404 Not Found: No such order") and len(remote.seen) == 1
    assert found.error["details"]["status"] == 404


async def test_it_comes_back_when_the_other_side_says(remote: Remote, engine_room: Worker) -> None:
    url = remote.on("/", answer(status=429, retry_after="3600"), as_json({}))
    execution_id = await submit(chain(http(url, policy=AGAIN)))
    await until(execution_id, "waiting")
    (retried,) = [entry for entry in await entries(execution_id) if entry.kind == "retried"]
    waits = (await row(execution_id)).due_at - retried.at
    assert 3_590 < waits.total_seconds() <= 3_600


async def test_a_failure_leaves_by_its_own_way(remote: Remote) -> None:
    url = remote.on("/", answer(status=500))
    definition = drawn(
        [http(url, policy={"on_failure": "error"}), node("good"), node("bad")], "call>good", "call:error>bad"
    )
    result = await run(definition)
    assert "bad" in result.output_data and "good" not in result.output_data


@pytest.mark.parametrize(
    "behave", [silence, drip(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")]
)
async def test_a_cancel_in_the_middle_ends_the_connection(remote: Remote, engine_room: Worker, behave: Any) -> None:
    execution_id = await submit(chain(http(remote.on("/", behave), timeout_s=60)))
    await asyncio.to_thread(remote.until, lambda it: it.now == 1)
    assert await WorkflowEngine().cancel_execution(execution_id)
    await until(execution_id, "cancelled")
    await asyncio.to_thread(remote.until, lambda it: it.now == 0)
    assert remote.lost == 1
    assert "cancelled call" in await told(execution_id) and "abandoned call" not in await told(execution_id)


VALUE = "tk/+1f8e3b77=="


async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Gives away, everywhere that it can, what let somebody in."""
    given = seen.headers.get("authorization") or seen.headers["x-key"]
    leaks = {"message": f"bad key {given}", given: [given, {"deep": base64.b64encode(given.encode()).decode()}]}
    status = 403 if seen.path == "/fails" else 200
    await as_json(leaks, status, f"No {given}", x_echo=given, location=f"/?key={given}")(seen, writer)


@pytest.mark.parametrize("auth", ["bearer", "basic", "header"])
@pytest.mark.parametrize("path", ["/works", "/fails"])
async def test_a_secret_comes_back_into_nothing_that_is_kept(
    remote: Remote, alice: User, auth: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    await sync_to_async(Secret.objects.make)(alice, "KEY", VALUE, [f"127.0.0.1:{remote.port}"])
    workflow = await make(chain(http(remote.on(path, echo), auth=auth, auth_name="X-Key", secret="KEY")), owner=alice)
    with suppress(WorkflowExecutionError), caplog.at_level("DEBUG"):
        await WorkflowEngine().execute_workflow(workflow.pk)
    sent = remote.seen[0].headers["x-key" if auth == "header" else "authorization"]
    wire = base64.b64encode(f"X-Key:{VALUE}".encode()).decode()
    assert VALUE in sent or wire in sent
    found = await WorkflowExecution.objects.aget()
    kept = repr([entry.data for entry in await entries(found.pk)]) + repr([found.output_data, found.error, caplog.text])
    assert "KEY" in kept
    for form in (VALUE, wire, quote(VALUE, safe=""), base64.b64encode(VALUE.encode()).decode().rstrip("=")):
        assert form not in kept


async def test_a_secret_goes_to_no_host_that_it_does_not_name(remote: Remote, alice: User) -> None:
    await sync_to_async(Secret.objects.make)(alice, "KEY", VALUE, ["api.example.com"])
    workflow = await make(chain(http(remote.on("/", echo), auth="bearer", secret="KEY")), owner=alice)
    with pytest.raises(WorkflowExecutionError, match="may not go to 127.0.0.1"):
        await WorkflowEngine().execute_workflow(workflow.pk)
    assert remote.connections == 0


async def test_a_secret_that_is_not_there_fails_the_step_before_anything_is_sent(remote: Remote) -> None:
    url = remote.on("/", as_json({}))
    with pytest.raises(WorkflowExecutionError, match="NO_SUCH"):
        await run(chain(http(url, auth="bearer", secret="NO_SUCH")))
    assert remote.connections == 0


async def test_many_at_once_wait_together_in_one_worker(remote: Remote, engine_room: Worker) -> None:
    """No thread, no queue: all of them are under way before the first has an answer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8_192, hard), hard))  # both ends are in this process
    gate = Gate(as_json({"at": "once"}))
    workflow = await make(chain(http(remote.on("/slow", gate), timeout_s=60)))
    try:
        await sync_to_async(submitted)(workflow.pk)
        engine_room.wake()
        await asyncio.to_thread(remote.until, lambda it: it.now == AT_ONCE)
        gate.open()
        async with asyncio.timeout(30):
            while await WorkflowExecution.objects.live().aexists():
                await asyncio.sleep(0.05)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert remote.most == AT_ONCE and len(remote.seen) == AT_ONCE
    assert await WorkflowExecution.objects.filter(status="completed").acount() == AT_ONCE


def submitted(workflow_id: int) -> None:
    with transaction.atomic():
        for _ in range(AT_ONCE):
            WorkflowEngine().submit(workflow_id)


async def test_expressions_say_what_is_sent(remote: Remote) -> None:
    url = remote.on("/orders/7", as_json({}))
    config: dict[str, Any] = {
        "url": f"{remote.url}/orders/{{{{ input.order }}}}",
        "method": "POST",
        "query": "{{ input.query }}",
        "headers": [{"name": "X-Note", "value": "{{ input.note }}"}],
        "body": "json",
        "content": {"lines": "{{ input.lines }}", "text": "{{ input.lines | length }} lines"},
    }
    given = {"order": 7, "query": {"a": [1, 2]}, "note": "hello", "lines": [{"n": 1}]}
    await run(chain(http(**config)), given)
    (seen,) = remote.seen
    assert seen.target == "/orders/7?a=1&a=2" and url.endswith(seen.path)
    assert seen.headers["x-note"] == "hello"
    assert json.loads(seen.body) == {"lines": [{"n": 1}], "text": "1 lines"}


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("url", "http://169.254.169.254/", "inside this network"),
        ("url", None, "URL must be text"),
        ("headers", [{"name": "X", "value": "a\r\nAuthorization: b"}], "U\\+000D"),
        ("headers", {"Host": "inside.example"}, "set by the step itself"),
        ("query", [1], "must be a JSON object"),
        ("timeout_s", 1e9, "at most 300 seconds"),
    ],
)
async def test_what_data_makes_of_the_settings_is_checked_before_anything_is_sent(
    remote: Remote, setting: str, value: Any, why: str
) -> None:
    config = {"url": remote.on("/", as_json({})), setting: "{{ input.given }}"}
    with pytest.raises(WorkflowExecutionError, match=why):
        await run(chain(http(**config)), {"given": value})
    assert remote.connections == 0
