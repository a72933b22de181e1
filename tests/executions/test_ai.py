"""ai steps in the engine, with a provider on loopback: retries by policy, the log while it streams, a cancel in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client

from executions import spending
from executions.engine import WorkflowEngine
from executions.models import StepUsage, WorkflowExecution
from executions.worker import Worker
from tests.executions.conftest import chain, entries, lines, make, node, row, run, submit, told, until, until_told
from tests.providers import KEY, Provider, Reply, failure, providing
from workflows.models import Secret

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


# What it took


async def test_what_it_took_is_in_the_journal_and_on_both_pages(
    provider: Provider, engine_room: Worker, alice: User, client: Client
) -> None:
    provider.says(failure(503, "Later"), Reply(("Once.",), usage=(1_200, 40)))
    number = await submit(chain(asking(provider, policy=AT_ONCE)), owner=alice)
    await until(number, "completed")
    (done,) = [entry for entry in await entries(number) if entry.kind == "completed"]
    assert done.data["usage"] == {"input_tokens": 1_200, "output_tokens": 40, "cost_usd": None, "model": "llama3.2"}
    await sync_to_async(client.force_login)(alice)
    whole = await sync_to_async(client.get)(f"/executions/{number}/")
    step = await sync_to_async(client.get)(f"/executions/{number}/steps/ask/")
    assert "1,240 tokens" in whole.content.decode()
    assert "1,240 tokens" in step.content.decode() and "1,200 in, 40 out; llama3.2" in step.content.decode()


async def test_an_execution_that_asked_no_model_says_nothing_of_tokens(alice: User, client: Client) -> None:
    number = (await run(chain(node("ask", "ai", prompt="Say something.")), owner=alice)).execution_id
    await sync_to_async(client.force_login)(alice)
    for path in (f"/executions/{number}/", f"/executions/{number}/steps/ask/"):
        shown = await sync_to_async(client.get)(path)
        assert shown.status_code == 200 and "tokens" not in shown.content.decode()


async def test_tokens_of_a_failed_attempt_count(provider: Provider, engine_room: Worker) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    provider.says("{}")
    number = await submit(chain(asking(provider, output_schema=schema, ask_again=0)))
    spent = await sync_to_async(spending.of_execution)(await until(number, "failed"))
    assert spent is not None and spent.words == "19 tokens"


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ([], None),
        ([None], "1,240 tokens"),
        ([0.5, 1.0], "2,480 tokens, $1.50"),
        ([0.0123, None], "2,480 tokens, at least $0.012"),
        ([0.000001], "1,240 tokens, under $0.0001"),
        ([0.0], "1,240 tokens, $0.00"),
    ],
)
async def test_what_it_took_in_words(costs: list[float | None], words: str | None) -> None:
    number = (await run(chain(node("a", "default")))).execution_id
    for cost in costs:
        await StepUsage.objects.acreate(
            execution_id=number,
            root_id=number,
            node="a",
            attempt=1,
            input_tokens=1_200,
            output_tokens=40,
            cost_usd=cost,
        )
    spent = await sync_to_async(spending.of_execution)(await row(number))
    assert (spent and spent.words) == words


async def test_an_execution_counts_what_it_calls_and_a_called_one_its_own(
    provider: Provider, engine_room: Worker
) -> None:
    inner = await make(chain(asking(provider)))
    outer = await submit(chain(asking(provider, "first"), node("then", "call", workflow=inner.pk)))
    await until(outer, "completed")
    child = await WorkflowExecution.objects.aget(parent=outer)
    both, own = [await sync_to_async(spending.of_execution)(await row(one)) for one in (outer, child.pk)]
    assert both is not None and both.words == "38 tokens" and own is not None and own.words == "19 tokens"


async def test_a_spent_budget_pauses_and_goes_on_when_it_is_resumed(provider: Provider, engine_room: Worker) -> None:
    number = await submit(chain(asking(provider, "first"), asking(provider, "second")), token_budget=19)
    await until_told(number, "paused")
    paused = await until(number, "waiting")
    assert paused.paused_at and len(provider.asked) == 1
    await sync_to_async(WorkflowEngine().resume)(number)
    await until(number, "completed")
    assert len(provider.asked) == 2


# Its key


async def test_a_secret_that_a_model_says_in_pieces_is_hidden_in_log_and_data(
    provider: Provider, engine_room: Worker, alice: User
) -> None:
    await sync_to_async(Secret.objects.make)(alice, "MODEL_KEY", KEY, [provider.host])
    provider.says(Reply((f"Your key is {KEY[:9]}", f"{KEY[9:]} indeed."), hold_at=1))
    number = await submit(chain(asking(provider, key="MODEL_KEY"), node("out", "output")), owner=alice)
    await _until_said(number, "Your key is")
    provider.release()
    ended = await until(number, "completed")
    assert provider.asked[0].key == KEY
    kept = repr([(entry.kind, entry.data) for entry in await entries(number)]) + repr(ended.output_data)
    assert KEY not in kept and KEY[:9] not in kept and "[secret MODEL_KEY]" in kept


async def test_a_key_that_a_provider_repeats_is_hidden_in_error_and_trace(
    provider: Provider, engine_room: Worker, alice: User, settings: Any
) -> None:
    await sync_to_async(Secret.objects.make)(alice, "MODEL_KEY", KEY, [provider.host])
    provider.says(failure(401, f"Incorrect API key provided: {KEY}"))
    number = await submit(chain(asking(provider, key="MODEL_KEY")), owner=alice)
    await until(number, "failed")
    assert KEY not in repr([(entry.kind, entry.data) for entry in await entries(number)])


async def test_a_secret_that_may_not_go_to_the_server_is_not_sent(
    provider: Provider, engine_room: Worker, alice: User
) -> None:
    await sync_to_async(Secret.objects.make)(alice, "MODEL_KEY", KEY, ["api.openai.com"])
    number = await submit(chain(asking(provider, key="MODEL_KEY")), owner=alice)
    ended = await until(number, "failed")
    assert "MODEL_KEY" in ended.error_message and KEY not in ended.error_message and not provider.asked


async def test_prompt_and_model_come_out_of_expressions(provider: Provider, engine_room: Worker) -> None:
    ask = asking(provider, send_data=False)
    ask["data"] |= {"prompt": "Greet {{ data.name }}.", "model": "openai-compatible:{{ data.model }}"}
    number = await submit(chain(ask), {"name": "Ada", "model": "tiny"})
    await until(number, "completed")
    body = provider.asked[0].body
    assert body["model"] == "tiny" and body["messages"] == [{"role": "user", "content": "Greet Ada."}]
