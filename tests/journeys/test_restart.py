"""The server goes away in the middle of an execution and comes back: each viewer sees every entry once, in order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit
from tests.journeys.server import Server
from tests.journeys.visitor import badge, line, shown

pytestmark = pytest.mark.kill

#: A long countdown, and beside it a short one with a step behind it: both are through when the server goes.
LONG = {
    "nodes": [
        {"id": "in", "type": "input", "data": {}},
        {"id": "long", "type": "countdown", "data": {"label": "Long", "seconds": 8}},
        {"id": "short", "type": "countdown", "data": {"label": "Short", "seconds": 1}},
        {"id": "after", "type": "process", "data": {"label": "After", "operation": "uppercase"}},
        {"id": "out", "type": "output", "data": {}},
    ],
    "edges": [
        {"source": "in", "target": "long"},
        {"source": "in", "target": "short"},
        {"source": "short", "target": "after"},
        {"source": "long", "target": "out"},
        {"source": "after", "target": "out"},
    ],
}
AWAY = re.compile("Reconnecting|Not live since")


def killed(server: Server) -> None:
    server.kill()


def stopped(server: Server) -> None:
    assert server.stop() == 0


@pytest.mark.parametrize("gone", [killed, stopped])
def test_two_viewers_see_each_entry_once_and_in_order(
    server: Server, visit: Visit, gone: Callable[[Server], None]
) -> None:
    if gone is stopped:
        again(server, "--grace", "0.5")  # else the countdown would end in the grace that a stop gives
    pages = [visit().signed_in() for _ in range(2)]
    execution_id = server.run(server.publish("Long", LONG), {"name": "ada"})
    for page in pages:
        page.goto(f"/executions/{execution_id}/")
        expect(page.locator("#live")).to_have_text("Live")
    for page in pages:
        expect(line(page, "4 s left")).to_be_visible()
    before = server.journal(execution_id)
    assert ("completed", "after") in kinds(before)
    assert ("completed", "long") not in kinds(before)

    gone(server)
    for page in pages:
        expect(page.locator("#live")).to_have_text(AWAY)
        expect(badge(page)).not_to_have_text("Completed")
    server.start()
    for page in pages:
        expect(page.locator("#live")).to_have_text("Live")
    late = visit().signed_in()
    late.goto(f"/executions/{execution_id}/")

    for page in (*pages, late):
        expect(badge(page)).to_have_text("Completed")
        expect(page.locator("#live")).to_have_text("Finished")
        assert shown(page) == server.numbers(execution_id)
        assert says_the_same_after_a_reload(page)
    assert server.journal(execution_id)[: len(before)] == before
    assert server.numbers(execution_id) == list(range(1, len(server.numbers(execution_id)) + 1))
    assert_no_finished_step_was_repeated(server, execution_id, before)


def test_a_page_that_stays_away_long_offers_a_reload_and_comes_back_by_itself(server: Server, page: Page) -> None:
    execution_id = server.run(server.publish("Long", LONG))
    page.goto(f"/executions/{execution_id}/")
    expect(line(page, "6 s left")).to_be_visible()
    server.kill()
    expect(page.locator("#live")).to_have_text(re.compile("Not live since .* reload"))
    server.start()
    expect(page.locator("#live")).to_have_text("Live")
    expect(badge(page)).to_have_text("Completed")
    assert shown(page) == server.numbers(execution_id)


def test_an_execution_that_ended_while_the_page_was_away_is_finished_there_too(server: Server, page: Page) -> None:
    """Cancelled by somebody else the moment the server is back, perhaps before the page is."""
    execution_id = server.run(server.publish("Long", LONG))
    page.goto(f"/executions/{execution_id}/")
    expect(line(page, "6 s left")).to_be_visible()
    server.kill()
    server.start()
    server.api("POST", f"/executions/{execution_id}/cancel")
    server.until(execution_id, "cancelled")
    expect(badge(page)).to_have_text("Cancelled")
    expect(page.locator("#live")).to_have_text("Finished")
    assert shown(page) == server.numbers(execution_id)


def test_a_hidden_page_catches_up_when_it_is_seen_again(server: Server, page: Page) -> None:
    """htmx closes the socket of a hidden page, so this happens each time somebody looks at another tab."""
    execution_id = server.run(server.publish("Long", LONG))
    page.goto(f"/executions/{execution_id}/")
    expect(line(page, "6 s left")).to_be_visible()
    hide(page, True)
    expect(page.locator("#live")).to_have_text(AWAY)
    server.until(execution_id, "completed")
    assert line(page, "1 s left").count() <= 1  # of the short one
    hide(page, False)
    expect(badge(page)).to_have_text("Completed")
    assert shown(page) == server.numbers(execution_id)


def hide(page: Page, is_hidden: bool) -> None:
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event('visibilitychange'));
        }""",
        is_hidden,
    )


def again(server: Server, *options: str) -> None:
    server.stop()
    server.start(*options)


def says_the_same_after_a_reload(page: Page) -> bool:
    before = texts(page)
    page.reload()
    return texts(page) == before


def texts(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "ol.log > li",
        "items => items.map(item => `${item.dataset.seq} ${item.querySelector('.m').textContent.trim()}`)",
    )
    return found


def kinds(journal: list[Any]) -> list[tuple[str, str | None]]:
    return [(kind, node) for _, kind, node in journal]


def assert_no_finished_step_was_repeated(server: Server, execution_id: int, before: list[Any]) -> None:
    told = Counter(kinds(server.journal(execution_id)))
    for node in ("in", "short", "after"):
        assert told["started", node] == told["completed", node] == 1
    for done in set(kinds(before)):
        assert done[0] != "completed" or told[done] == 1
    assert told["completed", "long"] == told["completed", "out"] == told["finished", None] == 1
