"""ai steps in the engine, with a provider on loopback: retries by policy, the log while it streams, a cancel in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from executions.engine import WorkflowEngine
from executions.worker import Worker
from tests.executions.conftest import chain, entries, lines, node, run, submit, told, until, until_told
from tests.providers import Provider, Reply, failure, providing

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = {"attempts": 3, "backoff_s": 0}


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with providing() as provider:
        settings.HTTP_ALLOW = [provider.host]
        yield provider


def asking(provider: Provider, node_id: str = "ask", **data: Any) -> dict[str, Any]:
    settings = {"model": "openai-compatible:llama3.2", "base_url": provider.openai, "prompt": "Say something."}
    return node(node_id, "ai", **settings, **data)


async def test_a_workflow_that_asks_a_model_goes_on_with_its_answer(provider: Provider) -> None:
    provider.says("It is a greeting.")
    result = await run(chain(asking(provider), node("out", "output")), {"text": "hello"})
    answer = {"text": "hello", "ai_response": "It is a greeting.", "processed_data": {"text": "hello"}}
    assert result.output_data["result"] == answer


async def test_too_many_requests_are_tried_again_as_the_policy_says(provider: Provider, engine_room: Worker) -> None:
    provider.says(failure(429, "Slow down", retry_after="0"), failure(503, "Later"), "At last.")
    number = await submit(chain(asking(provider, policy=AT_ONCE)))
    await until(number, "completed")
    told_of_it = [what for what in await told(number) if "ask" in what]
    assert told_of_it.count("retried ask") == 2 and told_of_it[-1] == "completed ask"
    assert len(provider.asked) == 3


async def test_what_the_provider_asks_to_wait_is_waited(provider: Provider, engine_room: Worker) -> None:
    provider.says(failure(429, "Slow down", retry_after="3600"))
    number = await submit(chain(asking(provider, policy=AT_ONCE)))
    await until_told(number, "retried ask")
    row = await until(number, "waiting")
    assert (row.due_at - row.created_at).total_seconds() > 3_500, "not at once, as the policy alone would have it"


async def test_a_refused_key_is_not_tried_again(provider: Provider, engine_room: Worker) -> None:
    provider.says(failure(401, "No such key"))
    number = await submit(chain(asking(provider, policy=AT_ONCE)))
    row = await until(number, "failed")
    assert "answered 401, the key was not accepted: No such key." in row.error_message and len(provider.asked) == 1


async def test_an_answer_that_never_fits_leaves_by_its_error_way(provider: Provider, engine_room: Worker) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    provider.says("{}", "{}")
    ask = asking(provider, output_schema=schema, ask_again=1, policy={"on_failure": "continue"})
    number = await submit(chain(ask, node("out", "output")))
    await until(number, "completed")
    (failed,) = [entry for entry in await entries(number) if entry.kind == "failed"]
    assert failed.data["error"]["details"]["problems"] == ["n is missing"]
    assert failed.data["error"]["details"]["usage"]["output_tokens"] == 14


async def test_what_a_model_says_is_in_the_log_before_it_has_ended(provider: Provider, engine_room: Worker) -> None:
    provider.says(Reply(("Once upon ", "a time."), hold_at=1))
    number = await submit(chain(asking(provider)))
    await _until_said(number, "Once upon")
    assert "completed ask" not in await told(number)
    provider.release()
    await until(number, "completed")
    assert (await lines(number, "ask"))[1:3] == ["Once upon", "a time."]


async def test_a_thousand_tokens_are_a_few_rows(provider: Provider, engine_room: Worker) -> None:
    provider.says(Reply(("word ",) * 1_000))
    number = await submit(chain(asking(provider)))
    await until(number, "completed")
    said = (await lines(number, "ask"))[1:-1]
    assert " ".join(said).split() == ["word"] * 1_000 and len(said) < 100


async def test_a_cancel_in_the_midst_of_an_answer_stops_it(provider: Provider, engine_room: Worker) -> None:
    provider.says(Reply(("Once upon ", "a time."), hold_at=1))
    number = await submit(chain(asking(provider), node("out", "output")))
    await _until_said(number, "Once upon")
    assert await WorkflowEngine().cancel_execution(number)
    await until(number, "cancelled")
    assert "cancelled ask" in await told(number), "and not abandoned: it ended within its grace"
    await asyncio.to_thread(provider.until, left=1)


async def test_the_steps_time_limit_ends_it_too(provider: Provider, engine_room: Worker) -> None:
    provider.says(Reply(("Once upon ", "a time."), hold_at=1))
    number = await submit(chain(asking(provider, policy={"timeout_s": 0.3})))
    assert "0.3 s" in (await until(number, "failed")).error_message
    await asyncio.to_thread(provider.until, left=1)


async def test_many_at_once_are_asked_at_once(provider: Provider, engine_room: Worker) -> None:
    provider.otherwise = Reply(("Once upon ", "a time."), hold_at=1)
    numbers = [await submit(chain(asking(provider))) for _ in range(20)]
    await asyncio.to_thread(provider.until, asked=20)
    for number in numbers:
        await WorkflowEngine().cancel_execution(number)
    for number in numbers:
        await until(number, "cancelled")


async def _until_said(number: int, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in " ".join(await lines(number, "ask")):
            await asyncio.sleep(0.01)
