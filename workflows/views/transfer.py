"""Workflows leave as a file and come in as a file or as pasted text. What comes in is a draft: it runs nothing."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_safe

from workflows.errors import EditConflict, InputError
from workflows.exchange import MAX_NAME, Parcel, decoded, read, said_size, write
from workflows.models import Workflow, WorkflowVersion
from workflows.sayings import cut, listed
from workflows.transfer import packed, unpacked
from workflows.views.conflict import meanwhile
from workflows.views.record import editable, see_other, seen, whole, workflow_for
from workflows.views.versions import version_for

LIMIT = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 5 * 1024 * 1024
SHOWN = 1024 * 1024  # bytes of a refused file that are shown to be mended


@require_safe
def export(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """The draft, else what runs; with `?version=` one of its versions."""
    workflow = workflow_for(request, workflow_id)
    version = version_for(workflow, whole(request, "version") or 0) if request.GET.get("version") else None
    response = HttpResponse(write(packed(workflow, version)), content_type="application/json")
    name = _file_name(workflow, version or (workflow.published if workflow.draft is None else None))
    response.headers["Content-Disposition"] = content_disposition_header(True, name) or ""
    return response


def _file_name(workflow: Workflow, version: WorkflowVersion | None) -> str:
    """order-intake-v3.json, order-intake-draft.json: letters that every system takes."""
    last = f"v{version.number}" if version else "draft"
    return f"{slugify(workflow.name)[:60].strip('-') or 'workflow'}-{last}.json"


class ImportForm(forms.Form):
    """`parcel`: what the file, else the text, holds. A refused file's text stands in the field to be mended."""

    file = forms.FileField(
        required=False,
        allow_empty_file=True,
        max_length=None,
        label="File",
        help_text="A workflow that was exported here, or a graph that a React Flow editor saved:"
        f" JSON, up to {said_size(LIMIT)}.",
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
    )
    text = forms.CharField(
        required=False,
        strip=False,
        label="Or paste it",
        help_text="Used where no file is chosen.",
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )
    name = forms.CharField(
        required=False,
        max_length=MAX_NAME,
        label="Name",
        help_text="What to call it here. Empty: as the file says.",
    )
    parcel: Parcel
    source = "what was pasted"

    def clean(self) -> dict[str, Any]:
        file, text = self.cleaned_data.get("file"), self.cleaned_data.get("text") or ""
        if self.errors:
            return self.cleaned_data
        if file is None and not text.strip():
            raise forms.ValidationError("Choose a file, or paste what you want to import.")
        try:
            self.parcel = read(self._content(file) if file else text, LIMIT)
        except InputError as error:
            self.add_error("file" if file else "text", error.message)
        return self.cleaned_data

    def _content(self, file: UploadedFile) -> bytes:
        self.source = f"“{cut(file.name or 'a file')}”"
        if (file.size or 0) > LIMIT:
            raise InputError(f"The file has {file.size:,} bytes; at most {said_size(LIMIT)} are taken.", "file")
        content = file.read()
        self._show(content)
        return content

    def _show(self, content: bytes) -> None:
        try:
            shown = decoded(content, SHOWN)
        except InputError:
            return
        data: Any = self.data
        data = data.copy()
        data["text"] = shown
        self.data = data

    @property
    def called(self) -> str:
        """The name for a new workflow: as typed, as the file says, as the file is called."""
        file = self.cleaned_data.get("file")
        stem = " ".join(PurePath(file.name).stem.replace("_", " ").split())[:MAX_NAME] if file else ""
        return " ".join(self.cleaned_data["name"].split()) or self.parcel.name or stem


@require_http_methods(["GET", "POST"])
def import_new(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return render(request, "workflows/import.html", {"form": ImportForm()})
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "workflows/import.html", {"form": form}, status=422)
    workflow = unpacked(form.parcel, form.called, owner=request.user, by=request.user)
    _tell(request, form, f"“{workflow.name}” is imported as a draft. Publish it when it is ready.")
    return see_other("workflows:show", workflow.pk)


@require_http_methods(["GET", "POST"])
def import_into(request: HttpRequest, workflow_id: int) -> HttpResponse:
    """Replaces the draft, as an edit that undo takes back. Name, description and tags stay."""
    workflow = editable(request, workflow_id)
    if request.method == "GET":
        return render(request, "workflows/import.html", {"form": _without_name(ImportForm()), "workflow": workflow})
    form = _without_name(ImportForm(request.POST, request.FILES))
    status = _taken_in(request, workflow, form) if form.is_valid() else 422
    if status == 303:
        return see_other("workflows:show", workflow.pk)
    context = {"form": form, "workflow": workflow_for(request, workflow_id), "is_conflict": status == 409}
    context["meanwhile"] = meanwhile(workflow, seen(request)) if status == 409 else []
    return render(request, "workflows/import.html", context, status=status)


def _without_name(form: ImportForm) -> ImportForm:
    del form.fields["name"]
    return form


def _taken_in(request: HttpRequest, workflow: Workflow, form: ImportForm) -> int:
    try:
        workflow.keep_draft(form.parcel.definition, request.user, seen(request), f"Imported {form.source}")
    except EditConflict:
        return 409
    _tell(request, form, "The steps are imported into the draft. Undo brings back what was here.")
    return 303


def _tell(request: HttpRequest, form: ImportForm, words: str) -> None:
    messages.success(request, words)
    if form.parcel.unused:
        messages.warning(request, f"Not used, since nothing here reads it: {listed(list(form.parcel.unused))}.")
