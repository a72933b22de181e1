"""Where a scene is played: a data folder and a database, which are put back as they were before each kill."""

from __future__ import annotations

import os
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.faults.nursery import in_a_child
from tests.storm.scenes import Scene


class Ground(ABC):
    """`data`: the folder; `url`: of the database, empty for SQLite."""

    def __init__(self, data: Path, url: str = "") -> None:
        self.data, self.url = data, url

    @abstractmethod
    def take_away(self) -> None:
        """What it has made beside the folder."""

    def lay_out(self, scene: Scene) -> None:
        """Everything as it is when the scene begins: what was set up, and what a process before it has left."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        self._clear()
        if in_a_child(lambda: _set_up(scene)):
            raise RuntimeError(f"The scene “{scene.name}” cannot be set up.")
        if hasattr(scene, "before"):
            in_a_child(lambda: _play_before(scene))  # it may be killed
        self._keep(scene)

    @abstractmethod
    def restore(self, scene: Scene) -> None: ...

    @abstractmethod
    def settle(self) -> None:
        """Until what a killed process had begun is over."""

    @abstractmethod
    def connected(self) -> Any:
        """A context that gives a plain connection."""

    @abstractmethod
    def _clear(self) -> None: ...

    @abstractmethod
    def _keep(self, scene: Scene) -> None: ...

    def _kept(self, scene: Scene) -> Path:
        return self.data.with_name(f"kept-{scene.name}")

    def _restore_folder(self, scene: Scene) -> None:
        shutil.rmtree(self.data)
        shutil.copytree(self._kept(scene), self.data)


class SQLite(Ground):
    def take_away(self) -> None:
        """Nothing."""

    def restore(self, scene: Scene) -> None:
        self._restore_folder(scene)

    def settle(self) -> None:
        """At once: its locks went with it."""

    @contextmanager
    def connected(self) -> Iterator[Any]:
        with closing(sqlite3.connect(self.data / "db.sqlite3")) as connection:
            yield connection

    def _clear(self) -> None:
        """The folder was all that there is."""

    def _keep(self, scene: Scene) -> None:
        with self.connected() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(self.data, self._kept(scene))


class PostgreSQL(Ground):
    """A database of its own on a server that others may use. How a scene begins is kept in a schema beside it: to make
    a database anew costs the server two checkpoints, and this a moment."""

    def __init__(self, data: Path, server: str) -> None:
        self._server, self._name, self._is_made = server, f"crash_points_{os.getpid()}", False
        super().__init__(data, urlunsplit(urlsplit(server)._replace(path=f"/{self._name}")))

    def take_away(self) -> None:
        self._ask(self._server, f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    def restore(self, scene: Scene) -> None:
        self._restore_folder(scene)
        self._copy(f"kept_{scene.name}")

    def settle(self) -> None:
        """Until the server has noticed that its client is dead: what that one had sent before is written by then."""
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        for _ in range(1_000):
            if self._ask(self.url, others) == [(0,)]:
                return
            sleep(0.01)
        raise RuntimeError("The server holds connections of a process that is gone.")

    @contextmanager
    def connected(self) -> Iterator[Any]:
        with closing(psycopg.connect(self.url)) as connection:
            yield connection

    def _clear(self) -> None:
        if self._is_made:
            self._copy("kept_blank")
            return
        self._ask(self._server, f"CREATE DATABASE {self._name}")
        self._is_made = True
        if in_a_child(_migrate):
            raise RuntimeError("The database cannot be laid out.")
        self._keep_as("kept_blank")

    def _keep(self, scene: Scene) -> None:
        shutil.copytree(self.data, self._kept(scene))
        self._keep_as(f"kept_{scene.name}")

    def _keep_as(self, schema: str) -> None:
        self.settle()
        made = [f'CREATE TABLE {schema}."{name}" AS TABLE public."{name}"' for name in self._tables()]
        sequences = f"CREATE TABLE {schema}.sequences AS SELECT sequencename, last_value FROM pg_sequences"
        self._ask(self.url, f"CREATE SCHEMA {schema}", *made, f"{sequences} WHERE schemaname = 'public'")

    def _copy(self, schema: str) -> None:
        self.settle()
        tables = self._tables()
        emptied = [f'DELETE FROM public."{name}"' for name in tables]
        filled = [f'INSERT INTO public."{name}" SELECT * FROM {schema}."{name}"' for name in tables]
        value = "setval(format('public.%I', sequencename)::regclass, coalesce(last_value, 1), last_value IS NOT NULL)"
        self._ask(self.url, *emptied, *filled, f"SELECT {value} FROM {schema}.sequences")

    def _tables(self) -> list[str]:
        found = self._ask(self.url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [name for (name,) in found]

    def _ask(self, url: str, *statements: str) -> list[tuple[Any, ...]]:
        """In one transaction, where it is more than one; the rows of the last."""
        with closing(psycopg.connect(url, autocommit=len(statements) == 1)) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            connection.commit()
            return cursor.fetchall() if cursor.description else []


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _set_up(scene: Scene) -> None:
    from django.conf import settings
    from django.db import connection

    from workflowsite import database

    if connection.vendor == "sqlite":
        database.lay_out(Path(settings.DATABASES["default"]["NAME"]))
    _migrate()
    scene.set_up()


def _play_before(scene: Any) -> None:
    import asyncio

    asyncio.run(scene.before())
