"""How far a workflow reaches: what it calls and what its failures start act with the rights of its owner, as they are
at that moment, and who watches it learns nothing of what they may not see.
"""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.test import Client

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import WorkflowExecution
from executions.worker import Worker
from tests.conftest import CHAIN, signed_in
from tests.executions.conftest import bounded, chain, node, until
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

FAILING = chain(node("a", "test_fail"))
SECRET = "Takeover of Example Ltd"


async def made(definition: Any = CHAIN, **fields: Any) -> Workflow:
    workflow = await Workflow.objects.acreate(**{"name": "Some", **fields})
    await sync_to_async(workflow.publish)(definition)
    return workflow


def calling(workflow_id: int) -> dict[str, Any]:
    return chain({"id": "call", "type": "call", "data": {"label": "Ask", "workflow": workflow_id}})


async def ran(workflow: Workflow) -> int:
    return (await bounded(WorkflowEngine().execute_workflow(workflow.pk, {"x": 1}))).execution_id


async def failed(workflow: Workflow) -> WorkflowExecution:
    with pytest.raises(WorkflowExecutionError):
        await bounded(WorkflowEngine().execute_workflow(workflow.pk, {"password": "of alice"}))
    return await WorkflowExecution.objects.filter(workflow=workflow).alatest("pk")


# What is called


async def test_a_right_that_was_taken_away_ends_the_calls(alice: User, charlie: User, team: Group) -> None:
    other = await made(owner=charlie, group=team)
    caller = await made(calling(other.pk), owner=alice)
    await ran(caller)
    await sync_to_async(alice.groups.remove)(team)
    assert "cannot be called" in (await failed(caller)).error_message


async def test_who_takes_over_a_workflow_calls_with_their_own_rights(alice: User, charlie: User) -> None:
    other = await made(owner=alice)
    caller = await made(calling(other.pk), owner=alice)
    await ran(caller)
    await Workflow.objects.filter(pk=caller.pk).aupdate(owner=charlie)
    assert "cannot be called" in (await failed(caller)).error_message


async def test_a_number_that_is_taken_and_one_that_is_not_are_refused_in_the_same_words(
    alice: User, charlie: User
) -> None:
    other = await made(owner=charlie)
    there = (await failed(await made(calling(other.pk), owner=alice))).error_message
    nowhere = (await failed(await made(calling(987_654), owner=alice))).error_message
    assert there.replace(str(other.pk), "?") == nowhere.replace("987654", "?")


# What failures start


async def test_a_failure_starts_nothing_that_the_owner_may_not_run(
    alice: User, charlie: User, caplog: pytest.LogCaptureFixture
) -> None:
    handler = await made(owner=charlie)
    await failed(await made(FAILING, owner=alice, on_failure=handler))
    assert not await WorkflowExecution.objects.filter(workflow=handler).aexists()
    assert f"Workflow {handler.pk} does not start" in caplog.text and "of alice" not in caplog.text


async def test_a_failure_starts_nothing_any_more_once_the_right_is_gone(
    alice: User, charlie: User, team: Group
) -> None:
    handler = await made(owner=charlie, group=team)
    workflow = await made(FAILING, owner=alice, on_failure=handler)
    await failed(workflow)
    await sync_to_async(alice.groups.remove)(team)
    await failed(workflow)
    assert await WorkflowExecution.objects.filter(workflow=handler).acount() == 1


async def test_an_example_starts_no_workflow_of_a_person_by_its_failures(charlie: User) -> None:
    handler = await made(owner=charlie)
    await failed(await made(FAILING, on_failure=handler))
    assert not await WorkflowExecution.objects.filter(workflow=handler).aexists()


async def test_failures_that_point_at_each_other_end(alice: User, engine_room: Worker) -> None:
    one, other = await made(FAILING, owner=alice), await made(FAILING, owner=alice)
    await Workflow.objects.filter(pk=one.pk).aupdate(on_failure=other)
    await Workflow.objects.filter(pk=other.pk).aupdate(on_failure=one)
    number = await WorkflowEngine().submit_workflow(one.pk)
    await until(number, "failed")
    await until((await WorkflowExecution.objects.aget(failure_of=number)).pk, "failed")
    assert await WorkflowExecution.objects.acount() == 2


# What its viewers learn of it


async def watched(other: Workflow, alice: User, team: Group, engine_room: Worker) -> tuple[int, int]:
    """(an execution of alice's that waits for what it called, the called one)"""
    caller = await made(calling(other.pk), owner=alice, group=team)
    number = await WorkflowEngine().submit_workflow(caller.pk, {"x": 1})
    await until(number, "waiting")
    child = await WorkflowExecution.objects.aget(parent=number)
    await until(child.pk, "waiting")
    return number, child.pk


WAITING = chain({"id": "d", "type": "delay", "data": {"seconds": 3_000}})


def seen(client: Client, number: int) -> str:
    paths = (f"/executions/{number}/", f"/executions/{number}/steps/call/", f"/api/executions/{number}")
    return "".join(client.get(path).content.decode() for path in paths)


async def test_who_may_not_see_the_called_workflow_gets_its_number_alone(
    alice: User, team: Group, as_bob: Client, as_alice: Client, engine_room: Worker
) -> None:
    private = await made(WAITING, name=SECRET, owner=alice)
    number, child = await watched(private, alice, team, engine_room)
    for client in (as_bob, as_alice):  # the live pieces are the same for both
        text = await sync_to_async(seen)(client, number)
        assert f"#{child}" in text and SECRET not in text

    def doors(client: Client) -> set[int]:
        ends = ("", "steps/", "steps/d/", "entries/", "result/", "data/?of=input", "items/", "repair/", "again/")
        return {client.get(f"/executions/{child}/{end}").status_code for end in ends}

    assert await sync_to_async(doors)(as_bob) == {404}
    cancel = await sync_to_async(as_bob.post)(f"/executions/{child}/cancel/")
    assert cancel.status_code == 404


async def test_where_all_its_viewers_may_see_the_called_workflow_it_is_named(
    alice: User, team: Group, as_bob: Client, engine_room: Worker
) -> None:
    shared = await made(WAITING, name="Billing", owner=alice, group=team)
    number, _ = await watched(shared, alice, team, engine_room)
    assert "of Billing" in await sync_to_async(seen)(as_bob, number)


async def test_who_owns_the_called_workflow_is_not_told_who_called(
    alice: User, dora: User, team: Group, engine_room: Worker
) -> None:
    other = await made(WAITING, owner=dora, group=team)
    caller = await made(calling(other.pk), name=SECRET, owner=alice)
    number = await WorkflowEngine().submit_workflow(caller.pk)
    await until(number, "waiting")
    child = await WorkflowExecution.objects.aget(parent=number)
    await until(child.pk, "waiting")
    page = await sync_to_async(lambda: signed_in(dora).get(f"/executions/{child.pk}/"))()
    assert page.status_code == 200 and SECRET not in page.content.decode()


@pytest.fixture
def dora(db: None) -> User:
    return User.objects.create_user("dora")


# Clicked twice


async def test_a_second_click_on_run_again_gives_the_same_execution(alice: User, as_alice: Client) -> None:
    number = await ran(await made(owner=alice))

    def click(key: str) -> str:
        response = as_alice.post(f"/executions/{number}/run-again/", {"key": key})
        assert response.status_code == 303
        return str(response["Location"])

    page = (await sync_to_async(as_alice.get)(f"/executions/{number}/")).content.decode()
    key = page.split('name="key" value="')[1].split('"')[0]
    clicks = [await sync_to_async(click)(one) for one in (key, key, f"{key}\0", "another", "", "")]
    assert clicks[0] == clicks[1] == clicks[2] and len(set(clicks)) == 4


async def test_an_output_that_cannot_be_kept_is_refused_at_its_own_name(alice: User, as_alice: Client) -> None:
    execution = await failed(await made(FAILING, owner=alice))

    def repair(**body: Any) -> Any:
        path = f"/api/executions/{execution.pk}/repair"
        return as_alice.post(path, body, content_type="application/json").json()["where"]["field"]

    assert await sync_to_async(repair)(output_data={"a": "\0"}) == "output_data.a"
    assert await sync_to_async(repair)(input_data={"a": "\0"}) == "input_data.a"
