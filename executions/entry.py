"""One entry of the journal before it is a row; how it and its moment are written in SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from executions.models import ExecutionLog

INSERT = (
    f"INSERT INTO {ExecutionLog._meta.db_table} (execution_id, seq, kind, node, attempt, at, data, took_ms) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)


@dataclass(slots=True)
class Entry:
    kind: str
    node: str | None = None
    attempt: int | None = None
    data: Any = None
    took_ms: int | None = None
    at: datetime = field(default_factory=timezone.now)
    seq: int = 0

    def row(self, execution_id: int) -> tuple[Any, ...]:
        """The values of INSERT."""
        told = (self.seq, self.kind, self.node, self.attempt, as_time(self.at), as_json(self.data), self.took_ms)
        return (execution_id, *told)

    def is_stored_as(self, row: ExecutionLog) -> bool:
        told = (row.kind, row.node, row.attempt, row.data, row.took_ms)
        return told == (self.kind, self.node, self.attempt, self.data, self.took_ms)


def as_time(at: datetime | None) -> Any:
    """As the ORM stores it: SQLite has text in UTC without an offset (and the ORM's own way there takes 20 µs)."""
    if at is None or connection.vendor != "sqlite":
        return at
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def as_json(value: Any) -> str | None:
    """Every entry and every row goes through here: it is where secrets are masked, once there are any."""
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
