"""The viewers' door without a browser: sockets through the whole ASGI application, on a journal written by hand."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.contrib.auth.models import User
from django.db import connections

from executions.board import current_board
from executions.engine import WorkflowEngine
from executions.hub import current_hub
from executions.worker import current_worker
from tests.live.viewer import Viewer
from workflows.models import Workflow


@pytest.fixture
def execution_id(transactional_db: None, workflow: Workflow, alice: User) -> int:
    """Alice's execution: recorded, with its first entry, and carried by nobody."""
    return WorkflowEngine().submit(workflow.pk, {"name": "ada"}, by=alice)


@pytest.fixture(autouse=True)
def no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a page sends, the server says nothing that would wake somebody up at night."""
    yield
    gc.collect()  # a task that failed unseen says so when it goes
    records = caplog.get_records("call") + caplog.get_records("teardown")
    errors = [record for record in records if record.levelno >= logging.ERROR]
    assert not [(record.name, record.getMessage(), str(record.exc_info)) for record in errors]


@pytest.fixture(autouse=True)
async def closed_loop() -> AsyncIterator[None]:
    """After each test no window, no run, no thread and no connection of its event loop is left."""
    yield
    await current_hub().close()
    await current_board().close()
    await current_worker().stop(0)
    await sync_to_async(connections.close_all)()
    channel_layers.backends.clear()  # a Redis layer holds locks of the loop that it was made in


@pytest.fixture
async def watch(execution_id: int, closed_loop: None) -> AsyncIterator[Any]:
    """Opens the door: `await watch(alice)`, for another execution `await watch(alice, 12)`. All leave at the end."""
    viewers: list[Viewer] = []

    async def opened(user: User | None, number: int = execution_id, **how: Any) -> Viewer:
        viewers.append(await Viewer.of(user, number, **how))
        await viewers[-1].open()
        return viewers[-1]

    yield opened
    for viewer in viewers:
        await viewer.leave()
