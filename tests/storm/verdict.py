"""What a storm left behind, judged from outside: by SQL, by the marks, and by what was acknowledged."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.storm.site import Site
from tests.storm.work import CANARY

#: Kinds of steps that leave a mark, by the workflow's name and the node.
MARKED = {
    ("chain", "a b c d"),
    ("delay", "a c d"),
    ("each", "a item d"),
    ("approval", "a c d"),
    ("large", "a c d"),
    ("book", "a d"),
}
MARKING = {(name, node) for name, nodes in MARKED for node in nodes.split()}
MOST_REPEATED = 3.0  # percent
E_, L_ = "executions_workflowexecution", "executions_executionlog"


@dataclass(slots=True)
class Verdict:
    """A row of the table. `repeated`: percent of the marks that a step left more than once."""

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

    @property
    def is_red(self) -> bool:
        return bool(self.lost or self.stuck or self.twice or self.violations)

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def judge(site: Site, verdict: Verdict, most_repeated: float = MOST_REPEATED) -> Verdict:
    """Fills in what can be seen from outside."""
    marks = marks_of(site)
    verdict.executions = site.number(f"SELECT count(*) FROM {E_} WHERE parent_id IS NULL")
    verdict.repeated = round(100 * (sum(marks.values()) - len(marks)) / max(1, len(marks)), 2)
    if verdict.repeated > most_repeated:
        verdict.violations.append(f"{verdict.repeated} % of the effects were repeated")
    _look_for_lost(site, verdict, marks)
    _look_for_stuck(site, verdict)
    _look_for_twice(site, verdict)
    _look_for_failed(site, verdict)
    _look_for_strangers(site, verdict)
    _look_for_gaps(site, verdict)
    _look_for_the_secret(site, verdict)
    _measure(site, verdict)
    return verdict


def marks_of(site: Site) -> Counter[str]:
    """How often each idempotency key was used outside."""
    text = site.effects.read_text() if site.effects.exists() else ""
    return Counter(line.split()[0] for line in text.splitlines())


def lines(path: Any) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _look_for_lost(site: Site, verdict: Verdict, marks: Counter[str]) -> None:
    """What was accepted and is not there; what was recorded and never happened."""
    there = {(str(pk), key) for pk, key in site.rows(f"SELECT id, idempotency_key FROM {E_} WHERE parent_id IS NULL")}
    accepted = {(pk, f"storm-{number}") for number, pk in (line.split() for line in lines(site.accepted))}
    _complain(verdict, "lost", sorted(accepted - there), "was accepted, and is not there")
    ended = f"SELECT l.execution_id, l.node, w.name FROM {L_} l JOIN {E_} e ON e.id = l.execution_id "
    ended += "JOIN workflows_workflow w ON w.id = e.workflow_id WHERE l.kind = 'completed' AND l.node IS NOT NULL"
    recorded = {f"{pk}:{node}:0" for pk, node, name in site.rows(ended) if (name, node) in MARKING}
    _complain(verdict, "lost", sorted(recorded - set(marks)), "was recorded as completed, and never happened")
    answered = {int(line) for line in lines(site.answered)}
    open_still = {pk for (pk,) in site.rows("SELECT id FROM executions_executionwait WHERE answered_at IS NULL")}
    _complain(verdict, "lost", sorted(answered & open_still), "is a wait whose answer was accepted, and is not there")


def _look_for_stuck(site: Site, verdict: Verdict) -> None:
    rows = site.rows(f"SELECT id, status, due_at, owner FROM {E_} WHERE completed_at IS NULL ORDER BY id")
    _complain(verdict, "stuck", rows, "has not ended")


def _look_for_twice(site: Site, verdict: Verdict) -> None:
    """Recorded twice: the end of a step, the end of an execution, and the rows that steps wrote with their end."""
    twice = f"SELECT execution_id, node, count(*) FROM {L_} WHERE kind = '%s' GROUP BY 1, 2 HAVING count(*) > 1"
    _complain(verdict, "twice", site.rows(twice % "completed"), "was completed twice")
    _complain(verdict, "twice", site.rows(twice % "finished"), "was finished twice")
    booked = Counter(name.split()[0] for (name,) in site.rows("SELECT name FROM auth_group"))
    _complain(verdict, "twice", [key for key, times in booked.items() if times > 1], "was booked twice")
    ended = f"SELECT l.execution_id, l.node FROM {L_} l JOIN {E_} e ON e.id = l.execution_id "
    ended += (
        "JOIN workflows_workflow w ON w.id = e.workflow_id AND w.name = 'book' WHERE kind = 'completed' AND node = 'b'"
    )
    recorded = {f"{pk}:{node}:0" for pk, node in site.rows(ended)}
    _complain(verdict, "lost", sorted(recorded ^ set(booked)), "was recorded without its row, or the other way round")


def _look_for_failed(site: Site, verdict: Verdict) -> None:
    """Whose worker was lost three times in a row at the same step may fail by that; nothing else may fail here."""
    failed = site.rows(
        f"SELECT id, status, error_message FROM {E_} WHERE status IN ('failed', 'cancelled') ORDER BY id"
    )
    given_up = [row for row in failed if row[2].startswith("The worker was lost 3 times")]
    verdict.given_up = len(given_up)
    others = [row for row in failed if row not in given_up]
    verdict.violations += [f"#{pk} is {status}: {message[:200]}" for pk, status, message in others]


def _look_for_strangers(site: Site, verdict: Verdict) -> None:
    """All that one attempt at a step tells must come from one process: the others were told to let go."""
    told = f"SELECT execution_id, node, attempt, data FROM {L_} WHERE kind = 'logged' AND node IS NOT NULL"
    pids: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for pk, node, attempt, data in site.rows(told):
        if (text := _text(data)).startswith("line "):
            pids[pk, node, attempt].add(text.rpartition(" ")[2])
    strange = [key for key, found in pids.items() if len(found) > 1]
    verdict.violations += [f"The attempt {key} tells of two processes" for key in strange[:20]]


def _look_for_gaps(site: Site, verdict: Verdict) -> None:
    counted = f"SELECT execution_id, count(*), min(seq), max(seq) FROM {L_} GROUP BY execution_id"
    gaps = [pk for pk, count, first, last in site.rows(counted) if (first, last) != (1, count)]
    verdict.violations += [f"The numbers of #{pk} have a gap" for pk in gaps[:20]]


def _look_for_the_secret(site: Site, verdict: Verdict) -> None:
    cast = "CAST(data AS text)"
    told = site.rows(f"SELECT execution_id, seq, {cast} FROM {L_} WHERE {cast} LIKE '%canary%' OR {cast} LIKE '%Zq7%'")
    verdict.violations += [f"#{pk}.{seq} tells the secret" for pk, seq, text in told if CANARY[:12] in text]


def takeovers_after_leaving(site: Site, left: dict[int, tuple[float, float]]) -> tuple[int, float, float]:
    """How many steps were handed over, and the seconds from SIGTERM to their next attempt: median and p99."""
    told = f"SELECT l.execution_id, l.node, l.attempt, l.data, n.at FROM {L_} a "
    told += f"JOIN {L_} l ON (l.execution_id, l.node, l.attempt) = (a.execution_id, a.node, a.attempt) "
    told += f"JOIN {L_} n ON (n.execution_id, n.node, n.attempt) = (a.execution_id, a.node, a.attempt + 1) "
    told += "WHERE a.kind = 'abandoned' AND l.kind = 'logged' AND n.kind = 'started'"
    waited = {}
    for pk, node, attempt, data, at in site.rows(told):
        if since := left.get(int(_text(data).rpartition(" ")[2])):
            waited[pk, node, attempt] = _moment(at).timestamp() - since[0]
    return (len(waited), *_percentiles(waited.values()))


def _measure(site: Site, verdict: Verdict) -> None:
    """From the last entry before a worker was lost to “taken over”."""
    pairs = f"SELECT b.at, a.at FROM {L_} a JOIN {L_} b ON b.execution_id = a.execution_id AND b.seq = a.seq - 1 "
    found = site.rows(f"{pairs} WHERE a.kind = 'taken_over'")
    waited = [(_moment(after) - _moment(before)).total_seconds() for before, after in found]
    verdict.takeovers = len(waited)
    verdict.takeover_p50, verdict.takeover_p99 = _percentiles(waited)


def _percentiles(found: Iterable[float]) -> tuple[float, float]:
    """The median and the p99."""
    values = sorted(found) or [0.0]
    return round(values[len(values) // 2], 2), round(values[min(len(values) - 1, len(values) * 99 // 100)], 2)


def _moment(at: Any) -> datetime:
    """As either database gives it; SQLite's text has no zone, and is UTC."""
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(data: Any) -> str:
    return str((data if isinstance(data, dict) else json.loads(data))["text"])


def _complain(verdict: Verdict, column: str, found: list[Any], sentence: str) -> None:
    setattr(verdict, column, getattr(verdict, column) + len(found))
    verdict.violations += [f"{one} {sentence}" for one in found[:20]]
