"""A room of the nursery: retries, children, a pause, slots and what a failure sets off, all at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

PLACES = ("record.before", "record.noted", "record.written", "record.committed")
STRIDE = 4  # a place is tried at each fourth commit, each commit at another place


def step(node_id: str, kind: str = "effect", **data: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "data": data}


def edge(source: str, target: str, handle: str = "out") -> dict[str, Any]:
    return {"source": source, "target": target, "sourceHandle": handle}


RETRIED = {
    "nodes": [step("first", fails=True, policy={"attempts": 3, "backoff_s": 0.02}), step("paused"), step("last")],
    "edges": [edge("first", "paused"), edge("paused", "last")],
}
EACH = {
    "nodes": [step("each", "for_each", parallel=2), step("item"), step("after")],
    "edges": [edge("each", "item", "each"), edge("each", "after", "done")],
}
FAILING = {"nodes": [step("bad", fails=True)], "edges": []}
HANDLER = {"nodes": [step("told")], "edges": []}


def set_up() -> None:
    from executions.engine import WorkflowEngine
    from workflows.models import Workflow

    handler = Workflow.objects.create(name="Handler")
    handler.publish(HANDLER)
    for name, definition, how in (
        ("Retried", RETRIED, {}),
        ("Each", EACH, {}),
        ("Failing", FAILING, {"on_failure": handler, "concurrency": 1}),
    ):
        workflow = Workflow.objects.create(name=name, **how)
        workflow.publish(definition)
        given = {"items": [1, 2, 3]} if name == "Each" else {}
        for _ in range(2 if "concurrency" in how else 1):
            before = ["paused"] if name == "Retried" else []
            WorkflowEngine().submit(workflow.pk, given, pause_before=before)


def register() -> None:
    from django.conf import settings

    from workflows import steps
    from workflows.errors import WorkflowStepError
    from workflows.steps import base

    class Effect(base.Step["Effect.Config"]):
        """Leaves a mark outside, under its idempotency key; its first attempt fails, where it is asked to."""

        kind, label, effects = "effect", "Effect", "outside"

        class Config(base.Config):
            fails: bool = False

        async def run(self, ctx: base.StepContext) -> base.Done:
            with (settings.DATA_DIR / "effects").open("a") as file:
                file.write(f"{ctx.idempotency_key}\n")
            if self.config.fails and ctx.attempt == 1:
                raise WorkflowStepError("the first attempt")
            return base.Done({ctx.node: "marked"})

    steps.register(Effect)


def tend() -> None:
    """Somebody lets go on what has paused."""
    from executions.engine import WorkflowEngine
    from executions.models import WorkflowExecution

    for row in WorkflowExecution.objects.live().filter(paused_at__isnull=False):
        WorkflowEngine().resume(row.pk)


ROWS = """
    SELECT execution.id, workflow.name, execution.status, parent_id, item_index, failure_of_id, has_slot
    FROM executions_workflowexecution execution JOIN workflows_workflow workflow ON workflow.id = workflow_id
    ORDER BY execution.id"""


def seen(folder: Path) -> dict[str, Any]:
    connection = sqlite3.connect(folder / "db.sqlite3")
    entries = "SELECT execution_id, seq, kind, node, attempt FROM executions_executionlog ORDER BY execution_id, seq"
    waits = "SELECT count(*) FROM executions_executionwait WHERE closed_at IS NULL"
    effects = folder / "effects"
    found = {
        "rows": connection.execute(ROWS).fetchall(),
        "entries": connection.execute(entries).fetchall(),
        "open": connection.execute(waits).fetchone()[0],
        "integrity": connection.execute("PRAGMA integrity_check").fetchone()[0],
        "effects": effects.read_text().split() if effects.exists() else [],
    }
    connection.close()
    return found
