"""Other databases than our own, under a name, for as long as a test takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.db import connections


@contextmanager
def named(name: str, about: dict[str, Any]) -> Iterator[None]:
    connections.settings[name] = connections.configure_settings({**connections.settings, name: about})[name]
    try:
        yield
    finally:
        del connections.settings[name]
        with suppress(AttributeError):  # it was never asked for
            del connections[name]


def sqlite(file: Path) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": file}
