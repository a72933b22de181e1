"""When somebody else was quicker: which revision people had before their eyes, and what was done since."""

from __future__ import annotations

from django.http import HttpRequest

from workflows.models import Workflow, WorkflowEdit

TOLD = 10  # edits
UNKNOWN = -1  # no draft has it: whoever says none has seen nothing


def seen_in(request: HttpRequest) -> int:
    """The revision that a form carries."""
    text = request.POST.get("revision", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else UNKNOWN


def meanwhile(workflow: Workflow, seen: int) -> list[WorkflowEdit]:
    """What was done to the draft since, newest first."""
    return list(workflow.edits.since(seen).select_related("by").order_by("-revision")[:TOLD])
