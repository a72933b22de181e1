"""A branch with two ends in a real browser: built by mouse and by keyboard, published, run, and seen on its page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit
from tests.journeys.test_builder import add, made, outline, saved
from tests.journeys.visitor import badge, line


def links(page: Page) -> dict[str, str]:
    """The look of each named connection of the drawing: {"true": "taken", "false": "untaken"}."""
    found: dict[str, str] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("svg.links text.edge-label")].map(label => {
            const edge = label.previousElementSibling.previousElementSibling;
            return [label.textContent, edge.getAttribute("class").replace("edge", "").trim()];
        }))"""
    )
    return found


def dashed(page: Page, look: str) -> tuple[bool, float]:
    """How such a connection is painted: whether dashed, and how thick."""
    found = page.locator(f"svg.links path.edge.{look}").first.evaluate(
        "path => [getComputedStyle(path).strokeDasharray !== 'none', parseFloat(getComputedStyle(path).strokeWidth)]"
    )
    return found[0], found[1]


def publish_and_run(page: Page, given: str) -> None:
    page.get_by_role("link", name="Publish…").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_role("link", name="Run", exact=True).first.click()
    page.locator("textarea").fill(given)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(badge(page)).to_have_text("Completed")


def test_a_branch_is_built_by_mouse_and_its_taken_way_is_thick(visit: Visit) -> None:
    page = visit(viewport={"width": 1440, "height": 900}).signed_in()
    made(page)
    page.locator("#kinds").get_by_role("button", name=re.compile("^Input")).click()
    page.get_by_role("link", name="Add step after “Input”").click()
    page.locator("#kinds").get_by_role("button", name=re.compile("^If . else")).click()
    page.get_by_label("Field").fill("amount")
    page.get_by_label("Comparison").select_option("is more than")
    page.get_by_label("Value").fill("100")
    saved(page)
    expect(page.locator("#b-problems")).to_contain_text("No problems")
    page.get_by_role("link", name="Add a step by “true”").click()
    expect(page.get_by_role("radio", name="true")).to_be_checked()
    page.locator("#kinds").get_by_role("button", name=re.compile("^Upper case")).click()
    page.locator("#b-outline").get_by_role("link", name=re.compile("^If . else")).click()
    page.get_by_role("link", name="Add a step by “false”").click()
    page.locator("#kinds").get_by_role("button", name=re.compile("^Lower case")).click()
    expect(page.locator("#b-outline")).to_contain_text("after If / else (false)")
    assert links(page) == {"true": "", "false": ""}
    publish_and_run(page, '{"amount": 120, "text": "Hello"}')
    expect(line(page, "“amount” is 120, which is more than 100: goes to “true”")).to_be_visible()
    expect(page.locator(".x-result")).to_contain_text("HELLO")
    assert links(page) == {"true": "taken", "false": "untaken"}
    (is_taken_dashed, thick), (is_other_dashed, thin) = dashed(page, "taken"), dashed(page, "untaken")
    assert is_other_dashed and not is_taken_dashed and thick > thin


def test_a_branch_is_built_by_keyboard_alone(visit: Visit) -> None:
    page = visit().signed_in()
    page.keyboard.press("n")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Roads")
    page.keyboard.press("Enter")
    add(page, "inp")
    expect(page.locator("#step-title")).to_be_focused()
    page.keyboard.press("a")
    add(page, "if")
    tab_to(page, "setting-conditions-0-path")
    page.keyboard.type("amount")
    tab_to(page, "setting-conditions-0-operator")
    page.keyboard.type("is more than")
    tab_to(page, "setting-conditions-0-value")
    page.keyboard.type("100")
    saved(page)
    expect(page.locator("#b-problems")).to_contain_text("No problems")
    tab_to(page, "add-by-true")
    page.keyboard.press("Enter")
    add(page, "upper")
    page.keyboard.press("Escape")
    expect(page.locator("#b-outline a:focus")).to_contain_text("Upper case")
    tab_to(page, "add-after-if-else", back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="false")).to_be_checked()
    add(page, "lower")
    assert outline(page) == ["Input", "If / else", "Lower case", "Upper case"]
    page.keyboard.press("p")
    page.wait_for_url("**/publish/")
    tab_to(page, "id_note")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(r"/workflows/\d+/$"))
    page.keyboard.press("r")
    page.wait_for_url("**/run/")
    expect(page.locator("textarea")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type('{"amount":"lots","text":"Hello"}')
    page.keyboard.press("Control+Enter")
    expect(badge(page)).to_have_text("Completed")
    expect(
        line(page, "“amount” is text “lots”, which cannot be compared with the number 100: goes to “false”")
    ).to_be_visible()
    assert links(page) == {"true": "untaken", "false": "taken"}


def tab_to(page: Page, dom_id: str, back: bool = False) -> None:
    for _ in range(60):
        if page.evaluate("document.activeElement.id") == dom_id:
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    pytest.fail(f"The Tab key does not come to {dom_id}")


def test_the_name_of_a_case_is_seen_in_the_drawing_while_it_is_typed(page: Page) -> None:
    made(page)
    add(page, "switch")
    page.locator("[data-key=a]").click()
    page.locator("#kinds").get_by_role("button", name=re.compile("^Output")).click()
    page.locator("#b-outline").get_by_role("link", name=re.compile("^Switch")).click()
    page.get_by_role("group", name="Cases: 1", exact=True).get_by_label("Name").fill("Urgent")
    expect(page.locator("svg.links text.edge-label")).to_have_text("Urgent")
    expect(page.locator("#b-ways")).to_contain_text("Urgent")
    saved(page)
    page.reload()
    expect(page.locator("#b-ways")).to_contain_text("Urgent")


def test_what_follows_a_failure_is_said_while_it_is_typed(page: Page) -> None:
    made(page)
    add(page, "upper")
    page.get_by_text("When it fails:").click()
    page.get_by_label("Attempts").fill("3")
    expect(page.locator("#failing-words")).to_contain_text("Tried 3 times")
    page.get_by_label("When it fails for good").select_option("it goes on by “error”")
    expect(page.get_by_role("link", name="Add a step by “error”")).to_be_visible()
    saved(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("^Undo: Changed what happens when it fails")).click()
    expect(page.locator("#failing-words")).to_have_text("Tried once; the execution stops")


def test_a_value_is_asked_for_only_where_one_is_compared(page: Page) -> None:
    made(page)
    add(page, "if")
    value = page.get_by_label("Value")
    expect(value).to_be_visible()
    page.get_by_label("Comparison").select_option("is empty")
    expect(value).to_be_hidden()
    page.get_by_label("Comparison").select_option("contains")
    expect(value).to_be_visible()


def test_a_way_that_is_gone_is_disconnected_where_it_is_told(page: Page) -> None:
    made(page)
    add(page, "switch")
    page.locator("[data-key=a]").click()
    page.locator("#kinds").get_by_role("button", name=re.compile("^Output")).click()
    page.locator("#b-outline").get_by_role("link", name=re.compile("^Switch")).click()
    page.get_by_role("button", name="Remove 1", exact=True).click()
    problem = page.locator("#b-problems").get_by_role("link", name=re.compile("runs after “Switch” by “case-1”"))
    problem.click()
    expect(page.locator("#setting-sourceHandle")).to_be_focused()
    page.get_by_role("button", name="Disconnect Output").click()
    expect(page.locator("#b-problems")).not_to_contain_text("case-1")
