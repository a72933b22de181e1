"""Keys do what the page declares, and nothing while somebody types. A theme is chosen in a menu, without script too."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit, serving
from tests.journeys.server import Server
from tests.journeys.visitor import badge


@pytest.fixture(scope="module")
def server(prepared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(prepared, tmp_path_factory.mktemp("keys")) as server:
        server.start()
        yield server


def example(server: Server, word: str) -> int:
    items = server.api("GET", "/workflows/?limit=100")["items"]
    return next(int(item["id"]) for item in items if word in item["name"])


def in_turn(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_keys_lead_from_page_to_page(page: Page) -> None:
    in_turn(page, "g", "e")
    expect(page).to_have_url(re.compile(r"/executions/$"))
    in_turn(page, "g", "w")
    expect(page.get_by_role("heading", level=1)).to_have_text("Workflows")
    in_turn(page, "/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("g e n ? x")
    expect(page.get_by_role("searchbox")).to_have_value("g e n ? x")
    page.get_by_role("searchbox").blur()
    in_turn(page, "n")
    expect(page).to_have_url(re.compile(r"/workflows/new/$"))


def test_a_narrow_page_whose_menu_is_closed_has_the_same_keys(visit: Visit) -> None:
    page = visit(viewport={"width": 360, "height": 740}).signed_in()
    in_turn(page, "g", "e")
    expect(page).to_have_url(re.compile(r"/executions/$"))


@pytest.mark.parametrize("held", ["Control", "Alt", "Meta"])
def test_a_key_with_another_one_is_the_browsers(page: Page, held: str) -> None:
    before = page.url
    page.evaluate(
        """held => {
            for (const key of ["n", "/", "?", "g", "e"])
                document.body.dispatchEvent(new KeyboardEvent("keydown", { key, [held]: true, bubbles: true }));
        }""",
        {"Control": "ctrlKey", "Alt": "altKey", "Meta": "metaKey"}[held],
    )
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("searchbox")).not_to_be_focused()
    assert page.url == before


def test_the_list_of_keys_is_of_this_page_and_gives_the_focus_back(server: Server, page: Page) -> None:
    execution_id = server.run(example(server, "Bread"))
    page.goto(f"/executions/{execution_id}/")
    expect(page.locator("#live")).to_have_text("Live")
    page.get_by_role("link", name="API").focus()
    in_turn(page, "?")
    listed = page.get_by_role("dialog", name="Keyboard shortcuts")
    for name in ("Workflows g w", "Cancel x", "Follow f", "Next step j", "Previous step k", "Send the form Ctrl Enter"):
        expect(listed.get_by_role("listitem").filter(has_text=re.compile(name.replace(" ", r"\s*")))).to_be_visible()
    in_turn(page, "x", "g", "w")  # a list that is read does nothing
    expect(listed).to_be_visible()
    in_turn(page, "Escape")
    expect(listed).to_be_hidden()
    expect(page.get_by_role("link", name="API")).to_be_focused()
    server.api("POST", f"/executions/{execution_id}/cancel")


def test_an_execution_is_watched_and_cancelled_by_keys(server: Server, page: Page) -> None:
    execution_id = server.run(example(server, "Bread"))
    page.goto(f"/executions/{execution_id}/")
    expect(page.locator("#live")).to_have_text("Live")
    follow = page.get_by_label("Follow")
    expect(follow).to_be_checked()
    in_turn(page, "f")
    expect(follow).not_to_be_checked()
    in_turn(page, "f")
    expect(follow).to_be_checked()
    steps = page.locator(".gantt th a")
    in_turn(page, "j", "j")
    expect(steps.nth(1)).to_be_focused()
    in_turn(page, "k", "k")
    expect(steps.last).to_be_focused()
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_have_attribute("aria-keyshortcuts", "x")
    in_turn(page, "x")
    expect(cancel).to_be_focused()
    assert server.status(execution_id) == "running"
    in_turn(page, "Enter")
    expect(badge(page)).to_have_text("Cancelled")
    in_turn(page, "x")
    expect(page.get_by_role("main")).to_be_focused()


def test_the_next_error_in_the_log_is_one_key_away(server: Server, page: Page) -> None:
    execution_id = server.run(example(server, "Refund"), {"customer": "Ada"})
    server.until(execution_id, "failed")
    page.goto(f"/executions/{execution_id}/")
    in_turn(page, "e")
    expect(page.locator("ol.log > .err .l").first).to_be_focused()
    expect(page.locator("ol.log > .err .l").first).to_be_in_viewport()


def test_single_keys_can_be_switched_off_in_the_menu(page: Page) -> None:
    page.get_by_text("nora").first.click()
    page.get_by_role("button", name="Turn single-key shortcuts off").click()
    before = page.url
    in_turn(page, "n", "?", "/", "g", "e")
    expect(page.get_by_role("searchbox")).not_to_be_focused()
    assert page.url == before
    page.get_by_text("nora").first.click()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    listed = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(listed).to_contain_text("Single keys are switched off")
    expect(listed.get_by_role("listitem")).to_have_count(2)
    in_turn(page, "Escape")
    page.goto("/workflows/new/")
    page.get_by_label("Name").fill("By Ctrl+Enter")
    in_turn(page, "Control+Enter")
    expect(page).not_to_have_url(re.compile("/new/$"))


def test_escape_closes_the_menu_and_the_focus_stays_with_it(page: Page) -> None:
    summary = page.locator(".account > summary")
    summary.click()
    expect(page.get_by_role("link", name="Change password")).to_be_visible()
    page.get_by_role("link", name="Change password").focus()
    in_turn(page, "Escape")
    expect(page.get_by_role("link", name="Change password")).to_be_hidden()
    expect(summary).to_be_focused()
    summary.click()
    page.get_by_role("heading", level=1).click()
    expect(page.get_by_role("link", name="Change password")).to_be_hidden()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
@pytest.mark.parametrize("width", [1440, 360])
def test_a_theme_is_chosen_in_the_menu_and_one_stays_where_one_is(visit: Visit, script: bool, width: int) -> None:
    page = visit(java_script_enabled=script, color_scheme="light", viewport={"width": width, "height": 800}).signed_in()
    page.goto("/executions/?status=failed")
    paper = "() => getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    for theme in ("Dark", "Light"):
        page.locator("details[name=menus]:visible > summary").click()
        page.get_by_role("button", name=theme).locator("visible=true").click()
        expect(page).to_have_url(re.compile(r"/executions/\?status=failed$"))
        page.locator("details[name=menus]:visible > summary").click()
        chosen = page.get_by_role("button", name=theme).locator("visible=true")
        expect(chosen).to_have_attribute("aria-pressed", "true")
        assert (page.evaluate(paper) == light) is (theme == "Light")
        page.locator("details[name=menus]:visible > summary").click()


@pytest.mark.parametrize("width", [1440, 360])
def test_who_is_not_signed_in_chooses_a_theme_too(visit: Visit, width: int) -> None:
    page = visit(color_scheme="light", viewport={"width": width, "height": 800}).page()
    page.goto("/sign-in/?next=/executions/")
    page.get_by_text("Theme").first.click()
    page.get_by_role("button", name="Dark").click()
    expect(page).to_have_url(re.compile(r"/sign-in/\?next=/executions/$"))
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
