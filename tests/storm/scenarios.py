"""The scenarios, each one storm of its own kind: see stage.py, which has set Django up before this is imported."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from executions import journal
from tests.storm.clock import Clocks
from tests.storm.crew import Crew
from tests.storm.labour import AT_ONCE, carry
from tests.storm.rage import Fault, Storm
from tests.storm.stage import Stage
from tests.storm.verdict import Verdict, handed_over, judge, lines

LOST = "Lost to another worker"
SHORT_S = 0.1
LEASE_S = 2.0  # where a scenario waits for leases to run out


def sqlite(stage: Stage) -> Verdict:
    """kill -9, again and again, on SQLite."""
    storm = begun(stage)
    return played(stage, storm, kills(stage, storm), deaths(stage, storm))


def postgresql(stage: Stage) -> Verdict:
    """kill -9 of workers, and the database restarted at once, on PostgreSQL."""
    assert stage.cluster is not None
    storm = begun(stage)
    restarts = Fault(stage.cluster.restart, storm.every(stage.size.faults))
    return played(stage, storm, kills(stage, storm), restarts, deaths(stage, storm))


def pause(stage: Stage) -> Verdict:
    """SIGSTOP for longer than the lease; when the worker wakes, others have what it held, and it must let go."""
    storm = begun(stage, LEASE_SECONDS=LEASE_S, RENEW_SECONDS=0.5, SWEEP_SECONDS=0.5)

    def act() -> None:
        if (place := storm.crew.pause()) is not None:
            storm.later(LEASE_S * random.uniform(1.2, 2), lambda: storm.crew.resume(place))

    verdict = played(stage, storm, None, Fault(act, storm.every(stage.size.faults)))
    let_go = said(stage, LOST) + said(stage, "The leases are lost")
    verdict.notes.append(f"{let_go} times a worker found out that it had lost an execution, or all of its leases")
    return proven(verdict, let_go, "nobody had to let go of anything")


def lease(stage: Stage) -> Verdict:
    """Leases so short that living workers take from each other what they are at, all the time."""
    storm = begun(stage, LEASE_SECONDS=SHORT_S, RENEW_SECONDS=60)
    verdict = played(stage, storm, kills(stage, storm))
    lost = said(stage, LOST)
    verdict.notes.append(f"{lost} times a living worker lost an execution")
    return proven(verdict, lost, "nobody lost anything")


def term(stage: Stage) -> Verdict:
    """SIGTERM under load: what does not end within the grace is handed over, to others who have room for it."""
    storm = begun(stage, LIMIT=100)
    verdict = played(stage, storm, None, Fault(storm.crew.dismiss, storm.every(stage.size.faults)))
    with stage.site.connection() as connection:
        waited = handed_over(connection, storm.crew.left)
    verdict.takeovers, verdict.takeover_p50, verdict.takeover_p99 = waited
    took = sorted(gone - told for told, gone in storm.crew.left.values())
    verdict.notes.append(f"from SIGTERM to the end of the process at most {took[-1]:.2f} s; takeover is from SIGTERM")
    return proven(verdict, verdict.takeovers, "nothing was handed over")


def disk(stage: Stage) -> Verdict:
    """The data folder's disk is full, and then it is not. In a mount namespace of its own: see __main__.py."""
    storm = begun(stage)
    ballast = stage.site.data / "ballast"

    def act() -> None:
        fill(ballast)
        storm.later(random.uniform(2, 5), ballast.unlink)

    verdict = played(stage, storm, kills(stage, storm), Fault(act, storm.every(stage.size.faults)))
    told = said(stage, "disk is full")
    verdict.notes.append(f"the workers' log says {told} times that the disk is full")
    return proven(verdict, told, "nobody said that the disk is full")


def commit(stage: Stage) -> Verdict:
    """A proxy cuts the line at a COMMIT, before the server has it or after."""
    stage.cuts.touch()
    storm = begun(stage)
    verdict = played(stage, storm, None)
    cut = lines(stage.cuts)
    verdict.faults = len(cut)
    verdict.notes.append(
        f"cut after the COMMIT {len(cut) - cut.count('before')} times, before it {cut.count('before')}"
    )
    return proven(verdict, len(cut), "nothing was cut")


def clock(stage: Stage) -> Verdict:
    """Wall clocks jump by an hour and back, each process by its own; a patch of timezone.now(): see clock.py."""
    size = stage.size
    clocks = Clocks(size.workers + 1)

    def carry_by_its_clock(place: int) -> None:
        clocks.wear(place)
        carry()

    storm = begun(stage, carry_by_its_clock)
    storm.people, storm.quiet = lambda: clocks.wear(size.workers), clocks.evening
    verdict = played(stage, storm, kills(stage, storm), Fault(clocks.jump, storm.every(size.faults)))
    lost = said(stage, LOST)
    verdict.takeover_p50 = verdict.takeover_p99 = 0.0  # by clocks that jump: no measure
    verdict.notes.append(
        f"{lost} times a living worker lost an execution early; {clocks.evenings} times all slept late"
    )
    return proven(verdict, lost, "nobody lost anything")


def redis(stage: Stage) -> Verdict:
    """Redis is dead at boot, comes up, is flushed, is killed, comes up again."""
    assert stage.bells is not None
    bells, storm = stage.bells, begun(stage)
    faults = Fault(lambda: bells.next_fault(faults.times), storm.every(stage.size.faults))
    verdict = played(stage, storm, kills(stage, storm), faults)
    unheard = said(stage, "A bell did not ring") + said(stage, "The bell is not heard")
    verdict.notes.append(f"{unheard} times a bell was not rung or not heard")
    return proven(verdict, unheard, "every bell was heard")


# Their parts


def begun(stage: Stage, work: Callable[[int], None] = lambda place: carry(), **engine: Any) -> Storm:
    settings.ENGINE.update({"LIMIT": stage.size.limit, **engine})
    if stage.size.without_fence:
        vars(journal)["held_fences"] = lambda units: {unit.execution_id: unit.fence for unit in units}
    size = stage.size
    crew = Crew(work, size.workers, stage.site.words)
    return Storm(stage.site, crew, size.executions, 2 * size.workers * size.limit + AT_ONCE)


def kills(stage: Stage, storm: Storm) -> Fault:
    return Fault(storm.crew.kill, storm.every(stage.size.kills))


def deaths(stage: Stage, storm: Storm) -> Fault:
    """Whoever submits dies now and then as well."""
    return Fault(storm.kill_people, storm.every(max(1, stage.size.kills // 50)))


def played(stage: Stage, storm: Storm, kills: Fault | None, *others: Fault) -> Verdict:
    looks = Fault(storm.look_back, storm.every(3))
    storm.rage([kills, *others, looks] if kills else [*others, looks])
    storm.end()
    verdict = Verdict(stage.name, stage.site.database, seconds=round(storm.seconds, 1))
    verdict.kills = kills.times if kills else 0
    verdict.faults = others[0].times if others else 0
    if storm.crew.fell:
        verdict.notes.append(f"{storm.crew.fell} workers ended by themselves")
    judge(stage.site, verdict, storm.snapshots, storm.crew.every, stage.size.most_repeated)
    return verdict


def proven(verdict: Verdict, times: int, otherwise: str) -> Verdict:
    """A storm in which nothing went wrong has shown nothing."""
    if not times:
        verdict.add([f"This was no test: {otherwise}"])
    return verdict


def said(stage: Stage, words: str) -> int:
    """How often, on the workers' stderr."""
    return stage.site.words.read_text(errors="replace").count(words)


def fill(ballast: Path) -> None:
    """To the last byte that the disk gives."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
