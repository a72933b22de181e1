"""Raises engines and kills them for real: forks a process for each point at which a commit can be cut.

Run as `python -m tests.faults.nursery FOLDER` in a process of its own (it forks, so it must have no threads and no
connections yet). Prints one line of JSON for each point: what was on disk when the process was killed, and after a
second process went on.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

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
    "before the claim",
    "inside the claim",
    "after the claim",
    "before a commit",
    "inside a commit",
    "after a commit",
)


def main(folder: Path) -> None:
    os.environ["DATA_DIR"] = str(folder)
    os.environ.pop("DATABASE_URL", None)
    os.environ["DJANGO_SETTINGS_MODULE"] = "workflowsite.settings"
    import django

    django.setup()
    in_a_child(set_up)
    with closing(sqlite3.connect(folder / "db.sqlite3")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(folder / "db.sqlite3", folder / "fresh.sqlite3")
    for place in PLACES:
        for point in points(folder, place):
            print(json.dumps(point), flush=True)


def points(folder: Path, place: str) -> Iterator[dict[str, Any]]:
    """One a number, until the engine comes to its end without reaching that number."""
    for number in count(1):
        shutil.copy(folder / "fresh.sqlite3", folder / "db.sqlite3")
        for name in ("db.sqlite3-wal", "db.sqlite3-shm", "effects"):
            (folder / name).unlink(missing_ok=True)
        status = in_a_child(partial(run, place, number))
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return
        if os.WIFEXITED(status):
            raise RuntimeError(f"the engine failed by itself, {place}, number {number}")
        died = os.WTERMSIG(status) == signal.SIGKILL
        then = seen(folder)
        finished = in_a_child(partial(run, "", 0)) == 0
        yield {
            "place": place,
            "number": number,
            "was_killed": died,
            "then": then,
            "was_finished": finished,
            "now": seen(folder),
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


def set_up() -> None:
    from django.conf import settings
    from django.core.management import call_command

    from workflows.models import Workflow
    from workflowsite.database import lay_out

    lay_out(Path(settings.DATABASES["default"]["NAME"]))
    call_command("migrate", verbosity=0)
    register_effect()
    workflow = Workflow.objects.create(name="Victim")
    workflow.publish(WORKFLOW)
    from executions.engine import WorkflowEngine

    WorkflowEngine().submit(workflow.pk, {"name": "ada"})


def register_effect() -> None:
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


def run(place: str, number: int) -> None:
    """An engine that goes on with whatever is there, and is killed at its `number`th arrival at `place`."""
    register_effect()
    if place:
        arm(place, number)
    asyncio.run(carry())


def arm(place: str, number: int) -> None:
    from executions import claim, journal

    when, where = place.split(" the " if "claim" in place else " a ")
    arrivals = count(1)

    def arrive() -> None:
        if next(arrivals) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    module, whole, last = (claim, "claim", "_take") if where == "claim" else (journal, "write", "_write_waits")
    name = last if when == "inside" else whole
    real = getattr(module, name)

    def armed(*args: Any) -> Any:
        if when == "before" and args != ([],):
            arrive()
        result = real(*args)
        if when != "before" and (result or where == "commit"):
            arrive()
        return result

    setattr(module, name, armed)


async def carry() -> None:
    from executions.models import WorkflowExecution
    from executions.worker import current_worker

    worker = current_worker()
    await worker.start()
    async with asyncio.timeout(30):
        while await worker.journal.run(WorkflowExecution.objects.live().exists):
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
    main(Path(sys.argv[1]))
