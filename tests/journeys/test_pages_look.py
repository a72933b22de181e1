"""Every page, wide and narrow, light and dark, and by keyboard alone; and the run form, which loses nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.journeys import looks
from tests.journeys.conftest import Visit, serving
from tests.journeys.server import OWNER, PASSWORD, Server
from tests.journeys.visitor import Visitor, badge, sign_in

SIZES = {"wide": (1440, 900), "narrow": (360, 740)}
LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitaensmuetze" * 3
#: Names and values that break a page which is not careful.
AWKWARD: dict[str, Any] = {
    "nodes": [
        {"id": "in", "type": "input", "data": {"label": LONG_WORD[:80]}},
        {"id": "work", "type": "process", "data": {"label": "Trim every text that comes in, however deep it is"}},
        {"id": "side", "type": "process", "data": {"label": "Beside it"}},
        {"id": "out", "type": "output", "data": {"label": "End"}},
    ],
    "edges": [
        {"source": "in", "target": "work"},
        {"source": "in", "target": "side"},
        {"source": "work", "target": "out"},
        {"source": "side", "target": "out"},
    ],
}


#: A draft that says at each field what is wrong with it.
FIELD = {"name": "1", "type": "choice", "label": LONG_WORD[:60], "default": LONG_WORD, "required": True}
WRONG = {
    "nodes": [
        {"id": "ask", "type": "input", "data": {"label": "Ask", "fields": [FIELD, {}], "example": LONG_WORD}},
        {"id": "check", "type": "check", "data": {"label": "Check", "required": 5, "allowed": LONG_WORD, "x": 1}},
        {"id": "wait", "type": "delay", "data": {"label": LONG_WORD, "seconds": LONG_WORD}},
        {"id": "who", "type": LONG_WORD, "data": {}},
    ],
    "edges": [{"source": "ask", "target": "check"}, {"source": "check", "target": "wait", "sourceHandle": "true"}],
}


#: Questions with everything that may stand in one, and an address to call.
ASKS: dict[str, Any] = {
    "nodes": [
        {
            "id": "ask",
            "type": "approval",
            "data": {
                "label": "Ask",
                "title": LONG_WORD[:150],
                "message": f"Look first.\n\n{LONG_WORD}",
                "people": ["nora", LONG_WORD],
                "fields": [
                    {"name": "amount", "type": "number", "required": True, "help": LONG_WORD},
                    {"name": "yes", "type": "boolean", "label": LONG_WORD},
                    {"name": "one", "type": "choice", "choices": [LONG_WORD, "other"]},
                    {"name": "data", "type": "json"},
                ],
                "due": 30,
                "due_unit": "days",
            },
        },
        {"id": "others", "type": "approval", "data": {"label": "Asks others", "people": ["nobody"]}},
        {"id": "call", "type": "callback", "data": {"label": LONG_WORD[:80]}},
    ],
    "edges": [],
}


#: A way that is gone, and a workflow that cannot be called.
GONE: dict[str, Any] = {
    "nodes": [
        {
            "id": "which",
            "type": "switch",
            "data": {"cases": [{"id": "a", "label": LONG_WORD[:60], "conditions": [{"path": LONG_WORD, "value": ""}]}]},
        },
        {"id": "call", "type": "call", "data": {"label": LONG_WORD, "workflow": 987654}},
    ],
    "edges": [{"source": "which", "target": "call", "sourceHandle": LONG_WORD}],
}

#: A step that fails and is handled, items that fail and items that wait, and a step to pause before.
STEERED = {
    "nodes": [
        {"id": "in", "type": "input", "data": {"label": "Take in"}},
        {
            "id": "bad",
            "type": "check",
            "data": {"label": LONG_WORD, "required": ["x"], "policy": {"on_failure": "error"}},
        },
        {"id": "told", "type": "process", "data": {"label": "Tell somebody"}},
        {"id": "each", "type": "for_each", "data": {"label": f"For each {LONG_WORD}"}},
        {"id": "item", "type": "delay", "data": {"label": "Wait", "seconds": 86_400}},
        {"id": "out", "type": "output", "data": {"label": "End"}},
    ],
    "edges": [
        {"source": "in", "target": "bad"},
        {"source": "bad", "target": "told", "sourceHandle": "error"},
        {"source": "in", "target": "each"},
        {"source": "each", "target": "item", "sourceHandle": "each"},
        {"source": "each", "target": "out", "sourceHandle": "done"},
    ],
}


#: Files with long paths, and forms with everything in them.
LONG_PATH = f"{LONG_WORD[:100]}/{LONG_WORD[:100]}.txt"
KEPT: dict[str, Any] = {
    "nodes": [
        {"id": "set", "type": "set", "data": {"label": "Set", "fields": [{"name": "a", "value": "{{ now }}"}]}},
        {
            "id": "file",
            "type": "file",
            "data": {"label": "Keep", "operation": "write", "path": LONG_PATH, "content": "{{ data.a }}"},
        },
        {"id": "format", "type": "convert", "data": {"label": "Read", "do": "csv_read", "value": "a,b\n1,2"}},
        {
            "id": "mail",
            "type": "email",
            "data": {"label": "Send", "to": ["ada@example.org"], "subject": "{{ data.a }}", "attachments": [LONG_PATH]},
        },
    ],
    "edges": [
        {"source": "set", "target": "file"},
        {"source": "file", "target": "format"},
        {"source": "format", "target": "mail"},
    ],
}


@pytest.fixture(scope="module")
def server(prepared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for the whole file: nothing here goes away."""
    with ExitStack() as stack:
        server = stack.enter_context(serving(prepared, tmp_path_factory.mktemp("look")))
        server.start()
        yield server


@pytest.fixture(scope="module")
def places(server: Server) -> dict[str, str]:
    """Every page by what it shows."""
    by_name = {item["name"]: item["id"] for item in server.api("GET", "/workflows/?limit=100")["items"]}
    example = {name.split()[0]: number for name, number in by_name.items()}
    awkward = server.publish(f"Awkward {LONG_WORD}", AWKWARD)
    longer = {**AWKWARD, "nodes": [*AWKWARD["nodes"], {"id": "more", "type": LONG_WORD, "data": {"label": LONG_WORD}}]}
    server.api("PUT", f"/workflows/{awkward}", {"definition": {"nodes": AWKWARD["nodes"][:2], "edges": []}})
    server.api("PUT", f"/workflows/{awkward}", {"definition": AWKWARD})
    server.api("PUT", f"/workflows/{awkward}", {"definition": longer, "draft": True})
    empty = server.draft("Empty", {"nodes": [], "edges": []})
    wrong = server.draft("Wrong", WRONG)
    broken = server.draft(
        "Broken", {"nodes": [{"id": "a", "type": "default"}], "edges": [{"source": "a", "target": "b"}]}
    )
    gone = server.draft("Gone", GONE)
    completed = server.run(awkward, {LONG_WORD: LONG_WORD, "more": [LONG_WORD] * 3})
    failed = server.run(example["Refund"], {"customer": LONG_WORD})
    running = server.run(example["Bread"])
    waiting = server.run(example["Follow-up"], {"customer": "A", "promise": "B", "colleague": "C"})
    asking = server.run(server.publish("Asking", ASKS))
    answered = server.run(server.api("GET", f"/executions/{asking}")["workflow_id"])
    server.until(answered, "waiting")
    server.api("POST", f"/executions/{answered}/waits/others/answer", {"approved": False, "comment": LONG_WORD})
    server.until(completed, "completed")
    server.until(failed, "failed")
    server.until(running, "running")
    server.until(waiting, "waiting")
    steered = server.publish("Steered", STEERED)
    paused = server.run(steered, {"items": [{"order": LONG_WORD}, {"order": 2}]}, pause_before=["out"])
    cancelled = server.run(example["Bread"])
    server.until(cancelled, "running")
    server.api("POST", f"/executions/{cancelled}/cancel")
    server.until(cancelled, "cancelled")
    server.until(paused, "waiting")
    child = server.rows("SELECT min(id) FROM executions_workflowexecution WHERE parent_id = ?", paused)[0][0]
    key = {"value": "a long value", "description": LONG_WORD, "hosts": ["*", f"{LONG_WORD[:60]}.example.com"]}
    secret = server.api("POST", "/secrets/", {"name": LONG_WORD[:64], **key})["id"]
    variable = server.api("POST", "/variables/", {"name": LONG_WORD[:64], "value": {LONG_WORD: LONG_WORD}})["id"]
    secretive = server.draft(
        f"Secretive {LONG_WORD}",
        {"nodes": [{"id": "ask", "type": "ai", "data": {"label": "Ask", "key": LONG_WORD[:64]}}], "edges": []},
    )
    unknown = {"nodes": [{"id": "ask", "type": "ai", "data": {"label": "Ask", "key": LONG_WORD}}], "edges": []}
    lost = server.draft("A secret that is not there", unknown)
    kept = server.publish(f"Keeps files {LONG_WORD}", KEPT)
    server.until(server.run(kept), "completed")
    return {
        "secrets and variables": "/secrets/",
        "files": f"/workflows/{kept}/files/",
        "no files": f"/workflows/{empty}/files/",
        "a mail": f"/workflows/{kept}/steps/mail/",
        "a file": f"/workflows/{kept}/steps/file/",
        "fields to set": f"/workflows/{kept}/steps/set/",
        "a format": f"/workflows/{kept}/steps/format/",
        "no secrets": "/secrets/?q=nothing-has-this-name",
        "new secret": f"/secrets/new/?workflow={secretive}",
        "a secret": f"/secrets/{secret}/",
        "deleting a secret": f"/secrets/{secret}/delete/",
        "new variable": "/variables/new/",
        "a variable": f"/variables/{variable}/",
        "deleting a variable": f"/variables/{variable}/delete/",
        "a step with a secret": f"/workflows/{secretive}/steps/ask/",
        "a step whose secret is not there": f"/workflows/{lost}/steps/ask/",
        "items under way": f"/executions/{paused}/",
        "items": f"/executions/{paused}/items/?node=each",
        "no items": f"/executions/{paused}/items/?node=each&status=cancelled",
        "an item": f"/executions/{child}/",
        "a step to pause before": f"/executions/{paused}/steps/out/",
        "cancelled": f"/executions/{cancelled}/",
        "run again with other input": f"/executions/{failed}/again/",
        "run again from a step": f"/executions/{failed}/again/from/?node=check",
        "run again from which step": f"/executions/{completed}/again/from/",
        "repair": f"/executions/{failed}/repair/",
        "nothing to repair": f"/executions/{completed}/repair/",
        "workflows": "/",
        "workflows found": "/?q=bread",
        "no workflows": "/?q=nothing-has-this-name",
        "new workflow": "/workflows/new/",
        "an example": f"/workflows/{example['Order']}/",
        "an awkward workflow": f"/workflows/{awkward}/",
        "an awkward step": f"/workflows/{awkward}/steps/side/",
        "steps to choose from": f"/workflows/{awkward}/steps/?after=in",
        "a new one": f"/workflows/{empty}/",
        "a draft with problems": f"/workflows/{wrong}/",
        "a step with problems": f"/workflows/{wrong}/steps/ask/",
        "a draft that is broken": f"/workflows/{broken}/",
        "a branch": f"/workflows/{example['Parcels']}/steps/insured/",
        "a switch": f"/workflows/{example['Parcels']}/steps/way/",
        "ways to choose from": f"/workflows/{example['Parcels']}/steps/?after=way",
        "what runs for each item": f"/workflows/{example['Name']}/steps/each/",
        "what follows a failure": f"/workflows/{example['Name']}/steps/named/",
        "ways that are gone": f"/workflows/{gone}/steps/which/",
        "a workflow to call": f"/workflows/{gone}/steps/call/",
        "settings": f"/workflows/{awkward}/about/",
        "what is kept": f"/workflows/{awkward}/kept/",
        "as JSON": f"/workflows/{awkward}/definition/",
        "try": f"/workflows/{awkward}/try/?until=work",
        "try what cannot run": f"/workflows/{wrong}/try/",
        "publish": f"/workflows/{awkward}/publish/",
        "versions": f"/workflows/{awkward}/versions/",
        "a version": f"/workflows/{awkward}/versions/3/",
        "two versions": f"/workflows/{awkward}/versions/3/?against=2",
        "going back": f"/workflows/{awkward}/versions/2/restore/",
        "import": "/workflows/import/",
        "import into": f"/workflows/{awkward}/import/",
        "run form": f"/workflows/{example['Refund']}/run/",
        "executions": "/executions/",
        "no executions": "/executions/?workflow=987654",
        "completed": f"/executions/{completed}/",
        "failed": f"/executions/{failed}/",
        "running": f"/executions/{running}/",
        "waiting": f"/executions/{waiting}/",
        "questions": f"/executions/{asking}/",
        "an answered question": f"/executions/{answered}/",
        "a question": f"/executions/{asking}/waits/ask/",
        "a question that is answered": f"/executions/{answered}/waits/others/",
        "an address to call": f"/executions/{asking}/waits/call/",
        "waiting for me": "/waiting/",
        "steps": f"/executions/{completed}/steps/",
        "a step": f"/executions/{completed}/steps/in/",
        "a failed step": f"/executions/{failed}/steps/check/",
        "a step never reached": f"/executions/{failed}/steps/paid/",
        "entries": f"/executions/{completed}/entries/?before=5",
        "password": "/password/",
        "api": "/api/docs",
    }


REFUSED = ((404, "/nothing/here/"), (404, "/executions/987654/"), (405, "/executions/1/cancel/"))
SIGNED_OUT = {"sign-in": (200, "/sign-in/"), "a used link": (410, "/welcome/MQ/used-up/"), "nothing": (404, "/none/")}
ADMIN = (
    "/admin/",
    "/admin/executions/workflowexecution/",
    "/admin/workflows/workflow/1/change/",
    "/admin/auth/user/add/",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_says_what_it_is_and_shuts_nobody_out(
    visit: Visit, places: dict[str, str], size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    visitor = visit(viewport={"width": width, "height": height}, color_scheme=scheme)
    wrong = []
    for page, name in visited(visitor, places):
        wrong += looks.built(page, name) + looks.open_to_all(page, name)
        wrong += looks.small(page, name, 44 if size == "narrow" else 24)
    assert not wrong, "\n".join(wrong)


def visited(visitor: Visitor, places: dict[str, str]) -> Iterator[tuple[Page, str]]:
    """Every page in turn: for who is not signed in, for the owner, and what refuses."""
    page = visitor.page()
    for name, (status, url) in SIGNED_OUT.items():
        visitor.expects(status)
        page.goto(url)
        yield page, name
    page = visitor.signed_in()
    for name, url in places.items():
        page.goto(url)
        yield page, name
    for status, url in REFUSED:
        visitor.expects(status)
        page.goto(url)
        yield page, url


@pytest.mark.parametrize(("width", "zoom"), [(320, 1), (720, 2)], ids=["320 px", "200 %"])
def test_every_page_reflows_and_takes_text_set_wider(
    visit: Visit, places: dict[str, str], width: int, zoom: int
) -> None:
    """WCAG 1.4.10, 1.4.4 and 1.4.12: a browser at 200 % tells the page half of its width."""
    visitor = visit(viewport={"width": width, "height": 450}, device_scale_factor=zoom)
    wrong = []
    for page, name in visited(visitor, places):
        wrong += looks.wide(page, name)
        looks.spaced(page)
        wrong += looks.wide(page, f"{name}, set wider")
    assert not wrong, "\n".join(wrong)


def test_the_tab_key_leads_through_every_page_and_out_of_it(visit: Visit, places: dict[str, str]) -> None:
    wrong = []
    for page, name in visited(visit(viewport={"width": 1440, "height": 900}), places):
        wrong += looks.walked(page, name)
    assert not wrong, "\n".join(wrong)


def test_nothing_moves_for_who_asked_for_less_motion(server: Server, visit: Visit, places: dict[str, str]) -> None:
    bread = places["running"].replace("/executions/", "").strip("/")
    again = server.run(server.api("GET", f"/executions/{bread}")["workflow_id"])
    server.until(again, "running")
    for how, is_still in (({}, False), ({"reduced_motion": "reduce"}, True)):
        page = visit(**how).signed_in()
        page.goto(f"/executions/{again}/")
        expect(page.locator("#live")).to_have_text("Live")
        assert (looks.moving(page, "running") == []) is is_still
    server.api("POST", f"/executions/{again}/cancel")


def test_states_keep_an_outline_where_the_system_chooses_the_colours(visit: Visit, places: dict[str, str]) -> None:
    page = visit(forced_colors="active").signed_in()
    page.goto(places["failed"])
    for part in (badge(page), page.locator(".node.is-failed"), page.get_by_role("link", name="Executions").first):
        assert part.evaluate(
            "e => e.checkVisibility() && getComputedStyle(e).color !== getComputedStyle(e).backgroundColor"
        )
    assert badge(page).evaluate("e => getComputedStyle(e).borderTopWidth") == "1px"


def test_on_paper_everything_is_there_black_on_white_and_nothing_to_press(visit: Visit, places: dict[str, str]) -> None:
    page = visit(color_scheme="dark").signed_in()
    for name in ("completed", "failed"):
        page.goto(places[name])
        page.emulate_media(media="print")
        ink, paper = page.evaluate(COLOURS)
        assert brightness(ink) < 60 < 250 < brightness(paper)
        pressed = "button, select, input, .bar, .crumb, .live"
        assert page.locator(pressed).evaluate_all("all => all.filter(e => e.checkVisibility()).length") == 0
        rows = page.locator("ol.log > li")
        assert rows.evaluate_all("all => all.every(e => e.checkVisibility({ contentVisibilityAuto: true }))")
        cut = "all => all.filter(e => e.scrollHeight > e.clientHeight + 1).length"
        assert page.locator(".log-box, .x-scroll, .value").evaluate_all(cut) == 0
        page.emulate_media(media="screen")


#: What no address leads to while all is well: drawn as the server would, without a request or a database.
BROKEN: dict[str, dict[str, str]] = {
    "400.html": {},
    "403.html": {"exception": f"You may not run “{LONG_WORD}”. Ask its owner {LONG_WORD[:150]} to share it."},
    "403_csrf.html": {},
    "500.html": {"incident": "0a1b2c3d"},
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_refusal_fits_and_shuts_nobody_out(visit: Visit, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    page = visit(viewport={"width": width, "height": height}, color_scheme=scheme).page()
    wrong = []
    for name, context in BROKEN.items():
        page.route(f"**/{name}", answer(render_to_string(name, context)))
        page.goto(f"/{name}")
        wrong += looks.built(page, name) + looks.open_to_all(page, name)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("size", "scheme"), [("wide", "light"), ("narrow", "dark")])
def test_what_opens_and_what_was_refused_shuts_nobody_out_either(visit: Visit, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    visitor = visit(viewport={"width": width, "height": height}, color_scheme=scheme)
    page, wrong = visitor.page(), []

    def look(name: str) -> None:
        wrong.extend(looks.built(page, name) + looks.open_to_all(page, name))

    page.goto("/sign-in/")
    menu = page.locator("details[name=menus]:visible > summary")
    menu.click()
    look("the menu at the door")
    sign_in(page, password="not this one")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    look("a wrong password")
    page = visitor.signed_in()
    menu = page.locator("details[name=menus]:visible > summary")
    menu.click()
    look("the menu")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    look("the keys")
    page.goto("/password/")
    page.get_by_label("Old password").fill("not this one")
    page.get_by_label("New password", exact=True).fill("12345")
    page.get_by_label("New password confirmation").fill("54321")
    page.get_by_role("button", name="Change password").and_(page.locator(".primary")).click()
    expect(page.get_by_role("alert").first).to_be_visible()
    look("a refused password")
    assert not wrong, "\n".join(wrong)


def answer(html: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=html, content_type="text/html")


def test_light_and_dark_differ_and_both_can_be_read(server: Server, visit: Visit, places: dict[str, str]) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme).signed_in()
        page.goto(places["completed"])
        colours[scheme] = page.evaluate(COLOURS)
    assert brightness(colours["light"][1]) > 200 > 90 > brightness(colours["light"][0])
    assert brightness(colours["dark"][1]) < 60 < 150 < brightness(colours["dark"][0])


#: Of the text, and of the first thing behind it that is not clear.
COLOURS = """() => {
    const clear = 'rgba(0, 0, 0, 0)', of = e => getComputedStyle(e);
    const places = [document.querySelector("main"), document.body, document.documentElement];
    const behind = places.map(e => of(e).backgroundColor);
    return [of(document.body).color, behind.find(colour => colour !== clear) ?? 'rgb(255, 255, 255)'];
}"""


def brightness(colour: str) -> float:
    parts = [float(part) for part in re.findall(r"[\d.]+", colour)[:3]]
    return sum(parts) / 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_admin_has_our_colours_and_shuts_nobody_out(visit: Visit, scheme: str) -> None:
    page = visit(color_scheme=scheme, bypass_csp=True).signed_in()  # axe itself writes a style into these pages
    wrong = []
    for url in ADMIN:
        page.goto(url)
        wrong += looks.open_to_all(page, url, looks.WCAG)
        paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (brightness(paper) > 200) is (scheme == "light")
    assert not wrong, "\n".join(wrong)


def test_the_admin_works_under_our_policy(visit: Visit) -> None:
    page = visit().signed_in()
    for url in ADMIN:
        page.goto(url)
        expect(page.get_by_role("link", name="Stepstream")).to_be_visible()
    page.goto("/admin/executions/workflowexecution/")
    expect(page.get_by_role("heading", name="Select workflow execution")).to_be_visible()


# By keyboard alone


def test_the_main_job_by_keyboard_alone(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.page()
    page.goto("/sign-in/")
    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type(OWNER)
    tab_to(page, page.get_by_label("Password"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Workflows")

    tab_to(page, page.get_by_role("link", name="Bread and glaze: two timers to watch", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Bread and glaze: two timers to watch")
    tab_to(page, page.get_by_role("main").get_by_role("link", name="Run", exact=True))
    page.keyboard.press("Enter")
    field = page.get_by_label("Input")
    tab_to(page, field)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type('{"bread": "typed"}')
    page.keyboard.press("Control+Enter")
    expect(badge(page)).to_have_text("Running")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.get_by_text("typed").first).to_be_visible()

    tab_to(page, page.get_by_role("button", name="Cancel"))
    page.keyboard.press("Enter")
    expect(badge(page)).to_have_text("Cancelled")
    expect(page.locator("#live")).to_have_text("Finished")
    assert page.evaluate("() => document.activeElement !== null")


def test_the_first_tab_offers_to_skip_the_menu(server: Server, visit: Visit) -> None:
    page = visit().signed_in()
    page.goto("/executions/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def tab_to(page: Page, there: Locator, most: int = 60) -> None:
    """By the Tab key; wherever the focus comes on the way, it can be seen."""
    for _ in range(most):
        if there.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
        place = page.evaluate(FOCUS)
        assert place["is_seen"], f"The focus cannot be seen on {place['what']}"
    raise AssertionError(f"{there} is not within {most} steps of the Tab key")


#: Is there a ring, an outline or a shadow around what has the focus, or around what holds it?
FOCUS = """() => {
    const at = document.activeElement;
    const hasOutline = s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0;
    const hasRing = e => hasOutline(getComputedStyle(e)) || getComputedStyle(e).boxShadow !== 'none';
    const inSvg = at.ownerSVGElement ? [...at.querySelectorAll('*')] : [];
    const isDrawn = inSvg.some(e => getComputedStyle(e).strokeWidth !== '0px');
    return {
        is_seen: at === document.body || hasRing(at) || hasRing(at.parentElement) || isDrawn,
        what: at.outerHTML.slice(0, 120),
    };
}"""


# The run form


def test_a_double_click_on_run_gives_one_execution(server: Server, visit: Visit) -> None:
    page = visit().signed_in()
    workflow_id = server.publish("Clicked", AWKWARD)
    page.goto(f"/workflows/{workflow_id}/run/")
    page.get_by_role("button", name="Run").dblclick()
    page.wait_for_url(re.compile(r"/executions/\d+/$"))
    expect(badge(page)).to_have_text("Completed")
    assert len(executions_of(server, workflow_id)) == 1


def test_ctrl_enter_twice_gives_one_execution(server: Server, visit: Visit) -> None:
    page = visit().signed_in()
    workflow_id = server.publish("Pressed", AWKWARD)
    page.goto(f"/workflows/{workflow_id}/run/")
    page.get_by_label("Input").focus()
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(r"/executions/\d+/$"))
    expect(badge(page)).to_have_text("Completed")
    assert len(executions_of(server, workflow_id)) == 1


def test_going_back_and_running_again_gives_a_second_one(server: Server, visit: Visit) -> None:
    page = visit().signed_in()
    workflow_id = server.publish("Twice", AWKWARD)
    page.goto(f"/workflows/{workflow_id}/run/")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/executions/\d+/$"))
    page.go_back()
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/executions/\d+/$"))
    expect(badge(page)).to_have_text("Completed")
    assert len(executions_of(server, workflow_id)) == 2


def executions_of(server: Server, workflow_id: int) -> list[Any]:
    return server.rows("SELECT id FROM executions_workflowexecution WHERE workflow_id = ?", workflow_id)


TYPED = ('{"name": "Ada",\n  "list": [1, 2,,]}', '["a list"]', "hello", '{"n": NaN}', '{"a": "\\ud800"}', "[" * 5_000)


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_an_input_that_is_no_object_stays_as_typed_with_the_error_at_the_field(
    server: Server, visit: Visit, script: bool
) -> None:
    visitor = visit(java_script_enabled=script)
    visitor.expects(422)
    page = visitor.signed_in()
    workflow_id = server.publish("Typed", AWKWARD)
    page.goto(f"/workflows/{workflow_id}/run/")
    for typed in TYPED:
        refused_and_kept(page, typed)
    assert executions_of(server, workflow_id) == []
    page.get_by_label("Input").fill('{"name": "Ada"}')
    page.get_by_role("button", name="Run").click()
    expect(badge(page)).to_have_text("Completed")


def refused_and_kept(page: Page, typed: str) -> None:
    field = page.get_by_label("Input")
    field.fill(typed)
    page.get_by_role("button", name="Run").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value(typed)
    told = field.get_attribute("aria-describedby") or ""
    error = page.locator(", ".join(f"#{name}" for name in told.split())).and_(page.get_by_role("alert"))
    expect(error).to_be_visible()
    assert len(error.inner_text().strip()) > 10


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_definition_as_json_stays_as_typed_and_names_what_is_wrong(
    server: Server, visit: Visit, script: bool
) -> None:
    visitor = visit(java_script_enabled=script)
    visitor.expects(422)
    page = visitor.signed_in()
    workflow_id = server.publish(f"Mine, script {script}", AWKWARD)
    page.goto(f"/workflows/{workflow_id}/definition/")
    page.get_by_label("Definition").fill("{not json")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_role("alert").first).to_contain_text("line 1, column 2")
    expect(page.get_by_label("Definition")).to_have_value("{not json")
    loop = {"nodes": [{"id": "a", "type": "wizard"}], "edges": [{"source": "a", "target": "b"}]}
    page.get_by_label("Definition").fill(json.dumps(loop))
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_role("heading", name="This draft cannot be drawn")).to_be_visible()
    page.get_by_role("link", name="Mend it as JSON").click()
    page.get_by_label("Definition").fill(json.dumps(AWKWARD))
    page.get_by_role("button", name="Save draft").click()
    expect(page.locator("#b-outline .name")).to_have_count(4)


def test_signed_out_elsewhere_a_cancel_leads_to_the_sign_in(server: Server, visit: Visit) -> None:
    """The page is still there when its session is not: what is asked of it must not end in silence."""
    visitor: Visitor = visit()
    page = visitor.signed_in()
    bread = next(item["id"] for item in server.api("GET", "/workflows/?limit=100")["items"] if "Bread" in item["name"])
    execution_id = server.run(bread)
    page.goto(f"/executions/{execution_id}/")
    expect(page.locator("#live")).to_have_text("Live")
    visitor.context.clear_cookies()
    visitor.expects(403)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert server.status(execution_id) == "running"


def test_a_browser_is_at_hand(browser: Browser) -> None:
    assert browser.is_connected()
