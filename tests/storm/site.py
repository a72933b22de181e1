"""The place where a storm rages: a data folder, a database in it or beside it, and the plain look into that database.

The looks use no Django: what is found is what another program would find, and a process that forks workers must hold no
connection of Django's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg


@dataclass(slots=True)
class Site:
    folder: Path
    url: str = ""  # of a PostgreSQL database; empty: a SQLite file in the data folder
    data: Path = field(init=False)

    def __post_init__(self) -> None:
        self.data = self.folder / "data"

    @property
    def database(self) -> str:
        return "PostgreSQL" if self.url else "SQLite"

    @property
    def effects(self) -> Path:
        return self.folder / "effects"

    @property
    def accepted(self) -> Path:
        """What was acknowledged to whoever submitted: “number id” a line."""
        return self.folder / "accepted"

    @property
    def answered(self) -> Path:
        """Waits whose answer was acknowledged."""
        return self.folder / "answered"

    @property
    def words(self) -> Path:
        """What the workers say on stderr."""
        return self.folder / "words"

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """To read."""
        opened = self._connect()
        try:
            yield opened
        finally:
            opened.close()

    def _connect(self) -> Any:
        if self.url:
            return psycopg.connect(self.url, autocommit=True, connect_timeout=10)
        return sqlite3.connect(f"file:{self.data / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)
