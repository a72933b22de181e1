"""When an execution goes on by itself: the time limits of its steps and its own, the ends of its waits, as absolute
times; and the alarm of whoever holds it. A worker that was lost enforces nothing: the row's due time does.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone

from executions.models import WaitKind
from executions.models.execution import FAR_FUTURE
from executions.planner import State
from workflows.blueprint import Blueprint

A_DAY_S = 86_400.0


def deadline(blueprint: Blueprint, state: State, node_id: str) -> datetime | None:
    """When this attempt of a step has taken too long."""
    limit, started = blueprint.policy(node_id).timeout_s, state.nodes[node_id].started_at
    return started + timedelta(seconds=limit) if limit and started else None


def due(blueprint: Blueprint, state: State, node_id: str) -> datetime | None:
    """When a step that waits goes on by itself: its own time, or its limit."""
    node = state.nodes[node_id]
    if node.waits_for == WaitKind.RETRY:
        return node.until
    return min((at for at in (node.until, deadline(blueprint, state, node_id)) if at), default=None)


def has_timed_out(blueprint: Blueprint, state: State, node_id: str) -> bool:
    """A wait that lapsed by the limit of its step, and not by its own time."""
    node, limit = state.nodes[node_id], deadline(blueprint, state, node_id)
    return node.has_lapsed and limit is not None and (node.until is None or limit < node.until)


def next_due(blueprint: Blueprint, state: State) -> datetime:
    """When an execution that rests is due."""
    if state.paused_at:
        return FAR_FUTURE
    times = [due(blueprint, state, node_id) for node_id in state.active] + [state.expires_at]
    return min((at for at in times if at), default=FAR_FUTURE)


class Alarm:
    """Rings when a moment has come that it was set to; one timer, however many those are."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._moments: list[datetime] = []
        self._timer: asyncio.TimerHandle | None = None

    def set(self, *moments: datetime | None) -> None:
        for moment in moments:
            if moment:
                heapq.heappush(self._moments, moment)
                if self._moments[0] is moment:  # earlier than all others
                    self._wind()

    def stop(self) -> None:
        self._moments.clear()
        self._wind()

    def _wind(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._moments:
            left = (self._moments[0] - timezone.now()).total_seconds()
            self._timer = asyncio.get_running_loop().call_later(min(max(0.0, left), A_DAY_S), self._look)

    def _look(self) -> None:
        """A timer of more than a day, or a clock that was set back, comes too early."""
        now, has_come = timezone.now(), False
        while self._moments and self._moments[0] <= now:
            heapq.heappop(self._moments)
            has_come = True
        self._wind()
        if has_come:
            self._ring()
