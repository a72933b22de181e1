"""A copy of the SQLite database as of one moment, while others go on reading and writing it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from workflowsite.files import sync_folder

KEPT = 3  # copies from before a migration
BEFORE = "before-migration-"


class NoRoom(Exception):
    """There is not enough free disk for a copy."""

    def __init__(self, folder: Path, needed: int, free: int) -> None:
        mb = 1024 * 1024
        super().__init__(f"{folder} has {free // mb:,} MiB free, and {needed // mb + 1:,} MiB are needed.")


class Damaged(Exception):
    """The database is damaged."""


def take(database: Path, to: Path) -> None:
    """Raises NoRoom, OSError and sqlite3.Error; `to` is there only if it is whole."""
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_room(to.parent, size_of(database))
    new = to.with_name(f".new-{to.name}")
    new.unlink(missing_ok=True)
    try:
        new.touch(mode=0o600)
        _copy(database, new)
        new.replace(to)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(to.parent)


def take_before_migration(database: Path, folder: Path) -> Path:
    """The copy; the last few of them are kept."""
    copy = folder / f"{BEFORE}{stamp()}.sqlite3"
    take(database, copy)
    for old in sorted(folder.glob(f"{BEFORE}*.sqlite3"))[:-KEPT]:
        old.unlink()
    return copy


def check(database: Path) -> None:
    """Raises Damaged with what SQLite says."""
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Damaged(f"{database.name} cannot be read: {error}.") from None
    if found != ["ok"]:
        raise Damaged(f"{database.name} is damaged: {'; '.join(found)[:300]}.")


def require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed * 1.05 + 10 * 1024 * 1024:
        raise NoRoom(folder, needed, free)


def size_of(database: Path) -> int:
    """With what has not yet come from its log into it."""
    return sum(path.stat().st_size for path in (database, database.with_name(f"{database.name}-wal")) if path.exists())


def stamp() -> str:
    """The moment, as it stands in names of files."""
    return f"{datetime.now(UTC):%Y-%m-%d-%H%M%S-%f}"[:-3]


def _copy(database: Path, to: Path) -> None:
    source, target = sqlite3.connect(database, timeout=20), sqlite3.connect(to)
    try:
        # A copy that pauses starts again whenever somebody writes: with writers about, it is taken in one go.
        source.backup(target, pages=-1)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    finally:
        source.close()
        target.close()
    handle = os.open(to, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
