"""Each invariant holds for what the engine has written, and goes red on a database that was broken on purpose."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection as of_django
from django.db import connections

from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from executions.worker import current_worker
from tests.executions.conftest import chain, drawn, node, published
from tests.storm import invariants
from tests.storm.invariants import EXECUTION, LOG, WAIT, Effects, Footprint, Violations
from workflows import steps
from workflows.steps import base

pytestmark = pytest.mark.django_db(transaction=True)


@steps.register
class Numbered(base.Step[base.Config]):
    """Writes lines as a storm's steps do."""

    kind, label = "test_numbered", "Numbered"

    async def run(self, ctx: base.StepContext) -> base.Done:
        for number in (1, 2, 3):
            ctx.log(f"line {number} of 3")
        return base.Done({})


@pytest.fixture
def plain(settings: Any, tmp_path: Path) -> Iterator[Any]:
    """A plain connection to what the engine has written; whatever is broken by it is rolled back."""
    settings.DATA_DIR = tmp_path
    asyncio.run(_write())
    connections.close_all()
    with closing(_connect()) as connection:
        if invariants.is_sqlite(connection):
            connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.rollback()


async def _write() -> None:
    """1: ended, with lines. 2: waits for an answer. Then a for-each with two items, which has ended."""
    made = sync_to_async(published)
    ended = await made(chain(node("a", "test_numbered"), node("b")))
    asking = await made(chain(node("ask", "test_ask")))
    each = await made(drawn([node("each", "for_each"), node("item")], "each:each>item"))
    for workflow, given in ((ended, {}), (asking, {}), (each, {"items": [1, 2]})):
        await WorkflowEngine().submit_workflow(workflow.pk, given)
    worker = current_worker()
    await worker.start()
    async with asyncio.timeout(20):
        while [row.status async for row in WorkflowExecution.objects.filter(completed_at=None)] != ["waiting"]:
            await asyncio.sleep(0.02)
    await worker.stop(0)
    await sync_to_async(connections.close_all)()


def _connect() -> Any:
    about = of_django.settings_dict
    if of_django.vendor == "sqlite":
        return sqlite3.connect(about["NAME"], isolation_level=None)
    where = {"host": about["HOST"], "port": about["PORT"] or 5432, "user": about["USER"], "password": about["PASSWORD"]}
    return psycopg.connect(dbname=about["NAME"], **where)


def run(connection: Any, *statements: str) -> None:
    for statement in statements:
        connection.cursor().execute(statement)


def loosen(connection: Any, table: str) -> None:
    """The same rows without any constraint."""
    run(connection, f"ALTER TABLE {table} RENAME TO old_{table}", f"CREATE TABLE {table} AS SELECT * FROM old_{table}")


def first(connection: Any, where: str) -> int:
    return int(invariants.rows(connection, f"SELECT id FROM {EXECUTION} WHERE {where} ORDER BY id")[0][0])


ENDED, WAITING = "completed_at IS NOT NULL AND parent_id IS NULL", "completed_at IS NULL"
CHILD = "parent_id IS NOT NULL"


def test_what_the_engine_has_written_violates_nothing(plain: Any) -> None:
    ids = [pk for (pk,) in invariants.rows(plain, f"SELECT id FROM {EXECUTION}")]
    assert len(ids) == 5
    found = [
        *invariants.nothing_lost(plain, ids),
        *invariants.nothing_stuck(plain),
        *invariants.recorded_once(plain),
        *invariants.gapless_and_legal(plain),
        *invariants.halves(plain),
        *invariants.terminal_stays(invariants.ended_rows(plain), invariants.ended_rows(plain)),
        *invariants.lines_in_order(plain),
        *invariants.no_secret(plain, "a canary that is nowhere"),
    ]
    assert found == []
    assert invariants.integrity(plain) == []


LAST = f"(SELECT max(seq) FROM {LOG} WHERE execution_id = {{pk}})"
AGAIN = (
    f"INSERT INTO {LOG} (execution_id, seq, kind, node, attempt, at, data, took_ms) "
    f"SELECT execution_id, {{seq}}, kind, node, attempt, at, data, took_ms FROM {LOG} WHERE execution_id = {{pk}}"
)
#: name -> (which execution, tables that lose their constraints, statements that break it, who says so, the words)
BROKEN: dict[str, tuple[str, str, list[str], Callable[[Any], Violations], str]] = {
    "a key was given twice": (
        ENDED,
        EXECUTION,
        [f"UPDATE {EXECUTION} SET idempotency_key = 'k' WHERE parent_id IS NOT NULL"],
        lambda c: invariants.nothing_lost(c, keys=["k", "gone"]),
        "key gone has 0 executions.*key k has 2 executions",
    ),
    "a key was given twice, and nobody was told": (
        ENDED,
        EXECUTION,
        [f"UPDATE {EXECUTION} SET idempotency_key = 'k' WHERE parent_id IS NOT NULL"],
        invariants.recorded_once,
        "2 × idempotency key",
    ),
    "an execution is gone": (ENDED, "", [], lambda c: invariants.nothing_lost(c, [10**7]), "10000000 was acknowledged"),
    "something lives in the end": (WAITING, "", [], invariants.all_ended, "has not ended: waiting"),
    "nobody takes what is due": (
        WAITING,
        "",
        [f"UPDATE {EXECUTION} SET due_at = '2001-01-01 00:00:00' WHERE id = {{pk}}"],
        invariants.nothing_stuck,
        "due since 2001",
    ),
    "something new is not due": (
        WAITING,
        "",
        [f"UPDATE {EXECUTION} SET due_at = '9000-01-01 00:00:00', status = 'pending' WHERE id = {{pk}}"],
        invariants.nothing_stuck,
        "pending until 9000",
    ),
    "it waits for nothing": (WAITING, "", [f"DELETE FROM {WAIT}"], invariants.nothing_stuck, "waits for nothing"),
    "an answer is overslept": (
        WAITING,
        "",
        [f"UPDATE {WAIT} SET answered_at = '2020-01-01 00:00:00'"],
        invariants.nothing_stuck,
        "were answered, and nobody looks",
    ),
    "a time is overslept": (
        WAITING,
        "",
        [f"UPDATE {WAIT} SET due_at = '2050-01-01 00:00:00'"],
        invariants.nothing_stuck,
        "are due before it is looked at",
    ),
    "the end of children is overslept": (
        WAITING,
        "",
        [f"UPDATE {WAIT} SET kind = 'child'"],
        invariants.nothing_stuck,
        "have no child that lives",
    ),
    "a slot is free": (
        WAITING,
        "",
        [
            f"UPDATE {EXECUTION} SET has_slot = FALSE WHERE id = {{pk}}",
            "UPDATE workflows_workflow SET concurrency = 1",
        ],
        invariants.nothing_stuck,
        "a slot is free",
    ),
    "a step completed twice": (
        ENDED,
        "",
        [f"{AGAIN} AND kind = 'completed'".replace("{seq}", "seq + 1000")],
        invariants.recorded_once,
        "2 × completed.*2 × end of an attempt",
    ),
    "an attempt began twice": (
        ENDED,
        "",
        [f"{AGAIN} AND kind = 'started'".replace("{seq}", "seq + 1000")],
        invariants.recorded_once,
        "2 × start of an attempt",
    ),
    "a number is there twice": (
        ENDED,
        LOG,
        [f"{AGAIN} AND seq = 2".replace("{seq}", "seq")],
        invariants.recorded_once,
        "2 × seq",
    ),
    "an item ran twice": (
        CHILD,
        EXECUTION,
        [f"INSERT INTO {EXECUTION} SELECT * FROM {EXECUTION} WHERE id = {{pk}}"],
        invariants.recorded_once,
        "2 × item",
    ),
    "a step waits twice": (
        WAITING,
        WAIT,
        [f"INSERT INTO {WAIT} SELECT * FROM {WAIT}"],
        invariants.recorded_once,
        "2 × open wait",
    ),
    "a number is missing": (
        ENDED,
        "",
        [f"DELETE FROM {LOG} WHERE execution_id = {{pk}} AND seq = 4"],
        invariants.gapless_and_legal,
        "entries, numbered 1 to",
    ),
    "a beginning is missing": (
        ENDED,
        "",
        [f"DELETE FROM {LOG} WHERE execution_id = {{pk}} AND seq = 1"],
        invariants.gapless_and_legal,
        "begins with started",
    ),
    "a journal is missing": (
        ENDED,
        "",
        [f"DELETE FROM {LOG} WHERE execution_id = {{pk}}"],
        invariants.gapless_and_legal,
        "no entry at all",
    ),
    "entries belong to nobody": (
        ENDED,
        "",
        [f"UPDATE {LOG} SET execution_id = 10000000 WHERE execution_id = {{pk}}"],
        invariants.gapless_and_legal,
        "entries without their execution",
    ),
    "an answer that nobody waited for": (
        ENDED,
        "",
        [f"UPDATE {LOG} SET kind = 'answered' WHERE execution_id = {{pk}} AND node = 'a' AND kind = 'completed'"],
        invariants.gapless_and_legal,
        "answered of a after started",
    ),
    "an attempt is skipped": (
        ENDED,
        "",
        [f"UPDATE {LOG} SET attempt = 2 WHERE execution_id = {{pk}} AND node = 'a' AND kind = 'started'"],
        invariants.gapless_and_legal,
        "started of a as attempt 2, and not 1",
    ),
    "something happens after the end": (
        ENDED,
        "",
        [f"{AGAIN} AND kind = 'started' AND node IS NULL".replace("{seq}", f"{LAST} + 1")],
        invariants.gapless_and_legal,
        "started after its end",
    ),
    "the row says otherwise": (
        ENDED,
        "",
        [f"UPDATE {EXECUTION} SET status = 'failed' WHERE id = {{pk}}"],
        invariants.gapless_and_legal,
        "its row says failed, its journal completed",
    ),
    "the row has ended and the journal has not": (
        WAITING,
        "",
        [f"UPDATE {EXECUTION} SET completed_at = due_at WHERE id = {{pk}}"],
        invariants.gapless_and_legal,
        "its journal that it lives",
    ),
    "the row counts otherwise": (
        ENDED,
        "",
        [f"UPDATE {EXECUTION} SET steps_done = 1 WHERE id = {{pk}}"],
        invariants.gapless_and_legal,
        "1 steps are done, its journal 2",
    ),
    "it waits while a step runs": (
        WAITING,
        "",
        [f"DELETE FROM {LOG} WHERE execution_id = {{pk}} AND kind = 'waited'"],
        invariants.gapless_and_legal,
        "it waits, and a step of it runs",
    ),
    "an entry without its wait": (WAITING, "", [f"DELETE FROM {WAIT}"], invariants.halves, "no wait is open"),
    "a wait without its entry": (
        WAITING,
        "",
        [f"DELETE FROM {LOG} WHERE execution_id = {{pk}} AND kind = 'waited'"],
        invariants.halves,
        "a wait is open, which its journal does not know",
    ),
    "a child that nobody ordered": (
        CHILD,
        "",
        [f"UPDATE {EXECUTION} SET parent_attempt = 7 WHERE id = {{pk}}"],
        invariants.halves,
        "never waited as attempt 7",
    ),
    "a line is missing": (
        ENDED,
        "",
        [f"DELETE FROM {LOG} WHERE execution_id = {{pk}} AND kind = 'logged' AND CAST(data AS text) LIKE '%line 3%'"],
        invariants.lines_in_order,
        r"lines \[1, 2\] of 3",
    ),
    "a line is there twice": (
        ENDED,
        "",
        [f"{AGAIN} AND kind = 'logged' AND CAST(data AS text) LIKE '%line 1%'".replace("{seq}", f"{LAST} + 1")],
        invariants.lines_in_order,
        r"lines \[1, 2, 3, -1\] of 3",
    ),
    "a line is out of order": (
        ENDED,
        "",
        [
            f"UPDATE {LOG} SET seq = seq + 1000 WHERE execution_id = {{pk}} AND kind = 'completed'",
            f"UPDATE {LOG} SET seq = seq + 500 WHERE execution_id = {{pk}} AND CAST(data AS text) LIKE '%line 1%'",
        ],
        invariants.lines_in_order,
        r"lines \[2, 3, 1\] of 3",
    ),
    "a secret is in a column": (
        ENDED,
        "",
        [f"UPDATE {EXECUTION} SET error_message = 'it was ''hunter2'' then' WHERE id = {{pk}}"],
        lambda c: invariants.no_secret(c, "'hunter2'"),
        f"stands in {EXECUTION}.error_message",
    ),
    "a secret is in an entry": (
        ENDED,
        "",
        [f'UPDATE {LOG} SET data = \'{{{{"text": "hunter2"}}}}\' WHERE execution_id = {{pk}} AND seq = 1'],
        lambda c: invariants.no_secret(c, "hunter2"),
        f"stands in {LOG}.data",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_it_goes_red(what: str, plain: Any) -> None:
    where, loose, statements, judge, words = BROKEN[what]
    pk = first(plain, where)
    if loose:
        loosen(plain, loose)
    run(plain, *(statement.format(pk=pk) for statement in statements))
    found = "\n".join(judge(plain))
    assert re.search(words, found, re.DOTALL), found or "nothing was found"


def test_what_has_ended_and_changes_is_seen(plain: Any) -> None:
    before, ended, child = invariants.ended_rows(plain), first(plain, ENDED), first(plain, CHILD)
    run(plain, f"UPDATE {EXECUTION} SET nudges = nudges + 1 WHERE id = {ended}")
    run(plain, f"UPDATE {EXECUTION} SET completed_at = NULL WHERE id = {child}")
    found = invariants.terminal_stays(before, invariants.ended_rows(plain))
    assert found == [
        f"I5: execution {child} had ended and is not among the ended any more",
        f"I5: execution {ended} has changed after its end",
    ]
    assert not invariants.terminal_stays(before, invariants.ended_rows(plain), may_go=(ended, child))


def test_an_entry_more_in_what_has_ended_is_seen(plain: Any) -> None:
    before, pk = invariants.ended_rows(plain), first(plain, ENDED)
    run(plain, f"{AGAIN} AND kind = 'logged'".format(seq="seq + 1000", pk=pk))
    assert invariants.terminal_stays(before, invariants.ended_rows(plain)) == [
        f"I5: execution {pk} has changed after its end"
    ]


def test_effects_are_counted_by_their_keys(plain: Any, tmp_path: Path) -> None:
    pk = first(plain, ENDED)
    (file := tmp_path / "effects").write_text(f"{pk}:a:0\n{pk}:a:0\n1000:a:0\n{pk}:torn")
    effects = Effects.read(file)
    assert effects.counts == {f"{pk}:a:0": 2, "1000:a:0": 1}
    assert invariants.effects_by_key(plain, effects, most=0.4, nodes=["a", "b"]) == [
        f"I6: {pk}:a:0 had 2 effects and 1 starts",
        "I6: 1000:a:0 had 1 effects and 0 starts",
        f"I6: {pk}:b:0 completed without its effect",
        "I6: 50.00% of the effects were repeated, and 40.00% may be",
    ]
    assert not invariants.effects_by_key(plain, Effects(Counter({f"{pk}:a:0": 1, f"{pk}:b:0": 1})))


def test_a_secret_in_a_file_is_seen(plain: Any, tmp_path: Path) -> None:
    (file := tmp_path / "log").write_text("it was hunter2")
    assert invariants.no_secret(plain, "hunter2", [file, tmp_path]) == [f"I8: the secret stands in {file}"]


def test_a_broken_index_is_seen(plain: Any, tmp_path: Path) -> None:
    plain.rollback()
    if invariants.is_sqlite(plain):
        _a_torn_file(plain, tmp_path)
    else:
        _an_index_that_misses_a_row(plain)


def _a_torn_file(plain: Any, folder: Path) -> None:
    plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = Path(shutil.copy(of_django.settings_dict["NAME"], folder / "torn.sqlite3"))
    with closing(sqlite3.connect(file)) as torn:
        index = "name LIKE 'sqlite_autoindex_executions_executionlog%'"
        (root,) = torn.execute(f"SELECT rootpage FROM sqlite_master WHERE {index}").fetchone()
        (size,) = torn.execute("PRAGMA page_size").fetchone()
        torn.execute("PRAGMA journal_mode=DELETE")
    whole = file.read_bytes()
    with file.open("r+b") as raw:
        raw.seek((root - 1) * size + size - 64)
        raw.write(b"\x00" * 64)
    with closing(sqlite3.connect(file)) as torn:
        assert any(text.startswith("I9: ") for text in invariants.integrity(torn))
    file.write_bytes(whole)
    with closing(sqlite3.connect(file)) as torn:
        torn.execute(f"DELETE FROM {EXECUTION} WHERE id IN (SELECT execution_id FROM {WAIT})")
        found = invariants.integrity(torn)
        assert any(f"of {WAIT} names a row of {EXECUTION} that is not there" in text for text in found), found


def _an_index_that_misses_a_row(plain: Any) -> None:
    ready = "UPDATE pg_index SET indisready = {} WHERE indexrelid = 'broken_index'::regclass"
    try:
        run(plain, "CREATE TABLE broken (a int)", "CREATE INDEX broken_index ON broken (a)", ready.format("false"))
        run(plain, "INSERT INTO broken VALUES (1)", ready.format("true"))
        found = invariants.integrity(plain)
        assert any("broken_index" in text and "lacks matching index tuple" in text for text in found), found
    finally:
        run(plain, "DROP TABLE broken")
        plain.commit()


def test_processes_that_are_left_are_seen() -> None:
    before = Footprint.of(os.getpid())
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert invariants.no_orphans([process.pid]) == [f"I10: process {process.pid} still lives"]
        assert f"I10: process {process.pid} is left" in invariants.footprint_stays(before, Footprint.of(os.getpid()), 9)
    finally:
        process.communicate(b"\n", timeout=20)
    assert invariants.no_orphans([process.pid]) == []
    assert not invariants.footprint_stays(before, Footprint.of(os.getpid()), 9)


def test_memory_and_open_files_that_grow_are_seen(tmp_path: Path) -> None:
    before = Footprint.of(os.getpid())
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        after = Footprint.of(os.getpid())
    found = invariants.footprint_stays(before, Footprint(before.rss * 2, after.fds, ()), fds=1)
    assert [text.split(" grew")[0] for text in found] == ["I10: memory", "I10: open files"]
    assert not invariants.footprint_stays(before, Footprint(before.rss, after.fds, ()), fds=2)
