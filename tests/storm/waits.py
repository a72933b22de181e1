"""The open waits, as the rows have them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tests.storm.sql import OPEN, WAIT, Connection, moment, rows


@dataclass(frozen=True, slots=True)
class Wait:
    node: str
    attempt: int
    kind: str
    due_at: datetime | None
    is_over: bool


def open_waits(connection: Connection) -> Mapping[int, list[Wait]]:
    found: dict[int, list[Wait]] = defaultdict(list)
    columns = "execution_id, node, attempt, kind, due_at, answered_at, lapsed_at"
    for pk, node, attempt, kind, due_at, *over in rows(connection, f"SELECT {columns} FROM {WAIT} WHERE {OPEN}"):
        found[pk].append(Wait(node, attempt, kind, moment(due_at), any(over)))
    return found
