"""What the figures were taken on: versions, settings, processor, and what else the machine had to do."""

from __future__ import annotations

import os
import platform
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import django

from tests.benchmarks import server_database


def described() -> dict[str, str]:
    """Asked before the first bench, so that the load is that of others."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "versions": f"Python {platform.python_version()}, Django {django.__version__}, "
        f"SQLite {sqlite3.sqlite_version}, {server_database.version()}",
        "settings": "SQLite: WAL, synchronous=FULL, IMMEDIATE; "
        f"PostgreSQL: synchronous_commit={server_database.setting('synchronous_commit')}, "
        f"fsync={server_database.setting('fsync')}",
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def as_text(told: dict[str, str]) -> str:
    return "\n".join(f"{name:12} {text}" for name, text in told.items())


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
