"""I9 and I10: the database is whole, and processes take up and leave behind nothing that they should not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.storm.sql import Connection, Violations, is_sqlite, rows


def integrity(connection: Connection) -> Violations:
    """PRAGMA integrity_check and foreign_key_check; amcheck's look at every index and table."""
    found = _integrity_of_sqlite(connection) if is_sqlite(connection) else _integrity_of_postgresql(connection)
    return [f"I9: {what}" for what in found]


def _integrity_of_sqlite(connection: Connection) -> list[str]:
    try:
        told = [text for (text,) in rows(connection, "PRAGMA integrity_check") if text != "ok"]
        astray = rows(connection, "PRAGMA foreign_key_check")
    except sqlite3.DatabaseError as error:  # it cannot even be read to its end
        return [str(error)]
    return told + [
        f"row {row} of {table} names a row of {parent} that is not there" for table, row, parent, _ in astray
    ]


INDEXES = """
    SELECT c.oid::regclass::text, c.oid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am a ON a.oid = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.amname = 'btree' AND i.indisvalid AND n.nspname = current_schema()"""
TABLES = """
    SELECT c.oid::regclass::text, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname = current_schema()"""


def _integrity_of_postgresql(connection: Connection) -> list[str]:
    try:
        connection.cursor().execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        connection.commit()
    except psycopg.Error as error:
        connection.rollback()
        return [f"it cannot be checked: {str(error).strip()}"]
    found = []
    for name, oid in rows(connection, INDEXES):
        try:
            rows(connection, f"SELECT bt_index_check({oid}::regclass, true)")
        except psycopg.Error as error:
            connection.rollback()
            found.append(f"{name}: {str(error).strip()}")
    for name, oid in rows(connection, TABLES):
        told = rows(connection, f"SELECT blkno, msg FROM verify_heapam({oid}::regclass)")
        found += [f"{name}, block {block}: {text}" for block, text in told]
    connection.rollback()
    return found


# I10


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process takes up, as /proc says."""

    rss: int  # bytes
    fds: int
    children: tuple[int, ...]

    @classmethod
    def of(cls, pid: int) -> Footprint:
        process = Path(f"/proc/{pid}")
        pages = int((process / "statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), len(list((process / "fd").iterdir())), tuple(children_of(pid)))


def footprint_stays(before: Footprint, after: Footprint, share: float = 0.2, fds: int = 0) -> Violations:
    """Memory within `share` of what it was, no more open files than `fds` above, and no child that was not there."""
    found = []
    if after.rss > before.rss * (1 + share):
        found.append(f"I10: memory grew from {before.rss >> 20} to {after.rss >> 20} MiB")
    if after.fds > before.fds + fds:
        found.append(f"I10: open files grew from {before.fds} to {after.fds}")
    return found + [f"I10: process {pid} is left" for pid in after.children if pid not in before.children]


def no_orphans(pids: Iterable[int]) -> Violations:
    """None of these processes lives any more. Give those that were killed, and the children that they had."""
    return [f"I10: process {pid} still lives" for pid in pids if _state(pid) not in ("", "Z", "X")]


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
