"""The floor of a run: what it takes to write exactly the rows that it wrote, by bare executemany, in batches of 100.

On tables with the same columns, indexes and pragmas beside the real ones: microseconds of CPU per execution.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import server_database

BATCH = 100
TABLES = ("executions_workflowexecution", "executions_executionlog")
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU µs per execution: of this process, and of the database's server where it has one."""

    ours: float
    server: float | None = None


def of_the_last(number: int) -> Spent:
    """For the rows of the last `number` executions."""
    from django.db import connection

    if connection.vendor == "postgresql":
        return _on_postgresql(number)
    return _on_sqlite(Path(connection.settings_dict["NAME"]), number)


def _batches(rows: list[Row], entries: Iterable[Row], place: int) -> list[tuple[list[Row], list[Row]]]:
    journals: dict[Any, list[Row]] = {}
    for entry in entries:
        journals.setdefault(entry[place], []).append(entry)
    parts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return [(part, [entry for row in part for entry in journals[row[0]]]) for part in parts]


def _on_sqlite(source: Path, number: int) -> Spent:
    target = source.with_name("floor.sqlite3")
    with closing(sqlite3.connect(source)) as db:
        columns = [[column[1] for column in db.execute(f"PRAGMA table_info({table})")] for table in TABLES]
        rows = db.execute(f"SELECT * FROM {TABLES[0]} ORDER BY id DESC LIMIT ?", (number,)).fetchall()
        entries = db.execute(f"SELECT * FROM {TABLES[1]} WHERE execution_id >= ?", (rows[-1][0],))
        batches = _batches(rows, entries, columns[1].index("execution_id"))
        query = f"SELECT sql FROM sqlite_master WHERE tbl_name IN {TABLES} AND sql IS NOT NULL"
        schema = ";".join(sql for (sql,) in db.execute(query))
    inserts = [
        f"INSERT INTO {table} VALUES ({_marks('?', names)})" for table, names in zip(TABLES, columns, strict=True)
    ]
    spent = _written(target, schema, inserts, batches)
    for name in (target, Path(f"{target}-wal"), Path(f"{target}-shm")):
        name.unlink(missing_ok=True)
    return Spent(1e6 * spent / number)


def _written(target: Path, schema: str, inserts: list[str], batches: list[tuple[list[Row], list[Row]]]) -> float:
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {schema}")
        began = time.process_time()
        for batch in batches:
            db.execute("BEGIN IMMEDIATE")
            for insert, rows in zip(inserts, batch, strict=True):
                db.executemany(insert, rows)
            db.execute("COMMIT")
        return time.process_time() - began


def _on_postgresql(number: int) -> Spent:
    """As text, which the server reads as whatever the column is."""
    from django.db import connection, transaction

    with connection.cursor() as cursor:
        columns = [_columns(cursor, table) for table in TABLES]
        as_text = [", ".join(f"{name}::text" for name in names) for names in columns]
        cursor.execute(f"SELECT {as_text[0]} FROM {TABLES[0]} ORDER BY {TABLES[0]}.id DESC LIMIT {number}")
        rows = cursor.fetchall()
        cursor.execute(f"SELECT {as_text[1]} FROM {TABLES[1]} WHERE execution_id >= %s", [int(rows[-1][0])])
        batches = _batches(rows, cursor.fetchall(), columns[1].index("execution_id"))
        for table in TABLES:
            cursor.execute(f"CREATE TABLE floor_{table} (LIKE {table} INCLUDING ALL)")
        inserts = [
            f"INSERT INTO floor_{table} ({', '.join(names)}) OVERRIDING SYSTEM VALUE VALUES ({_marks('%s', names)})"
            for table, names in zip(TABLES, columns, strict=True)
        ]
        server, began = server_database.spent(), time.process_time()
        for batch in batches:
            with transaction.atomic():
                for insert, rows in zip(inserts, batch, strict=True):
                    cursor.executemany(insert, rows)
        ours, after = time.process_time() - began, server_database.spent()
        for table in TABLES:
            cursor.execute(f"DROP TABLE floor_{table}")
    servers = None if server is None or after is None else 1e6 * (after - server) / number
    return Spent(1e6 * ours / number, servers)


def _columns(cursor: Any, table: str) -> list[str]:
    cursor.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", [table])
    return [name for (name,) in cursor.fetchall()]


def _marks(mark: str, names: list[str]) -> str:
    return ", ".join([mark] * len(names))
