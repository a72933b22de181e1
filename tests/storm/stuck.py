"""I2, of an execution that lives: is it held, or due not long ago, or does it wait for something that will come?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.storm.sql import EXECUTION, Connection, Violations, moment, rows
from tests.storm.waits import Wait, open_waits

GRACE_S = 40.0  # lease + sweep + 5 s


@dataclass(frozen=True, slots=True)
class Live:
    pk: int
    status: str
    due_at: datetime
    has_slot: bool
    is_queued: bool  # for a slot
    is_paused: bool
    workflow: int
    limit: int | None
    has_key: bool


def nothing_stuck(connection: Connection, now: datetime | None = None, grace_s: float = GRACE_S) -> Violations:
    """What lives is held, or due not long ago, or waits for something that will come."""
    now, grace = now or datetime.now(UTC), timedelta(seconds=grace_s)
    lives = list(_lives(connection))
    waits, children = open_waits(connection), _live_children(connection)
    holders = Counter(live.workflow for live in lives if live.has_slot)
    found = [(live, _why_stuck(live, waits[live.pk], children, holders[live.workflow], now, grace)) for live in lives]
    return [f"I2: execution {live.pk} is stuck: {why}" for live, why in found if why]


def _lives(connection: Connection) -> Iterator[Live]:
    sql = f"""
        SELECT e.id, e.status, e.due_at, e.has_slot, e.paused_at, e.workflow_id, w.concurrency, w.concurrency_key
        FROM {EXECUTION} e JOIN workflows_workflow w ON w.id = e.workflow_id WHERE e.completed_at IS NULL"""
    for pk, status, due_at, has_slot, paused_at, workflow, limit, key in rows(connection, sql):
        slot = None if has_slot is None else bool(has_slot)
        is_paused, due = paused_at is not None, moment(due_at)
        assert due is not None
        yield Live(pk, status, due, slot is True, slot is False, is_paused, workflow, limit, bool(key))


def _why_stuck(
    live: Live,
    waits: Sequence[Wait],
    children: Mapping[tuple[int, str], int],
    held: int,
    now: datetime,
    grace: timedelta,
) -> str:
    if live.due_at < now - grace:
        return f"due since {live.due_at}"
    if live.is_queued:
        is_free = held == 0 if live.has_key or live.limit is None else held < live.limit
        return "a slot is free, and it waits for one" if is_free and not live.is_paused else ""
    if live.status == "pending" and live.due_at > now + grace:
        return f"pending until {live.due_at}"
    if live.status != "waiting" or live.is_paused:
        return ""
    if not waits:
        return "it waits for nothing"
    if late := [wait.node for wait in waits if wait.due_at and wait.due_at + grace < live.due_at]:
        return f"{late} are due before it is looked at, at {live.due_at}"
    if told := [wait.node for wait in waits if wait.is_over and live.due_at > now + grace]:
        return f"{told} were answered, and nobody looks before {live.due_at}"
    bereft = [wait.node for wait in waits if wait.kind == "child" and not children.get((live.pk, wait.node))]
    return f"{bereft} have no child that lives" if bereft and live.due_at > now + grace else ""


def _live_children(connection: Connection) -> Mapping[tuple[int, str], int]:
    living = f"FROM {EXECUTION} WHERE completed_at IS NULL AND parent_id IS NOT NULL"
    return Counter((parent, node) for parent, node in rows(connection, f"SELECT parent_id, parent_node {living}"))
