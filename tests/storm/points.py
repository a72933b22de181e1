"""Kills a process at each crash point there is, again and again, and looks at what the next one makes of it.

    python -m tests.storm.points [--times 20] [--database postgres://…] [POINT …]

A process of its own, since it forks: it must have no threads and no connections. Prints a line for each point; exit
code 1 where one was not reached, or an invariant does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from executions import crashpoints
from tests.faults.nursery import arm, in_a_child
from tests.storm import invariants
from tests.storm.grounds import Ground, PostgreSQL, SQLite
from tests.storm.invariants import Effects, Violations
from tests.storm.scenes import SCENES, Scene, promises, register

Place = tuple[Scene, int]  # the n-th arrival in this scene


@dataclass(slots=True)
class Tally:
    """What came of the kills at one point."""

    point: str
    kills: int = 0
    finished: int = 0
    violations: Violations = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    told = _options().parse_args(arguments)
    if unknown := set(told.points) - crashpoints.POINTS:
        raise SystemExit(f"There is no crash point {', '.join(sorted(unknown))}.")
    with tempfile.TemporaryDirectory(prefix="points-") as folder:
        data = Path(folder) / "data"
        ground = PostgreSQL(data, told.database) if told.database else SQLite(data)
        _set_up_django(ground)
        tallies = []
        try:
            for tally in storm(ground, told.times, told.points or sorted(crashpoints.POINTS)):
                tallies.append(tally)
                print(json.dumps(asdict(tally)) if told.json else _line(tally), flush=True)
        finally:
            ground.take_away()
    return _summed_up(tallies, told.times, told.json)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.storm.points", description="Kills a process at each crash point.")
    parser.add_argument("points", nargs="*", help="these alone")
    parser.add_argument("--times", type=int, default=20, help="kills at each point")
    parser.add_argument("--database", default="", help="a PostgreSQL server on which databases may be made")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each point")
    return parser


def _set_up_django(ground: Ground) -> None:
    os.environ |= {"DATA_DIR": str(ground.data), "DATABASE_URL": ground.url, "REDIS_URL": ""}
    os.environ["DJANGO_SETTINGS_MODULE"] = "workflowsite.settings"
    import django

    django.setup()
    register()


def storm(ground: Ground, times: int, points: Sequence[str]) -> Iterator[Tally]:
    """`times` kills at each point, spread over all scenes that come there and all their arrivals."""
    for scene in SCENES:
        ground.lay_out(scene)
    arrivals = {scene.name: counted(ground, scene) for scene in SCENES}
    for point in points:
        places = [(scene, number) for scene in SCENES for number in range(1, arrivals[scene.name][point] + 1)]
        tally = Tally(point)
        for place in _spread(places, times):
            killed_at(ground, place, tally)
        yield tally


def _spread(places: Sequence[Place], times: int) -> list[Place]:
    return [places[turn * len(places) // times % len(places)] for turn in range(times)] if places else []


def counted(ground: Ground, scene: Scene) -> Mapping[str, int]:
    """How often a life of this scene comes to each point."""
    ground.restore(scene)
    if in_a_child(partial(_count, ground.data / "arrivals", scene)):
        raise RuntimeError(f"The scene “{scene.name}” does not come to its end by itself.")
    if violations := _judged(ground, scene, {}):
        raise RuntimeError(f"The scene “{scene.name}” is broken without any kill: {violations}")
    return Counter(json.loads((ground.data / "arrivals").read_text()))


def _count(file: Path, scene: Scene) -> None:
    found: Counter[str] = Counter()
    crashpoints.arm(lambda point: found.update((point,)))
    asyncio.run(scene.life())
    file.write_text(json.dumps(found))


def killed_at(ground: Ground, place: Place, tally: Tally) -> None:
    """One kill, and the life after it. Arrivals differ from life to life: an earlier one is then taken."""
    scene, wanted = place
    for number in (wanted, 1, 1, 1):
        ground.restore(scene)
        status = in_a_child(partial(_live, scene, tally.point, number))
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            break
        if status:
            tally.violations.append(f"{scene.name}, arrival {number}: the process failed by itself")
            return
    else:
        return
    tally.kills += 1
    found, ended = _looked(ground)
    is_finished = in_a_child(partial(_live, scene)) == 0
    tally.finished += is_finished
    found += _judged(ground, scene, ended) if is_finished else ["it does not come to its end"]
    tally.violations += [f"{scene.name}, arrival {number}: {violation}" for violation in found]


def _live(scene: Scene, point: str = "", number: int = 0) -> None:
    if point:
        arm(point, number)
    asyncio.run(scene.life())


def _looked(ground: Ground) -> tuple[Violations, invariants.Snapshot]:
    """What the killed process has left on disk."""
    with ground.connected() as connection:
        lost = invariants.nothing_lost(connection, promises(ground.data, "accepted"))
        return [*invariants.always(connection), *lost], invariants.ended_rows(connection)


def _judged(ground: Ground, scene: Scene, ended: invariants.Snapshot) -> Violations:
    effects = Effects.read(ground.data / "effects")
    with ground.connected() as connection:
        found = [*scene.broken(connection, ground.data), *invariants.always(connection)]
        if scene.name == "retention":
            return found
        return [
            *found,
            *invariants.all_ended(connection),
            *invariants.nothing_lost(connection, promises(ground.data, "accepted")),
            *invariants.terminal_stays(ended, invariants.ended_rows(connection), may_go=_repaired(ground)),
            *invariants.effects_by_key(connection, effects),
            *invariants.lines_in_order(connection),
        ]


def _repaired(ground: Ground) -> list[int]:
    with ground.connected() as connection:
        sql = f"SELECT execution_id FROM {invariants.LOG} WHERE kind = 'repaired'"
        return [pk for (pk,) in invariants.rows(connection, sql)]


def _line(tally: Tally) -> str:
    head = f"{tally.point:24} {tally.kills:5} kills {tally.finished:5} finished {len(tally.violations):3} violations"
    return "\n    ".join((head, *tally.violations[:10]))


def _summed_up(tallies: Sequence[Tally], times: int, is_json: bool) -> int:
    missed = [tally.point for tally in tallies if tally.kills < times]
    bad = sum(len(tally.violations) for tally in tallies)
    if not is_json:
        kills = sum(tally.kills for tally in tallies)
        print(f"{len(tallies)} points, {kills} kills, {bad} violations; not reached often enough: {missed or 'none'}")
    return int(bool(missed or bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
