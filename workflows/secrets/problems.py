"""Secrets that a definition names and its workflow may not use: it would fail at that step, so it is told before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflows.errors import Problem
from workflows.graph import Graph
from workflows.models.secret import Secret
from workflows.sayings import title
from workflows.secrets.mentions import Mention, secrets_named

if TYPE_CHECKING:
    from workflows.models.workflow import Workflow


def unusable_secrets(graph: Graph, workflow: Workflow) -> list[Problem]:
    """A few queries, and none where no step names a secret. Without owner a warning: whoever copies it may have one."""
    named = secrets_named(graph)
    if not named:
        return []
    known = {} if workflow.owner is None else Secret.objects.by_name(workflow)
    level = "warning" if workflow.owner is None else "error"
    return [
        Problem("step.secret", _sentence(one, workflow), one.node.id, one.field, level)  # type: ignore[arg-type]
        for one in named
        if one.name not in known
    ]


def _sentence(one: Mention, workflow: Workflow) -> str:
    field = title(one.node.type, one.field.partition(".")[0])
    where = f"Step “{one.node.label}”: {field[:1].upper()}{field[1:]} names the secret “{one.name[:64]}”"
    if "{{" in one.name:
        return f"{where}, and a secret is chosen by its name alone, never by an expression."
    if workflow.owner is None:
        return f"{where}, and a workflow without owner may use none. Copy it: the copy is yours."
    return f"{where}, which this workflow may not use or which is not there. Make it, or choose another one."
