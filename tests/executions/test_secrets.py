"""A secret in a run: it reaches the step that may have it, and nothing that the execution writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.worker import Worker
from tests.executions.conftest import PATIENCE_S, answer, bounded, chain, entries, make, node, until, until_told
from workflows.models import Secret, Variable, Workflow

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "s3cr3t/+Kéy&of alice"


@pytest.fixture
async def owned(alice: User) -> Secret:
    made: Secret = await sync_to_async(Secret.objects.make)(alice, "API_KEY", VALUE, ["api.example.com"])
    return made


async def leaking(alice: User, way: str, **more: Any) -> Workflow:
    return await make(
        chain(node("a", "test_leak", way=way, **more), node("b", "test_echo", value="{{ data }}")), owner=alice
    )


async def everything() -> str:
    """All that the database holds, but for the row of the secret itself."""

    def read() -> str:
        texts: list[str] = []
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names():
                cursor.execute(f'SELECT * FROM "{table}"')
                texts += [str(found) for found in cursor.fetchall()]
        return "\n".join(texts)

    return await sync_to_async(read)()


async def hidden(settings: Any) -> str:
    told = await everything()
    for part in (VALUE, VALUE[:10], VALUE[-10:]):
        assert part not in told
    for path in settings.DATA_DIR.rglob("*"):
        if path.is_file():
            assert VALUE.encode() not in path.read_bytes()
    return told


@pytest.mark.parametrize("way", ["output", "large", "log", "encoded"])
async def test_what_a_step_tells_of_a_secret_is_masked_for_the_journal_and_for_later_steps(
    owned: Secret, alice: User, settings: Any, way: str
) -> None:
    result = await bounded(WorkflowEngine().execute_workflow((await leaking(alice, way)).pk))

    assert VALUE not in str(result.output_data)
    assert way == "log" or "[secret API_KEY]" in str(result.output_data["b"])
    assert "[secret API_KEY]" in await hidden(settings) or way == "large"


async def test_what_comes_around_a_secret_stays(owned: Secret, alice: User) -> None:
    result = await bounded(WorkflowEngine().execute_workflow((await leaking(alice, "output")).pk))

    assert result.output_data["said"] == "[secret API_KEY]"
    assert result.output_data["[secret API_KEY]"] == ["deep", {"in": "Bearer [secret API_KEY]!"}]
    assert result.output_data["length"] == len(VALUE)


@pytest.mark.parametrize("way", ["error", "exception"])
async def test_an_error_tells_no_secret_however_it_is_cut_short(
    owned: Secret, alice: User, settings: Any, way: str
) -> None:
    with pytest.raises(WorkflowExecutionError) as caught:
        await bounded(WorkflowEngine().execute_workflow((await leaking(alice, way)).pk))

    assert VALUE[:4] not in str(caught.value)
    await hidden(settings)


@pytest.mark.parametrize("way", ["wait", "pause"])
async def test_who_waits_or_pauses_tells_no_secret(
    owned: Secret, alice: User, settings: Any, engine_room: Worker, way: str
) -> None:
    execution_id = await WorkflowEngine().submit_workflow((await leaking(alice, way)).pk)
    await until(execution_id, "waiting")

    await hidden(settings)


async def test_who_is_stopped_tells_no_secret(owned: Secret, alice: User, settings: Any, engine_room: Worker) -> None:
    execution_id = await WorkflowEngine().submit_workflow((await leaking(alice, "stopped")).pk)
    await until_told(execution_id, "started a")
    async with asyncio.timeout(PATIENCE_S):
        while (await Secret.objects.aget(pk=owned.pk)).last_used_at is None:
            await asyncio.sleep(0.01)
    assert await WorkflowEngine().cancel_execution(execution_id)
    await until(execution_id, "cancelled")

    await hidden(settings)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "GONE"}, "There is no secret “GONE” that this workflow may use"),
        ({"host": "evil.example.com"}, "may not go to evil.example.com, only to api.example.com"),
    ],
)
async def test_a_secret_that_is_refused_fails_the_step_at_once_and_says_who_can_mend_it(
    owned: Secret, alice: User, settings: Any, more: dict[str, Any], words: str
) -> None:
    workflow = await leaking(alice, "output", policy={"attempts": 3}, **more)
    with pytest.raises(WorkflowExecutionError, match=words) as caught:
        await bounded(WorkflowEngine().execute_workflow(workflow.pk))

    assert "alice" in str(caught.value)
    await hidden(settings)


async def test_a_workflow_of_somebody_else_or_of_nobody_gets_no_secret(owned: Secret, bob: User, settings: Any) -> None:
    for owner in (bob, None):
        workflow = await make(chain(node("a", "test_leak")), owner=owner, name=f"of {owner}")
        with pytest.raises(WorkflowExecutionError):
            await bounded(WorkflowEngine().execute_workflow(workflow.pk))


# Variables


async def test_variables_are_read_once_and_stay_as_they_were_when_it_began(alice: User, engine_room: Worker) -> None:
    variable = await sync_to_async(Variable.objects.make)(alice, "rate", 1.5)
    await sync_to_async(Variable.objects.make)(alice, "other", "not named")
    workflow = await make(chain(node("a", "test_echo_later", value="{{ vars.rate }}")), owner=alice)
    execution_id = await WorkflowEngine().submit_workflow(workflow.pk)
    await until(execution_id, "waiting")
    variable.value = 9
    await variable.asave()
    await answer(execution_id, "a")
    done = await until(execution_id, "completed")

    assert done.output_data["value"] == 1.5
    started = next(entry for entry in await entries(execution_id) if entry.kind == "started" and not entry.node)
    assert started.data == {"vars": {"rate": 1.5}}


async def test_a_variable_that_is_not_there_is_named(alice: User) -> None:
    workflow = await make(chain(node("a", "test_echo", value="{{ vars.rate }}")), owner=alice)
    with pytest.raises(WorkflowExecutionError, match=r"“vars.rate” is not there"):
        await bounded(WorkflowEngine().execute_workflow(workflow.pk))
