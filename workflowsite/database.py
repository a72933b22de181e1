"""What each database needs from us: the connection's settings, and how a new SQLite file is laid out.

The numbers were measured: deferred transactions on SQLite end in "database is locked" as soon as two writers meet,
and persistent connections on PostgreSQL leak one backend for every request thread.
"""

import json
import os
import re
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured


def connection_settings(url: str, default_file: Path) -> dict[str, Any]:
    """The entry for Django's DATABASES: of `url`, or of the SQLite file where it is empty."""
    if not url:
        return sqlite({"ENGINE": "django.db.backends.sqlite3", "NAME": default_file})
    scheme = url.partition(":")[0]
    if scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise ImproperlyConfigured(
            f"DATABASE_URL must begin with one of {known}, not with {scheme}: the engine's promises rest on these."
        )
    return SCHEMES[scheme]({**dj_database_url.parse(url)})


def sqlite(parsed: dict[str, Any]) -> dict[str, Any]:
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA synchronous=FULL",
    }
    # A file, since the tests' server is another process; one a run, so that two runs never share it.
    test_file = Path(tempfile.gettempdir()) / f"stepstream-test-{os.getpid()}.sqlite3"
    return {**parsed, "OPTIONS": {**options, **parsed.get("OPTIONS", {})}, "TEST": {"NAME": str(test_file)}}


def postgresql(parsed: dict[str, Any]) -> dict[str, Any]:
    # A database that is away is said after ten seconds, and not after thirty.
    options = {"pool": {"min_size": 1, "max_size": 8, "timeout": 10}, **parsed.get("OPTIONS", {})}
    return {**parsed, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}


def opened_to_workflows(text: str) -> dict[str, dict[str, Any]]:
    """SQL_DATABASES for Django's DATABASES: `{"name": "url"}` as JSON, or name=url, parted by spaces."""
    return {name: _opened(name, url) for name, url in _named(text).items()}


def _named(text: str) -> dict[str, str]:
    try:
        named = json.loads(text) if text.startswith("{") else dict(pair.split("=", 1) for pair in text.split())
    except ValueError:
        named = None
    if not isinstance(named, dict) or not all(isinstance(url, str) for url in named.values()):
        raise ImproperlyConfigured('SQL_DATABASES must be name=url, parted by spaces, or JSON such as {"name": "url"}.')
    return named


def _opened(name: str, url: str) -> dict[str, Any]:
    """Its address may hold a password, so nothing is said of it."""
    if not DATABASE_NAME.fullmatch(name) or name == "default":
        raise ImproperlyConfigured(f"SQL_DATABASES: “{name}” cannot be a name. Use letters, digits, “_” and “-”.")
    if url.partition(":")[0] not in SCHEMES:
        raise ImproperlyConfigured(f"SQL_DATABASES: the address of {name} must begin with {', '.join(SCHEMES)}.")
    try:
        return {**dj_database_url.parse(url)}
    except ValueError:
        raise ImproperlyConfigured(f"SQL_DATABASES: the address of {name} cannot be read.") from None


DATABASE_NAME = re.compile(r"[A-Za-z][\w-]{0,40}", re.ASCII)
SCHEMES = {"sqlite": sqlite, "postgres": postgresql, "postgresql": postgresql}


def needs_layout(file: Path | str) -> bool:
    """True for a file that is yet to be made, or is as empty as the day it was."""
    file = Path(file)
    return not file.exists() or file.stat().st_size == 0


def lay_out(file: Path | str) -> None:
    """Make the SQLite file with what must be chosen before its first table, and with WAL, which the file remembers."""
    file = Path(file)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = sqlite3.connect(file)
    try:
        connection.execute("PRAGMA page_size=4096")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("VACUUM")  # an empty file takes its layout here
    finally:
        connection.close()
    file.chmod(0o600)
