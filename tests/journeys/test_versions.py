"""From a draft to versions and back, and a workflow from one installation to the next: with script and without."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import conftest
from tests.journeys.conftest import Visit, serving
from tests.journeys.server import Server

CHAIN: dict[str, Any] = conftest.CHAIN
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])


@pytest.fixture(scope="module")
def server(prepared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for the whole file: nothing here goes away."""
    with serving(prepared, tmp_path_factory.mktemp("versions")) as server:
        server.start()
        yield server


def whispering() -> dict[str, Any]:
    made = copy.deepcopy(CHAIN)
    made["nodes"][1]["data"] = {"label": "Whisper", "operation": "lowercase"}
    return made


@SCRIPT
def test_a_workflow_is_published_changed_and_taken_back(server: Server, visit: Visit, script: bool) -> None:
    page = visit(java_script_enabled=script, viewport={"width": 360, "height": 740}).signed_in()
    draft = {"name": f"Night, script {script}", "definition": CHAIN, "draft": True}
    workflow_id = int(server.api("POST", "/workflows/", draft)["id"])
    publish(page, workflow_id, "As it was asked for")
    first = server.run(workflow_id, {"name": "Ada"})

    server.api("PUT", f"/workflows/{workflow_id}", {"definition": whispering(), "draft": True})
    page.goto(f"/workflows/{workflow_id}/versions/")
    expect(page.get_by_role("listitem").filter(has_text="not published").first).to_contain_text("Renamed “Shout”")
    publish(page, workflow_id, "Quieter")
    second = server.run(workflow_id, {"name": "Ada"})

    page.goto(f"/workflows/{workflow_id}/versions/")
    expect(page.get_by_text("Quieter")).to_be_visible()
    expect(page.get_by_text("As it was asked for")).to_be_visible()
    expect(page.get_by_text("“Whisper”: operation changed from “uppercase” to “lowercase”")).to_be_visible()
    page.get_by_role("link", name="Run version 1 again").click()
    expect(page.get_by_text("Renamed “Whisper” to “Shout”")).to_be_visible()
    page.get_by_role("button", name="Run this version again").click()
    expect(page.get_by_text("Version 3 is published: it is version 1 again.")).to_be_visible()

    third = server.run(workflow_id, {"name": "Ada"})
    server.until(third, "completed")
    assert [number_of(server, one) for one in (first, second, third)] == [1, 2, 3]
    assert [output(server, one) for one in (first, second, third)] == ["ADA", "ada", "ADA"]


def publish(page: Page, workflow_id: int, note: str) -> None:
    page.goto(f"/workflows/{workflow_id}/publish/")
    page.get_by_label("Note").fill(note)
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("is published.")).to_be_visible()


def number_of(server: Server, execution_id: int) -> int:
    sql = "SELECT number FROM workflows_workflowversion WHERE id = (SELECT version_id FROM {} WHERE id = ?)"
    return int(server.rows(sql.format("executions_workflowexecution"), execution_id)[0][0])


def output(server: Server, execution_id: int) -> str:
    server.until(execution_id, "completed")
    return str(server.api("GET", f"/executions/{execution_id}")["output_data"]["name"])


@SCRIPT
def test_a_draft_that_someone_else_changed_is_shown_before_it_is_published(
    server: Server, visit: Visit, script: bool
) -> None:
    visitor = visit(java_script_enabled=script)
    visitor.expects(409)
    page = visitor.signed_in()
    workflow_id = server.publish(f"Two of us, script {script}", CHAIN)
    server.api("PUT", f"/workflows/{workflow_id}", {"definition": {**CHAIN, "edges": []}, "draft": True})
    page.goto(f"/workflows/{workflow_id}/publish/")
    page.get_by_label("Note").fill("Mine")
    server.api("PUT", f"/workflows/{workflow_id}", {"definition": whispering(), "draft": True})
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing was done")
    expect(page.get_by_text("Renamed “Shout” to “Whisper”")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("Mine")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 2 is published.")).to_be_visible()


@SCRIPT
def test_a_workflow_goes_out_as_a_file_and_comes_in_again(
    server: Server, visit: Visit, script: bool, tmp_path: Path
) -> None:
    visitor = visit(java_script_enabled=script)
    visitor.expects(422)
    page = visitor.signed_in()
    workflow_id = server.publish(f"On its way, script {script}", whispering())
    page.goto(f"/workflows/{workflow_id}/versions/1/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == f"on-its-way-script-{str(script).lower()}-v1.json"

    page.goto("/workflows/import/")
    page.get_by_label("File").set_input_files(file)
    page.get_by_label("Name").fill(f"Arrived, script {script}")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("is imported as a draft")).to_be_visible()
    assert draft_called(server, f"Arrived, script {script}") == whispering()


@SCRIPT
def test_a_pasted_graph_is_mended_in_its_field_and_comes_in(server: Server, visit: Visit, script: bool) -> None:
    visitor = visit(java_script_enabled=script)
    visitor.expects(422)
    page = visitor.signed_in()
    page.goto("/workflows/import/")
    text = json.dumps({**CHAIN, "viewport": {"x": 1.5, "y": 0, "zoom": 2}})
    page.get_by_label("Name").fill(f"Pasted, script {script}")
    for wrong in (text[:-1], '{"nodes": [{"parameters": {}, "name": "a"}], "connections": {}}'):
        page.get_by_label("Or paste it").fill(wrong)
        page.get_by_role("button", name="Import").click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("Or paste it")).to_have_value(wrong)
    page.get_by_label("Or paste it").fill(text)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("is imported as a draft")).to_be_visible()
    assert draft_called(server, f"Pasted, script {script}") == json.loads(text)


def draft_called(server: Server, name: str) -> Any:
    return json.loads(server.rows("SELECT draft FROM workflows_workflow WHERE name = ?", name)[0][0])
