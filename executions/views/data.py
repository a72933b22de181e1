"""The data of executions and their steps: as far as a page shows it, and whole as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from executions import blobs, story
from executions.blobs import NotReadable
from executions.entry import as_json
from executions.large import input_of, input_outline, output_of, output_outline
from executions.models import WorkflowExecution
from executions.plan import graph_of
from executions.preview import Preview, preview
from executions.views.record import execution_for

Shown = dict[str, Preview | None]


@require_safe
def of_execution(request: HttpRequest, execution_id: int) -> HttpResponse:
    """`?of=input` or `output`: what it was given or what came out, whole, as a JSON file."""
    execution = execution_for(request, execution_id)
    read = {"input": input_of, "output": output_of}.get(request.GET.get("of", ""))
    if read is None:
        raise Http404
    return _file(f"execution-{execution_id}-{request.GET['of']}", lambda: read(execution))


@require_safe
def of_step(request: HttpRequest, execution_id: int, node_id: str) -> HttpResponse:
    """`?of=input` or `output`: what the step saw or made when it last ended."""
    execution, which = execution_for(request, execution_id), request.GET.get("of", "")
    if node_id not in graph_of(execution).nodes or which not in ("input", "output"):
        raise Http404
    name = f"execution-{execution_id}-{node_id}-{which}"
    return _file(name, lambda: blobs.whole(story.step_data(execution.pk, node_id)[which]))


def shown(execution: WorkflowExecution) -> Shown:
    """Its input and output for a page."""
    return {"input": _preview(input_outline, execution), "output": _preview(output_outline, execution)}


def shown_of_step(execution: WorkflowExecution, node_id: str) -> Shown:
    try:
        data = story.step_data(execution.pk, node_id)
    except NotReadable as error:
        return dict.fromkeys(("input", "output"), Preview("", problem=error.message))
    return {which: preview(value) for which, value in data.items()}


def _preview(outline: Callable[[WorkflowExecution], Any], execution: WorkflowExecution) -> Preview | None:
    """What cannot be read does not cost the page."""
    try:
        return preview(outline(execution))
    except NotReadable as error:
        return Preview("", problem=error.message)


def _file(name: str, read: Callable[[], Any]) -> HttpResponse:
    """To be saved and never to be opened by a browser, whatever stands in it."""
    try:
        value = read()
    except NotReadable as error:
        return HttpResponse(error.message, status=404, content_type="text/plain; charset=utf-8")
    if value is None:
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="{name}.json"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(as_json(value), content_type="application/json", headers=headers)
