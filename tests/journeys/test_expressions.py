"""Expressions in the builder, in a real browser: found by the keyboard, previewed, run; in JSON, on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.journeys import looks
from tests.journeys.conftest import Visit, serving
from tests.journeys.server import Server
from tests.journeys.visitor import badge

FLOW: dict[str, Any] = {
    "nodes": [
        {"id": "in", "type": "input", "data": {"label": "Take in"}},
        {"id": "shout", "type": "process", "data": {"label": "Shout", "operation": "uppercase"}},
        {"id": "ask", "type": "ai", "data": {"label": "Ask", "send_data": False}},
        {"id": "call", "type": "call", "data": {"label": "Call", "workflow": 1}},
    ],
    "edges": [{"source": a, "target": b} for a, b in (("in", "shout"), ("shout", "ask"), ("in", "call"))],
}
GIVEN = {"customer": {"name": "Ada <b>", "tags": ["x"]}, "amount": 12}


@pytest.fixture(scope="module")
def server(prepared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for the whole file: nothing here goes away."""
    with serving(prepared, tmp_path_factory.mktemp("expressions")) as server:
        server.start()
        yield server


@pytest.fixture
def place(server: Server) -> str:
    """Where the workflow is, after a run of its first steps."""
    workflow = server.publish("Letters", {"nodes": FLOW["nodes"][:3], "edges": FLOW["edges"][:2]})
    server.until(server.run(workflow, GIVEN), "completed")
    server.api("PUT", f"/workflows/{workflow}", {"definition": FLOW, "draft": True})
    return f"/workflows/{workflow}"


def at(page: Page, place: str, node: str) -> None:
    page.goto(f"{place}/steps/{node}/")


def test_data_is_found_by_keyboard_previewed_run_and_seen(page: Page, place: str) -> None:
    at(page, place, "ask")
    prompt = page.get_by_label("Prompt")
    prompt.focus()
    page.keyboard.type("Dear {{")
    expect(page.get_by_role("dialog", name="Insert data")).to_be_visible()
    expect(page.locator("#names-find")).to_be_focused()
    expect(page.get_by_role("option", name=re.compile("^data.customer.name"))).to_contain_text("“ADA <B>”")
    page.keyboard.type("name")
    expect(page.locator("#names [role=option]").filter(visible=True)).to_have_count(4)
    page.keyboard.press("ArrowDown")
    chosen = page.locator("#names [aria-selected=true]")
    expect(chosen).to_contain_text("steps.shout.output.customer.name")
    expect(page.locator("#names-find")).to_have_attribute("aria-activedescendant", chosen.get_attribute("id") or "")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(prompt).to_be_focused()
    expect(prompt).to_have_value("Dear {{ steps.shout.output.customer.name }}")
    page.keyboard.type("!")
    expect(page.locator("#setting-prompt-preview")).to_contain_text("Dear ADA <B>!")
    expect(page.locator("#b-state")).to_contain_text("Draft saved")
    expect(page.locator("#b-problems")).not_to_contain_text("Ask")
    page.locator(".b-try").get_by_role("link", name="Run up to here").press("Enter")
    page.get_by_label("Input").fill('{"customer": {"name": "Bo"}}')
    page.keyboard.press("Control+Enter")
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator(".x-result")).to_contain_text("Dear BO!")


def test_escape_leaves_what_was_typed_and_goes_back_to_the_field(page: Page, place: str) -> None:
    at(page, place, "ask")
    prompt = page.get_by_label("Prompt")
    prompt.focus()
    page.keyboard.type("a {{")
    expect(page.locator("#names-find")).to_be_focused()
    page.keyboard.press("Escape")
    expect(prompt).to_be_focused()
    expect(page.locator("#step-title")).to_have_text("Ask")
    page.wait_for_load_state("networkidle")  # a script types faster than a page can take the answer to what was saved
    page.keyboard.type(" data.amount }} b", delay=40)
    expect(prompt).to_have_value("a {{ data.amount }} b")
    expect(page.locator("#setting-prompt-preview")).to_contain_text("a 12 b")


def test_what_is_written_without_choosing_is_taken_as_it_is(page: Page, place: str) -> None:
    at(page, place, "ask")
    page.get_by_label("Prompt").focus()
    page.keyboard.type("{{ data.amount * 2 }}")
    expect(page.locator("#names-none")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Prompt")).to_have_value("{{ data.amount * 2 }}")
    expect(page.locator("#setting-prompt-preview")).to_contain_text("24")


def test_the_button_inserts_where_the_cursor_was_else_at_the_end(page: Page, place: str) -> None:
    at(page, place, "ask")
    page.get_by_label("Prompt").fill("one two")
    page.keyboard.press("Home")
    page.get_by_role("button", name="Insert data into Prompt").click()
    page.get_by_role("option", name=re.compile("^data.amount")).click()
    expect(page.get_by_label("Prompt")).to_have_value("{{ data.amount }}one two")
    page.get_by_role("button", name="Insert data into Temperature").click()
    page.get_by_role("option", name=re.compile("^data.amount")).click()
    expect(page.get_by_label("Temperature")).to_have_value("{{ data.amount }}")
    expect(page.locator("#setting-temperature-preview")).to_contain_text("Temperature must be at most 2.0; it is 12")


def test_within_an_expression_only_the_name_comes(page: Page, place: str) -> None:
    at(page, place, "ask")
    page.get_by_label("Prompt").fill("{{  | length }}")
    for key in ("Home", *["ArrowRight"] * 3):
        page.keyboard.press(key)
    page.get_by_role("button", name="Insert data into Prompt").click()
    page.locator("#names-find").fill("customer.tags")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Prompt")).to_have_value("{{ data.customer.tags | length }}")
    expect(page.locator("#setting-prompt-preview")).to_contain_text("1")


def test_in_json_it_is_a_text_and_stays_json(page: Page, place: str) -> None:
    at(page, place, "call")
    values = page.get_by_label("Values")
    values.fill('{"to": , "s": "by "}')
    for key in ("Home", *["ArrowRight"] * 7):
        page.keyboard.press(key)
    page.get_by_role("button", name="Insert data into Values").click()
    page.get_by_role("option", name=re.compile("^data.amount")).click()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Insert data into Values").click()
    page.get_by_role("option", name=re.compile("^data.customer.name")).click()
    expect(values).to_have_value('{"to": "{{ data.amount }}", "s": "by {{ data.customer.name }}"}')
    expect(page.locator("#setting-given-preview")).to_contain_text('{"to": 12, "s": "by Ada <b>"}')


def test_a_switch_becomes_an_expression_and_is_a_switch_again(page: Page, place: str) -> None:
    at(page, place, "ask")
    page.get_by_role("button", name="Use an expression for Send the data along").click()
    field = page.get_by_role("textbox", name="Send the data along")
    expect(field).to_have_value("{{ false }}")
    expect(page.get_by_role("button", name="No expression for Send the data along")).to_be_focused()
    field.fill("{{ data.amount > 10 }}")
    expect(page.locator("#setting-send_data-preview")).to_contain_text("true")
    expect(page.locator("#b-state")).to_contain_text("Draft saved")
    page.get_by_role("button", name="No expression for Send the data along").click()
    expect(page.get_by_role("checkbox", name="Send the data along")).to_be_checked()
    page.locator("#undo").click()
    expect(field).to_have_value("{{ data.amount > 10 }}")


def test_a_preview_that_does_not_come_loses_nothing(visit: Visit, place: str) -> None:
    visitor = visit()
    visitor.expects_outage()
    page = visitor.signed_in()
    at(page, place, "ask")
    page.route("**/preview/", lambda route: route.abort("connectionrefused"))
    page.route("**/names/", lambda route: route.abort("connectionrefused"))
    page.get_by_label("Prompt").fill("{{ data.amount }}")
    page.get_by_role("button", name="Insert data into Prompt").click()
    expect(page.locator("#names-list")).to_contain_text("The list did not come.")
    page.keyboard.press("Escape")
    expect(page.locator("#b-state")).to_contain_text("Draft saved")
    page.reload()
    expect(page.get_by_label("Prompt")).to_have_value("{{ data.amount }}")


@pytest.mark.parametrize(("size", "scheme"), [((1440, 900), "light"), ((360, 740), "dark")])
def test_the_list_and_the_previews_fit_and_shut_nobody_out(
    visit: Visit, place: str, size: tuple[int, int], scheme: str
) -> None:
    page = visit(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme).signed_in()
    at(page, place, "ask")
    least = 44 if size[0] < 720 else 24
    page.get_by_role("button", name="Use an expression for Send the data along").click()
    expect(page.get_by_role("textbox", name="Send the data along")).to_be_visible()
    page.get_by_label("Prompt").fill("{{ data.customer }} {{ data.nothing }}")
    page.get_by_label("Instructions").fill("For {{ data.customer }}")
    expect(page.locator("#setting-prompt-preview")).to_contain_text("“data.nothing” is not there")
    expect(page.locator("#setting-system-preview")).to_contain_text("ADA")
    page.evaluate("scrollTo(0, 0)")  # nothing lies half under the bar
    wrong = looks.built(page, "previews") + looks.open_to_all(page, "previews") + looks.small(page, "previews", least)
    page.get_by_role("button", name="Insert data into Prompt").click()
    expect(page.locator("#names [role=option]").first).to_be_visible()
    wrong += looks.built(page, "list") + looks.open_to_all(page, "list") + looks.small(page, "list", least)
    assert not wrong, "\n".join(wrong)


def test_without_script_an_expression_is_previewed_when_the_form_comes_back(visit: Visit, place: str) -> None:
    page = visit(java_script_enabled=False).signed_in()
    at(page, place, "ask")
    page.get_by_label("Prompt").fill("{{ data.amount }} pieces")
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.locator("#setting-prompt-preview")).to_contain_text("12 pieces")
    expect(page.get_by_role("button", name="Insert data into Prompt")).to_be_hidden()


def test_what_is_typed_behind_a_slow_answer_stands_in_the_form_that_it_brings(page: Page, place: str) -> None:
    at(page, place, "ask")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/steps/ask/", hold, times=1)
    with page.expect_request("**/steps/ask/"):
        page.get_by_role("button", name="Use an expression for Send the data along").click()
    page.get_by_label("Prompt").fill("typed meanwhile")
    page.get_by_label("Prompt").press("Tab")
    held[0].continue_()
    expect(page.get_by_role("textbox", name="Send the data along")).to_have_value("{{ false }}")
    expect(page.get_by_label("Prompt")).to_have_value("typed meanwhile")
    expect(page.locator("#b-state")).to_contain_text("Draft saved")
    page.get_by_label("Name").fill("Asked")
    expect(page.locator("#step-title, #b-outline .name").filter(has_text="Asked").first).to_be_visible()
    page.reload()
    expect(page.get_by_label("Prompt")).to_have_value("typed meanwhile")
