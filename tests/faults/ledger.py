"""What the nursery raises for steps whose own rows are written together with their end: see test_kill_commit.py."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group

from workflows.functions import function
from workflows.steps.base import Done, StepContext

PLACES = ("record.before", "record.written", "record.committed")
STRIDE = 1
WORKFLOW = {
    "nodes": [
        {"id": "in", "type": "input", "data": {}},
        {"id": "first", "type": "python.book", "data": {}},
        {"id": "second", "type": "python.book", "data": {}},
        {"id": "out", "type": "output", "data": {}},
    ],
    "edges": [
        {"source": "in", "target": "first"},
        {"source": "in", "target": "second"},
        {"source": "first", "target": "out"},
        {"source": "second", "target": "out"},
    ],
}


def set_up() -> None:
    from executions.engine import WorkflowEngine
    from workflows.models import Workflow

    workflow = Workflow.objects.create(name="Victim")
    workflow.publish(WORKFLOW)
    WorkflowEngine().submit(workflow.pk, {"name": "ada"})


def register() -> None:
    @function()
    def book(ctx: StepContext) -> Done:
        """Leaves a row without any key: twice would be two of them."""
        return Done({ctx.node: "booked"}, commit=lambda: Group.objects.create(name=f"{ctx.node} {ctx.now.timestamp()}"))


def tend() -> None:
    """Nobody has to do anything here."""


def seen(folder: Path) -> dict[str, Any]:
    connection = sqlite3.connect(folder / "db.sqlite3")
    entries = connection.execute("SELECT seq, kind, node, attempt FROM executions_executionlog ORDER BY seq").fetchall()
    status = connection.execute("SELECT status FROM executions_workflowexecution").fetchone()[0]
    rows = [name.split()[0] for (name,) in connection.execute("SELECT name FROM auth_group ORDER BY name")]
    connection.close()
    return {"entries": entries, "status": status, "rows": rows}
