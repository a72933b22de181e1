"""The same suite where people run it at scale: on PostgreSQL, and with the bells carried by Redis.

Run as pytest processes of their own, since a process has one database and one channel layer. Where a service does
not answer they skip and say so; with REQUIRE_SERVICES=1, as in CI, that is a failure.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.service

ROOT = Path(__file__).resolve().parent.parent.parent
POSTGRESQL = os.environ.get("TEST_POSTGRESQL_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")


def test_the_engine_keeps_its_promises_on_postgresql() -> None:
    require(POSTGRESQL)
    run(
        {"DATABASE_URL": POSTGRESQL},
        "tests/executions",
        "tests/workflows/test_workflow.py",
        "tests/workflows/test_builder.py",
        "tests/workflows/test_versions.py",
        "tests/workflows/test_home.py",
        "tests/faults/test_mutations.py",
        "tests/faults/test_strength_mutations.py",
        "tests/storm/test_invariants.py",
    )


def test_the_pages_stay_live_with_redis() -> None:
    require(REDIS)
    run({"REDIS_URL": REDIS}, "tests/live/test_viewer.py", "tests/executions/test_engine.py")


def require(url: str) -> None:
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname or "", place.port or 0), timeout=2).close()
    except OSError as error:
        reason = f"nothing answers at {place.hostname}:{place.port} ({error})"
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)


def run(env: dict[str, str], *tests: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
