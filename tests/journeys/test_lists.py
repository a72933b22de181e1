"""The lists in a real browser: they stay live and still, are found in by keyboard, and work without script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.journeys.conftest import Visit, serving
from tests.journeys.server import Server
from tests.journeys.visitor import Visitor

SLOW: dict[str, Any] = {
    "nodes": [
        {"id": "in", "type": "input", "data": {}},
        {"id": "count", "type": "countdown", "data": {"label": "Count down", "seconds": 4}},
    ],
    "edges": [{"source": "in", "target": "count"}],
}
ENDLESS = {**SLOW, "nodes": [SLOW["nodes"][0], {**SLOW["nodes"][1], "data": {"seconds": 3_000}}]}
GOOD_REFUND = {"customer": "Ada Vance", "email": "ada@example.org", "order": 12, "amount": 5.5, "reason": "late"}
QUICK: dict[str, Any] = {"nodes": [{"id": "in", "type": "input", "data": {}}], "edges": []}


@pytest.fixture(scope="module")
def server(prepared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for the whole file, with more executions than a page holds."""
    with ExitStack() as stack:
        server = stack.enter_context(serving(prepared, tmp_path_factory.mktemp("lists")))
        server.start()
        quick, refund = server.publish("Quick", QUICK), example(server, "Refund")
        for _ in range(55):
            last = server.run(quick)
        failed = server.run(refund, {"customer": "Ada"})
        server.until(last, "completed")
        server.until(failed, "failed")
        yield server


def example(server: Server, name: str) -> int:
    items = server.api("GET", "/workflows/?limit=100")["items"]
    return next(int(item["id"]) for item in items if item["name"].startswith(name))


def opened(visit: Visit, path: str, **how: Any) -> Page:
    page = visit(**how).signed_in()
    page.goto(path)
    if how.get("java_script_enabled", True):
        expect(page.locator("#live")).to_have_text("Live")
    return page


def row(page: Page, execution_id: int) -> Locator:
    return page.locator(f"#execution-{execution_id}-row")


def order(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".e-row", "rows => rows.map(row => row.dataset.execution)")
    return found


# Live


def test_a_row_changes_where_it_stands_and_stays_chosen(server: Server, visit: Visit) -> None:
    execution_id = server.run(server.publish("Slow", SLOW))
    server.until(execution_id, "running")
    page = opened(visit, "/executions/")
    expect(row(page, execution_id).locator(".chip")).to_have_text("Running")
    box = row(page, execution_id).get_by_role("checkbox")
    box.check()
    box.focus()
    before = order(page)
    expect(row(page, execution_id).locator(".chip")).to_have_text("Completed")
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    expect(page.locator("[data-count]")).to_have_text("1 chosen")
    assert order(page) == before


def test_new_executions_wait_behind_a_bar_and_move_nothing(server: Server, visit: Visit) -> None:
    workflow = server.publish("New ones", QUICK)
    page = opened(visit, f"/executions/?workflow={workflow}")
    expect(page.get_by_role("heading", name="No execution matches")).to_be_visible()
    first = server.run(workflow)
    page.get_by_role("link", name="1 new execution").click()
    expect(page.locator("#live")).to_have_text("Live")
    assert order(page) == [str(first)]
    place = row(page, first).bounding_box()
    for number in range(1, 4):
        last = server.run(workflow)
        expect(page.locator("#fresh a")).to_contain_text(f"{number} new execution")
        assert order(page) == [str(first)]
    assert row(page, first).bounding_box() == place
    page.locator("#fresh a").click()
    expect(row(page, last)).to_be_visible()
    assert len(order(page)) == 4
    expect(page.locator("#fresh a")).to_have_count(0)


def test_home_follows_what_runs(server: Server, visit: Visit) -> None:
    workflow = server.publish("Followed", SLOW)
    page = opened(visit, "/")
    cell = page.locator(f"#workflow-{workflow}-last")
    expect(cell).to_have_text("Never run")
    execution_id = server.run(workflow)
    expect(cell.locator(".chip")).to_have_text("Running")
    expect(cell.get_by_role("link")).to_have_attribute("href", f"/executions/{execution_id}/")
    expect(cell.locator(".chip")).to_have_text("Completed")
    expect(cell.get_by_role("img", name="Last 1 execution: 1 completed")).to_be_visible()


def test_home_says_at_once_what_needs_attention_and_is_quiet_again(server: Server, visit: Visit) -> None:
    refund = example(server, "Refund")
    server.until(server.run(refund, GOOD_REFUND), "completed")
    page = opened(visit, "/?q=refund")
    expect(page.get_by_role("heading", name="Needs attention")).to_have_count(0)
    server.run(refund, {"customer": "Ada"})
    expect(page.get_by_role("region", name="Needs attention")).to_contain_text("Refund")
    page.get_by_role("link", name="Open Refund").click()
    page.wait_for_url(re.compile(r"/executions/\d+/$"))
    page.go_back()
    server.run(refund, GOOD_REFUND)
    expect(page.get_by_role("heading", name="Needs attention")).to_have_count(0)
    server.until(server.run(refund, {"customer": "Ada"}), "failed")  # as the other tests expect it


def test_a_list_says_when_it_is_no_longer_live_and_comes_back(
    prepared: Server, tmp_path: Path, browser: Browser
) -> None:
    with serving(prepared, tmp_path) as server:
        server.start()
        visitor = Visitor(browser, server)
        page = visitor.signed_in()
        workflow = server.publish("Quick", QUICK)
        first = server.run(workflow)
        server.until(first, "completed")
        page.goto("/executions/")
        expect(page.locator("#live")).to_have_text("Live")
        server.kill()
        expect(page.locator("#live")).to_contain_text("Not live since")
        server.start()
        second = server.run(workflow)
        expect(page.locator("#live")).to_have_text("Live")
        expect(page.locator("#fresh a")).to_contain_text("1 new execution")
        assert order(page) == [str(first)] and second > first
        assert visitor.leave() == []


# Several at once


def test_chosen_executions_are_cancelled_together(server: Server, visit: Visit) -> None:
    workflow = server.publish("Endless", ENDLESS)
    made = [server.run(workflow) for _ in range(3)]
    for one in made:
        server.until(one, "running")
    page = opened(visit, f"/executions/?workflow={workflow}")
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_disabled()
    page.get_by_label("Choose all on this page").check()
    row(page, made[0]).get_by_role("checkbox").uncheck()
    expect(page.locator("[data-count]")).to_have_text("2 chosen")
    cancel.click()
    expect(page.get_by_text("Asked 2 executions to end.")).to_be_visible()
    assert f"workflow={workflow}" in page.url
    for one in made[1:]:
        expect(row(page, one).locator(".chip")).to_have_text("Cancelled")
    expect(row(page, made[0]).locator(".chip")).to_have_text("Running")


# By keyboard


def test_an_execution_is_found_by_keyboard_alone(server: Server, visit: Visit) -> None:
    page = opened(visit, "/executions/")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("order")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Workflow")).to_be_focused()
    page.keyboard.type("Refund")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Started by")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/executions/?*q=order*")
    assert f"workflow={example(server, 'Refund')}" in page.url
    page.goto("/executions/?status=failed")
    expect(page.locator(".e-row").first.locator(".cause")).not_to_be_empty()
    link = page.locator(".e-row a").first
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/executions/\d+/$"))


# Without script, and on a phone


def test_without_script_lists_filter_turn_pages_and_cancel(server: Server, visit: Visit) -> None:
    workflow = server.publish("Without script", ENDLESS)
    execution_id = server.run(workflow)
    server.until(execution_id, "running")
    page = opened(visit, "/executions/", java_script_enabled=False)
    newest = order_without_script(page)
    page.get_by_role("link", name="Older").click()
    assert max(order_without_script(page)) < min(newest)
    page.get_by_role("link", name="Newer").click()
    assert order_without_script(page) == newest
    page.get_by_label("Workflow").select_option("Without script")
    page.get_by_role("button", name="Show").click()
    assert order_without_script(page) == [execution_id]
    page.get_by_label(f"Choose Without script #{execution_id}").check()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Asked 1 execution to end.")).to_be_visible()
    server.until(execution_id, "cancelled")
    page.goto("/?q=without+script")
    expect(page.get_by_role("button", name="Run Without script")).to_be_visible()
    expect(page.locator(".w-last")).to_contain_text("Cancelled")


def order_without_script(page: Page) -> list[int]:
    return [int(found) for found in re.findall(r'id="execution-(\d+)-row"', page.content())]


def test_on_a_phone_filters_are_behind_a_word_and_nothing_sticks_out(server: Server, visit: Visit) -> None:
    page = opened(visit, "/executions/", viewport={"width": 360, "height": 740})
    expect(page.get_by_label("Started by")).to_be_hidden()
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Started by").fill("nobody")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("You asked for: started by nobody.")).to_be_visible()
    expect(page.get_by_label("Started by")).to_be_visible()  # a filter that is in use is shown
    assert page.evaluate("document.documentElement.scrollWidth") == 360
