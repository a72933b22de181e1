"""Raises engines and kills them for real: forks a process for each arrival at a crash point.

Run as `python -m tests.faults.nursery FOLDER [ROOM]` in a process of its own (it forks, so it must have no threads and
no connections yet). Prints one line of JSON for each point: what was on disk when the process was killed, and after a
second process went on. ROOM: the module that says what runs and what is looked at; this one, or strength.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from executions import crashpoints

WORKFLOW = {
    "nodes": [
        {"id": "in", "type": "input", "data": {}},
        {"id": "first", "type": "effect", "data": {}},
        {"id": "pause", "type": "delay", "data": {"seconds": 0.05}},
        {"id": "left", "type": "effect", "data": {}},
        {"id": "right", "type": "effect", "data": {}},
        {"id": "out", "type": "output", "data": {}},
    ],
    "edges": [
        {"source": "in", "target": "first"},
        {"source": "first", "target": "pause"},
        {"source": "pause", "target": "left"},
        {"source": "pause", "target": "right"},
        {"source": "left", "target": "out"},
        {"source": "right", "target": "out"},
    ],
}
PLACES = (
    "claim.before",
    "claim.written",
    "claim.committed",
    "record.before",
    "record.written",
    "record.committed",
)


class Room(Protocol):
    PLACES: Sequence[str]
    STRIDE: int

    def set_up(self) -> None: ...
    def register(self) -> None: ...
    def tend(self) -> None:
        """What people do meanwhile, again and again."""

    def seen(self, folder: Path) -> dict[str, Any]: ...


STRIDE = 1


def main(folder: Path, name: str = "tests.faults.nursery") -> None:
    os.environ["DATA_DIR"] = str(folder)
    os.environ.pop("DATABASE_URL", None)
    os.environ["DJANGO_SETTINGS_MODULE"] = "workflowsite.settings"
    import django

    django.setup()
    room: Any = import_module(name)
    in_a_child(partial(lay_out, room))
    with closing(sqlite3.connect(folder / "db.sqlite3")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(folder / "db.sqlite3", folder / "fresh.sqlite3")
    for turn, place in enumerate(room.PLACES):
        for point in points(folder, room, place, 1 + turn % room.STRIDE):
            print(json.dumps(point), flush=True)


def points(folder: Path, room: Room, place: str, first: int) -> Iterator[dict[str, Any]]:
    """One a number, until the engine comes to its end without reaching that number."""
    for number in count(first, room.STRIDE):
        shutil.copy(folder / "fresh.sqlite3", folder / "db.sqlite3")
        for name in ("db.sqlite3-wal", "db.sqlite3-shm", "effects"):
            (folder / name).unlink(missing_ok=True)
        status = in_a_child(partial(run, room, place, number))
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return
        if os.WIFEXITED(status):
            raise RuntimeError(f"the engine failed by itself, {place}, number {number}")
        died = os.WTERMSIG(status) == signal.SIGKILL
        then = room.seen(folder)
        finished = in_a_child(partial(run, room, "", 0)) == 0
        yield {
            "place": place,
            "number": number,
            "was_killed": died,
            "then": then,
            "was_finished": finished,
            "now": room.seen(folder),
        }


def in_a_child(function: Callable[[], Any]) -> int:
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        function()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def lay_out(room: Room) -> None:
    from django.conf import settings
    from django.core.management import call_command

    from workflowsite import database

    database.lay_out(Path(settings.DATABASES["default"]["NAME"]))
    call_command("migrate", verbosity=0)
    room.register()
    room.set_up()


def set_up() -> None:
    from workflows.models import Workflow

    workflow = Workflow.objects.create(name="Victim")
    workflow.publish(WORKFLOW)
    from executions.engine import WorkflowEngine

    WorkflowEngine().submit(workflow.pk, {"name": "ada"})


def register() -> None:
    from django.conf import settings

    from workflows import steps
    from workflows.steps.base import Config, Done, Step, StepContext

    class Effect(Step[Config]):
        """Leaves a mark outside, under its idempotency key."""

        kind, label, effects = "effect", "Effect", "outside"

        async def run(self, ctx: StepContext) -> Done:
            with (settings.DATA_DIR / "effects").open("a") as file:
                file.write(f"{ctx.idempotency_key}\n")
            ctx.log("marked")
            return Done({ctx.node: "marked"})

    steps.register(Effect)


def tend() -> None:
    """Nobody has to do anything here."""


def run(room: Room, place: str, number: int) -> None:
    """An engine that goes on with whatever is there, and is killed at its `number`th arrival at `place`."""
    room.register()
    if place:
        arm(place, number)
    asyncio.run(carry(room))


def arm(place: str, number: int) -> None:
    """The process is killed at its `number`th arrival at this crash point."""
    arrivals = count(1)
    crashpoints.arm(lambda point: kill() if point == place and next(arrivals) == number else None)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def carry(room: Room) -> None:
    from executions.models import WorkflowExecution
    from executions.worker import current_worker

    worker = current_worker()
    await worker.start()
    async with asyncio.timeout(30):
        while await worker.journal.run(WorkflowExecution.objects.live().exists):
            await worker.journal.run(room.tend)
            await asyncio.sleep(0.01)
    await worker.stop()


def seen(folder: Path) -> dict[str, Any]:
    """Read with plain sqlite3: what another program would find."""
    connection = sqlite3.connect(folder / "db.sqlite3")
    entries = connection.execute("SELECT seq, kind, node, attempt FROM executions_executionlog ORDER BY seq").fetchall()
    row = connection.execute("SELECT status, output_data, steps_done FROM executions_workflowexecution").fetchone()
    check = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    effects = folder / "effects"
    keys = effects.read_text().split() if effects.exists() else []
    return {"entries": entries, "row": row, "integrity": check, "effects": keys}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
