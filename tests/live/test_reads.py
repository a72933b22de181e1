"""However many watch one execution, it is read once for all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User

from executions.hub import FLUSH_S, News, Window
from tests.live.viewer import Viewer, grow, last_of

pytestmark = pytest.mark.django_db(transaction=True)

CROWD, FLUSHES = 200, 5


async def test_two_hundred_viewers_cost_one_read_a_flush(
    watch: Any, alice: User, execution_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = Window.read

    def counted(window: Window) -> News | None:
        reads.append(window.execution_id)
        return read(window)

    monkeypatch.setattr(Window, "read", counted)
    crowd: list[Viewer] = [await watch(alice) for _ in range(CROWD)]
    await asyncio.gather(*(viewer.hello() for viewer in crowd))
    await asyncio.gather(*(viewer.sees(1) for viewer in crowd))
    assert set(reads) == {execution_id}
    before, began = len(reads), await last_of(execution_id)
    for _ in range(FLUSHES):
        last = await grow(execution_id, 3)
        await asyncio.gather(*(viewer.sees(last) for viewer in crowd))
        await asyncio.sleep(2 * FLUSH_S)
    # One a bell; a heartbeat on a slow machine may add its own, which each flush may see but once.
    assert FLUSHES <= len(reads) - before <= 3 * FLUSHES
    for viewer in crowd:
        assert viewer.seen == list(range(1, began + 3 * FLUSHES + 1))
