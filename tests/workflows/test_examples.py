"""The examples: they load once, publish without a word of complaint, and offer an input to run them with."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.management import call_command

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import WorkflowExecution
from workflows.graph import parse
from workflows.management.commands import load_examples
from workflows.models import LoadedExample, Workflow
from workflows.models.workflow import definition_problems
from workflows.permissions import can, visible_to

FILES = sorted(load_examples.FOLDER.glob("*.json"))


def read(file: Path) -> dict[str, Any]:
    example: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return example


def load() -> str:
    said = StringIO()
    call_command("load_examples", stdout=said)
    return said.getvalue().strip()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_has_neither_errors_nor_warnings(file: Path) -> None:
    assert definition_problems(read(file)["definition"]) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_says_what_you_will_see_and_where_its_steps_stand(file: Path) -> None:
    example = read(file)
    nodes = example["definition"]["nodes"]
    assert len(example["description"]) > 100
    assert all(node["data"]["label"] != node["id"] for node in nodes)
    places = [(node["position"]["x"], node["position"]["y"]) for node in nodes]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_first_step_of_an_example_offers_an_input(file: Path) -> None:
    graph = parse(read(file)["definition"])
    assert [graph.nodes[root].type for root in graph.roots] == ["input"]
    assert graph.nodes[graph.roots[0]].data["example"]


def test_there_is_one_of_every_sort() -> None:
    slugs = {file.stem for file in FILES}
    kinds = [{node["type"] for node in read(file)["definition"]["nodes"]} for file in FILES]
    assert len(FILES) >= 5 and "customer-inquiry-triage" in slugs
    plain = ("countdown", "delay", "check", "ai", "branch", "switch", "for_each", "approval")
    at_work = ("http", "email", "sql", "set", "list", "convert", "compute")
    assert all(any(kind in used for used in kinds) for kind in (*plain, *at_work))


@pytest.mark.django_db
def test_examples_are_loaded_once() -> None:
    assert load() == f"Examples: {len(FILES)} loaded, 0 known already."
    assert load() == f"Examples: 0 loaded, {len(FILES)} known already."
    assert Workflow.objects.count() == LoadedExample.objects.count() == len(FILES)
    assert all(workflow.is_runnable for workflow in Workflow.objects.all())


@pytest.mark.django_db
def test_an_archived_example_stays_away() -> None:
    load()
    Workflow.objects.get(name="Customer inquiry triage").archive()
    load()
    assert Workflow.objects.listed().count() == len(FILES) - 1
    assert Workflow.objects.filter(name="Customer inquiry triage").count() == 1


@pytest.mark.django_db
def test_a_deleted_example_stays_away() -> None:
    load()
    triage = Workflow.objects.filter(name="Customer inquiry triage")
    triage.update(published=None)
    triage.delete()
    load()
    assert not Workflow.objects.filter(name="Customer inquiry triage").exists()


@pytest.mark.django_db
def test_a_broken_example_is_not_half_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"name": "Broken", "description": "", "definition": {"nodes": [], "edges": []}}
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    monkeypatch.setattr(load_examples, "FOLDER", tmp_path)
    with pytest.raises(Exception, match="no nodes"):
        load()
    assert not Workflow.objects.exists() and not LoadedExample.objects.exists()


@pytest.mark.django_db
def test_everybody_may_see_and_run_an_example_but_nobody_owns_it(charlie: User) -> None:
    load()
    for workflow in visible_to(charlie):
        assert can(charlie, "run", workflow)
        assert not can(charlie, "edit", workflow)
    assert visible_to(charlie).count() == len(FILES)


def run(slug: str, **changes: Any) -> Any:
    """The example on its own input, with changes; None takes a field away."""
    example = read(load_examples.FOLDER / f"{slug}.json")
    given = example["definition"]["nodes"][0]["data"]["example"] | changes
    workflow = Workflow.objects.get(name=example["name"])
    kept = {key: value for key, value in given.items() if value is not None}
    return async_to_sync(WorkflowEngine().execute_workflow)(workflow.pk, kept)


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["customer-inquiry-triage", "order-intake", "tidy-a-list"])
def test_a_short_example_completes_on_its_own_input(slug: str) -> None:
    load()
    result = run(slug)
    assert result.status == "completed" and result.output_data["result"]


@pytest.mark.django_db
def test_the_order_intake_names_the_field_that_is_missing() -> None:
    load()
    with pytest.raises(WorkflowExecutionError, match="Missing: postcode"):
        run("order-intake", postcode=None)


@pytest.mark.django_db
def test_the_refund_fails_on_purpose_and_says_everything_at_once() -> None:
    load()
    with pytest.raises(WorkflowExecutionError, match="Missing: email.*“reason” is 'changed my mind'"):
        run("refund-that-fails")
    execution = WorkflowExecution.objects.get()
    error: Any = execution.error
    assert error["node"] == "check" and error["step_name"] == "Request can be paid"
    assert error["details"]["missing"] == ["email"]
    kinds = dict(execution.entries.filter(node__isnull=False).exclude(kind="logged").values_list("node", "kind"))
    assert kinds["records"] == "cancelled" and "letter" not in kinds


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, {"insure", "truck"}),
        ({"value": 20, "fragile": False, "country": "Germany"}, {"bicycle"}),
        ({"value": 20, "country": "Japan"}, {"insure", "flight"}),
    ],
)
def test_a_parcel_takes_the_way_that_fits_it(changes: dict[str, Any], taken: set[str]) -> None:
    load()
    run("parcels-that-part-ways", **changes)
    entries = WorkflowExecution.objects.get().entries.filter(kind="completed")
    ways = {"insure", "bicycle", "truck", "flight"}
    assert ways & set(entries.values_list("node", flat=True)) == taken


@pytest.mark.django_db(transaction=True)
def test_each_guest_gets_a_card_or_a_question() -> None:
    load()
    result = run("name-cards-for-guests")
    items = result.output_data["result"]["items"]
    assert [item["item"] for item in items] == ["MIRA OKAFOR", "JONAS WEBER", "", "SAM LINDQVIST", "ADA BYRON"]
    question = WorkflowExecution.objects.get(item_index=2)
    kinds = list(question.entries.filter(node="named").values_list("kind", flat=True))
    assert kinds.count("retried") == 1 and kinds[-1] == "failed"
    assert question.entries.filter(node="ask", kind="completed").exists()
