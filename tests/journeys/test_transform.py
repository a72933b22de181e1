"""The forms of the kinds that change data: what a chosen operation does not need is out of sight, and never lost."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit
from tests.journeys.test_builder import add, made, saved


def test_a_list_is_filtered_and_sorted_by_a_form_that_shows_what_counts(page: Page) -> None:
    made(page)
    add(page, "work on a list")
    row = page.locator("#setting-operations > .b-row").first
    expect(row.locator("#setting-operations-0-size")).to_be_hidden()
    expect(page.locator("#setting-operations-0-conditions-errors")).to_contain_text("add at least one")
    row.get_by_label("Do", exact=True).select_option("limit")
    expect(row.locator("#setting-operations-0-size")).to_be_visible()
    expect(row.locator("#setting-operations-0-conditions")).to_be_hidden()
    row.locator("#setting-operations-0-size").fill("many")
    expect(page.locator("#setting-operations-0-size-errors")).to_contain_text("must be a whole number; it is “many”")
    row.locator("#setting-operations-0-size").fill("2")
    expect(page.locator("#b-problems")).to_contain_text("No problems")
    row.get_by_label("Do", exact=True).select_option("sort")
    expect(row.locator("#setting-operations-0-size")).to_be_hidden()
    page.get_by_role("button", name="Add to sort by").click()
    page.locator("#setting-operations-0-keys-0-field").fill("price")
    page.locator("#setting-operations-0-keys-0-direction").select_option("down")
    row.get_by_label("Do", exact=True).select_option("limit")
    expect(row.locator("#setting-operations-0-size")).to_have_value("2")
    saved(page)


def test_without_script_every_field_can_be_reached(visit: Visit) -> None:
    page = visit(java_script_enabled=False).signed_in()
    page.goto("/workflows/new/")
    page.get_by_label("Name").fill("Plain")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Read or write a format").first.click()
    expect(page.get_by_label("Do", exact=True)).to_be_visible()
    expect(page.locator("#setting-delimiter")).to_be_visible()
    expect(page.locator("#setting-sheet")).to_be_visible()
