"""A bell says only that something happened: few of them for much, and none of them is needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import User

from executions import hub, live
from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.worker import current_worker
from tests.live.viewer import PATIENCE_S, last_of
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

Heard = list[dict[str, Any]]


@pytest.fixture
async def heard() -> AsyncIterator[Heard]:
    """The messages that the viewers' bell has brought so far."""
    messages: Heard = []

    async def hear() -> None:
        async for message in live.listen(live.VIEWERS):
            messages.append(message)

    ear = asyncio.create_task(hear())
    await asyncio.sleep(0.05)
    yield messages
    ear.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ear


async def settled(heard: Heard) -> None:
    """Until the first message has come, and then long enough for what follows it."""
    async with asyncio.timeout(PATIENCE_S):
        while not heard:
            await asyncio.sleep(0.01)
    await asyncio.sleep(3 * live.GAP_S)


async def test_many_entries_ring_few_bells(heard: Heard) -> None:
    bell = live.Bell(live.VIEWERS, "journal.grew")
    for _ in range(1_000):
        bell.grew(7)
    await settled(heard)
    assert 1 <= len(heard) <= 2
    assert [message["executions"] for message in heard] == [[7]] * len(heard)


async def test_many_executions_share_a_bell(heard: Heard) -> None:
    bell = live.Bell(live.VIEWERS, "journal.grew")
    for number in range(300):
        bell.grew(number)
    await settled(heard)
    assert len(heard) == 2
    assert {number for message in heard for number in message["executions"]} == set(range(300))


async def test_a_stream_of_entries_rings_once_a_gap(heard: Heard) -> None:
    bell, loop = live.Bell(live.VIEWERS, "journal.grew"), asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < 10 * live.GAP_S:
        bell.grew(1)
        await asyncio.sleep(0.001)
    await asyncio.sleep(2 * live.GAP_S)
    gaps = (loop.time() - began) / live.GAP_S
    assert 2 <= len(heard) <= gaps + 1


async def test_the_last_one_rings_too(heard: Heard) -> None:
    """What grows while the bell rests is told when it has rested."""
    bell = live.Bell(live.VIEWERS, "journal.grew")
    bell.grew(1)
    await asyncio.sleep(live.GAP_S / 5)
    bell.grew(2)
    await asyncio.sleep(3 * live.GAP_S)
    assert [message["executions"] for message in heard] == [[1], [2]]


async def test_a_rested_bell_rings_at_once_and_a_silent_one_never(heard: Heard) -> None:
    bell = live.Bell(live.VIEWERS, "journal.grew")
    await asyncio.sleep(3 * live.GAP_S)
    assert heard == []
    bell.grew(5)
    await asyncio.sleep(4 * live.GAP_S)
    bell.grew(6)
    await asyncio.sleep(live.GAP_S / 2)
    assert [message["executions"] for message in heard] == [[5], [6]]


async def test_a_listener_that_does_not_listen_costs_the_ringer_nothing() -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(live.VIEWERS, channel)
    for _ in range(500):  # more than a channel holds
        await live.ring(live.VIEWERS, {"type": "journal.grew", "executions": [1]})
    await layer.group_discard(live.VIEWERS, channel)


class Broken:
    """A channel layer that is away, as Redis may be."""

    def __init__(self) -> None:
        self.asked = 0

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.asked += 1
        raise ConnectionError("the bells are out of reach")

    async def new_channel(self) -> str:
        raise ConnectionError("the bells are out of reach")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    layer = Broken()
    monkeypatch.setattr(live, "get_channel_layer", lambda: layer)
    return layer


async def test_a_failing_channel_layer_costs_no_work(broken: Broken, workflow: Workflow, alice: User) -> None:
    result = await WorkflowEngine().execute_workflow(workflow.pk, {"name": "ada"}, by=alice)
    assert result.status == "completed"
    await asyncio.sleep(2 * live.GAP_S)
    assert broken.asked > 0


async def test_without_bells_a_worker_finds_what_was_submitted(broken: Broken, workflow: Workflow) -> None:
    await current_worker().start()
    execution_id = await WorkflowEngine().submit_workflow(workflow.pk, {"name": "ada"})
    async with asyncio.timeout(PATIENCE_S):
        while await WorkflowExecution.objects.live().filter(pk=execution_id).aexists():
            await asyncio.sleep(0.05)
    row = await WorkflowExecution.objects.aget(pk=execution_id)
    assert row.status == "completed"


async def test_without_bells_a_page_still_moves(
    broken: Broken, watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT_S", 0.1)
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    await current_worker().start()
    await viewer.until(lambda frame: "data-final" in frame)
    last = await last_of(execution_id)
    assert await viewer.sees(last) == list(range(1, last + 1))


async def test_an_engine_rings_for_what_it_writes(heard: Heard, workflow: Workflow) -> None:
    result = await WorkflowEngine().execute_workflow(workflow.pk, {"name": "ada"})
    await settled(heard)
    assert {number for message in heard for number in message["executions"]} == {result.execution_id}
