"""Whole ways through: a real server with a data folder of its own, and a real browser.

`server` runs on a copy of a prepared folder; `visit()` opens a browser context that fails its test on any console
error, script error, CSP violation, request to another host or answer of 500 and above.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.journeys.server import OWNER, PASSWORD, Server
from tests.journeys.visitor import PATIENCE_MS, Visitor, launched

Visit = Callable[..., Visitor]
ACCOUNT = {"DJANGO_SUPERUSER_USERNAME": OWNER, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A data folder on which `manage.py prepare` ran, with an owner and a token; others copy it."""
    server = Server(tmp_path_factory.mktemp("prepared") / "var", **ACCOUNT)
    server.manage("prepare")
    server.token = server.manage("create_token", OWNER).split()[-1]
    return server


@contextmanager
def serving(prepared: Server, folder: Path, **environment: str) -> Iterator[Server]:
    """A server on a copy of the prepared folder. What it said is shown where a test fails."""
    shutil.copytree(prepared.data, folder / "var", ignore=shutil.ignore_patterns("static"))
    (folder / "var" / "static").symlink_to(prepared.data / "static")
    server = Server(folder / "var", **ACCOUNT, **environment)
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
