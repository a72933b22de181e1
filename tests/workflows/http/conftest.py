"""One http step against another system, for real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.remote import Remote, running
from workflows.files import Area, area
from workflows.graph import Node
from workflows.outgoing import client
from workflows.steps import make
from workflows.steps.base import NoFiles, StepContext

KEY = "12:fetch:0"


@dataclass(slots=True)
class Called:
    """What came of it: its response, or the error; `lines`, those with their level where that is not “info”."""

    output: dict[str, Any] = field(default_factory=dict)
    error: Any = None
    lines: list[str] = field(default_factory=list)

    @property
    def response(self) -> dict[str, Any]:
        assert self.error is None, self.error
        return dict(self.output["response"])


Call = Callable[..., Called]


@pytest.fixture
def remote(settings: Any) -> Iterator[Remote]:
    """Another system, whom the administrator allows."""
    with running(Remote()) as found:
        settings.HTTP_ALLOW = [found.rule]
        yield found


@pytest.fixture
def files(settings: Any, tmp_path: Path) -> Area:
    settings.STORAGES = {
        **settings.STORAGES,
        "files": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}},
    }
    return area(7)


def call(
    url: str, *, secrets: dict[str, str] | None = None, files: Any = None, data: Any = None, **config: Any
) -> Called:
    """Runs one http step in an event loop of its own."""
    return in_loop(lambda: called(url, secrets=secrets, files=files, data=data, **config))


def in_loop(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def whole() -> Any:
        try:
            async with asyncio.timeout(20):  # a hang is a failure, and not the end of the suite
                return await work()
        finally:
            await client.close()

    return asyncio.run(whole())


async def called(
    url: str, *, secrets: dict[str, str] | None = None, files: Any = None, data: Any = None, **config: Any
) -> Called:
    found = Called()

    def write(level: str, text: str) -> None:
        found.lines.append(text if level == "info" else f"{level}: {text}")

    def reveal(name: str, host: str) -> str:
        return (secrets or {})[f"{name} for {host}"]

    step = make(Node("fetch", "http", {"url": url, **config}))
    data = data or {}
    ctx = StepContext(data, data, "fetch", 1, datetime.now(UTC), KEY, write, files=files or NoFiles(), reveal=reveal)
    try:
        outcome: Any = step.run(ctx)
        found.output = dict((await outcome).output)
    except Exception as error:
        found.error = error
    return found
