"""The variables that an execution may read, as they are when it begins."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from workflows.models import Variable, Workflow


def variables_of(workflow_id: int, names: Collection[str]) -> dict[str, Any]:
    """By name; those that are not there, or not for this workflow, are left out."""
    workflow = Workflow.objects.select_related("owner").get(pk=workflow_id)
    return Variable.objects.filter(name__in=names).values_for(workflow)
