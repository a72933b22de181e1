"""Sets a scenario's stage in a process of its own, and plays it: python -m tests.storm.stage NAME FOLDER OPTIONS.

Servers first, then the environment, then Django; only then may the scenarios be imported. Prints the verdict as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.storm.bells import Bells
from tests.storm.cluster import Cluster, NotHere
from tests.storm.crew import end_with, fork, wait
from tests.storm.proxy import Proxy
from tests.storm.site import Site

SKIPPED = 77  # this machine cannot play it
MASTER_KEY = "c2VjcmV0cyBvZiBzdG9ybXMgYXJlIG5vIHNlY3JldHM="  # 32 bytes, as a key of the secrets has


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; each scenario takes what it needs."""

    executions: int = 1_000
    kills: int = 0
    faults: int = 0  # whatever else the scenario does
    workers: int = 4
    pace_s: float = 0.05  # what a step takes
    limit: int = 4  # executions at once in one worker
    on: str = "sqlite"  # or postgresql
    most_repeated: float = 3.0  # percent of the effects
    without_fence: bool = False


@dataclass(slots=True)
class Stage:
    name: str  # of the scenario
    site: Site
    size: Size
    cluster: Cluster | None = None
    bells: Bells | None = None

    @property
    def cuts(self) -> Path:
        return self.site.folder / "cuts"


def play(name: str, folder: Path, size: Size) -> str:
    with ExitStack() as servers:
        stage = Stage(name, Site(folder), size)
        url = begin_database(stage, servers)
        if name == "redis":
            stage.bells = Bells(folder)
            servers.callback(stage.bells.kill)
            os.environ["REDIS_URL"] = stage.bells.url
        os.environ |= {"DATA_DIR": str(stage.site.data), "DATABASE_URL": url, "MASTER_KEYS": MASTER_KEY}
        os.environ["DJANGO_SETTINGS_MODULE"] = "workflowsite.settings"
        import django

        django.setup()
        work: Any = import_module("tests.storm.work")
        scenarios: Any = import_module("tests.storm.scenarios")
        work.register()
        work.effects, work.pace_s = stage.site.effects, size.pace_s
        wait(fork(lay_out, stage.site.words))
        return str(getattr(scenarios, name)(stage).as_json())


def begin_database(stage: Stage, servers: ExitStack) -> str:
    """Gives its URL for the workers; empty for a file in the data folder."""
    if stage.size.on != "postgresql":
        return ""
    stage.cluster = Cluster(stage.site.folder)
    stage.cluster.start()
    servers.callback(stage.cluster.stop)
    stage.site.url = stage.cluster.url
    if stage.name != "commit":
        return stage.cluster.url
    proxy = Proxy(stage.cluster.port, stage.cuts, chance_of(stage.size))
    fork(proxy.run, stage.site.words)
    return stage.cluster.url.replace(str(stage.cluster.port), str(proxy.port))


def chance_of(size: Size) -> float:
    """Of a COMMIT to be cut, so that it happens about that often: an execution takes about ten of them."""
    return min(0.2, size.faults / (10 * size.executions))


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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # in good order: servers are stopped
    end_with(os.getppid(), signal.SIGTERM)
    try:
        print(play(name, Path(folder), Size(**json.loads(options))))
    except NotHere as why:
        print(why)
        sys.exit(SKIPPED)


if __name__ == "__main__":
    main(*sys.argv[1:])
