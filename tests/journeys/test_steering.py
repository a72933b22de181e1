"""Watched and steered in a real browser: a retry that is seen coming, a repair by keyboard, pause and resume, and a
cancel that proves how it stopped."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit
from tests.journeys.server import Server
from tests.journeys.visitor import badge


def step(node_id: str, kind: str, label: str, **data: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "data": {"label": label, **data}}


def chain(*nodes: dict[str, Any]) -> dict[str, Any]:
    ids = [node["id"] for node in nodes]
    edges = [{"source": one, "target": other} for one, other in pairwise(ids)]
    return {"nodes": list(nodes), "edges": edges}


RETRY = {"attempts": 2, "backoff_s": 6, "backoff_max_s": 6}
FAILS = chain(
    step("in", "input", "Take the order"),
    step("check", "check", "Check the amount", required=["amount"], policy=RETRY),
    step("out", "output", "Confirm"),
)
LONG = chain(
    step("in", "input", "Begin"), step("slow", "countdown", "Count down", seconds=600), step("out", "output", "End")
)


def test_a_retry_is_seen_coming_and_the_failure_is_repaired_by_keyboard(server: Server, visit: Visit) -> None:
    visitor = visit()
    visitor.expects(422)
    page = visitor.signed_in()
    number = server.run(server.publish("Fails", FAILS), {"customer": "A"})
    page.goto(f"/executions/{number}/")
    expect(page.get_by_text("“Check the amount” failed; attempt 2 of 2 comes")).to_be_visible()
    expect(badge(page)).to_have_text("Failed")
    expect(page.get_by_role("heading", name="Check the amount failed")).to_be_visible()
    expect(page.get_by_text("1 finished step")).to_be_visible()
    press_on(page, "Repair…")
    page.wait_for_url("**/repair/")
    expect(page.get_by_label("Why")).to_be_focused()  # the focus is where it is needed
    page.keyboard.type("The amount was forgotten")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(page.get_by_role("textbox", name="Input")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type('{"customer": "A", "amount": ')
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert").first).to_contain_text("Nothing was repaired")
    expect(page.get_by_label("Why")).to_have_value("The amount was forgotten")
    page.get_by_role("textbox", name="Input").focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("12}")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**/executions/{number}/")
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator("ol.log")).to_contain_text("another input: The amount was forgotten")
    assert [kind for _, kind, node in server.journal(number) if node == "in"].count("started") == 1


def press_on(page: Page, name: str) -> None:
    """By the Tab key to a link, and Enter."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"The Tab key does not lead to “{name}”.")


def test_pause_and_resume_are_seen_by_all_who_watch(server: Server, visit: Visit) -> None:
    first, second = step("a", "countdown", "First", seconds=8), step("b", "countdown", "Second", seconds=1)
    workflow = server.publish("Two countdowns", chain(step("in", "input", "Begin"), first, second))
    page, other = visit().signed_in(), visit().signed_in()
    number = server.run(workflow)
    for one in (page, other):
        one.goto(f"/executions/{number}/")
        expect(one.locator("#live")).to_have_text("Live")
    page.get_by_role("button", name="Pause").click()
    for one in (page, other):
        expect(badge(one)).to_have_text("Paused by nora")
        expect(one.get_by_role("button", name="Resume")).to_be_visible()
        expect(one.get_by_role("button", name="Pause")).to_be_hidden()
        expect(one.get_by_text("Paused by nora. “Resume” lets it go on")).to_be_visible()
    assert "started b" not in [f"{kind} {node}" for _, kind, node in server.journal(number)]
    other.get_by_role("button", name="Resume").click()
    for one in (page, other):
        expect(badge(one)).to_have_text("Completed")
        expect(one.get_by_role("button", name="Resume")).to_be_hidden()


def test_it_pauses_before_a_step_and_works_without_script(server: Server, visit: Visit) -> None:
    workflow = server.publish("Before", chain(step("in", "input", "Begin"), step("out", "output", "Send")))
    page = visit(java_script_enabled=False).signed_in()
    page.goto(f"/workflows/{workflow}/run/")
    page.get_by_text("Pause before a step").click()
    page.get_by_label("Pause before", exact=True).select_option("Send")
    page.get_by_role("button", name="Run", exact=True).click()
    number = int(page.url.rstrip("/").rpartition("/")[2])
    server.until(number, "waiting")
    expect(badge(page)).to_have_text("Paused before “Send”")
    page.get_by_role("button", name="Resume").click()
    server.until(number, "completed")


def test_a_cancel_proves_how_it_stopped(server: Server, page: Page) -> None:
    number = server.run(server.publish("Long", LONG))
    page.goto(f"/executions/{number}/")
    expect(badge(page)).to_have_text("Running")
    page.get_by_role("button", name="Cancel").click()
    expect(badge(page)).to_have_text("Cancelled")
    proof = page.get_by_role("region", name="How it was stopped")
    expect(proof).to_contain_text("asked by nora")
    expect(proof.get_by_role("listitem")).to_contain_text("Its task was cancelled.")
    expect(proof).to_contain_text("in all")


def test_somebody_who_watched_it_fail_sees_it_go_on(server: Server, visit: Visit) -> None:
    number = server.run(server.publish("Fails", FAILS), {"customer": "A"})
    page = visit().signed_in()
    page.goto(f"/executions/{number}/")
    expect(badge(page)).to_have_text("Failed")
    server.api("POST", f"/executions/{number}/repair", {"reason": "by hand", "output_data": {"amount": 1}})
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator("ol.log")).to_contain_text("it is left out, with the output that was given: by hand")


def test_items_are_counted_while_they_run(server: Server, page: Page) -> None:
    nodes = [
        step("each", "for_each", "For each"),
        step("item", "countdown", "Pack", seconds=1),
        step("out", "output", "End"),
    ]
    edges = [
        {"source": "each", "target": "item", "sourceHandle": "each"},
        {"source": "each", "target": "out", "sourceHandle": "done"},
    ]
    number = server.run(server.publish("Each", {"nodes": nodes, "edges": edges}), {"items": list(range(12))})
    page.goto(f"/executions/{number}/")
    expect(page.get_by_text("“For each” waits for its items")).to_be_visible()
    expect(badge(page)).to_have_text("Completed")
    page.get_by_role("link", name="12 of 12 items", exact=True).click()
    expect(page.get_by_role("heading", name="Items of For each")).to_be_visible()
    page.get_by_role("table").get_by_role("link").first.click()
    expect(page.get_by_text("Item 1 of “For each” in")).to_be_visible()
