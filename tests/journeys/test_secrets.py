"""A new secret from inside of a step's form: by keyboard, without script, and where the server does not answer."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.journeys import looks
from tests.journeys.conftest import Visit
from tests.journeys.server import Server

VALUE = "hunter2-hunter2"
ASKING = {"nodes": [{"id": "ask", "type": "ai", "data": {"label": "Ask", "prompt": "Say hello"}}], "edges": []}


def opened(page: Page, server: Server) -> int:
    workflow = server.draft("Asking", ASKING)
    page.goto(f"/workflows/{workflow}/steps/ask/")
    return workflow


def fill(page: Page, name: str, value: str, hosts: str) -> None:
    page.locator("#secret-name").fill(name)
    page.locator("#secret-value").fill(value)
    page.locator("#secret-hosts").fill(hosts)


def test_a_secret_is_made_and_chosen_by_keyboard_and_nothing_that_was_typed_is_lost(
    visit: Visit, server: Server
) -> None:
    visitor = visit()
    page = visitor.signed_in()
    workflow = opened(page, server)
    field, dialog = page.locator("select[data-secrets]").first, page.locator("#new-secret")
    page.locator("#step-label").fill("Ask nicely")
    page.get_by_role("link", name="New secret…").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#secret-name")).to_be_focused()
    assert not looks.open_to_all(page, "the dialog")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="New secret…").first).to_be_focused()

    page.keyboard.press("Enter")
    expect(page.locator("#secret-name")).to_be_focused()
    page.keyboard.type("AI_KEY")
    page.keyboard.press("Tab")
    page.keyboard.type(VALUE)
    page.keyboard.press("Tab")
    page.keyboard.type("https://example.com")
    visitor.expects(422)
    page.keyboard.press("Control+Enter")
    expect(dialog).to_contain_text("more than a host")
    expect(page.locator("#secret-value")).to_have_value("")
    assert VALUE not in page.content()
    page.locator("#secret-value").fill(VALUE)
    page.locator("#secret-hosts").fill("example.com")
    page.keyboard.press("Control+Enter")
    expect(dialog).to_be_hidden()
    expect(field).to_have_value("AI_KEY")
    expect(field).to_be_focused()
    expect(page.locator("#b-state")).to_contain_text("Draft saved")
    page.reload()
    expect(field).to_have_value("AI_KEY")
    expect(page.locator("#step-label")).to_have_value("Ask nicely")
    expect(page.locator("#b-problems")).to_contain_text("No problems")
    assert VALUE not in page.content()
    assert [row["name"] for row in server.api("GET", "/secrets/")["items"]] == ["AI_KEY"]
    node = server.api("GET", f"/workflows/{workflow}")["definition"]["nodes"][0]
    assert node["data"]["key"] == "AI_KEY"


def test_without_script_the_link_leads_to_the_page_and_the_name_can_be_chosen(visit: Visit, server: Server) -> None:
    page = visit(java_script_enabled=False).signed_in()
    workflow = opened(page, server)
    page.get_by_role("link", name="New secret…").first.click()
    expect(page.get_by_role("heading", name="New secret")).to_be_visible()
    fill(page, "AI_KEY", VALUE, "example.com")
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("link", name="AI_KEY")).to_be_visible()
    page.goto(f"/workflows/{workflow}/steps/ask/")
    page.locator("select[data-secrets]").first.select_option("AI_KEY")
    page.get_by_role("button", name="Save").last.click()
    expect(page.locator("select[data-secrets]").first).to_have_value("AI_KEY")


def test_where_the_server_does_not_answer_the_dialog_says_so_and_a_second_try_works(
    visit: Visit, server: Server
) -> None:
    visitor = visit()
    page = visitor.signed_in()
    opened(page, server)
    page.get_by_role("link", name="New secret…").first.click()
    expect(page.locator("#secret-name")).to_be_visible()
    fill(page, "AI_KEY", VALUE, "example.com")
    visitor.expects_outage()
    page.route("**/secrets/new/**", lambda route: route.abort("connectionrefused"))
    page.get_by_role("button", name="Keep it and choose it").click()
    expect(page.locator("#new-secret [role=alert]")).to_contain_text("It was not kept")
    page.unroute_all()
    page.get_by_role("button", name="Keep it and choose it").dblclick()
    expect(page.locator("#new-secret")).to_be_hidden()
    expect(page.locator("select[data-secrets]").first).to_have_value("AI_KEY")
    assert len(server.api("GET", "/secrets/")["items"]) == 1
