"""`export_workflow` and `import_workflow`, as a shell meets them: what they write, what they refuse, how they end."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tests import conftest
from tests.workflows.test_exchange import FLOWS, N8N_NODE
from tests.workflows.test_versions import stored, whispering
from workflows.exchange import read
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

CHAIN: dict[str, Any] = conftest.CHAIN


def told(*command: str) -> str:
    out = io.StringIO()
    call_command(*command, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def said(*command: str) -> str:
    err = io.StringIO()
    call_command(*command, stdout=io.StringIO(), stderr=err)
    return err.getvalue()


def refused(*command: str) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        told(*command)
    return caught.value.returncode, str(caught.value)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    file = tmp_path / "night_shift.json"
    file.write_text(json.dumps(FLOWS[1]))
    return file


def of(tmp_path: Path, content: Any) -> str:
    file = tmp_path / "content.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(file)


# Export


def test_a_workflow_goes_out_by_name_and_by_id(workflow: Workflow) -> None:
    assert read(told("export_workflow", "Chain")).definition == CHAIN
    assert told("export_workflow", str(workflow.pk)) == told("export_workflow", "Chain")


def test_a_version_goes_out_by_its_number_and_else_the_draft(workflow: Workflow) -> None:
    workflow.keep_draft(whispering())
    assert read(told("export_workflow", "Chain")).definition == whispering()
    assert read(told("export_workflow", "Chain", "--version", "1")).definition == CHAIN
    assert refused("export_workflow", "Chain", "--version", "7") == (
        2,
        "'Chain' has no version 7; the one that runs is 1.",
    )


def test_a_file_can_be_written_and_what_cannot_is_said(workflow: Workflow, tmp_path: Path) -> None:
    assert told("export_workflow", "Chain", "--output", str(tmp_path / "chain.json")) == ""
    assert read((tmp_path / "chain.json").read_bytes()).definition == CHAIN
    code, text = refused("export_workflow", "Chain", "--output", str(tmp_path / "no" / "chain.json"))
    assert code == 2 and "cannot be written" in text


@pytest.mark.parametrize("name", ["Nothing", "999999", "9" * 60, "", "-1", "chain'--"])
def test_what_is_not_there_is_said(workflow: Workflow, name: str) -> None:
    code, text = refused("export_workflow", "--", name)
    assert code == 2 and "There is no workflow" in text


def test_two_of_the_same_name_are_told_apart_by_id(workflow: Workflow) -> None:
    other = Workflow.objects.create(name="Chain")
    code, text = refused("export_workflow", "Chain")
    assert code == 2 and f"{workflow.pk}, {other.pk}" in text


def test_a_name_that_is_a_number_is_found_where_no_id_is(workflow: Workflow) -> None:
    Workflow.objects.create(name="2026042")
    assert read(told("export_workflow", "2026042")).name == "2026042"


# Import


def test_a_file_becomes_a_draft_of_the_owner(graph: Path, alice: User) -> None:
    text = told("import_workflow", str(graph), "--owner", "alice")
    workflow = Workflow.objects.get()
    assert (workflow.name, workflow.owner, workflow.draft) == ("night shift", alice, FLOWS[1])
    assert workflow.published is None and text == f"Workflow {workflow.pk}, 'night shift', has it as a draft.\n"


def test_what_was_exported_comes_in_the_same(workflow: Workflow, tmp_path: Path) -> None:
    workflow.set_tags(["night"])
    exported = told("export_workflow", "Chain")
    told("import_workflow", of(tmp_path, exported), "--publish")
    made = Workflow.objects.latest("pk")
    assert made.is_runnable and told("export_workflow", str(made.pk)) == exported


def test_stdin_is_read_where_the_file_is_a_dash(monkeypatch: pytest.MonkeyPatch, alice: User) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(CHAIN).encode())))
    told("import_workflow", "-", "--name", "  From  a pipe ", "--owner", "alice")
    assert Workflow.objects.get().name == "From a pipe"


def test_into_a_workflow_its_draft_is_replaced_and_can_be_undone(workflow: Workflow, tmp_path: Path) -> None:
    told("import_workflow", of(tmp_path, whispering()), "--into", str(workflow.pk))
    assert stored(workflow).draft == whispering() and stored(workflow).published == workflow.published
    stored(workflow).undo()
    assert stored(workflow).definition == CHAIN


def test_into_and_publish_makes_the_next_version(workflow: Workflow, tmp_path: Path) -> None:
    assert "as version 2." in told("import_workflow", of(tmp_path, whispering()), "--into", "Chain", "--publish")


def test_nobodys_workflow_is_said_to_be_everybodys(graph: Path) -> None:
    assert "everybody who is signed in may see and run it" in said("import_workflow", str(graph))


def test_problems_of_a_draft_are_told(graph: Path, alice: User) -> None:
    assert "Error: Step “2” needs a “type”." in said("import_workflow", str(graph), "--owner", "alice")


def test_what_cannot_be_published_makes_nothing(graph: Path) -> None:
    code, text = refused("import_workflow", str(graph), "--publish")
    assert code == 1 and "- Step “2” needs a “type”." in text
    assert not Workflow.objects.exists()


def test_what_cannot_be_published_leaves_the_draft_alone(workflow: Workflow, graph: Path) -> None:
    assert refused("import_workflow", str(graph), "--into", "Chain", "--publish")[0] == 1
    assert stored(workflow).draft is None and stored(workflow).revision == workflow.revision


@pytest.mark.parametrize("content", ["", "{", "[]", '{"nodes": [], "nodes": []}'])
def test_a_wrong_file_makes_nothing(tmp_path: Path, content: str) -> None:
    code, text = refused("import_workflow", of(tmp_path, content))
    assert code == 1 and text.startswith(str(tmp_path)) and not Workflow.objects.exists()


def test_an_n8n_export_is_called_one(tmp_path: Path) -> None:
    code, text = refused("import_workflow", of(tmp_path, {"nodes": [N8N_NODE], "connections": {}}))
    assert code == 1 and "n8n export" in text


def test_what_was_named_and_is_not_there_is_said(graph: Path, workflow: Workflow, tmp_path: Path) -> None:
    for command in (
        ["import_workflow", str(tmp_path / "no.json")],
        ["import_workflow", str(tmp_path)],
        ["import_workflow", str(graph), "--owner", "nobody"],
        ["import_workflow", str(graph), "--into", "Nothing"],
        ["import_workflow", str(graph), "--into", "Chain", "--name", "Other"],
        ["import_workflow", str(graph), "--name", "x" * 201],
    ):
        assert refused(*command)[0] == 2, command
    assert Workflow.objects.get() == workflow
