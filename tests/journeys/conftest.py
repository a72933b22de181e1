"""Whole ways through: a real server with a data folder of its own, and a real browser.

Where DATABASE_URL or REDIS_URL is set, the servers work there, each on a database of its own.
`server` runs on a copy of a prepared folder; `visit()` opens a browser context that fails its test on any console
error, script error, CSP violation, request to another host or answer of 500 and above.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.journeys.server import OWNER, PASSWORD, Server
from tests.journeys.visitor import PATIENCE_MS, Visitor, launched
from tests.services.servers import fresh_database

Visit = Callable[..., Visitor]
ACCOUNT = {"DJANGO_SUPERUSER_USERNAME": OWNER, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@contextmanager
def chosen(like: str = "") -> Iterator[dict[str, str]]:
    """What a server needs to work where the suite does: a new database, empty or as the one at `like`."""
    given = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)}
    if "DATABASE_URL" not in given:
        yield given
        return
    with fresh_database(given["DATABASE_URL"], like) as url:
        yield given | {"DATABASE_URL": url}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A data folder on which `manage.py prepare` ran, with an owner and a token; others copy it."""
    with chosen() as environment:
        server = Server(tmp_path_factory.mktemp("prepared") / "var", **ACCOUNT, **environment)
        server.manage("prepare")
        server.token = server.manage("create_token", OWNER).split()[-1]
        yield server


@contextmanager
def serving(prepared: Server, folder: Path, **environment: str) -> Iterator[Server]:
    """A server on a copy of the prepared folder. What it said is shown where a test fails."""
    shutil.copytree(prepared.data, folder / "var", ignore=shutil.ignore_patterns("static"))
    (folder / "var" / "static").symlink_to(prepared.data / "static")
    with chosen(prepared.environment.get("DATABASE_URL", "")) as given:
        server = Server(folder / "var", **ACCOUNT, **given, **environment)
        server.token = prepared.token
        try:
            yield server
        finally:
            server.leave()
            print(server.said())


@pytest.fixture
def server(prepared: Server, tmp_path: Path) -> Iterator[Server]:
    with serving(prepared, tmp_path) as server:
        server.start()
        yield server


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """For this folder alone: while Playwright is there, its event loop runs, and asynchronous tests cannot."""
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """`visit()` is a new visitor with cookies of their own; `visit(java_script_enabled=False)` one without script."""
    visitors: list[Visitor] = []

    def arrive(**how: Any) -> Visitor:
        visitors.append(Visitor(browser, server, **how))
        return visitors[-1]

    yield arrive
    wrong = [what for visitor in visitors for what in visitor.leave()]
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def page(visit: Visit) -> Page:
    """The owner's page, signed in."""
    return visit().signed_in()
