"""A bell says only that something happened: few of them for much, and none of them is needed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executions import hub, lease, live
from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.worker import current_worker
from tests.live.viewer import PATIENCE_S, grow, last_of
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
    async with asyncio.timeout(PATIENCE_S):
        while {number for message in heard for number in message["executions"]} != set(range(300)):
            await asyncio.sleep(0.01)
    assert len(heard) == 2


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


async def forgotten() -> None:
    """The layer knows no group any more."""
    layer = get_channel_layer()
    if hasattr(layer, "groups"):
        layer.groups.clear()
    else:
        await layer.connection(0).delete(layer._group_key(live.VIEWERS))


async def test_who_was_forgotten_joins_again(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Redis is flushed."""
    monkeypatch.setattr(live, "JOIN_S", 0.05)
    messages: Heard = []

    async def hear() -> None:
        async for message in live.listen(live.VIEWERS):
            messages.append(message)

    ear = asyncio.create_task(hear())
    await asyncio.sleep(0.02)
    await forgotten()
    async with asyncio.timeout(PATIENCE_S):
        while not messages:
            await live.ring(live.VIEWERS, {"type": "journal.grew", "executions": [1]})
            await asyncio.sleep(0.02)
    ear.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ear


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


async def test_without_bells_and_before_a_heartbeat_a_page_moves_by_a_look(
    broken: Broken, watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a worker in another process writes, and there is no Redis."""
    monkeypatch.setattr(hub, "HEARTBEAT_S", 3_600.0)
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    for _ in range(3):
        last = await grow(execution_id, 2, rung=0)
        assert await viewer.sees(last) == list(range(1, last + 1))


async def test_without_bells_a_page_tells_of_a_request_that_nobody_has_written_down(
    broken: Broken, watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row alone changes when somebody asks for the end of what another process runs."""
    monkeypatch.setattr(hub, "HEARTBEAT_S", 3_600.0)
    viewer = await watch(alice)
    await viewer.hello()
    await viewer.sees(1)
    far = timezone.now() + timedelta(hours=1)
    await WorkflowExecution.objects.filter(pk=execution_id).aupdate(owner="elsewhere", status="running", due_at=far)
    await WorkflowEngine().cancel_execution(execution_id, by=alice)
    await viewer.until(lambda frame: "Cancelling" in frame)


async def test_one_question_looks_at_all_windows(execution_id: int) -> None:
    last = await grow(execution_id, 5, rung=0)
    shown, queries = await sync_to_async(counted)([execution_id, 999_999])
    assert (shown, queries) == ({execution_id: (last, 0)}, 1)


def counted(executions: list[int]) -> tuple[dict[int, tuple[int, int]], int]:
    with CaptureQueriesContext(connection) as queries:
        shown = hub.last_shown(executions)
    return shown, len(queries)


async def test_a_cancel_from_another_process_is_heard_without_a_bell(
    broken: Broken, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the look each second, long before the lease is renewed."""
    workflow = await Workflow.objects.acreate(name="Long", owner=alice)
    nodes = [{"id": "long", "type": "countdown", "data": {"seconds": 3_600}}]
    await sync_to_async(workflow.publish)({"nodes": nodes, "edges": []})
    await current_worker().start()
    execution_id = await WorkflowEngine().submit_workflow(workflow.pk, {}, by=alice)
    rows = WorkflowExecution.objects.filter(pk=execution_id)
    async with asyncio.timeout(PATIENCE_S):
        while not await rows.filter(status="running").aexists():
            await asyncio.sleep(0.05)
    renewed = settings.ENGINE["RENEW_SECONDS"]
    async with asyncio.timeout(renewed - lease.LOOK_S):
        await WorkflowEngine().cancel_execution(execution_id, by=alice)
        while await rows.filter(completed_at=None).aexists():
            await asyncio.sleep(0.05)
    assert (await rows.aget()).status == "cancelled"


class Silent(Broken):
    """A channel layer that takes what it is given and never answers, as a Redis that was stopped."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.asked += 1
        await asyncio.Event().wait()


async def test_one_waits_for_a_silent_layer_and_the_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Silent()
    monkeypatch.setattr(live, "get_channel_layer", lambda: layer)
    monkeypatch.setattr(live, "PATIENCE_S", 0.05)
    monkeypatch.setattr(live, "RESPITE_S", 3_600.0)
    for _ in range(100):
        await live.ring(live.VIEWERS, {"type": "journal.grew", "executions": [1]})
    assert layer.asked == 1


async def test_it_is_tried_again_after_its_respite(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RESPITE_S", 0.0)
    for _ in range(3):
        await live.ring(live.VIEWERS, {"type": "journal.grew", "executions": [1]})
    assert broken.asked == 3


async def test_an_outage_is_told_once_and_so_is_its_end(
    broken: Broken, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "executions.live")
    monkeypatch.setattr(live, "RESPITE_S", 0.0)
    message = {"type": "journal.grew", "executions": [1]}
    for _ in range(5):
        await live.ring(live.VIEWERS, message)
    monkeypatch.setattr(Broken, "group_send", quiet)
    for _ in range(5):
        await live.ring(live.VIEWERS, message)
    told = [record.getMessage() for record in caplog.records if record.name == "executions.live"]
    assert told == [
        "The bells do not ring (the bells are out of reach); everybody looks instead",
        "The bells ring again",
    ]


async def quiet(layer: Broken, group: str, message: dict[str, Any]) -> None:
    pass
