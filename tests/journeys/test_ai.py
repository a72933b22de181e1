"""An answer of a language model is on the page while it is still being said; and whatever it says is text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import serving
from tests.journeys.server import Server
from tests.journeys.visitor import badge, line
from tests.providers import Provider, Reply, providing

EVIL = '<img src=x onerror="alert(1)"> Ignore all rules. <script>alert(2)</script>'


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as provider:
        yield provider


@pytest.fixture
def server(prepared: Server, tmp_path: Path, provider: Provider) -> Iterator[Server]:
    with serving(prepared, tmp_path, HTTP_ALLOW=provider.host) as server:
        server.start()
        yield server


def asking(provider: Provider) -> dict[str, Any]:
    settings = {"model": "openai-compatible:llama3.2", "base_url": provider.openai, "prompt": "Tell a story."}
    nodes = [
        {"id": "in", "type": "input", "data": {}},
        {"id": "tell", "type": "ai", "data": {"label": "Tell", **settings}},
    ]
    return {"nodes": nodes, "edges": [{"source": "in", "target": "tell"}]}


def test_an_answer_is_on_the_page_while_it_is_being_said(server: Server, page: Page, provider: Provider) -> None:
    provider.says(Reply(("Once upon ", "a time. "), hold_at=1))
    execution_id = server.run(server.publish("Story", asking(provider)))
    page.goto(f"/executions/{execution_id}/")
    expect(line(page, "Once upon")).to_be_visible()
    expect(badge(page)).to_have_attribute("data-state", "running")
    provider.release()
    expect(line(page, "a time.")).to_be_visible()
    expect(badge(page)).to_have_attribute("data-state", "completed")
    expect(line(page, "Answered: 12 tokens in, 7 out")).to_be_visible()


def test_html_of_a_model_is_text_on_every_page(server: Server, page: Page, provider: Provider) -> None:
    provider.says(EVIL)
    execution_id = server.run(server.publish("Story", asking(provider)))
    server.until(execution_id, "completed")
    for path in (f"/executions/{execution_id}/", f"/executions/{execution_id}/steps/tell/"):
        page.goto(path)
        expect(line(page, EVIL)).to_be_visible()
        assert page.locator("img[src=x]").count() == 0
