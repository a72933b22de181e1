"""Sets a scenario's stage in a process of its own, and plays it: python -m tests.storm.stage NAME FOLDER OPTIONS.

Servers first, then the environment, then Django; only then may the scenarios be imported. Prints the verdict as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.storm.cluster import Cluster
from tests.storm.crew import fork, wait
from tests.storm.site import Site

MASTER_KEY = "c2VjcmV0cyBvZiBzdG9ybXMgYXJlIG5vIHNlY3JldHM="  # 32 bytes, as a key of the secrets has


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; each scenario takes what it needs."""

    executions: int = 1_000
    kills: int = 0  # or whatever else the scenario does to workers
    restarts: int = 0  # or whatever else it does to servers
    workers: int = 4
    pace_s: float = 0.1  # what a step takes
    limit: int = 8  # executions at once in one worker
    on: str = ""  # a database, where the scenario can be played on both
    without_fence: bool = False


@dataclass(slots=True)
class Stage:
    site: Site
    size: Size
    cluster: Cluster | None = None


def play(name: str, folder: Path, size: Size) -> str:
    with database(folder, size) as cluster:
        url = cluster.url if cluster else ""
        os.environ |= {"DATA_DIR": str(folder / "data"), "DATABASE_URL": url, "MASTER_KEYS": MASTER_KEY}
        os.environ["DJANGO_SETTINGS_MODULE"] = "workflowsite.settings"
        import django

        django.setup()
        work: Any = import_module("tests.storm.work")
        scenes: Any = import_module("tests.storm.scenes")
        stage = Stage(Site(folder, url), size, cluster)
        work.register()
        work.effects, work.pace_s = stage.site.effects, size.pace_s
        wait(fork(lay_out, stage.site.words))
        return str(getattr(scenes, name)(stage).as_json())


@contextmanager
def database(folder: Path, size: Size) -> Iterator[Cluster | None]:
    if size.on != "postgresql":
        yield None
        return
    cluster = Cluster(folder)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def lay_out() -> None:
    """In a child, so that no connection stays here."""
    from django.conf import settings
    from django.core.management import call_command

    from tests.storm import work
    from workflowsite import database

    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        database.lay_out(Path(settings.DATABASES["default"]["NAME"]))
    call_command("migrate", verbosity=0)
    work.set_up()


def main(name: str, folder: str, options: str) -> None:
    print(play(name, Path(folder), Size(**json.loads(options))))


if __name__ == "__main__":
    main(*sys.argv[1:])
