"""A workflow's verbs: publish, keep a draft, archive; and that a version never changes."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, RestrictedError

from executions.engine import WorkflowEngine
from tests.conftest import CHAIN
from workflows.edits import configure
from workflows.errors import DefinitionError, EditConflict, EditError, InputError
from workflows.models import Workflow, WorkflowVersion
from workflows.models.workflow import definition_problems

pytestmark = pytest.mark.django_db

SMALL: dict[str, Any] = {"nodes": [{"id": "a", "type": "input", "data": {}}], "edges": []}
OTHER: dict[str, Any] = {"nodes": [{"id": "a", "type": "default", "data": {}}], "edges": []}
BROKEN: dict[str, Any] = {"nodes": [{"id": "a", "type": "input"}], "edges": [{"source": "a", "target": "b"}]}


@pytest.fixture
def fresh(alice: User) -> Workflow:
    return Workflow.objects.create(name="Fresh", owner=alice)


def as_stored(workflow: Workflow) -> Workflow:
    return Workflow.objects.select_related("published").get(pk=workflow.pk)


# Publish


def test_a_new_workflow_is_active_and_cannot_run_yet(fresh: Workflow) -> None:
    assert fresh.is_active and not fresh.is_runnable and fresh.published is None
    assert fresh.definition == {"nodes": [], "edges": []} and (fresh.max_parallel, fresh.draft) == (8, None)
    assert not Workflow.objects.runnable() and list(Workflow.objects.listed()) == [fresh]


def test_publishing_makes_the_version_that_runs(fresh: Workflow, alice: User) -> None:
    version = fresh.publish(CHAIN, by=alice, note="first")
    stored = as_stored(fresh)
    assert stored.published == version and stored.is_runnable and list(Workflow.objects.runnable()) == [fresh]
    assert (version.number, version.created_by, version.note, version.definition) == (1, alice, "first", CHAIN)
    assert stored.definition == CHAIN and list(stored.graph().nodes) == ["in", "work", "out"]


def test_versions_are_counted(fresh: Workflow) -> None:
    numbers = [fresh.publish(definition).number for definition in (SMALL, OTHER, SMALL)]
    assert numbers == [1, 2, 3] and fresh.versions.count() == 3
    other = Workflow.objects.create(name="Other")
    assert other.publish(SMALL).number == 1


def test_a_draft_that_moved_on_is_not_published(fresh: Workflow) -> None:
    fresh.keep_draft(SMALL)
    seen = fresh.revision
    fresh.keep_draft(OTHER)
    with pytest.raises(EditConflict):
        fresh.publish(seen=seen)
    assert as_stored(fresh).published is None and as_stored(fresh).draft == OTHER
    assert fresh.publish(seen=fresh.revision).definition == OTHER


def test_a_workflow_is_called_by_its_number_or_by_its_name(fresh: Workflow) -> None:
    other = Workflow.objects.create(name=str(fresh.pk))
    assert list(Workflow.objects.called(str(fresh.pk))) == [fresh], "the number goes before the name"
    assert list(Workflow.objects.called("Fresh")) == [fresh]
    fresh.archive()
    assert not Workflow.objects.called("Fresh").exists() and not Workflow.objects.called("١").exists()
    assert list(Workflow.objects.called(str(fresh.pk))) == [fresh] and other.pk != fresh.pk


def test_publishing_what_already_runs_makes_no_new_version(fresh: Workflow) -> None:
    first = fresh.publish(CHAIN)
    assert fresh.publish(copy.deepcopy(CHAIN)) == first
    assert as_stored(fresh).publish(copy.deepcopy(CHAIN)) == first
    assert fresh.versions.count() == 1


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False)])
def test_equal_in_python_is_not_the_same_definition(fresh: Workflow, old: Any, new: Any) -> None:
    def with_value(value: Any) -> dict[str, Any]:
        return {"nodes": [{"id": "a", "type": "default", "data": {"notes": value}}], "edges": []}

    fresh.publish(with_value(old))
    fresh.publish(with_value(new))
    kept = as_stored(fresh).definition["nodes"][0]["data"]["notes"]
    assert type(kept) is type(new), "it is kept as it came"


def test_a_definition_that_was_changed_in_place_is_a_new_version(fresh: Workflow) -> None:
    """The natural way in code: take what runs, change it, publish it."""
    fresh.publish(copy.deepcopy(CHAIN))
    workflow = as_stored(fresh)
    definition = workflow.definition
    definition["nodes"][1]["data"]["operation"] = "lowercase"
    assert workflow.publish(definition).number == 2
    assert as_stored(fresh).definition["nodes"][1]["data"]["operation"] == "lowercase"
    assert fresh.versions.get(number=1).definition == CHAIN


def test_a_draft_that_was_changed_in_place_is_not_taken_for_what_runs(fresh: Workflow) -> None:
    fresh.publish(copy.deepcopy(CHAIN))
    workflow = as_stored(fresh)
    definition = workflow.definition
    definition["nodes"][1]["data"]["operation"] = "lowercase"
    workflow.keep_draft(definition)
    assert as_stored(fresh).draft is not None
    assert as_stored(fresh).definition["nodes"][1]["data"]["operation"] == "lowercase"


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        ({"nodes": [], "edges": []}, "graph.empty"),
        ({}, "graph.shape"),
        ([], "graph.shape"),
        ("text", "graph.shape"),
        (BROKEN, "graph.unknown_node"),
        ({"nodes": [{"id": "a", "type": "nonsense"}]}, "step.unknown_type"),
        ({"nodes": [{"id": "a", "type": "delay", "data": {"seconds": "x"}}]}, "step.config"),
        (
            {
                "nodes": SMALL["nodes"] + [{"id": "b", "type": "default"}],
                "edges": [{"source": "a", "target": "b", "sourceHandle": "x"}],
            },
            "graph.unknown_handle",
        ),
        ({**SMALL, "edges": [{"source": "a", "target": "a"}]}, "graph.cycle"),
    ],
)
def test_a_wrong_definition_is_refused_and_nothing_changes(fresh: Workflow, definition: Any, code: str) -> None:
    first = fresh.publish(SMALL)
    fresh.keep_draft(OTHER)
    with pytest.raises(DefinitionError) as caught:
        fresh.publish(definition)
    assert [problem.code for problem in caught.value.problems] == [code]
    stored = as_stored(fresh)
    assert stored.published == first and stored.draft == OTHER and stored.versions.count() == 1


def test_a_workflow_that_has_nothing_cannot_be_published(fresh: Workflow) -> None:
    with pytest.raises(DefinitionError, match="no nodes to execute"):
        fresh.publish()
    assert not WorkflowVersion.objects.exists()


def test_warnings_do_not_stop_a_publish(fresh: Workflow) -> None:
    definition = {"nodes": [{"id": "a", "type": "default", "data": {"colour": 1}}, {"id": "b", "type": "default"}]}
    assert {problem.level for problem in definition_problems(definition)} == {"warning"}
    assert fresh.publish(definition).definition == definition


def test_unknown_keys_survive(fresh: Workflow) -> None:
    definition = {
        "nodes": [{"id": "a", "type": "input", "data": {"x": [None]}, "position": {"x": 1.5}, "selected": False}],
        "edges": [],
        "viewport": {"zoom": 1},
        "ü": "😀",
    }
    fresh.publish(definition)
    assert as_stored(fresh).definition == definition


@pytest.mark.parametrize(
    "value", [float("nan"), "a\x00b", "half \ud800", {1, 2}, object()], ids=["nan", "nul", "surrogate", "set", "object"]
)
def test_a_definition_that_cannot_be_kept_is_refused(fresh: Workflow, value: Any) -> None:
    definition = {"nodes": [{"id": "a", "type": "default", "data": {"notes": value}}], "edges": []}
    for verb in (fresh.publish, fresh.keep_draft):
        with pytest.raises((DefinitionError, InputError)), transaction.atomic():
            verb(definition)


def test_a_definition_that_is_nested_too_deep_is_refused(fresh: Workflow) -> None:
    value: Any = []
    for _ in range(5_000):
        value = [value]
    definition = {"nodes": [{"id": "a", "type": "default", "data": {"notes": value}}], "edges": []}
    with pytest.raises((DefinitionError, InputError)):
        fresh.publish(definition)


# Drafts


def test_a_draft_is_kept_and_does_not_run(fresh: Workflow) -> None:
    first = fresh.publish(SMALL)
    fresh.keep_draft(BROKEN)
    stored = as_stored(fresh)
    assert (stored.draft, stored.definition, stored.published) == (BROKEN, BROKEN, first)
    assert list(stored.graph().nodes) == ["a"]
    execution = WorkflowEngine().submit(fresh.pk)
    assert fresh.executions.get(pk=execution).version == first


def test_publishing_without_a_definition_publishes_the_draft(fresh: Workflow) -> None:
    fresh.keep_draft(OTHER)
    version = fresh.publish()
    assert version.definition == OTHER and as_stored(fresh).draft is None


def test_publishing_publishes_the_draft_as_it_is_by_then(workflow: Workflow, alice: User) -> None:
    other = Workflow.objects.get(pk=workflow.pk)
    other.edit(renamed("Whisper"), alice)
    workflow.publish(by=alice)
    assert labels(workflow) == ["Take in", "Whisper", "Give out"]


def test_publishing_ends_the_draft(fresh: Workflow) -> None:
    fresh.keep_draft(OTHER)
    fresh.publish(SMALL)
    assert as_stored(fresh).draft is None and as_stored(fresh).definition == SMALL


def test_what_already_runs_is_no_draft(fresh: Workflow) -> None:
    fresh.publish(SMALL)
    fresh.keep_draft(OTHER)
    fresh.keep_draft(copy.deepcopy(SMALL))
    assert as_stored(fresh).draft is None


def test_a_draft_without_a_version_is_a_draft(fresh: Workflow) -> None:
    fresh.keep_draft({"nodes": [], "edges": []})
    assert as_stored(fresh).draft == {"nodes": [], "edges": []} and not as_stored(fresh).is_runnable


# Versions never change


def test_a_later_publish_leaves_the_earlier_version_as_it_was(fresh: Workflow) -> None:
    first = fresh.publish(CHAIN)
    execution = fresh.executions.get(pk=WorkflowEngine().submit(fresh.pk))
    before = WorkflowVersion.objects.values().get(pk=first.pk)
    fresh.publish(SMALL)
    assert WorkflowVersion.objects.values().get(pk=first.pk) == before
    execution.refresh_from_db()
    assert execution.version_id == first.pk


def test_changing_the_callers_definition_changes_no_version(fresh: Workflow) -> None:
    definition: dict[str, Any] = copy.deepcopy(CHAIN)
    version = fresh.publish(definition)
    definition["nodes"].clear()
    assert WorkflowVersion.objects.get(pk=version.pk).definition == CHAIN


def test_saving_a_version_again_does_not_change_its_definition(fresh: Workflow) -> None:
    version = fresh.publish(copy.deepcopy(CHAIN))
    version.definition = SMALL
    with suppress(Exception), transaction.atomic():
        version.save()
    assert WorkflowVersion.objects.get(pk=version.pk).definition == CHAIN


def test_a_version_that_runs_or_ran_cannot_be_deleted(fresh: Workflow) -> None:
    version = fresh.publish(SMALL)
    with pytest.raises((ProtectedError, RestrictedError)):
        version.delete()
    WorkflowEngine().submit(fresh.pk)
    fresh.publish(OTHER)
    with pytest.raises((ProtectedError, RestrictedError)):
        version.delete()


def test_two_versions_cannot_have_one_number(fresh: Workflow) -> None:
    fresh.publish(SMALL)
    with pytest.raises(IntegrityError), transaction.atomic():
        WorkflowVersion.objects.create(workflow=fresh, number=1, definition=OTHER)


def test_a_draft_that_was_run_is_kept_once_by_its_content(fresh: Workflow) -> None:
    for definition in (SMALL, OTHER):
        WorkflowVersion.objects.create(workflow=fresh, number=None, definition=definition)
    with pytest.raises(IntegrityError), transaction.atomic():
        WorkflowVersion.objects.create(workflow=fresh, number=None, definition=copy.deepcopy(SMALL))


# Archive


def test_an_archived_workflow_is_hidden_and_does_not_run(workflow: Workflow) -> None:
    execution = WorkflowEngine().submit(workflow.pk)
    workflow.archive()
    stored = as_stored(workflow)
    assert stored.archived_at is not None and not stored.is_active and not stored.is_runnable
    assert not Workflow.objects.listed() and not Workflow.objects.runnable()
    assert stored.executions.get().pk == execution and stored.published is not None, "its history stays"


def test_archiving_twice_keeps_the_first_time(workflow: Workflow) -> None:
    workflow.archive()
    first = as_stored(workflow).archived_at
    workflow.archive()
    assert as_stored(workflow).archived_at == first


def test_an_archived_workflow_does_not_run_though_it_is_made_active(workflow: Workflow) -> None:
    workflow.archive()
    Workflow.objects.filter(pk=workflow.pk).update(is_active=True)
    assert not as_stored(workflow).is_runnable and not Workflow.objects.runnable()


def test_an_inactive_workflow_is_listed_and_does_not_run(workflow: Workflow) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(is_active=False)
    assert list(Workflow.objects.listed()) == [workflow] and not Workflow.objects.runnable()
    assert not as_stored(workflow).is_runnable


# Edits, undo, redo


def renamed(label: str, node: str = "work") -> Any:
    return lambda before: configure(before, node, {"label": label, "operation": "uppercase"})


def labels(workflow: Workflow) -> list[str]:
    return [node["data"]["label"] for node in as_stored(workflow).definition["nodes"]]


def test_an_edit_makes_a_draft_and_undo_takes_it_back(workflow: Workflow, alice: User) -> None:
    workflow.edit(renamed("Whisper"), alice)
    assert labels(workflow) == ["Take in", "Whisper", "Give out"]
    assert str(workflow.undo(alice)) == "Undid: Renamed “Shout” to “Whisper”"
    assert as_stored(workflow).draft is None, "it is what runs again"
    assert str(workflow.redo(alice)) == "Renamed “Shout” to “Whisper”"
    assert labels(workflow) == ["Take in", "Whisper", "Give out"]


def test_undo_survives_in_another_process(workflow: Workflow, alice: User) -> None:
    workflow.edit(renamed("Whisper"), alice)
    Workflow.objects.get(pk=workflow.pk).undo()
    assert labels(workflow)[1] == "Shout"


def test_every_change_of_the_draft_counts_its_revision(workflow: Workflow, alice: User) -> None:
    before = as_stored(workflow).revision
    workflow.edit(renamed("Whisper"), alice)
    workflow.undo(alice)
    workflow.redo(alice)
    assert as_stored(workflow).revision == before + 3


def test_an_edit_on_what_has_moved_on_is_refused_and_changes_nothing(workflow: Workflow, alice: User) -> None:
    seen, other = workflow.revision, Workflow.objects.get(pk=workflow.pk)
    other.edit(renamed("Whisper"), alice)
    for verb in (lambda: workflow.edit(renamed("Roar"), alice, seen), lambda: workflow.undo(alice, seen)):
        with pytest.raises(EditConflict):
            verb()
    assert labels(workflow)[1] == "Whisper"


def test_typing_on_is_one_edit_and_another_persons_is_another(workflow: Workflow, alice: User, bob: User) -> None:
    for text in ("W", "Wh", "Whi"):
        workflow.edit(renamed(text), alice)
    workflow.edit(renamed("Whis"), bob)
    words = [edit.words for edit in workflow.edits.all()][-2:]
    assert words == ["Renamed “Shout” to “Whi”", "Renamed “Whi” to “Whis”"]
    workflow.undo()
    workflow.undo()
    assert labels(workflow)[1] == "Shout"


def test_what_was_typed_and_taken_back_is_no_edit(workflow: Workflow, alice: User) -> None:
    for text in ("Shou", "Sho", "Shou", "Shout"):
        workflow.edit(renamed(text), alice)
    assert not workflow.edits.exists() and as_stored(workflow).draft is None


def test_what_was_undone_cannot_be_redone_after_a_new_edit(workflow: Workflow, alice: User) -> None:
    workflow.edit(renamed("Whisper"), alice)
    workflow.undo(alice)
    workflow.edit(renamed("In", "in"), alice)
    with pytest.raises(EditError, match="nothing to redo"):
        workflow.redo(alice)


def test_nothing_to_undo_says_so(db: None) -> None:
    with pytest.raises(EditError, match="nothing to undo"):
        Workflow.objects.create(name="Empty").undo()


def test_the_last_hundred_edits_can_be_undone(workflow: Workflow) -> None:
    for number in range(120):
        workflow.edit(renamed(f"Label {number}"))
    assert workflow.edits.count() == 100


def test_a_rewrite_by_another_way_is_an_edit_too(workflow: Workflow, alice: User) -> None:
    workflow.edit(renamed("Whisper"), alice)
    workflow.publish({"nodes": [{"id": "a", "type": "default"}]}, by=alice)
    assert as_stored(workflow).draft is None
    workflow.undo()
    assert labels(workflow)[1] == "Whisper"


def test_a_draft_goes_back_to_what_runs_and_forward_again(workflow: Workflow, alice: User) -> None:
    workflow.edit(renamed("Whisper"), alice)
    workflow.discard_draft(alice)
    assert as_stored(workflow).draft is None
    workflow.undo(alice)
    assert labels(workflow)[1] == "Whisper"


def test_an_edit_that_no_database_keeps_is_refused(workflow: Workflow) -> None:
    with pytest.raises(InputError):
        workflow.edit(renamed("a\0b"))
    assert labels(workflow)[1] == "Shout"


def test_tags_are_words_in_lower_case(workflow: Workflow) -> None:
    workflow.set_tags(["Billing", " night  shift ", "", "billing"])
    assert [tag.name for tag in workflow.tags.all()] == ["billing", "night shift"]
    workflow.set_tags(["billing"])
    assert [tag.name for tag in workflow.tags.all()] == ["billing"]
