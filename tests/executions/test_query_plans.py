"""Every question that is asked often is answered by its index, on the database that the suite runs on.

The statements are those of the code itself, with their parameters as they are sent: each is explained on its way to a
database with enough rows that the planner means it. PostgreSQL has its statistics, as autovacuum gives them; SQLite has
none, since nobody runs ANALYZE on an installation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from executions import claim
from executions.asked import Asked
from executions.catalogue import Sight, candidates, find, newer_than, sight_of
from executions.hub import Window
from executions.models import ExecutionLog, WorkflowExecution
from executions.rows import rows_of
from tests.conftest import CHAIN
from workflows.models import Workflow
from workflows.usual import usual

pytestmark = pytest.mark.django_db

WORKFLOWS, EXECUTIONS, LIVE, WITH_ENTRIES = 20, 4_000, 40, 1_000
KINDS = ("queued", "started", "logged", "logged")
EVERY = Sight(None, None)
EXECUTION, LOG = WorkflowExecution._meta.db_table, ExecutionLog._meta.db_table
SQLITE = connection.vendor == "sqlite"
Plan = list[str]


@pytest.fixture
def rare(alice: User, bob: User) -> Workflow:
    """Executions of twenty workflows, the newest few of them live. Gives bob's, which has nearly none of them."""
    dice = random.Random(7)
    workflows = [Workflow.objects.create(name=f"Flow {number}", owner=alice) for number in range(WORKFLOWS)]
    workflows.append(Workflow.objects.create(name="Rare", owner=bob))
    for workflow in workflows:
        workflow.publish(CHAIN)
    of = [workflows[-1] if number % 500 == 7 else dice.choice(workflows[:-1]) for number in range(EXECUTIONS)]
    rows = [row(number, workflow, alice) for number, workflow in enumerate(of)]
    made = WorkflowExecution.objects.bulk_create(rows, 500)
    told = made[-WITH_ENTRIES:]
    entries = [ExecutionLog(execution=one, seq=seq, kind=kind) for one in told for seq, kind in enumerate(KINDS, 1)]
    ExecutionLog.objects.bulk_create(entries, 500)
    if not SQLITE:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return workflows[-1]


def row(number: int, workflow: Workflow, by: User) -> WorkflowExecution:
    at = timezone.now() - timedelta(minutes=EXECUTIONS - number)
    is_live, is_bad = number >= EXECUTIONS - LIVE, number % 11 == 0
    fields: dict[str, Any] = {"created_at": at, "started_at": at, "input_data": {"name": "ada"}}
    fields["status"] = ("pending", "running", "waiting")[number % 3] if is_live else "failed" if is_bad else "completed"
    fields["completed_at"] = None if is_live else at + timedelta(seconds=2)
    fields["error_message"] = "connection refused" if is_bad and not is_live else ""
    fields["started_by"] = by if number % 5 == 0 else None
    return WorkflowExecution(workflow=workflow, version=workflow.published, due_at=at, **fields)


@contextmanager
def plans() -> Iterator[dict[str, Plan]]:
    """Statement -> plan, of all that is asked of the executions' two tables inside."""
    found: dict[str, Plan] = {}

    def explained(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not many and (EXECUTION in sql or LOG in sql):
            found[sql] = plan_of(sql, params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        yield found


def plan_of(sql: str, params: Any) -> Plan:
    connection.ensure_connection()
    cursor = connection.create_cursor()  # not through the wrapper again
    cursor.execute(f"{'EXPLAIN QUERY PLAN' if SQLITE else 'EXPLAIN'} {sql}", params)
    return [str(line[-1]).strip() for line in cursor.fetchall()]


def is_whole(step: str) -> bool:
    """Reads the executions or their entries in no order that helps, whatever stands in them."""
    if SQLITE:
        return step.startswith((f"SCAN {EXECUTION}", f"SCAN {LOG}", "SCAN U0")) and "INDEX" not in step
    return "Seq Scan on executions_" in step


def answered(question: Callable[[], Any], *indexes: str, in_order: bool = False) -> None:
    """By one of these indexes. `in_order`: or by the newest rows in turn, until the page is full."""
    with plans() as found, transaction.atomic():
        question()
    assert found, "nothing was asked"
    told = "\n".join(line for sql, plan in found.items() for line in (sql, *plan))
    steps = [step for plan in found.values() for step in plan]
    assert (in_order and SQLITE) or not any(map(is_whole, steps)), told
    assert any(index in step for step in steps for index in indexes), told


def newest_first() -> tuple[str, ...]:
    """The table's own order, from its end: SQLite says it as a scan, which ends when the page is full."""
    return (f"SCAN {EXECUTION}",) if SQLITE else (f"Backward using {EXECUTION}_pkey",)


# The list, for somebody who sees all


def test_the_newest_are_read_from_the_end(rare: Workflow) -> None:
    answered(lambda: find(Asked(), EVERY), *newest_first(), in_order=True)


def test_a_tab_of_what_lives_reads_what_lives_alone(rare: Workflow) -> None:
    for tab in ("running", "waiting"):
        answered(partial(find, Asked(status=tab), EVERY), "execution_status")


def test_a_tab_of_what_ended_is_read_by_state_or_from_the_end(rare: Workflow) -> None:
    for tab in ("failed", "completed", "cancelled"):
        answered(partial(find, Asked(status=tab), EVERY), "execution_status", *newest_first())


def test_a_page_in_the_middle_begins_where_it_begins(rare: Workflow) -> None:
    for asked in (Asked(before=1_000), Asked(after=100)):
        answered(partial(find, asked, EVERY), "PRIMARY KEY (rowid" if SQLITE else "Index Cond: (id ")


def test_who_started_something_is_found_by_an_index(rare: Workflow) -> None:
    answered(lambda: find(Asked(by="alice"), EVERY), "execution_started_by", *newest_first())


def test_a_time_is_found_by_halving_and_not_by_reading(rare: Workflow) -> None:
    answered(lambda: find(Asked(when="hour"), EVERY), "(rowid>?)" if SQLITE else "Index Cond: (id >=", in_order=True)


def test_the_newest_failures_are_searched_for_a_text(rare: Workflow) -> None:
    candidates_only = Asked(q="no such words", status="cancelled")  # which has no errors: nothing more is looked at
    answered(lambda: find(candidates_only, EVERY), "execution_status")


def test_the_tabs_of_what_lives_are_counted_by_an_index(rare: Workflow) -> None:
    for tab in ("running", "waiting"):
        answered(candidates(Asked(status=tab), EVERY, timezone.now()).order_by().count, "execution_status")


def test_the_rows_of_a_page_and_their_usual_times_are_looked_up(rare: Workflow) -> None:
    """A workflow's usual is found among its own executions: those of others may be any number."""
    ids = list(WorkflowExecution.objects.filter(workflow=rare).values_list("pk", flat=True)[:50])
    answered(lambda: usual([rare.pk]), "execution_workflow_newest")
    answered(lambda: rows_of(ids), "execution_workflow_newest")


# The list, for somebody who sees one rare workflow, and of one workflow


def test_who_sees_little_reads_only_that(rare: Workflow, bob: User) -> None:
    for tab in ("", "running", "failed", "completed"):
        answered(partial(find, Asked(status=tab), sight_of(bob)), "execution_workflow_newest")
        answered(partial(find, Asked(status=tab, workflow=rare.pk), EVERY), "execution_workflow_newest")


def test_who_sees_much_finds_what_lives_by_its_state(rare: Workflow, alice: User) -> None:
    for tab in ("running", "waiting"):
        answered(partial(find, Asked(status=tab), sight_of(alice)), "execution_status")


def test_what_is_new_above_a_list_begins_at_its_top(rare: Workflow) -> None:
    top = WorkflowExecution.objects.order_by("-pk").values_list("pk", flat=True)[20]
    answered(lambda: newer_than(Asked(), EVERY, top, 50), "(rowid>?)" if SQLITE else "Index Cond: (id >")


# One execution


def test_the_tail_of_an_execution_is_read_by_its_numbers(rare: Workflow) -> None:
    window = Window(WorkflowExecution.objects.order_by("-pk").values_list("pk", flat=True)[0])
    entry = "(execution_id=?" if SQLITE else "one_entry_a_seq"
    answered(window.read, entry)
    answered(window.read, "(execution_id=? AND seq>?)" if SQLITE else "one_entry_a_seq")
    answered(lambda: window.earlier(1), "(execution_id=? AND seq>? AND seq<?)" if SQLITE else "one_entry_a_seq")


# The engine


def test_the_look_for_what_is_due_reads_what_lives_alone(rare: Workflow) -> None:
    WorkflowExecution.objects.live().update(due_at=timezone.now() + timedelta(days=1))
    with plans() as found:
        assert claim.claim("somebody", 10) == []
    assert len(found) == 1, found
    answered(lambda: claim.claim("somebody", 10), "execution_due_root")


def test_a_claim_takes_what_is_due_by_its_index(rare: Workflow) -> None:
    answered(lambda: claim.claim("somebody", 10), "execution_due_root")


def test_what_a_dead_worker_held_is_found_among_what_lives(rare: Workflow) -> None:
    later = timezone.now() + timedelta(days=1)
    WorkflowExecution.objects.live().update(owner="gone", due_at=later)
    answered(lambda: claim.release_dead(["gone"]), "execution_due_root")
    assert not WorkflowExecution.objects.live().filter(due_at=later).exists()
