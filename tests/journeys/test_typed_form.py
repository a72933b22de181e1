"""The typed run form in a real browser: by keyboard alone, wrong first and then right, as JSON, and without script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys import looks
from tests.journeys.conftest import Visit, serving
from tests.journeys.server import Server
from tests.journeys.test_pages_look import tab_to
from tests.journeys.visitor import Visitor, badge

FIELDS: list[dict[str, Any]] = [
    {"name": "customer", "label": "Customer", "required": True, "help": "As it stands on the invoice."},
    {"name": "loaves", "type": "number", "label": "Loaves", "default": 2},
    {"name": "crust", "type": "choice", "label": "Crust", "choices": ["soft", "dark", "rye"], "default": "soft"},
    {"name": "due", "type": "date", "label": "Due", "required": True},
    {"name": "dry", "type": "boolean", "label": "Dry run", "help": "Sends nothing."},
    {"name": "extras", "type": "json", "label": "Extras"},
]
ORDER: dict[str, Any] = {
    "nodes": [
        {"id": "in", "type": "input", "data": {"label": "Order", "fields": FIELDS}},
        {"id": "work", "type": "process", "data": {"label": "Shout", "operation": "uppercase"}},
    ],
    "edges": [{"source": "in", "target": "work"}],
}
GIVEN = {"customer": "Ada", "loaves": 3.5, "crust": "dark", "due": "2026-11-24", "dry": True, "extras": {"a": 1}}


@pytest.fixture(scope="module")
def server(prepared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ExitStack() as stack:
        server = stack.enter_context(serving(prepared, tmp_path_factory.mktemp("typed")))
        server.start()
        yield server


def form_of(server: Server, page: Page, name: str) -> int:
    workflow_id = server.publish(name, ORDER)
    page.goto(f"/workflows/{workflow_id}/run/")
    return workflow_id


def inputs(server: Server, workflow_id: int) -> list[Any]:
    sql = "SELECT input_data FROM executions_workflowexecution WHERE workflow_id = ? ORDER BY id"
    return [json.loads(text) for (text,) in server.rows(sql, workflow_id)]


def careless(visit: Visit, **how: Any) -> tuple[Visitor, Page]:
    """A visitor who will be refused, and whose console says so."""
    visitor = visit(**how)
    visitor.expects(422)
    return visitor, visitor.signed_in()


def test_every_type_by_keyboard_wrong_first_and_then_right(server: Server, visit: Visit) -> None:
    _, page = careless(visit)
    workflow_id = form_of(server, page, "By keyboard")
    tab_to(page, page.get_by_label("Loaves"))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("3,5")
    page.keyboard.press("Enter")  # runs; it must not press a tab

    summary = page.get_by_role("alert", name="Nothing was started")
    expect(summary).to_be_focused()
    expect(page.get_by_label("Loaves")).to_have_value("3,5")
    tab_to(page, summary.get_by_role("link", name="“Loaves”"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Loaves")).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("3.5")
    page.keyboard.press("Tab")
    page.keyboard.type("dark")
    tab_to(page, page.get_by_label("Due"))
    page.keyboard.type("11242026")
    tab_to(page, page.get_by_label("Dry run"))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_label("Extras"))
    page.keyboard.type('{"a": 1}')
    page.keyboard.press("Control+Enter")

    expect(summary).to_be_focused()  # one is still missing
    assert summary.get_by_role("link").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("Ada")
    page.keyboard.press("Control+Enter")
    expect(badge(page)).to_have_text("Completed")
    assert inputs(server, workflow_id) == [GIVEN]

    page.goto(f"/workflows/{workflow_id}/run/")
    expect(page.get_by_text("Filled from your execution")).to_be_visible()
    expect(page.get_by_label("Loaves")).to_have_value("3.5")
    expect(page.get_by_label("Dry run")).to_be_checked()
    page.get_by_role("link", name="Use defaults").click()
    expect(page.get_by_label("Loaves")).to_have_value("2")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_form_and_json_are_two_sides_of_one_thing(server: Server, visit: Visit, script: bool) -> None:
    _, page = careless(visit, java_script_enabled=script)
    workflow_id = form_of(server, page, f"Tabs, script {script}")
    page.get_by_label("Customer").fill("Ada")
    page.get_by_label("Loaves").fill("many")
    page.get_by_label("Due").fill("2026-11-24")
    page.get_by_role("button", name="JSON").click()
    text = page.get_by_label("Input", exact=True)
    typed = json.loads(text.input_value())
    assert typed == {"customer": "Ada", "loaves": "many", "crust": "soft", "due": "2026-11-24", "dry": False}

    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert", name="Nothing was started")).to_contain_text("“Loaves” must be a number")
    text.fill(json.dumps({**typed, "loaves": 4, "note": "beside"}))
    page.get_by_role("button", name="Form").click()
    expect(page.get_by_label("Loaves")).to_have_value("4")
    expect(page.get_by_text("Given beside these fields: note")).to_be_visible()
    page.get_by_label("Crust").select_option("rye")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/executions/\d+/$"))
    expect(badge(page)).to_have_text("Completed")
    assert inputs(server, workflow_id) == [{**typed, "loaves": 4, "crust": "rye", "note": "beside"}]


def test_a_double_click_on_a_typed_form_gives_one_execution(server: Server, visit: Visit) -> None:
    page = visit().signed_in()
    workflow_id = form_of(server, page, "Clicked twice")
    page.get_by_label("Customer").fill("Ada")
    page.get_by_label("Due").fill("2026-11-24")
    page.get_by_role("button", name="Run").dblclick()
    expect(badge(page)).to_have_text("Completed")
    assert len(inputs(server, workflow_id)) == 1


def test_a_draft_is_tried_up_to_a_step_and_one_step_alone(server: Server, visit: Visit) -> None:
    page = visit().signed_in()
    workflow_id = form_of(server, page, "To try")
    page.goto(f"/workflows/{workflow_id}/try/?until=in")
    page.get_by_label("Customer").fill("Ada")
    page.get_by_label("Due").fill("2026-11-24")
    page.get_by_role("button", name="Run the draft").click()
    expect(badge(page)).to_have_text("Completed")
    expect(page.get_by_text("draft, up to Order").first).to_be_visible()

    page.goto(f"/workflows/{workflow_id}/try/?only=in")
    page.goto(f"/workflows/{workflow_id}/try/?only=work")
    page.get_by_label("Input", exact=True).fill('{"word": "hush"}')
    page.get_by_role("button", name="Run the draft").click()
    expect(badge(page)).to_have_text("Completed")
    expect(page.get_by_text("HUSH").first).to_be_visible()
    page.goto(f"/workflows/{workflow_id}/try/?only=work")
    expect(page.get_by_label("Input", exact=True)).to_have_value('{"word": "hush"}')


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360, 320])
def test_the_form_fits_with_all_its_errors(server: Server, visit: Visit, width: int, scheme: str) -> None:
    _, page = careless(visit, viewport={"width": width, "height": 780}, color_scheme=scheme)
    long_word = "Donaudampfschifffahrtsgesellschaft" * 3
    wide = [{**field, "label": f"{field['label']} {long_word}", "required": True} for field in FIELDS]
    nodes = [{"id": "in", "type": "input", "data": {"label": long_word, "fields": wide}}]
    nodes.append({"id": "work", "type": "process", "data": {"label": f"{long_word} {long_word}"}})
    workflow_id = server.publish(f"{long_word} {width} {scheme}", {"nodes": nodes})
    wrong = []
    for place in ("run/", "run/?as=json", "try/", "try/?until=in", "try/?only=in"):
        page.goto(f"/workflows/{workflow_id}/{place}")
        wrong += looks.built(page, place)
        page.get_by_role("button", name=re.compile("^Run")).click()
        wrong += looks.built(page, f"{place} refused")
    page.goto(f"/workflows/{workflow_id}/try/?only=work")
    page.get_by_role("button", name="Run the draft").click()
    expect(badge(page)).to_have_text("Completed")
    wrong += looks.built(page, "a draft's execution")
    page.goto("/executions/")
    wrong += looks.built(page, "the list of it")
    assert wrong == []
