"""The scenarios, each one storm of its own kind: see stage.py, which has set Django up before this is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings

from tests.storm.crew import Crew
from tests.storm.labour import carry
from tests.storm.rage import Fault, Storm
from tests.storm.stage import Stage
from tests.storm.verdict import Verdict, judge


def sqlite(stage: Stage) -> Verdict:
    """kill -9, again and again, on SQLite."""
    storm = begun(stage)
    kills = Fault(storm.crew.kill, storm.every(stage.size.kills))
    storm.rage([kills, deaths(stage, storm)])
    return ended("sqlite", storm, kills=kills.times)


def postgresql(stage: Stage) -> Verdict:
    """kill -9 of workers, and the database restarted at once, on PostgreSQL."""
    assert stage.cluster is not None
    storm = begun(stage)
    kills = Fault(storm.crew.kill, storm.every(stage.size.kills))
    restarts = Fault(stage.cluster.restart, storm.every(stage.size.restarts))
    storm.rage([kills, restarts, deaths(stage, storm)])
    return ended("postgresql", storm, kills=kills.times, restarts=restarts.times)


# Their parts


def begun(stage: Stage, work: Callable[[int], None] = lambda place: carry(), **engine: Any) -> Storm:
    settings.ENGINE.update({"LIMIT": stage.size.limit, **engine})
    return Storm(stage.site, Crew(work, stage.size.workers, stage.site.words), stage.size.executions)


def deaths(stage: Stage, storm: Storm) -> Fault:
    """Whoever submits dies now and then as well."""
    return Fault(storm.kill_people, storm.every(max(1, stage.size.kills // 50)))


def ended(name: str, storm: Storm, **told: Any) -> Verdict:
    storm.end()
    verdict = Verdict(name, storm.site.database, seconds=round(storm.seconds, 1), **told)
    if storm.crew.fell:
        verdict.notes.append(f"{storm.crew.fell} workers ended by themselves")
    return judge(storm.site, verdict)
