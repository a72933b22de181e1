"""The main job, as a newcomer meets it: from the link on the console to both executions in the admin and the API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit
from tests.journeys.server import ROOT, Server
from tests.journeys.visitor import badge, line, shown, sign_in

EXAMPLES = [json.loads(file.read_text())["name"] for file in sorted((ROOT / "workflows/examples").glob("*.json"))]
REFUND = {"customer": "Ada Vance", "email": "ada@example.org", "order": 12, "amount": 5.5, "reason": "late"}

#: What arrives in the log from now on, each with the state that the badge had at that moment.
WATCH = """() => {
    window.arrived = [];
    const state = () => document.querySelector('h1 ~ .chip').dataset.state;
    new MutationObserver(changes => {
        for (const { addedNodes } of changes) for (const item of addedNodes)
            if (item.dataset?.seq) window.arrived.push([item.querySelector('.m').textContent.trim(), state()]);
    }).observe(document.querySelector('ol.log'), { childList: true });
}"""


class TestANewcomer:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        """The two commands of `make run`, without a word about accounts."""
        server = Server(tmp_path / "var")
        server.manage("prepare")
        server.start()
        yield server
        server.leave()
        print(server.said())

    def test_does_the_main_job(self, server: Server, visit: Visit) -> None:
        page = visit().page()
        come_in(page, server)
        find_the_examples(page)
        completed = watch_one_to_its_end(page, server)
        cancelled = cancel_one_in_the_middle(page, server)
        find_both_in_the_admin(page, completed, cancelled)
        find_both_by_api(server, completed, cancelled)
        sign_out_and_in_again(page)


def come_in(page: Page, server: Server) -> None:
    """By the one-time link, which looking at does not use up."""
    link = re.findall(r"http://\S+/welcome/\S+", server.said())[-1]
    for _ in range(2):
        page.goto(link)
        expect(page.get_by_role("heading", level=1)).to_have_text("Welcome to Stepstream")
    page.get_by_role("button", name="Come in").click()
    page.get_by_label("Username").fill("nora")
    page.get_by_label("Password", exact=True).fill("a long way home")
    page.get_by_label("Password confirmation").fill("a long way home")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your password is set.")).to_be_visible()


def find_the_examples(page: Page) -> None:
    for name in EXAMPLES:
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


def watch_one_to_its_end(page: Page, server: Server) -> int:
    """The refund, on an input of one's own: fifteen lines, one a second."""
    execution_id = run(page, "Refund request that fails on purpose", REFUND)
    page.evaluate(WATCH)
    expect(badge(page)).to_have_attribute("data-state", "running")
    expect(page.locator("#live")).to_have_text("Live")
    expect(line(page, "12 s left")).to_be_visible()
    assert line(page, "3 s left").count() == 0
    assert server.status(execution_id) == "running"
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator("#live")).to_have_text("Finished")
    arrived = page.evaluate("window.arrived")
    seconds = [state for text, state in arrived if text.endswith(" s left")]
    assert len(seconds) >= 12
    assert set(seconds) == {"running"}
    expect(page.locator(".x-result")).to_contain_text("Ada Vance")
    assert shown(page) == server.numbers(execution_id)
    return execution_id


def cancel_one_in_the_middle(page: Page, server: Server) -> int:
    """The long one: both timers stop, and no line comes after that."""
    execution_id = run(page, "Bread and glaze: two timers to watch", {"bread": "wheat"})
    expect(line(page, "57 s left")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(badge(page)).to_have_text("Cancelled")
    expect(page.locator("#live")).to_have_text("Finished")
    expect(page.get_by_role("button", name="Cancel")).not_to_be_visible()
    assert server.status(execution_id) == "cancelled"
    before = server.numbers(execution_id)
    page.wait_for_timeout(2_500)  # two lines of each timer, if they went on
    assert server.numbers(execution_id) == before
    assert shown(page) == before
    assert line(page, "40 s left").count() == 0
    return execution_id


def find_both_in_the_admin(page: Page, completed: int, cancelled: int) -> None:
    page.get_by_role("link", name="Admin").first.click()
    page.get_by_role("link", name="Workflow executions").first.click()
    for number, word in ((completed, "Completed"), (cancelled, "Cancelled")):
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=f"#{number}", exact=True))
        expect(row).to_contain_text(word)
        expect(row).to_contain_text("nora")
    page.get_by_role("link", name=f"#{cancelled}", exact=True).click()
    expect(page.locator("#content")).to_contain_text("wheat")


def find_both_by_api(server: Server, completed: int, cancelled: int) -> None:
    token = server.manage("create_token", "nora").split()[-1]
    items = server.api("GET", "/executions/", token=token)["items"]
    found = {item.get("id", item.get("execution_id")): item["status"] for item in items}
    assert found == {completed: "completed", cancelled: "cancelled"}
    logs = server.api("GET", f"/executions/{cancelled}/logs?limit=500", token=token)["items"]
    assert [entry["seq"] for entry in logs] == server.numbers(cancelled)
    assert token not in server.said()


def sign_out_and_in_again(page: Page) -> None:
    page.goto("/")
    page.locator("details.account summary").click()
    page.locator("details.account").get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Workflows")


def run(page: Page, name: str, given: dict[str, Any]) -> int:
    """From home by the workflow's page to the execution's."""
    page.goto("/")
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("main").get_by_role("link", name="Run", exact=True).click()
    page.get_by_label("Input").fill(json.dumps(given))
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/executions/\d+/$"))
    return int(page.url.rstrip("/").rsplit("/", 1)[1])


def test_it_works_without_script(server: Server, visit: Visit) -> None:
    page = visit(java_script_enabled=False).signed_in()
    execution_id = run(page, "Tidy a list of names", {"list": "  Mine  "})
    expect(badge(page)).to_have_text("Completed")  # the page loads itself again until then
    numbers = page.locator("ol.log > li").evaluate_all("items => items.map(item => Number(item.dataset.seq))")
    assert numbers == server.numbers(execution_id)
    expect(page.locator(".x-result")).to_contain_text("mine")

    execution_id = run(page, "Bread and glaze: two timers to watch", {})
    expect(line(page, "58 s left")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("Not live")
    page.get_by_role("button", name="Cancel").click()
    expect(badge(page)).to_have_text("Cancelled")
    expect(page.locator("#live")).to_have_text("Finished")
    assert server.status(execution_id) == "cancelled"


def test_a_link_that_was_used_says_what_to_do(server: Server, visit: Visit) -> None:
    visitor = visit()
    visitor.expects(410)
    page = visitor.page()
    page.goto("/welcome/MQ/abc-123/")
    expect(page.get_by_role("heading", level=1)).to_have_text("This link is used up")
    page.get_by_role("button", name="Sign in").click()
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Workflows")


def test_a_failure_shows_the_step_and_the_error_at_the_top(server: Server, page: Page) -> None:
    run(page, "Refund request that fails on purpose", {"customer": "Ada"})
    expect(badge(page)).to_have_text("Failed")
    failure = page.locator("section.fail")
    expect(failure.get_by_role("heading")).to_contain_text("Request can be paid")
    expect(failure).to_contain_text("email")
    log, first = page.locator("ol.log").bounding_box(), failure.bounding_box()
    assert log and first and first["y"] < log["y"]
