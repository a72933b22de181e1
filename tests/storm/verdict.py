"""What a storm left behind, judged from outside: the ten invariants, what was acknowledged, and what it has cost."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.storm import invariants
from tests.storm.invariants import Effects, Snapshot
from tests.storm.site import Site
from tests.storm.sql import EXECUTION, LOG, WAIT, Connection, from_json, moment, rows
from tests.storm.work import CANARY, MARKING

MOST_TOLD = 20  # of one kind of violation
LOST, STUCK, TWICE = ("I1:", "lost:"), ("I2:",), ("I3:", "twice:")


@dataclass(slots=True)
class Verdict:
    """A row of the table. `repeated`: percent of the effects that steps had more than once. `given_up`: executions that
    failed since their worker was lost three times in a row at one step. `takeover_…`: seconds."""

    scenario: str
    database: str
    executions: int = 0
    kills: int = 0
    faults: int = 0
    seconds: float = 0.0
    lost: int = 0
    stuck: int = 0
    twice: int = 0
    given_up: int = 0
    repeated: float = 0.0
    takeovers: int = 0
    takeover_p50: float = 0.0
    takeover_p99: float = 0.0
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, found: Iterable[str]) -> None:
        """Counts all of them, and tells the first of each kind."""
        found = list(found)
        self.lost += sum(sentence.startswith(LOST) for sentence in found)
        self.stuck += sum(sentence.startswith(STUCK) for sentence in found)
        self.twice += sum(sentence.startswith(TWICE) for sentence in found)
        self.violations += found[:MOST_TOLD]

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def judge(
    site: Site, verdict: Verdict, snapshots: Iterable[Snapshot], pids: Collection[int], most_repeated: float
) -> None:
    effects = Effects.read(site.effects)
    verdict.repeated = repeated(effects)
    if verdict.repeated > most_repeated:
        verdict.add([f"{verdict.repeated} % of the effects were repeated"])
    with site.connection() as connection:
        for found in seen(site, connection, effects):
            verdict.add(found)
        for before in snapshots:
            verdict.add(invariants.terminal_stays(before, invariants.ended_rows(connection)))
        verdict.executions = rows(connection, f"SELECT count(*) FROM {EXECUTION} WHERE parent_id IS NULL")[0][0]
        verdict.given_up = len(_given_up(connection))
        verdict.takeovers, verdict.takeover_p50, verdict.takeover_p99 = takeovers(connection)
    verdict.add(invariants.no_orphans(pid for pid in pids if _is_ours(pid, site)))


def seen(site: Site, connection: Connection, effects: Effects) -> Iterator[list[str]]:
    accepted = [line.split() for line in lines(site.accepted)]
    yield invariants.nothing_lost(connection, [int(pk) for _, pk in accepted], [f"storm-{n}" for n, _ in accepted])
    yield invariants.all_ended(connection)
    yield invariants.always(connection)
    yield invariants.effects_by_key(connection, effects, nodes=MARKING)
    yield invariants.lines_in_order(connection)
    told = [site.words, *site.data.rglob("blobs/**/*")]
    yield invariants.no_secret(connection, CANARY, told)
    yield list(_answers_lost(connection, [int(line) for line in lines(site.answered)]))
    yield list(_booked_otherwise(connection))
    yield list(_failed_otherwise(connection))
    yield list(_told_by_two(connection))


def repeated(effects: Effects) -> float:
    """Percent. No step of ours fails after its effect, so every other one is what a fault has cost."""
    counts = effects.counts
    return round(100 * (counts.total() - len(counts)) / max(1, len(counts)), 2)


def _is_ours(pid: int, site: Site) -> bool:
    """A number may belong to another process by now."""
    try:
        return str(site.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def lines(path: Any) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def takeovers(connection: Connection) -> tuple[int, float, float]:
    """From the last entry before a worker was lost to “taken over”: how many, median and p99."""
    before = f"JOIN {LOG} b ON b.execution_id = a.execution_id AND b.seq = a.seq - 1"
    found = rows(connection, f"SELECT b.at, a.at FROM {LOG} a {before} WHERE a.kind = 'taken_over'")
    return _percentiles(_seconds(after) - _seconds(before) for before, after in found)


def handed_over(connection: Connection, left: dict[int, tuple[float, float]]) -> tuple[int, float, float]:
    """The same from SIGTERM to the next attempt at the steps that were cut off. `left`: pid -> when it was told."""
    same = "(a.execution_id, a.node, a.attempt)"
    found = rows(
        connection,
        f"SELECT l.data, n.at FROM {LOG} a JOIN {LOG} l ON (l.execution_id, l.node, l.attempt) = {same} "
        f"JOIN {LOG} n ON (n.execution_id, n.node, n.attempt - 1) = {same} "
        "WHERE a.kind = 'abandoned' AND l.kind = 'logged' AND n.kind = 'started'",
    )
    pids = ((_teller(data), at) for data, at in found)
    return _percentiles(_seconds(at) - left[pid][0] for pid, at in pids if pid in left)


def _answers_lost(connection: Connection, answered: Collection[int]) -> Iterator[str]:
    there = {pk for (pk,) in rows(connection, f"SELECT id FROM {WAIT} WHERE answered_at IS NOT NULL")}
    for pk in sorted(set(answered) - there):
        yield f"lost: the answer to wait {pk} was accepted, and is not there"


def _booked_otherwise(connection: Connection) -> Iterator[str]:
    """The rows that steps write together with their end: as many as there are ends."""
    booked = Counter(name.split()[0] for (name,) in rows(connection, "SELECT name FROM auth_group"))
    ended = rows(connection, f"SELECT execution_id FROM {LOG} WHERE kind = 'completed' AND node = 'book'")
    recorded = {f"{pk}:book:0" for (pk,) in ended}
    yield from (f"twice: {key} was booked {times} times" for key, times in booked.items() if times > 1)
    yield from (f"lost: the end of {key}, or its own row" for key in sorted(recorded ^ set(booked)))


def _given_up(connection: Connection) -> list[int]:
    """Whose worker was lost three times in a row at the same step may fail by that, in this weather."""
    sql = f"SELECT id, error_message FROM {EXECUTION} WHERE status = 'failed'"
    return [pk for pk, message in rows(connection, sql) if message.startswith("The worker was lost 3 times")]


def _failed_otherwise(connection: Connection) -> Iterator[str]:
    """A child that was given up has failed its item, and nothing else."""
    known = set(_given_up(connection))
    sql = f"SELECT id, status, error_message FROM {EXECUTION} WHERE status IN ('failed', 'cancelled') ORDER BY id"
    for pk, status, message in rows(connection, sql):
        if pk not in known:
            yield f"execution {pk} is {status}: {message[:300]}"


def _told_by_two(connection: Connection) -> Iterator[str]:
    """All lines of one attempt come from one process: who has lost it writes nothing more."""
    pids: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for *attempt, data in rows(
        connection, f"SELECT execution_id, node, attempt, data FROM {LOG} WHERE kind IN ('logged', 'completed')"
    ):
        if pid := _teller(data):
            pids[tuple(attempt)].add(pid)
    yield from (f"the attempt {attempt} is told by {len(found)}" for attempt, found in pids.items() if len(found) > 1)


def _teller(data: Any) -> int:
    """The process that wrote this entry, where it says so; else 0."""
    told = from_json(data) or {}
    text = str(told.get("text", ""))
    return int(text.removeprefix("by ")) if text.startswith("by ") else 0


def _seconds(at: Any) -> float:
    found = moment(at)
    assert found is not None
    return found.timestamp()


def _percentiles(found: Iterable[float]) -> tuple[int, float, float]:
    values = sorted(found)
    if not values:
        return 0, 0.0, 0.0
    middle, last = values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)]
    return len(values), round(middle, 2), round(last, 2)
