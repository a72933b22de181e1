"""Both databases read alike, with a plain connection (sqlite3 or psycopg), as any other program would read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

EXECUTION, LOG, WAIT = "executions_workflowexecution", "executions_executionlog", "executions_executionwait"
OPEN = "closed_at IS NULL"
Violations = list[str]
Connection = Any  # sqlite3.Connection | psycopg.Connection


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(sql)
    found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def moment(value: Any) -> datetime | None:
    """SQLite keeps UTC as text, PostgreSQL gives a datetime."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


def from_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def is_sqlite(connection: Connection) -> bool:
    return type(connection).__module__ == "sqlite3"
