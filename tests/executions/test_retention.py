"""What is too old goes, with all that hangs on it; what lives, what is young and what is to be kept stays."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executions import blobs, sizes
from executions.housekeeping import Housekeeper, forget_orphans, give_back, tidy
from executions.models import ExecutionLog, ExecutionWait, WorkflowExecution
from executions.retention import BATCH, LONGEST_DAYS, Pace, Pruning, cutoff_of, days_ago, too_old
from tests.conftest import CHAIN
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def kept(settings: Any) -> Any:
    settings.RETENTION_DAYS = 30
    return settings


def old(workflow: Workflow, days: float = 40, status: str = "completed", entries: int = 3, **how: Any) -> Any:
    """An execution that was made and ended so many days ago; a live one has not ended."""
    at = timezone.now() - timedelta(days=days)
    ended = at if status in ("completed", "failed", "cancelled") else None
    how = {"version": workflow.published, "created_at": at, "started_at": at, "completed_at": ended, **how}
    row = WorkflowExecution.objects.create(workflow=workflow, status=status, **how)
    ExecutionLog.objects.bulk_create(
        ExecutionLog(execution=row, seq=seq, kind="logged", at=at, data={"level": "info", "text": f"line {seq}"})
        for seq in range(1, entries + 1)
    )
    return row


def left() -> list[int]:
    return list(WorkflowExecution.objects.order_by("pk").values_list("pk", flat=True))


def pruned(workflow: Workflow, days: float = 30, **how: Any) -> Pruning:
    pruning = Pruning(days_ago(days), **how)
    pruning.run(workflow)
    return pruning


# What goes, what stays


def test_what_ended_too_long_ago_goes_with_all_that_hangs_on_it(workflow: Workflow, tmp_path: Path) -> None:
    gone, stays = old(workflow), old(workflow, days=20)
    ExecutionWait.objects.create(execution=gone, node="in", closed_at=timezone.now())
    blobs.split(gone.pk, {"a": "x" * 300_000})
    pruning = pruned(workflow)
    assert left() == [stays.pk]
    assert (pruning.executions, pruning.entries) == (1, 3)
    assert ExecutionLog.objects.count() == 3 and not ExecutionWait.objects.exists()
    assert not (tmp_path / "blobs" / str(gone.pk)).exists()


@pytest.mark.parametrize("status", ["pending", "running", "waiting"])
def test_what_has_not_ended_stays_however_old(workflow: Workflow, status: str) -> None:
    live, gone = old(workflow, days=4_000, status=status), old(workflow)
    pruned(workflow)
    assert left() == [live.pk] and gone.pk not in left()


def test_what_began_long_ago_and_ended_just_now_stays(workflow: Workflow) -> None:
    row = old(workflow, days=400, completed_at=timezone.now())
    pruned(workflow)
    assert left() == [row.pk]


def test_another_workflows_executions_stay(workflow: Workflow) -> None:
    other = Workflow.objects.create(name="Other")
    other.publish(CHAIN)
    stays = old(other)
    old(workflow)
    pruned(workflow)
    assert left() == [stays.pk]


def test_children_go_with_their_root_and_never_alone(workflow: Workflow) -> None:
    young, root = old(workflow, days=3), old(workflow)
    child = old(workflow, parent=root, root=root, parent_node="in", parent_attempt=1, item_index=0, depth=1)
    old(workflow, parent=child, root=root, parent_node="in", parent_attempt=1, item_index=0, depth=2)
    stays = old(workflow, parent=young, root=young, parent_node="in", parent_attempt=1, item_index=0, depth=1)
    pruning = pruned(workflow)
    assert left() == [young.pk, stays.pk]
    assert (pruning.executions, pruning.children, pruning.entries) == (1, 2, 9)


def test_a_family_of_which_one_lives_stays_whole(workflow: Workflow) -> None:
    root = old(workflow)
    for index, status in enumerate(("completed", "waiting")):
        how = {"parent": root, "root": root, "parent_node": "in", "parent_attempt": 1, "item_index": index}
        old(workflow, status=status, **how)
    pruned(workflow)
    assert len(left()) == 3


def test_those_that_name_a_deleted_one_stay_and_name_none(workflow: Workflow) -> None:
    gone = old(workflow)
    again = old(workflow, days=1, retry_of=gone)
    handler = old(workflow, days=1, failure_of=gone)
    pruned(workflow)
    again.refresh_from_db()
    handler.refresh_from_db()
    assert (again.retry_of_id, handler.failure_of_id) == (None, None)


def test_versions_stay_those_of_drafts_too(workflow: Workflow) -> None:
    """Nothing leads from a version to its executions quickly: to delete one would read them all."""
    draft = workflow.draft_version({**CHAIN, "a": 1})
    old(workflow, version=draft)
    pruned(workflow)
    assert set(workflow.versions.values_list("pk", flat=True)) == {workflow.published_id, draft.pk} and left() == []


def test_a_long_journal_and_many_executions_go_in_parts(workflow: Workflow) -> None:
    for _ in range(BATCH + 5):
        old(workflow, entries=1)
    long = old(workflow, entries=700)
    assert long.pk in left()
    told: list[int] = []
    pruning = Pruning(days_ago(30), told=lambda: told.append(pruning.executions), pace=Pace(size=20, most=20))
    pruning.run(workflow)
    assert left() == [] and ExecutionLog.objects.count() == 0
    assert pruning.entries == BATCH + 5 + 700 and len(told) > 10 and told == sorted(told)


def test_it_stops_where_it_is_told_to_and_goes_on_later(workflow: Workflow) -> None:
    for _ in range(30):
        old(workflow, entries=10)
    pruning = Pruning(days_ago(30), is_over=lambda: pruning.executions >= 5, pace=Pace(size=20, most=20))
    pruning.run(workflow)
    assert 0 < len(left()) < 30
    assert set(ExecutionLog.objects.values_list("execution", flat=True)) == set(left()), "nothing is half deleted"
    pruned(workflow)
    assert left() == []


def test_what_was_brought_back_to_life_meanwhile_stays(workflow: Workflow) -> None:
    row = old(workflow, status="failed")
    pruning = Pruning(days_ago(30))
    WorkflowExecution.objects.filter(pk=row.pk).update(completed_at=None, status="pending")
    assert pruning._delete({row.pk: 3}) == 0
    assert left() == [row.pk] and ExecutionLog.objects.count() == 3


def test_it_reads_by_index_and_only_as_far_as_needed(workflow: Workflow) -> None:
    old(workflow)
    for _ in range(5):
        old(workflow, days=1)
    with CaptureQueriesContext(connection) as queries:
        list(too_old(workflow, days_ago(30)))
    if connection.vendor == "sqlite":
        for query in queries.captured_queries:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                plan = " ".join(str(row[-1]) for row in cursor.fetchall())
            assert "SCAN" not in plan, plan


# How long


def test_a_workflows_own_days_come_first_and_0_is_for_ever(kept: Any) -> None:
    assert cutoff_of(None, NOW) == NOW - timedelta(days=30)
    assert cutoff_of(7, NOW) == NOW - timedelta(days=7)
    assert cutoff_of(0, NOW) is None
    assert cutoff_of(2**31 - 1, NOW) == NOW - timedelta(days=LONGEST_DAYS)
    kept.RETENTION_DAYS = 0
    assert cutoff_of(None, NOW) is None and cutoff_of(7, NOW) is not None


def test_the_server_tidies_each_workflow_as_it_wants(kept: Any, workflow: Workflow) -> None:
    forever = Workflow.objects.create(name="For ever", keep_days=0)
    short = Workflow.objects.create(name="Short", keep_days=5)
    for one in (forever, short):
        one.publish(CHAIN)
    stays = [old(workflow, days=10), old(forever, days=999), old(short, days=1)]
    old(workflow), old(short, days=10)
    tidy()
    assert left() == sorted(row.pk for row in stays)


def test_an_archived_workflows_history_goes_too(kept: Any, workflow: Workflow) -> None:
    old(workflow)
    workflow.archive()
    tidy()
    assert left() == []


@pytest.mark.django_db(transaction=True)
def test_the_housekeeper_does_it_in_a_thread_of_its_own_and_ends_when_told(kept: Any) -> None:
    workflow = Workflow.objects.create(name="Chain")
    workflow.publish(CHAIN)
    gone, stays = old(workflow), old(workflow, days=1)
    keeper = Housekeeper(first_s=0)
    keeper.start()
    for _ in range(1_000):
        if gone.pk not in left():
            break
        sleep(0.01)
    keeper.stop()
    keeper._thread.join(10)
    assert left() == [stays.pk] and not keeper._thread.is_alive()


# Files and space


def test_files_without_an_execution_go_after_a_day(workflow: Workflow, tmp_path: Path) -> None:
    import os

    row = old(workflow, days=1)
    for number in (row.pk, 987_001, 987_002):
        blobs.split(number, {"a": "x" * 300_000})
    (tmp_path / "blobs" / "not a number").mkdir()
    for number in (row.pk, 987_001):
        os.utime(tmp_path / "blobs" / str(number), (0, 0))
    assert forget_orphans() == 1
    names = {path.name for path in (tmp_path / "blobs").iterdir()}
    assert names == {str(row.pk), "987002", "not a number"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL gives space back itself")
def test_space_is_given_back() -> None:
    """In a file that is laid out as ours; the tests' own is not."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("VACUUM")
        cursor.execute("CREATE TABLE much AS SELECT randomblob(1000000) AS a FROM json_each('[1,2,3,4,5,6,7,8,9,0]')")
        cursor.execute("DROP TABLE much")
    assert give_back() > 5_000_000
    assert give_back() == 0


# The command


def command(*words: str) -> str:
    out = StringIO()
    call_command("prune_executions", *words, stdout=out)
    return out.getvalue()


def test_the_command_says_what_it_did(kept: Any, workflow: Workflow) -> None:
    old(workflow), old(workflow)
    text = command()
    assert f"Chain ({workflow.pk}): 2 executions" in text and "Deleted 2 executions, 6 entries" in text
    assert left() == []
    assert "Deleted 0 executions" in command()


def test_a_dry_run_changes_nothing(kept: Any, workflow: Workflow) -> None:
    old(workflow), old(workflow)
    text = command("--dry-run")
    assert "Chain (" in text and "2 executions, about" in text and "Nothing was changed." in text
    assert len(left()) == 2


def test_the_command_may_be_told_which_and_how_old(kept: Any, workflow: Workflow) -> None:
    other = Workflow.objects.create(name="Other", keep_days=0)
    other.publish(CHAIN)
    rows = [old(workflow, days=3), old(other, days=3), old(other, days=1), old(other, days=1, status="running")]
    command("--workflow", "Other", "--older-than", "2")
    assert left() == [rows[0].pk, rows[2].pk, rows[3].pk]
    command("--older-than", "0")
    assert left() == [rows[3].pk], "what ended a moment ago goes, what lives stays"


@pytest.mark.parametrize("words", [("--workflow", "Nobody"), ("--older-than", "-1"), ("--older-than", "soon")])
def test_what_the_command_cannot_do_it_says(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        command(*words)


# Sizes


def test_sizes_are_about_right(workflow: Workflow) -> None:
    for number in range(60):
        old(workflow, days=60 - number, input_data={"a": secrets.token_hex(1_000)})  # PostgreSQL would shorten "xxx…"
    size = sizes.of_workflow(workflow)
    assert size.executions == 60 and 60 * 2_000 < size.bytes < 60 * 5_000
    part = sizes.of_old(workflow, days_ago(30))
    assert 28 <= part.executions <= 32 and part.bytes < size.bytes
    assert sizes.of_database() > 0


def test_sizes_know_of_children_and_files(workflow: Workflow) -> None:
    root = old(workflow)
    alone = sizes.of_workflow(workflow).bytes
    for index in range(50):
        how = {"parent": root, "root": root, "parent_node": "in", "parent_attempt": 1, "item_index": index}
        old(workflow, input_data={"a": "x" * 1_000}, **how)
    blobs.split(root.pk, {"a": "x" * 300_000})
    size = sizes.of_workflow(workflow)
    assert size.executions == 1 and size.bytes > alone + 300_000 + 50 * 1_000


def test_nothing_weighs_nothing(workflow: Workflow) -> None:
    assert sizes.of_workflow(workflow) == sizes.Size(0, 0) == sizes.of_old(workflow, days_ago(1))
