"""The ten invariants, by SQL: each function gives its violations as sentences, an empty list where it holds.

I1 nothing_lost · I2 nothing_stuck, all_ended · I3 recorded_once · I4 gapless_and_legal, halves · I5 terminal_stays ·
I6 effects_by_key · I7 lines_in_order · I8 no_secret · I9 integrity · I10 footprint_stays, no_orphans. Those of always()
hold at every moment, in the middle of a storm as well; the others when it has calmed down. Nothing here uses
executions/: a fault there must not hide itself.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.storm.health import Footprint, children_of, footprint_stays, integrity, no_orphans
from tests.storm.history import WAITING, Execution, Told, fold
from tests.storm.sql import EXECUTION, LOG, OPEN, WAIT, Connection, Violations, from_json, is_sqlite, rows
from tests.storm.stuck import nothing_stuck
from tests.storm.waits import Wait, open_waits

__all__ = [
    "Effects",
    "Footprint",
    "all_ended",
    "always",
    "children_of",
    "effects_by_key",
    "ended_rows",
    "footprint_stays",
    "gapless_and_legal",
    "halves",
    "integrity",
    "lines_in_order",
    "no_orphans",
    "no_secret",
    "nothing_lost",
    "nothing_stuck",
    "recorded_once",
    "repeated",
    "terminal_stays",
]
DOOMED = "retention"  # the owner of what retention is taking away, journal first


def always(connection: Connection) -> Violations:
    """Whatever has just been killed: I3, I4, halves and I9."""
    return [
        *recorded_once(connection),
        *gapless_and_legal(connection),
        *halves(connection),
        *integrity(connection),
    ]


# I1


def nothing_lost(connection: Connection, ids: Iterable[int] = (), keys: Iterable[str] = ()) -> Violations:
    """Every execution that was acknowledged is there; every idempotency key was given to exactly one."""
    there = {pk for (pk,) in rows(connection, f"SELECT id FROM {EXECUTION}")}
    found = Counter(key for (key,) in rows(connection, f"SELECT idempotency_key FROM {EXECUTION}") if key)
    lost = [f"I1: execution {pk} was acknowledged and is not there" for pk in sorted(set(ids) - there)]
    return lost + [f"I1: key {key} has {found[key]} executions" for key in sorted(set(keys)) if found[key] != 1]


# I2


def all_ended(connection: Connection) -> Violations:
    live = rows(connection, f"SELECT id, status, owner FROM {EXECUTION} WHERE completed_at IS NULL ORDER BY id")
    return [f"I2: execution {pk} has not ended: {status}, owner {owner}" for pk, status, owner in live]


# I3


def recorded_once(connection: Connection) -> Violations:
    """No end of a step, no number, no item, no key and no answer to a failure is there twice."""
    return [
        f"I3: {count} × {what} for {', '.join(map(str, who))}"
        for what, sql in TWICE.items()
        for *who, count in rows(connection, sql)
    ]


def _twice(table: str, columns: str, where: str) -> str:
    return f"SELECT {columns}, count(*) FROM {table} WHERE {where} GROUP BY {columns} HAVING count(*) > 1"


# A cancel may follow "retried": it ends the wait for the next attempt. Which may follow what else, history.py knows.
ENDS = "('completed', 'failed', 'retried', 'skipped', 'reused')"
TWICE = {
    "completed": _twice(LOG, "execution_id, node", "node IS NOT NULL AND kind IN ('completed', 'reused')"),
    "end of an attempt": _twice(LOG, "execution_id, node, attempt", f"node IS NOT NULL AND kind IN {ENDS}"),
    "cancel of an attempt": _twice(LOG, "execution_id, node, attempt", "node IS NOT NULL AND kind = 'cancelled'"),
    "start of an attempt": _twice(LOG, "execution_id, node, attempt", "node IS NOT NULL AND kind = 'started'"),
    "seq": _twice(LOG, "execution_id, seq", "1 = 1"),
    "item": _twice(EXECUTION, "parent_id, parent_node, parent_attempt, item_index", "parent_id IS NOT NULL"),
    "idempotency key": _twice(EXECUTION, "workflow_id, idempotency_key", "idempotency_key IS NOT NULL"),
    "open wait": _twice(WAIT, "execution_id, node", OPEN),
}


# I4


def gapless_and_legal(connection: Connection) -> Violations:
    """1..n without a gap, each entry one that may follow, and a row that says what its journal says."""
    gaps = [f"I4: execution {pk}: {what}" for pk, what in _gaps(connection)]
    told = histories(connection)
    illegal = [f"I4: execution {pk}: {fault}" for pk, history in told.items() for fault in history.faults]
    return gaps + illegal + [f"I4: execution {pk}: {what}" for pk, what in _other_than_told(connection, told)]


def _gaps(connection: Connection) -> Iterator[tuple[int, str]]:
    sql = f"""
        SELECT l.execution_id, min(l.seq), max(l.seq), count(*), e.id, e.owner
        FROM {LOG} l LEFT JOIN {EXECUTION} e ON e.id = l.execution_id GROUP BY l.execution_id, e.id, e.owner"""
    for pk, first, last, count, row, owner in rows(connection, sql):
        if row is None:
            yield pk, f"{count} entries without their execution"
        elif count != last - first + 1 or (first != 1 and owner != DOOMED):
            yield pk, f"{count} entries, numbered {first} to {last}"
    without = f"SELECT id FROM {EXECUTION} e WHERE NOT EXISTS (SELECT 1 FROM {LOG} l WHERE l.execution_id = e.id)"
    for (pk,) in rows(connection, f"{without} AND coalesce(owner, '') <> '{DOOMED}'"):
        yield pk, "no entry at all"


NEEDED = "('finished', 'failed', 'limited', 'taken_over', 'repaired')"


def histories(connection: Connection) -> dict[int, Execution]:
    """Every journal, folded, but those that retention is taking away."""
    found: dict[int, list[Told]] = defaultdict(list)
    doomed = f"(SELECT id FROM {EXECUTION} WHERE owner = '{DOOMED}')"
    sql = f"""
        SELECT execution_id, kind, node, attempt, CASE WHEN kind IN {NEEDED} THEN data END FROM {LOG}
        WHERE kind <> 'logged' AND execution_id NOT IN {doomed} ORDER BY execution_id, seq"""
    for pk, kind, node, attempt, data in rows(connection, sql):
        found[pk].append(Told(kind, node, attempt, from_json(data)))
    return {pk: fold(entries) for pk, entries in found.items()}


def _other_than_told(connection: Connection, told: Mapping[int, Execution]) -> Iterator[tuple[int, str]]:
    columns = "id, status, completed_at, steps_done"
    for pk, status, completed_at, steps_done in rows(connection, f"SELECT {columns} FROM {EXECUTION}"):
        if (history := told.get(pk)) is None:
            continue
        if (completed_at is not None) != (history.status is not None) or history.status not in (None, status):
            yield pk, f"its row says {status}, its journal {history.status or 'that it lives'}"
        elif history.status == "completed" and steps_done != _done(history):
            yield pk, f"its row says that {steps_done} steps are done, its journal {_done(history)}"
        elif status == "waiting" and any(step.last == "started" for step in history.steps.values()):
            yield pk, "it waits, and a step of it runs"


def _done(history: Execution) -> int:
    done = ("completed", "skipped", "reused")
    return sum(step.last in done or (step.last == "failed" and step.is_handled) for step in history.steps.values())


# What one unit writes is all there


def halves(connection: Connection) -> Violations:
    """Waits without their entry, entries without their wait, and children whose step does not wait for any."""
    told, waits = histories(connection), open_waits(connection)
    found = [*_without_the_other(told, waits), *_strangers(connection, told)]
    return [f"half: execution {pk}: {what}" for pk, what in found]


def _without_the_other(told: Mapping[int, Execution], waits: Mapping[int, list[Wait]]) -> Iterator[tuple[int, str]]:
    for pk, history in told.items():
        waiting = {(node, step.attempt) for node, step in history.steps.items() if step.last in WAITING}
        opened = {(wait.node, wait.attempt) for wait in waits.get(pk, ())}
        for node, attempt in sorted(waiting ^ opened):
            has = "no wait is open" if (node, attempt) in waiting else "a wait is open, which its journal does not know"
            yield pk, f"{node}, attempt {attempt}: {has}"


def _strangers(connection: Connection, told: Mapping[int, Execution]) -> Iterator[tuple[int, str]]:
    sql = f"SELECT id, parent_id, parent_node, parent_attempt FROM {EXECUTION} WHERE parent_id IS NOT NULL"
    for pk, parent, node, attempt in rows(connection, sql):
        step = told[parent].steps.get(node) if parent in told else None
        if parent in told and (step is None or attempt not in step.waited):
            yield pk, f"a child of {parent}, whose {node} never waited as attempt {attempt}"


# I5

Snapshot = dict[int, tuple[Any, ...]]


def ended_rows(connection: Connection) -> Snapshot:
    """All that has ended, every column of it and the number of its entries."""
    count = f"(SELECT count(*) FROM {LOG} l WHERE l.execution_id = e.id)"
    sql = f"SELECT e.id, e.*, {count} FROM {EXECUTION} e WHERE completed_at IS NOT NULL"
    return {pk: tuple(map(repr, row)) for pk, *row in rows(connection, sql)}


def terminal_stays(before: Snapshot, after: Snapshot, *, may_go: Collection[int] = ()) -> Violations:
    """`may_go`: what was repaired or deleted meanwhile, on purpose."""
    watched = {pk: row for pk, row in before.items() if pk not in may_go}
    gone = [f"I5: execution {pk} had ended and is not among the ended any more" for pk in watched if pk not in after]
    changed = [pk for pk, row in watched.items() if pk in after and after[pk] != row]
    return gone + [f"I5: execution {pk} has changed after its end" for pk in changed]


# I6


@dataclass(frozen=True, slots=True)
class Effects:
    """What steps did outside: how often each idempotency key (`execution:node:repair`) was met there."""

    counts: Counter[str]

    @classmethod
    def read(cls, file: Path) -> Effects:
        """One key a line. A last line that a kill has torn is an effect of nobody."""
        text = file.read_text() if file.exists() else ""
        return cls(Counter(text[: text.rfind("\n") + 1].split()))


def repeated(connection: Connection, effects: Effects) -> float:
    """The share of keys that were met again, although no attempt had failed: what kills have cost."""
    told = _told_of_keys(connection)
    again = sum(count > 1 + told["retried"][key] for key, count in effects.counts.items())
    return again / max(1, len(effects.counts))


def effects_by_key(
    connection: Connection, effects: Effects, most: float = 1.0, nodes: Collection[str] | None = None
) -> Violations:
    """No key has more effects than starts, and what completed has had its effect. `most`: the share that may be
    repeated. `nodes`: those that have effects; None: those of which at least one was met."""
    told, counts = _told_of_keys(connection), effects.counts
    nodes = {key.split(":")[1] for key in counts} if nodes is None else nodes
    wanted = {key for key in told["completed"] if key.split(":")[1] in nodes}
    more = [(key, count) for key, count in counts.items() if count > told["started"][key]]
    found = [f"I6: {key} had {count} effects and {told['started'][key]} starts" for key, count in more]
    found += [f"I6: {key} completed without its effect" for key in sorted(wanted - set(counts))]
    if (share := repeated(connection, effects)) > most:
        found.append(f"I6: {share:.2%} of the effects were repeated, and {most:.2%} may be")
    return found


def _told_of_keys(connection: Connection) -> dict[str, Counter[str]]:
    """By kind, how often the journals tell it of each key."""
    told: dict[str, Counter[str]] = {kind: Counter() for kind in ("started", "completed", "retried")}
    repairs: Counter[tuple[int, str]] = Counter()
    which = "node IS NOT NULL AND kind IN ('started', 'completed', 'retried', 'repaired')"
    sql = f"SELECT execution_id, node, kind FROM {LOG} WHERE {which} ORDER BY execution_id, seq"
    for pk, node, kind in rows(connection, sql):
        if kind == "repaired":
            repairs[pk, node] += 1
        else:
            told[kind][f"{pk}:{node}:{repairs[pk, node]}"] += 1
    return told


# I7

LINE = re.compile(r"line (\d+) of (\d+)")  # what a storm's step writes: line 1 of 5, line 2 of 5 …


@dataclass(slots=True)
class Lines:
    told: list[int] = field(default_factory=list)
    total: int = 0
    is_complete: bool = False


def lines_in_order(connection: Connection) -> Violations:
    """An attempt's numbered lines are 1, 2, 3 …, each once; all of them where it completed."""
    found: dict[tuple[int, str, int], Lines] = defaultdict(Lines)
    sql = f"SELECT execution_id, node, attempt, kind, data FROM {LOG} WHERE kind IN ('logged', 'completed')"
    for pk, node, attempt, kind, data in rows(connection, f"{sql} ORDER BY execution_id, seq"):
        lines = found[pk, node, attempt]
        if kind == "completed":
            lines.is_complete = True
        elif match := LINE.fullmatch((from_json(data) or {}).get("text", "")):
            lines.total = int(match[2])
            lines.told.append(int(match[1]) if not lines.is_complete else -1)
    return [
        f"I7: execution {pk}, {node}, attempt {attempt}: lines {lines.told} of {lines.total}"
        for (pk, node, attempt), lines in found.items()
        if lines.told != list(range(1, len(lines.told) + 1)) or (lines.is_complete and len(lines.told) != lines.total)
    ]


# I8


def no_secret(connection: Connection, canary: str, files: Iterable[Path] = ()) -> Violations:
    """In no column of any table, and in no file."""
    is_there = [
        f"{table}.{column}" for table, column in _columns(connection) if _has(connection, table, column, canary)
    ]
    files = [file for file in files if file.is_file() and canary.encode() in file.read_bytes()]
    return [f"I8: the secret stands in {place}" for place in (*is_there, *files)]


def _columns(connection: Connection) -> list[tuple[str, str]]:
    if is_sqlite(connection):
        tables = [name for (name,) in rows(connection, "SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(table, row[1]) for table in tables for row in rows(connection, f'PRAGMA table_info("{table}")')]
    sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    return [(table, column) for table, column in rows(connection, sql)]


def _has(connection: Connection, table: str, column: str, canary: str) -> bool:
    position = "instr" if is_sqlite(connection) else "strpos"
    wanted = canary.replace("'", "''")
    sql = f"""SELECT 1 FROM "{table}" WHERE {position}(CAST("{column}" AS text), '{wanted}') > 0 LIMIT 1"""
    return bool(rows(connection, sql))
