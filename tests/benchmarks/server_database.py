"""PostgreSQL for the benches: a database of their own on the server of BENCH_DATABASE_URL, and what that spends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

URL = os.environ.get("BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
TICKS = os.sysconf("SC_CLK_TCK")


class NotThere(Exception):
    """No server answers, or it lets nobody make a database."""


@contextmanager
def made(mark: str = "") -> Iterator[str]:
    """The address of a new database, which is dropped at the end with whoever still looks at it."""
    name = f"bench_{os.getpid()}{mark}"
    told(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    try:
        yield urlsplit(URL)._replace(path=f"/{name}").geturl()
    finally:
        told(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def told(*statements: str) -> None:
    try:
        with psycopg.connect(URL, autocommit=True, connect_timeout=3) as connection:
            for statement in statements:
                connection.execute(statement.encode())
    except psycopg.Error as error:
        raise NotThere(f"no PostgreSQL at {urlsplit(URL).hostname}: {' '.join(str(error).split())[:80]}") from None


def version() -> str:
    number = setting("server_version")
    return f"PostgreSQL {number.partition(' ')[0]}" if number != "–" else "no PostgreSQL"


def setting(name: str) -> str:
    try:
        with psycopg.connect(URL, autocommit=True, connect_timeout=3) as connection:
            row = connection.execute(b"SELECT current_setting(%s)", (name,)).fetchone()
    except psycopg.Error:
        return "–"
    return str(row[0]) if row else "–"


def spent() -> float | None:
    """CPU seconds of all server processes that serve our database; None where they run elsewhere or there are none."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        pids = [pid for (pid,) in cursor.fetchall()]
    try:
        return sum(cpu_of(pid) for pid in pids)
    except OSError:
        return None


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far, all threads."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(told[11]) + int(told[12])) / TICKS
