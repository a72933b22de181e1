"""The files of a workflow: what there is, one of them to be saved, and gone for good."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from workflows.errors import WorkflowStepError
from workflows.exchange import said_size
from workflows.files import UNKNOWN_TYPE, Found, area
from workflows.views.record import editable, may_edit, posted, see_other, whole, workflow_for

PAGE = 200  # files on one


@dataclass(frozen=True, slots=True)
class Row:
    file: Found
    size: str
    href: str


@require_safe
def files(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """`?after=`: how many of them, by their names, the page leaves out."""
    workflow = workflow_for(request, workflow_id)
    found, after = area(workflow.pk).listed(), min(whole(request, "after") or 0, 1_000_000)
    href = reverse("workflows:file", args=[workflow.pk])
    shown = found[after : after + PAGE]
    page = {
        "workflow": workflow,
        "may_edit": may_edit(request, workflow),
        "rows": [Row(one, said_size(one.size), f"{href}?path={quote(one.path)}") for one in shown],
        "many": len(found),
        "size": said_size(sum(one.size for one in found)),
        "most": said_size(settings.FILES["WORKFLOW_BYTES"]),
        "next": after + PAGE if len(found) > after + PAGE else None,
    }
    return render(request, "workflows/files.html", page)


@require_safe
def file(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """`?path=`: to be saved and never to be opened by a browser, whatever stands in it."""
    workflow = workflow_for(request, workflow_id)
    try:
        reference = area(workflow.pk).reference(request.GET.get("path", ""))
        content = area(workflow.pk).read(reference["file"])
    except WorkflowStepError as error:
        raise Http404(error.message) from None
    headers = {
        "Content-Disposition": content_disposition_header(True, reference["name"]) or "attachment",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(content, content_type=UNKNOWN_TYPE, headers=headers)


@posted
def delete_file(request: HttpRequest, workflow_id: int) -> HttpResponse:
    workflow = editable(request, workflow_id)
    try:
        area(workflow.pk).remove(request.POST.get("path", ""))
        messages.success(request, "The file is deleted.")
    except WorkflowStepError as error:
        messages.error(request, error.message)
    return see_other("workflows:files", workflow.pk)
