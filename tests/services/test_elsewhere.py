"""The same suite where people run it at scale: on PostgreSQL, and with the bells carried by Redis.

Run as pytest processes of their own, since a process has one database and one channel layer. Where a service does
not answer they skip and say so; with REQUIRE_SERVICES=1, as in CI, that is a failure. Left out is what cannot differ:
what has no database at all, and what raises SQLite processes of its own (tests/site; tests/faults but for the
mutations; tests/services itself has both).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.services.servers import POSTGRESQL, REDIS, require

pytestmark = pytest.mark.service

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = {
    "the engine": (
        "tests/executions",
        "tests/faults/test_mutations.py",
        "tests/faults/test_strength_mutations.py",
        "tests/storm/test_invariants.py",
    ),
    "the blueprint": ("tests/workflows", "tests/accounts", "tests/test_contract.py"),
    "live pages": ("tests/live",),
    "journeys": tuple(
        f"tests/journeys/test_{name}.py" for name in ("main_job", "restart", "steering", "approval", "lists", "flood")
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_the_suite_passes_on_postgresql_and_redis(part: str) -> None:
    require(POSTGRESQL)
    require(REDIS)
    name = f"stepstream_{os.getpid()}_{list(PARTS).index(part)}"  # several runs on one server are in nobody's way
    run({"DATABASE_URL": urlsplit(POSTGRESQL)._replace(path=f"/{name}").geturl(), "REDIS_URL": REDIS}, *PARTS[part])


def run(env: dict[str, str], *tests: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
