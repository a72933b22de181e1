"""Where a scene is played: a data folder and a database, which are put back as they were before each kill."""

from __future__ import annotations

import os
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
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
    """Databases of its own on a server that others may use: one that is played in, and one a scene to copy it from."""

    def __init__(self, data: Path, server: str) -> None:
        self._server, self._name = server, f"crash_points_{os.getpid()}"
        self._made: set[str] = set()
        super().__init__(data, urlunsplit(urlsplit(server)._replace(path=f"/{self._name}")))

    def take_away(self) -> None:
        for name in self._made:
            self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def restore(self, scene: Scene) -> None:
        self._restore_folder(scene)
        self._copy(self._name, f"{self._name}_{scene.name}")

    @contextmanager
    def connected(self) -> Iterator[Any]:
        with closing(psycopg.connect(self.url)) as connection:
            yield connection

    def _clear(self) -> None:
        self._copy(self._name, "template1")

    def _keep(self, scene: Scene) -> None:
        shutil.copytree(self.data, self._kept(scene))
        self._copy(f"{self._name}_{scene.name}", self._name)

    def _copy(self, name: str, source: str) -> None:
        self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._run(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY FILE_COPY")
        self._made.add(name)

    def _run(self, statement: str) -> None:
        with closing(psycopg.connect(self._server, autocommit=True)) as connection:
            connection.execute(statement)


def _set_up(scene: Scene) -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from workflowsite import database

    if connection.vendor == "sqlite":
        database.lay_out(Path(settings.DATABASES["default"]["NAME"]))
    call_command("migrate", verbosity=0)
    scene.set_up()


def _play_before(scene: Any) -> None:
    import asyncio

    asyncio.run(scene.before())
