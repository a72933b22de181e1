"""What an execution follows: the steps that it walks itself, and all that is drawn of it, children's steps included.

Empty where a version was broken by hand: what happened can be read all the same.
"""

from __future__ import annotations

from executions.models import WorkflowExecution
from workflows.blueprint import Blueprint, blueprint_of
from workflows.graph import Graph

NOTHING = Graph([], [])


def graph_of(execution: WorkflowExecution) -> Graph:
    """What it walks."""
    blueprint = blueprint_for(execution)
    return blueprint.graph if blueprint else NOTHING


def drawn_of(execution: WorkflowExecution) -> Graph:
    """The same, and the bodies that run once for each item."""
    blueprint = blueprint_for(execution)
    return blueprint.drawn if blueprint else NOTHING


def blueprint_for(execution: WorkflowExecution) -> Blueprint | None:
    """None where its version cannot be read."""
    found = blueprint_of(execution.version, execution.workflow.max_parallel, execution.body)
    return found if isinstance(found, Blueprint) else None
