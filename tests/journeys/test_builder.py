"""Building in a real browser: by mouse, by keyboard, without script, in two tabs, and while the server is away."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Visit
from tests.journeys.server import Server
from tests.journeys.visitor import badge, sign_in
from workflows import steps

#: Counts what a person does: each click and each key (a held modifier is none of its own).
COUNTING = """(() => {
    const counted = JSON.parse(sessionStorage.counted ?? '{"clicks":0,"keys":0}');
    const count = what => { counted[what] += 1; sessionStorage.counted = JSON.stringify(counted); };
    addEventListener('click', e => { if (e.isTrusted && e.detail) count('clicks'); }, true);
    addEventListener('keydown', e => { if (!['Control', 'Shift'].includes(e.key)) count('keys'); }, true);
})()"""


def counted(page: Page) -> dict[str, int]:
    found: dict[str, int] = page.evaluate("JSON.parse(sessionStorage.counted)")
    return found


def made(page: Page, name: str = "Mine") -> None:
    """A new workflow, its picker open."""
    page.goto("/workflows/new/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Add the first step")).to_be_visible()


def add(page: Page, words: str) -> None:
    """By the search field, which has the focus, and Enter."""
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    expect(page.locator("#settings")).to_be_visible()


def outline(page: Page) -> list[str]:
    return page.locator("#b-outline .name").all_inner_texts()


def saved(page: Page) -> None:
    expect(page.locator("#b-state")).to_contain_text("Draft saved")


def drawn(page: Page) -> list[str]:
    return page.locator("#b-drawing .node b").all_inner_texts()


# From empty to green


def test_the_sample_is_one_click_from_home(visit: Visit) -> None:
    page = visit().signed_in()
    page.context.add_init_script(COUNTING)
    page.reload()
    page.get_by_role("region", name="Run your first workflow").get_by_role("button").click()
    expect(badge(page)).to_have_text("Completed")
    assert counted(page) == {"clicks": 1, "keys": 0}


def test_from_empty_to_green_by_mouse(visit: Visit) -> None:
    visitor = visit()
    page = visitor.signed_in()
    page.context.add_init_script(COUNTING)
    page.reload()
    page.get_by_role("link", name="New workflow").click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("A")
    page.get_by_role("button", name="Create").click()
    page.locator("#kinds").get_by_role("button", name=re.compile("^Input")).click()
    page.get_by_role("link", name="Add step after “Input”").click()
    page.locator("#kinds").get_by_role("button", name=re.compile("^Upper case")).click()
    page.get_by_role("link", name="Add step after “Upper case”").click()
    page.locator("#kinds").get_by_role("button", name=re.compile("^Output")).click()
    expect(page.locator("#b-outline .name")).to_have_count(3)
    page.get_by_role("link", name="Run draft").click()
    expect(page.locator("textarea")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type('{"text": "hello"}')
    page.get_by_role("button", name="Run the draft").click()
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator(".x-result")).to_contain_text("HELLO")
    done = counted(page)
    assert done["clicks"] <= 14 and done["keys"] <= 35, done


def test_from_empty_to_green_by_keyboard_alone(visit: Visit) -> None:
    page = visit().signed_in()
    page.context.add_init_script(COUNTING)
    page.reload()
    page.keyboard.press("n")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("A")
    page.keyboard.press("Enter")
    for words in ("inp", "up", "out"):
        add(page, words)
        if words != "out":
            expect(page.locator("#step-title")).to_be_focused()
            page.keyboard.press("a")
    expect(page.locator("#b-outline .name")).to_have_count(3)
    expect(page.locator("#step-title")).to_be_focused()
    page.keyboard.press("r")
    page.wait_for_url("**/try/")
    expect(page.locator("textarea")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type('{"t":"hello"}')
    page.keyboard.press("Control+Enter")
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator(".x-result")).to_contain_text("HELLO")
    done = counted(page)
    assert done["clicks"] == 0 and done["keys"] <= 45, done


def test_from_empty_to_green_without_script(visit: Visit) -> None:
    page = visit(java_script_enabled=False).signed_in()
    page.get_by_role("link", name="New workflow").click()
    page.get_by_role("button", name="Create").click()
    for words in ("inp", "upper", "out"):
        page.get_by_label("What should happen?").fill(words)
        page.get_by_label("What should happen?").press("Enter")
        expect(page.locator("#settings")).to_be_visible()
        if words != "out":
            page.get_by_role("link", name=re.compile("^Add step after")).click()
    page.get_by_label("Name").fill("Give out")
    page.get_by_role("button", name="Save", exact=True).last.click()
    assert outline(page) == ["Input", "Upper case", "Give out"]
    page.get_by_role("button", name="Move up").click()
    assert outline(page) == ["Input", "Give out", "Upper case"]
    page.get_by_role("button", name="Undo").click()
    assert outline(page) == ["Input", "Upper case", "Give out"]
    page.get_by_role("link", name="Publish…").click()
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("link", name="Run", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/executions/*/")


# Working on it


def test_the_graph_follows_at_once_and_what_is_typed_is_saved(page: Page) -> None:
    made(page)
    add(page, "inp")
    page.get_by_label("Name").fill("Take in")
    expect(page.locator("#b-drawing .node b")).to_have_text("Take in")
    saved(page)
    expect(page.get_by_label("Name")).to_be_focused()
    page.reload()
    assert outline(page) == drawn(page) == ["Take in"]
    expect(page.get_by_label("Name")).to_have_value("Take in")


def test_typing_on_while_it_saves_loses_no_letter(page: Page) -> None:
    made(page)
    add(page, "inp")
    name = page.get_by_label("Name")
    name.fill("")
    for letter in "a long name that is typed slowly":
        name.press_sequentially(letter, delay=60)
    saved(page)
    expect(name).to_have_value("a long name that is typed slowly")
    expect(page.locator("#b-outline .name")).to_have_text("a long name that is typed slowly")


def test_going_on_at_once_saves_what_was_typed(page: Page) -> None:
    made(page)
    add(page, "inp")
    page.get_by_label("Name").fill("Typed")
    page.get_by_role("link", name="Add step after").last.click()
    add(page, "out")
    page.get_by_label("Name").fill("And left")
    page.get_by_role("link", name="Executions", exact=True).first.click()
    page.wait_for_url("**/executions/**")
    page.go_back()
    page.reload()
    expect(page.locator("#b-outline .name")).to_have_text(["Typed", "And left"])


def test_a_wrong_setting_is_told_while_it_is_typed_and_when_it_is_right_again(page: Page) -> None:
    made(page)
    add(page, "countd")
    seconds = page.get_by_label("Seconds")
    seconds.fill("soon")
    expect(page.locator("#setting-seconds-errors")).to_contain_text("Seconds must be a number; it is “soon”.")
    expect(page.locator("#b-problems")).to_contain_text("1 problem")
    expect(seconds).to_be_focused()
    page.locator("#b-problems").get_by_role("link", name=re.compile("Seconds must")).click()
    expect(seconds).to_have_value("soon")
    seconds.fill("3")
    expect(page.locator("#b-problems")).to_contain_text("No problems")
    expect(page.locator("#setting-seconds-errors")).to_be_empty()


def test_fields_of_an_input_are_declared_in_rows(page: Page) -> None:
    made(page)
    add(page, "inp")
    for number, name in enumerate(("customer", "size"), 1):
        page.get_by_role("button", name="Add to fields").click()
        expect(page.locator(".b-row")).to_have_count(number)
        row = page.locator(".b-row").last
        row.get_by_label("Name").fill(name)
    page.locator(".b-row").last.get_by_label("Type").select_option("choice")
    expect(page.locator("#setting-fields-1-choices-errors")).not_to_be_empty()
    page.locator(".b-row").last.get_by_label("Choices").fill("S\nM")
    expect(page.locator("#b-problems")).to_contain_text("No problems")
    page.get_by_role("button", name="Move 2 up").click()
    expect(page.locator(".b-row").first.get_by_label("Name")).to_have_value("size")
    page.get_by_role("button", name="Remove 2").click()
    expect(page.locator(".b-row")).to_have_count(1)
    page.locator("#undo").click()
    expect(page.locator(".b-row")).to_have_count(2)


def test_steps_are_arranged_by_keyboard_and_the_focus_stays(page: Page) -> None:
    made(page)
    for words in ("inp", "up", "out"):
        add(page, words)
        if words != "out":
            page.keyboard.press("a")
    page.locator("#move-up").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#b-outline .name")).to_have_text(["Input", "Output", "Upper case"])
    expect(page.locator("#move-up")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#b-outline .name")).to_have_text(["Output", "Input", "Upper case"])
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(page.locator("#b-outline .name")).to_have_text(["Input", "Upper case", "Output"])
    page.keyboard.press("Control+Shift+z")
    expect(page.locator("#b-outline .name")).to_have_text(["Input", "Output", "Upper case"])
    page.locator("#delete").click()
    expect(page.locator("#step-title")).to_be_focused()
    expect(page.locator("#step-title")).to_have_text("Input")
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="About")).to_be_visible()


def test_undo_and_redo_survive_a_reload(page: Page) -> None:
    made(page)
    add(page, "inp")
    page.locator("#delete").click()
    expect(page.get_by_role("heading", name="Add the first step")).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Undo: Deleted “Input”").click()
    expect(page.locator("#b-outline .name")).to_have_text(["Input"])
    page.reload()
    page.get_by_role("button", name="Redo: Deleted “Input”").click()
    expect(page.locator("#b-outline .name")).to_have_count(0)


def test_the_way_back_goes_through_what_was_open(page: Page) -> None:
    made(page)
    add(page, "inp")
    page.keyboard.press("a")
    add(page, "out")
    page.locator("#b-outline").get_by_role("link", name=re.compile("^Input")).click()
    expect(page.locator("#step-title")).to_have_text("Input")
    page.go_back()
    expect(page.locator("#step-title")).to_have_text("Output")


# Two at once


def test_two_tabs_lose_nothing(visit: Visit) -> None:
    visitor = visit()
    visitor.expects(409)
    one = visitor.signed_in()
    made(one)
    add(one, "process")
    two = visitor.page()
    two.goto(one.url)
    two.get_by_label("Name").fill("By the second tab")
    saved(two)
    expect(two.locator("#b-outline .name")).to_have_text("By the second tab")
    one.get_by_label("Operation").select_option("trim")
    expect(one.get_by_role("heading", name="Two changes at once")).to_be_visible()
    expect(one.locator("#builder")).to_contain_text("Renamed “Process” to “By the second tab”")
    expect(one.locator("#builder")).to_contain_text("Changed operation")
    one.get_by_role("button", name="Keep mine").click()
    expect(one.get_by_label("Operation")).to_have_value("trim")
    expect(one.get_by_label("Name")).to_have_value("By the second tab")


def test_theirs_can_be_taken(visit: Visit) -> None:
    visitor = visit()
    visitor.expects(409)
    one = visitor.signed_in()
    made(one)
    add(one, "inp")
    two = visitor.page()
    two.goto(one.url)
    two.locator("#delete").click()
    expect(two.locator("#b-outline .name")).to_have_count(0)
    one.get_by_label("Name").fill("Too late")
    expect(one.locator("#builder")).to_contain_text("There is no step “input” any more.")
    expect(one.locator("#builder")).to_contain_text("Too late")
    one.get_by_role("link", name="Take theirs").click()
    expect(one.get_by_role("heading", name="Add the first step")).to_be_visible()


# The server is away, or the session is


def test_what_is_typed_while_the_server_is_away_is_saved_when_it_is_back(visit: Visit, server: Server) -> None:
    visitor = visit()
    page = visitor.signed_in()
    made(page)
    add(page, "inp")
    visitor.expects_outage()
    server.kill()
    page.get_by_label("Name").fill("Typed in the dark")
    expect(page.locator("#b-state")).to_contain_text("Not saved: the server does not answer")
    server.start()
    saved(page)
    page.reload()
    assert outline(page) == ["Typed in the dark"]


def test_going_on_after_a_save_that_failed_saves_it_all_the_same(visit: Visit) -> None:
    visitor = visit()
    visitor.expects_outage()
    page = visitor.signed_in()
    made(page)
    add(page, "inp")
    saved(page)
    page.get_by_role("link", name=re.compile("^Add step")).click()
    add(page, "upper")
    page.route("**/steps/upper-case/", lambda route: route.abort("connectionrefused"), times=1)
    page.get_by_label("Name").fill("Not to be lost")
    expect(page.locator("#b-state")).to_contain_text("Not saved")
    page.locator("#b-outline .b-step").first.click()
    expect(page.locator("#step-title")).to_have_text("Input")
    saved(page)
    page.reload()
    assert outline(page) == ["Input", "Not to be lost"]


def test_what_is_typed_after_signing_out_elsewhere_is_saved_after_signing_in_again(visit: Visit) -> None:
    visitor = visit()
    visitor.expects(403)
    page = visitor.signed_in()
    made(page)
    add(page, "inp")
    other = visitor.page()
    other.goto("/")
    other.locator(".account summary").click()
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/sign-in/**")
    page.get_by_label("Name").fill("Still here")
    expect(page.locator("#b-state")).to_contain_text("Not saved: you are signed out")
    sign_in(other)
    saved(page)
    expect(page.locator("#b-outline .name")).to_have_text("Still here")


def test_who_may_only_look_can_make_a_copy(visit: Visit, server: Server) -> None:
    server.manage("shell", "-c", NEWCOMER)
    visitor = visit()
    page = visitor.page()
    page.goto("/sign-in/")
    sign_in(page, "newcomer", "a password for her")
    page.get_by_role("link", name=re.compile("^Order intake")).first.click()
    expect(page.get_by_role("link", name=re.compile("^Add step"))).to_have_count(0)
    page.get_by_role("button", name="Make my own copy").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Copy of Order intake"))
    expect(page.get_by_role("link", name="Publish…")).to_be_visible()


NEWCOMER = (
    "from django.contrib.auth.models import User; User.objects.create_user('newcomer', password='a password for her')"
)


def test_what_is_typed_into_a_step_of_any_kind_is_saved_and_only_that_comes_back(visit: Visit, server: Server) -> None:
    """Some kinds have settings called “form”, “do” or “method”, as a form in a browser has."""
    kinds = steps.kinds()
    nodes = [{"id": name, "type": name, "data": {"label": name, **kind.start}} for name, kind in kinds.items()]
    workflow = server.draft("One of each kind", {"nodes": nodes, "edges": []})
    page = visit().signed_in()
    for name in kinds:
        page.goto(f"/workflows/{workflow}/steps/{name}/")
        label = page.locator("#step-label")
        label.fill(f"{name} 2")
        with page.expect_response(lambda one: one.request.method == "POST" and one.url.endswith(f"/{name}/")) as came:  # noqa: B023
            label.blur()
        assert came.value.status == 200 and 'id="settings"' not in came.value.text(), f"{name}: the form came anew"
        saved(page)
    stored = server.api("GET", f"/workflows/{workflow}")["definition"]["nodes"]
    assert [node["data"]["label"] for node in stored] == [f"{name} 2" for name in kinds]
