"""A question comes up while somebody watches: answered by keyboard, by another person, without script, by a call."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit
from tests.journeys.server import Server
from tests.journeys.visitor import badge

FIELDS = [
    {"name": "amount", "type": "number", "required": True, "help": "In EUR."},
    {"name": "why", "type": "choice", "choices": ["late", "broken"]},
]
ASK = {"label": "Agree", "title": "Pay 120 EUR?", "message": "It came late.", "fields": FIELDS, "due": 2}
REFUND = {
    "nodes": [
        {"id": "look", "type": "countdown", "data": {"label": "Look", "seconds": 2}},
        {"id": "ask", "type": "approval", "data": ASK},
        {"id": "pay", "type": "default", "data": {"label": "Pay"}},
        {"id": "no", "type": "default", "data": {"label": "Say no"}},
    ],
    "edges": [
        {"source": "look", "target": "ask"},
        {"source": "ask", "target": "pay", "sourceHandle": "approved"},
        {"source": "ask", "target": "no", "sourceHandle": "rejected"},
    ],
}


def question(page: Page) -> Any:
    return page.get_by_role("region", name="Pay 120 EUR?")


def test_a_question_appears_live_and_is_approved_by_keyboard(server: Server, visit: Visit) -> None:
    visitor = visit()
    visitor.expects(422)
    page = visitor.signed_in()
    number = server.run(server.publish("Refund", REFUND))
    page.goto(f"/executions/{number}/")
    expect(page.get_by_role("heading", name="Pay 120 EUR?")).to_have_count(0)
    expect(badge(page)).to_have_attribute("data-state", "waiting")
    page.get_by_label("Amount").fill("a lot")  # the form has come without a reload
    page.get_by_label("Comment").fill("Fine with me")
    page.get_by_label("Amount").press("Enter")
    expect(question(page).get_by_role("alert")).to_have_text(
        "Press Approve or Reject: this form does not choose for you."
    )
    page.locator("body").press("a")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(question(page)).to_contain_text("“Amount” must be a number such as 3 or 3.5, not “a lot”.")
    expect(page.get_by_label("Amount")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("120")
    expect(page.get_by_label("Comment")).to_have_value("Fine with me")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator("#main")).to_be_focused()
    expect(page.locator(f"#execution-{number}-waits")).to_contain_text("Agree: approved by nora")
    expect(page.locator("ol.log")).to_contain_text("Approved by nora: Fine with me")
    kept = server.api("GET", f"/executions/{number}")["output_data"]["approval"]
    assert kept == {"decision": "approved", "by": "nora", "comment": "Fine with me", "values": {"amount": 120}}


def test_what_somebody_types_outlasts_other_news_and_ends_where_another_was_first(server: Server, visit: Visit) -> None:
    page = visit().signed_in()
    definition: dict[str, Any] = {
        "nodes": [
            {"id": "ask", "type": "approval", "data": {"label": "First", "title": "Pay 120 EUR?"}},
            {"id": "wait", "type": "countdown", "data": {"label": "Look", "seconds": 2}},
            {"id": "then", "type": "approval", "data": {"label": "Then", "title": "And then?"}},
        ],
        "edges": [{"source": "wait", "target": "then"}],
    }
    number = server.run(server.publish("Two", definition))
    page.goto(f"/executions/{number}/")
    comment = question(page).get_by_label("Comment")
    comment.fill("Half a sen")
    expect(page.get_by_role("region", name="And then?").get_by_role("button", name="Approve")).to_be_visible()
    expect(comment).to_have_value("Half a sen")
    expect(comment).to_be_focused()
    server.api("POST", f"/executions/{number}/waits/ask/answer", {"approved": False, "comment": "Too dear"})
    expect(question(page)).to_have_count(0)
    expect(page.locator(f"#execution-{number}-waits")).to_contain_text("rejected by nora")
    expect(page.locator("#main")).to_be_focused()
    expect(badge(page)).to_have_attribute("data-state", "waiting")


def test_it_works_from_the_list_and_without_script(server: Server, visit: Visit) -> None:
    page = visit(java_script_enabled=False).signed_in()
    number = server.run(server.publish("Refund", REFUND))
    server.until(number, "waiting")
    page.goto("/")
    page.locator("nav.nav").get_by_role("link", name="Waiting for me 1").click()
    page.get_by_role("link", name="Answer Pay 120 EUR?").click()
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("You rejected “Pay 120 EUR?”.")).to_be_visible()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    server.until(number, "completed")
    again = server.run(server.api("GET", f"/executions/{number}")["workflow_id"])
    server.until(again, "waiting")
    page.goto(f"/executions/{again}/")
    page.get_by_label("Amount").fill("1")
    page.get_by_role("button", name="Approve").click()
    expect(badge(page)).to_have_text("Completed")  # the page loads itself again until then
    expect(page.locator(f"#execution-{again}-waits")).to_contain_text("approved by nora")


def test_a_restart_changes_nothing_for_who_waits(server: Server, page: Page) -> None:
    definition = {"nodes": [{"id": "paid", "type": "callback", "data": {"label": "Payment"}}], "edges": []}
    number = server.run(server.publish("Payment", definition))
    page.goto(f"/executions/{number}/")
    address = page.get_by_role("region", name="Payment").locator("pre")
    before = address.inner_text()
    server.kill()
    server.start()
    page.reload()
    expect(address).to_have_text(before)
    assert posted(before, {"sum": 12}) == 202
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator(f"#execution-{number}-waits")).to_contain_text("the call came")
    assert server.api("GET", f"/executions/{number}")["output_data"] == {"callback": {"sum": 12}}
    assert posted(before, {"sum": 13}) == 409


def posted(address: str, body: Any) -> int:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(body).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
