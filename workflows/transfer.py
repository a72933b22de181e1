"""Workflows go out as parcels and come in as parcels. The rows are here, the format is in exchange.py."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from workflows.exchange import Parcel
from workflows.models import Workflow, WorkflowVersion
from workflows.models.workflow import LIMITS

SET: tuple[Any, ...] = (None, "")  # what says that nothing is set


def packed(workflow: Workflow, version: WorkflowVersion | None = None) -> Parcel:
    """A workflow as it is edited now, or one of its versions."""
    return Parcel(
        definition=version.definition if version else workflow.definition,
        name=workflow.name,
        description=workflow.description,
        tags=tuple(workflow.tags.values_list("name", flat=True)),
        max_parallel=workflow.max_parallel,
        time_zone=workflow.time_zone,
        settings={name: value for name in LIMITS if (value := getattr(workflow, name)) not in SET},
    )


def unpacked(parcel: Parcel, name: str, owner: Any, by: Any = None) -> Workflow:
    """A new workflow with the parcel's definition as its draft: nothing is published, nothing can run yet."""
    with transaction.atomic():
        workflow = Workflow.objects.create(
            name=name or parcel.name or "Imported workflow",
            description=parcel.description,
            time_zone=parcel.time_zone,
            owner=owner,
            **parcel.settings,
            **({"max_parallel": parcel.max_parallel} if parcel.max_parallel else {}),
        )
        workflow.set_tags(list(parcel.tags))
        workflow.keep_draft(parcel.definition, by, words="Imported it")
    return workflow
