"""What goes on while a process is killed: five scenes, which together come to every crash point there is.

A scene's life() is one process from its start to the moment when nothing is left to do; whoever comes after a kill
lives the same life, finds what is there, and goes on. What people were told is written into a file of its own, in the
moment in which they are told it: see Promises.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from tests.storm.sql import EXECUTION, LOG, WAIT, Connection, Violations, rows

PATIENCE_S = 20.0


class Scene(Protocol):
    name: str

    def set_up(self) -> None: ...
    async def life(self) -> None: ...
    def broken(self, connection: Connection, folder: Path) -> Violations:
        """What must hold in the end and is true of this scene alone."""


# What all of them use


def step(node_id: str, kind: str = "effect", **data: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "data": data}


def drawn(nodes: list[dict[str, Any]], *edges: str) -> dict[str, Any]:
    """“a>b”, or “a:each>b” for a way that leaves by a handle."""
    pairs = [edge.split(">") for edge in edges]
    parts = [(*source.partition(":")[::2], target) for source, target in pairs]
    return {
        "nodes": nodes,
        "edges": [{"source": source, "target": target, "sourceHandle": way or "out"} for source, way, target in parts],
    }


def published(name: str, definition: dict[str, Any], **how: Any) -> Any:
    from workflows.models import Workflow

    workflow = Workflow.objects.create(name=name, **how)
    workflow.publish(definition)
    return workflow


def submitted(name: str, given: dict[str, Any] | None = None, **how: Any) -> int:
    """Once, however often the scene is begun; whoever gets an answer may rely on it."""
    from executions.engine import WorkflowEngine
    from workflows.models import Workflow

    workflow = Workflow.objects.get(name=name)
    number = WorkflowEngine().submit(workflow.pk, given or {}, idempotency_key=name, **how)
    promise("accepted", number)
    return number


def promise(what: str, number: int) -> None:
    """Somebody was told so: it is on disk before anything else happens."""
    from django.conf import settings

    append(settings.DATA_DIR / "promises", f"{what} {number}\n")


def promises(folder: Path, what: str) -> list[int]:
    file = folder / "promises"
    lines = file.read_text().splitlines() if file.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith(f"{what} ")]


def append(file: Path, text: str) -> None:
    """One write, which a kill cannot tear."""
    handle = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(handle, text.encode())
    os.close(handle)


def nobody() -> bool:
    """Nothing is left for people to do."""
    return True


async def carry(tend: Callable[[], bool] = nobody, worker: Any = None) -> None:
    """An engine, and the people beside it, until nothing lives and nobody has anything left to do."""
    from executions.models import WorkflowExecution
    from executions.worker import current_worker

    worker = worker or current_worker()
    await worker.start()
    async with asyncio.timeout(PATIENCE_S):
        while not await worker.journal.run(tend) or await worker.journal.run(WorkflowExecution.objects.live().exists):
            await asyncio.sleep(0.03)
    await worker.stop()


def register() -> None:
    from django.conf import settings
    from django.contrib.auth.models import Group

    from executions import family
    from workflows import steps
    from workflows.errors import WorkflowStepError
    from workflows.steps import base

    class EffectConfig(base.Config):
        lines: int = 0
        fails: str = ""  # once; until it is repaired
        slow: float = 0  # its first attempt, in seconds
        big: int = 0

    class Effect(base.Step[EffectConfig]):
        """Writes numbered lines and leaves a mark outside, under its idempotency key."""

        kind, label, effects = "effect", "Effect", "outside"
        Config = EffectConfig

        async def run(self, ctx: base.StepContext) -> base.Done:
            mark(ctx, self.config)
            if ctx.attempt == 1:
                await asyncio.sleep(self.config.slow)
            return base.Done({ctx.node: "marked" + "!" * self.config.big})

    class ThreadEffect(base.Step[EffectConfig]):
        kind, label, effects = "thread_effect", "Effect in a thread", "outside"
        Config = EffectConfig

        def run(self, ctx: base.StepContext) -> base.Done:
            mark(ctx, self.config)
            return base.Done({ctx.node: "marked"})

    def mark(ctx: base.StepContext, config: EffectConfig) -> None:
        for number in range(1, config.lines + 1):
            ctx.log(f"line {number} of {config.lines}")
        append(settings.DATA_DIR / "effects", f"{ctx.idempotency_key}\n")
        is_unrepaired = config.fails == "until it is repaired" and ctx.idempotency_key.endswith(":0")
        if is_unrepaired or (config.fails == "once" and ctx.attempt == 1):
            raise WorkflowStepError("not yet")

    class Book(base.Step[base.Config]):
        """Leaves a row without any key: twice would be two of them."""

        kind, label = "book", "Book"

        async def run(self, ctx: base.StepContext) -> base.Done:
            name = f"{ctx.idempotency_key} {uuid4().hex}"
            return base.Done({ctx.node: "booked"}, commit=lambda: Group.objects.create(name=name))

    for kind in (Effect, ThreadEffect, Book):
        steps.register(kind)
    family.LINGER_S = 0.05  # nobody waits here for children that wait


def counted(connection: Connection, wanted: dict[str, int]) -> Violations:
    """How many executions have ended in which way, by the name of their workflow; children are not counted."""
    sql = f"""
        SELECT w.name, e.status, count(*) FROM {EXECUTION} e JOIN workflows_workflow w ON w.id = e.workflow_id
        WHERE e.parent_id IS NULL GROUP BY w.name, e.status"""
    found = {f"{name} {status}": count for name, status, count in rows(connection, sql)}
    return [] if found == wanted else [f"these ended: {found}, and not {wanted}"]


def own_writes_once(connection: Connection) -> Violations:
    """A step's own row is there exactly where the record of its end is. Holds at every moment."""
    sql = f"SELECT execution_id, node FROM {LOG} WHERE kind = 'completed' AND node LIKE 'book%'"
    ended = sorted(f"{pk}:{node}:0" for pk, node in rows(connection, sql))
    booked = sorted(name.split()[0] for (name,) in rows(connection, "SELECT name FROM auth_group"))
    return [] if ended == booked else [f"half: {booked} are booked, and {ended} have ended"]


# The scenes


class Steps:
    """Effects, log lines, a retry, a thread, a delay, a file, and a step's own rows; submitted by somebody."""

    name = "steps"

    def set_up(self) -> None:
        nodes = [
            step("first", lines=3),
            step("again", fails="once", policy={"attempts": 3, "backoff_s": 0.01}),
            step("pause", "delay", seconds=0.02),
            step("thread", "thread_effect", lines=2),
            step("book", "book"),
            step("big", big=300_000),
            step("last", "output"),
        ]
        edges = "first>again", "again>pause", "pause>thread", "pause>book", "pause>big", "thread>last", "book>last"
        published("Steps", drawn(nodes, *edges, "big>last"))

    async def life(self) -> None:
        def tend() -> bool:
            submitted("Steps", {"name": "ada"})
            return True

        await carry(tend)

    def broken(self, connection: Connection, folder: Path) -> Violations:
        return [*counted(connection, {"Steps completed": 1}), *own_writes_once(connection)]


class Owners:
    """Owners that die, let go in order, renew their leases, and run what their own caller waits for.

    It begins with an execution whose owner was killed in the middle of a step.
    """

    name = "owners"

    def set_up(self) -> None:
        published("Taken over", drawn([step("slow", slow=0.3), step("next")], "slow>next"))
        published("Handed back", drawn([step("long", slow=0.3), step("then")], "long>then"))
        published("Called", drawn([step("a"), step("b", "delay", seconds=0.02), step("c")], "a>b", "b>c"))

    async def before(self) -> None:
        """Is killed."""
        from executions import crashpoints
        from tests.faults.nursery import kill

        crashpoints.arm(lambda point: kill() if point == "step.before" else None)

        def tend() -> bool:
            submitted("Taken over")
            return True

        await carry(tend)

    async def life(self) -> None:
        from django.conf import settings

        from executions.worker import current_worker

        settings.ENGINE["RENEW_SECONDS"] = 0.05  # type: ignore[assignment]
        worker = current_worker()
        await worker.journal.run(submitted, "Handed back")
        await worker.start()
        async with asyncio.timeout(PATIENCE_S):
            while await worker.journal.run(_is_unstarted, "Handed back", "long"):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.12)  # two renewals
        await worker.stop(0)
        await self._call()
        await carry()

    async def _call(self) -> None:
        """A caller runs it in its own loop, without a worker; who was killed comes back and calls once more."""
        from executions.engine import WorkflowEngine
        from executions.worker import current_worker
        from workflows.models import Workflow

        target = await Workflow.objects.aget(name="Called")
        result = await WorkflowEngine().execute_workflow(target.pk, {})
        promise("completed", result.execution_id)
        await current_worker().close()

    def broken(self, connection: Connection, folder: Path) -> Violations:
        sql = f"SELECT DISTINCT status FROM {EXECUTION}"
        bad = [status for (status,) in rows(connection, sql) if status != "completed"]
        ended = {pk for (pk,) in rows(connection, f"SELECT id FROM {EXECUTION} WHERE status = 'completed'")}
        lost = sorted(set(promises(folder, "completed")) - ended)
        return [f"one is {status}" for status in bad] + [f"{pk} was said to have completed" for pk in lost]


def _is_unstarted(name: str, node: str) -> bool:
    from executions.models import ExecutionLog

    return not ExecutionLog.objects.filter(execution__workflow__name=name, node=node).exists()


class Family:
    """A for-each, a call, slots, and a failure that starts another workflow."""

    name = "family"

    def set_up(self) -> None:
        handler = published("Handler", drawn([step("told")]))
        each = [step("each", "for_each", parallel=2), step("item"), step("after")]
        published("Each", drawn(each, "each:each>item", "each:done>after"))
        target = published("Target", drawn([step("inner")]))
        published("Calling", drawn([step("call", "call", workflow=target.pk), step("back")], "call>back"))
        published("Failing", drawn([step("bad", fails="until it is repaired")]), on_failure=handler, concurrency=1)
        submitted("Each", {"items": [1, 2, 3]})
        submitted("Calling")
        self._submit_failing()

    def _submit_failing(self) -> None:
        from executions.engine import WorkflowEngine
        from workflows.models import Workflow

        for number in range(2):
            target = Workflow.objects.get(name="Failing")
            promise("accepted", WorkflowEngine().submit(target.pk, {}, idempotency_key=f"failing {number}"))

    async def life(self) -> None:
        await carry()

    def broken(self, connection: Connection, folder: Path) -> Violations:
        wanted = {"Each completed": 1, "Calling completed": 1, "Failing failed": 2, "Handler completed": 2}
        sql = f"SELECT count(*) FROM {EXECUTION} WHERE parent_id IS NOT NULL AND status = 'completed'"
        children = rows(connection, sql)[0][0]
        return counted(connection, wanted) + ([] if children == 4 else [f"{children} children have ended, and not 4"])


class People:
    """Who answers, cancels, pauses and repairs; and an execution that the engine cannot go on with."""

    name = "people"

    def set_up(self) -> None:
        published("Asked", drawn([step("ask", "approval"), step("yes")], "ask:approved>yes"))
        waiting = [step("each", "for_each", parallel=2), step("sleep", "delay", seconds=3_600), step("after")]
        for name in ("Cancelled", "Buried"):
            published(name, drawn(waiting, "each:each>sleep", "each:done>after"))
        published(
            "Paused", drawn([step("one", "delay", seconds=0.05), step("two"), step("three")], "one>two", "two>three")
        )
        published("Repaired", drawn([step("mended", fails="until it is repaired"), step("end")], "mended>end"))
        for name in ("Asked", "Paused", "Repaired"):
            submitted(name)
        submitted("Cancelled", {"items": [1, 2]})
        submitted("Buried", {"items": [1, 2], "large": "x" * 300_000})

    async def life(self) -> None:
        await carry(self._tend)

    def _tend(self) -> bool:
        """Each does what is left for it to do; True where that was nothing."""
        return all([self._answer(), self._cancel(), self._pause(), self._repair(), self._lose_a_file()])

    def _answer(self) -> bool:
        from executions.engine import WorkflowEngine
        from executions.models import ExecutionWait

        for wait in ExecutionWait.objects.open().filter(kind="approval", answered_at=None):
            if WorkflowEngine().answer_wait(wait.pk, {"approved": True}):
                promise("answered", wait.pk)
        return self._has("Asked", "answered")

    def _cancel(self) -> bool:
        from executions.engine import WorkflowEngine

        row = self._row("Cancelled")
        if row.children.filter(status="waiting").count() == 2 and WorkflowEngine().cancel(row.pk):
            promise("cancelled", row.pk)
        return bool(self._row("Cancelled").cancel_requested_at)

    def _pause(self) -> bool:
        """First by hand, later before its last step; each time somebody lets it go on."""
        from executions.engine import WorkflowEngine

        row, engine = self._row("Paused"), WorkflowEngine()
        if row.paused_at:
            engine.resume(row.pk)
        elif not row.is_final and not row.entries.filter(kind="paused").exists():
            engine.pause(row.pk)
            engine.pause_before(row.pk, ["three"])
        return self._row("Paused").is_final

    def _repair(self) -> bool:
        from executions.engine import WorkflowEngine
        from executions.repair import Repair

        row = self._row("Repaired")
        if row.status == "failed":
            WorkflowEngine().repair(row.pk, Repair(reason="by a scene"))
            promise("repaired", row.pk)
        return self._has("Repaired", "repaired")

    def _lose_a_file(self) -> bool:
        """The input of one that waits is gone from the disk, and somebody wakes it."""
        from django.conf import settings

        row = self._row("Buried")
        if row.children.filter(status="waiting").count() == 2 and row.status == "waiting":
            shutil.rmtree(Path(settings.DATA_DIR) / "blobs" / str(row.pk), ignore_errors=True)
            row.nudge()
        return self._row("Buried").is_final

    def _row(self, name: str) -> Any:
        from executions.models import WorkflowExecution

        return WorkflowExecution.objects.get(workflow__name=name, parent=None)

    def _has(self, name: str, kind: str) -> bool:
        return bool(self._row(name).entries.filter(kind=kind).exists())

    def broken(self, connection: Connection, folder: Path) -> Violations:
        wanted = dict.fromkeys(("Asked completed", "Paused completed", "Repaired completed"), 1)
        found = counted(connection, wanted | {"Cancelled cancelled": 1, "Buried failed": 1})
        answered = {pk for (pk,) in rows(connection, f"SELECT id FROM {WAIT} WHERE answered_at IS NOT NULL")}
        found += [f"the answer to wait {pk} is lost" for pk in promises(folder, "answered") if pk not in answered]
        told = {pk for (pk,) in rows(connection, f"SELECT execution_id FROM {LOG} WHERE kind = 'repaired'")}
        return found + [f"the repair of {pk} is lost" for pk in promises(folder, "repaired") if pk not in told]


class Retention:
    """What ended long ago is deleted: long journals, children and files."""

    name = "retention"

    def set_up(self) -> None:
        each = [step("each", "for_each"), step("item", big=300_000), step("talk", lines=400)]
        published("Old", drawn(each, "each:each>item", "each:done>talk"))
        for number in range(2):
            self._submit(number)

    def _submit(self, number: int) -> None:
        from executions.engine import WorkflowEngine
        from workflows.models import Workflow

        WorkflowEngine().submit(Workflow.objects.get(name="Old").pk, {"items": [number]})

    async def before(self) -> None:
        await carry()

    async def life(self) -> None:
        from asgiref.sync import sync_to_async

        await sync_to_async(self._prune)()

    def _prune(self) -> None:
        from django.conf import settings

        from executions.housekeeping import forget_orphans
        from executions.retention import Pace, Pruning, days_ago
        from workflows.models import Workflow

        for workflow in Workflow.objects.all():
            Pruning(days_ago(0), pace=Pace(size=50, most=50)).run(workflow)
        for left in (Path(settings.DATA_DIR) / "blobs").glob("*"):
            os.utime(left, (0, 0))  # a day later, and more
        forget_orphans()

    def broken(self, connection: Connection, folder: Path) -> Violations:
        left = {table: rows(connection, f"SELECT count(*) FROM {table}")[0][0] for table in (EXECUTION, LOG, WAIT)}
        files = list((folder / "blobs").glob("*"))
        found = [f"{count} rows are left in {table}" for table, count in left.items() if count]
        return found + ([f"files are left: {files}"] if files else [])


SCENES: tuple[Scene, ...] = (Steps(), Owners(), Family(), People(), Retention())
