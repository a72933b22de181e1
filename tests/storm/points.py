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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

from executions import crashpoints
from tests.faults.nursery import arm, in_a_child
from tests.storm import invariants
from tests.storm.grounds import Ground, PostgreSQL, SQLite
from tests.storm.invariants import Effects, Violations
from tests.storm.mutations import MUTATIONS
from tests.storm.scenes import SCENES, Scene, promises, register
from tests.storm.sql import from_json

#: What the children would else read from disk, each for itself: half of their time.
WARM = (
    "executions.engine",
    "executions.worker",
    "executions.housekeeping",
    "executions.repair",
    "executions.consumers",
)
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it has made is taken away all the same
    if unknown := set(told.points) - crashpoints.POINTS:
        raise SystemExit(f"There is no crash point {', '.join(sorted(unknown))}.")
    with tempfile.TemporaryDirectory(prefix="points-") as folder:
        data = Path(folder) / "data"
        ground = PostgreSQL(data, told.database) if told.database else SQLite(data)
        _set_up_django(ground)
        tallies = []
        try:
            scenes = [scene for scene in SCENES if told.scene in ("", scene.name)]
            storm = Storm(ground, scenes, told.times, MUTATIONS.get(told.without))
            for tally in storm.tallies(told.points or sorted(crashpoints.POINTS)):
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
    parser.add_argument("--scene", default="", choices=[scene.name for scene in SCENES], help="this one alone")
    parser.add_argument("--without", default="", choices=list(MUTATIONS), help="a guard that is taken away")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each point")
    return parser


def _set_up_django(ground: Ground) -> None:
    os.environ |= {"DATA_DIR": str(ground.data), "DATABASE_URL": ground.url, "REDIS_URL": ""}
    os.environ["DJANGO_SETTINGS_MODULE"] = "workflowsite.settings"
    import django

    django.setup()
    register()
    for name in WARM:
        import_module(name)


@dataclass(slots=True)
class Storm:
    """`mutation`: what is done to the process that is killed, before it lives."""

    ground: Ground
    scenes: Sequence[Scene]
    times: int
    mutation: Callable[[], None] | None = None

    def tallies(self, points: Sequence[str]) -> Iterator[Tally]:
        """`times` kills at each point, spread over all scenes that come there and all their arrivals."""
        for scene in self.scenes:
            self.ground.lay_out(scene)
        arrivals = [(scene, counted(self.ground, scene)) for scene in self.scenes]
        for point in points:
            places = [(scene, number) for scene, found in arrivals for number in range(1, found[point] + 1)]
            tally = Tally(point)
            for place in _spread(places, self.times):
                self.kill(place, tally)
            yield tally

    def kill(self, place: Place, tally: Tally) -> None:
        """One kill, and the life after it. Arrivals differ from life to life: an earlier one is then taken."""
        scene, wanted = place
        for number in (wanted, 1, 1, 1):
            self.ground.restore(scene)
            status = in_a_child(partial(_live, scene, tally.point, number, self.mutation))
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                break
            if status:
                tally.violations.append(f"{scene.name}, arrival {number}: the process failed by itself")
                return
        else:
            return
        tally.kills += 1
        found, ended = _looked(self.ground)
        is_finished = in_a_child(partial(_live, scene)) == 0
        tally.finished += is_finished
        found += _judged(self.ground, scene, ended) if is_finished else ["it does not come to its end"]
        tally.violations += [f"{scene.name}, arrival {number}: {violation}" for violation in found]


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


def _live(scene: Scene, point: str = "", number: int = 0, mutation: Callable[[], None] | None = None) -> None:
    if mutation:
        mutation()
    if point:
        arm(point, number)
    asyncio.run(scene.life())


def _looked(ground: Ground) -> tuple[Violations, invariants.Snapshot]:
    """What the killed process has left on disk."""
    ground.settle()
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
            *invariants.effects_by_key(connection, effects, nodes=_with_effects(connection)),
            *invariants.lines_in_order(connection),
        ]


def _with_effects(connection: invariants.Connection) -> set[str]:
    """The steps that leave a mark, by the definitions."""
    told = invariants.rows(connection, "SELECT definition FROM workflows_workflowversion")
    nodes = [node for (definition,) in told for node in from_json(definition)["nodes"]]
    return {node["id"] for node in nodes if node["type"] in ("effect", "thread_effect")}


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
