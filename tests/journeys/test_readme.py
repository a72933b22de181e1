"""The README's five minutes, walked as they are written. `make screenshots` keeps what is seen for the docs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit
from tests.journeys.server import ROOT
from tests.journeys.visitor import badge

KEPT_IN = os.environ.get("SCREENSHOTS")


def seen(page: Page, name: str, height: int = 720) -> None:
    """A picture for the docs, where they are asked for."""
    if KEPT_IN:
        page.set_viewport_size({"width": 1200, "height": height})
        page.mouse.move(0, 0)
        page.screenshot(path=Path(KEPT_IN) / f"{name}.png", animations="disabled")


def test_the_five_minutes_of_the_readme(visit: Visit) -> None:
    page = visit(viewport={"width": 1200, "height": 720}, color_scheme="light").signed_in()
    run = page.get_by_role("region", name="Run your first workflow").get_by_role("button")
    expect(run).to_be_focused()
    seen(page, "home")
    run.press("Enter")  # the sample: one press from home to green
    expect(badge(page)).to_have_text("Completed")

    page.get_by_role("link", name="Workflows", exact=True).first.click()
    page.keyboard.press("n")
    page.wait_for_url("**/workflows/new/")  # until then "Name" means three things on home
    page.get_by_label("Name").fill("Shout")
    page.get_by_role("button", name="Create").click()
    add(page, "inp")
    page.get_by_role("button", name="Add to fields").click()
    page.locator(".b-row").get_by_label("Name").fill("name")
    page.locator(".b-row").get_by_role("checkbox", name="Required").check()
    expect(page.locator("#b-state")).to_contain_text("Draft saved")
    for words in ("upper", "out"):
        page.get_by_role("link", name=re.compile("^Add step")).click()
        add(page, words)
    page.locator("#b-outline").get_by_role("link", name=re.compile("^Upper case")).click()
    expect(page.locator("#step-title")).to_have_text("Upper case")
    seen(page, "build", 800)

    page.get_by_role("link", name="Run draft").click()
    page.get_by_label("Name").fill("ada")
    page.get_by_role("button", name="Run the draft").click()
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator(".x-result")).to_contain_text("ADA")
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="Shout").click()
    expect(page.locator(".b-last")).to_contain_text("Shows execution")
    page.get_by_role("link", name="Publish…").click()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 1 is published.")).to_be_visible()

    page.get_by_role("link", name="Workflows", exact=True).first.click()
    page.get_by_role("button", name="Run Refund request that fails on purpose").click()
    expect(badge(page)).to_have_text("Failed")
    page.get_by_role("link", name="Workflows", exact=True).first.click()
    page.get_by_role("button", name="Run Bread and glaze: two timers to watch").click()
    expect(badge(page)).to_have_text("Running")
    expect(page.locator("ol.log > li").nth(8)).to_be_visible()
    seen(page, "watch", 800)
    watched = page.url
    page.get_by_role("link", name="Executions", exact=True).first.click()
    expect(page.locator(".e-row")).to_have_count(4)
    seen(page, "executions", 480)
    page.goto(watched)
    page.get_by_role("button", name="Cancel").click()
    expect(badge(page)).to_have_text("Cancelled")


def add(page: Page, words: str) -> None:
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    expect(page.locator("#settings")).to_be_visible()


def test_every_picture_of_the_docs_is_one_that_is_taken() -> None:
    taken = set(re.findall(r'seen\(page, "(\w+)"', Path(__file__).read_text(encoding="utf-8")))
    shown = {name for source in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) for name in pictures(source)}
    assert shown <= taken and shown
    assert all((ROOT / "docs/images" / f"{name}.png").is_file() for name in shown)


def pictures(source: Path) -> list[str]:
    return re.findall(r"!\[[^]]+\]\((?:docs/)?images/(\w+)\.png\)", source.read_text(encoding="utf-8"))
