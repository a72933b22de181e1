"""Workflows in the admin: names, people and switches may be edited; what was published may only be read.

A version is what executions ran: an edit would make their journals lie. A workflow is archived and not deleted, since
its executions belong to its history; the definition is edited on the workflow's own page, which checks it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workflows.models import LoadedExample, Workflow, WorkflowEdit, WorkflowVersion
from workflows.permissions import can, visible, visible_to


def link_to_list(model: str, text: str, **filters: Any) -> SafeString:
    """A link to the admin's list of `model` ("executions_executionlog"), filtered."""
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:{model}_changelist"), urlencode(filters), text)


def link_to(row: Model | None, text: str | None = None) -> SafeString | str:
    """A link to a row's own page in the admin, by its text."""
    if row is None:
        return "–"
    return format_html('<a href="{}">{}</a>', address_of(row), text or str(row))


def address_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def pretty(value: Any) -> SafeString | str:
    """JSON for eyes."""
    if value is None:
        return "–"
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


class VisibleAdmin(admin.ModelAdmin):
    """Shows staff what they may see anyway: being staff gives no rights on other people's workflows."""

    show_full_result_count = False
    list_per_page = 50
    path_to_workflow = "workflow__"
    heavy: tuple[str, ...] = ()  # JSON that the list does not show, so it is not read

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).filter(visible(request.user, self.path_to_workflow))
        return rows.defer(*self.heavy)


class ReadOnlyAdmin(VisibleAdmin):
    """For rows that only the engine writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Workflow)
class WorkflowAdmin(VisibleAdmin):
    path_to_workflow = ""
    heavy = ("draft", "published__definition")
    list_display = ("name", "owner", "group", "is_active", "version", "archived_at", "updated_at", "executions")
    list_filter = ("is_active", ("archived_at", admin.EmptyFieldListFilter), "updated_at")
    list_select_related = ("owner", "group", "published")
    search_fields = ("name", "description", "owner__username")
    fields = (
        *("name", "description", "owner", "group", "is_active", "max_parallel", "time_zone"),
        *("time_limit_s", "keep_days", "priority", "on_failure"),
        *("concurrency", "concurrency_key", "concurrency_per_key", "token_budget"),
        *("version", "versions", "executions", "waiting_draft", "created_at", "updated_at", "archived_at"),
    )
    readonly_fields = ("version", "versions", "executions", "waiting_draft", "created_at", "updated_at", "archived_at")
    actions = ("archive",)

    def view_on_site(self, workflow: Workflow) -> str:
        return reverse("workflows:show", args=[workflow.pk])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Workflow | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or can(request.user, "edit", obj))

    def has_delete_permission(self, request: HttpRequest, obj: Workflow | None = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only what one may see can be chosen: a select would tell the names of all others."""
        if db_field.name == "on_failure":
            kwargs["queryset"] = visible_to(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Workflow | None = None) -> tuple[str, ...]:
        """Who may edit may not give the workflow away."""
        free = obj is None or can(request.user, "administer", obj)
        return self.readonly_fields if free else (*self.readonly_fields, "owner", "group")

    @admin.display(description="version that runs", ordering="published__number")
    def version(self, workflow: Workflow) -> SafeString | str:
        return link_to(workflow.published)

    @admin.display(description="versions")
    def versions(self, workflow: Workflow) -> SafeString:
        return link_to_list("workflows_workflowversion", "All versions", workflow__id__exact=workflow.pk)

    @admin.display(description="executions")
    def executions(self, workflow: Workflow) -> SafeString:
        return link_to_list("executions_workflowexecution", "Executions", workflow__id__exact=workflow.pk)

    @admin.display(description="draft")
    def waiting_draft(self, workflow: Workflow) -> SafeString | str:
        return pretty(workflow.draft)

    @admin.action(description="Archive: hide, and start no more", permissions=["change"])
    def archive(self, request: HttpRequest, workflows: QuerySet[Workflow]) -> None:
        for workflow in workflows:
            if can(request.user, "administer", workflow):
                workflow.archive()
                self.message_user(request, f"“{workflow}” is archived; its executions stay.", messages.SUCCESS)
            else:
                self.message_user(request, f"Only its owner may archive “{workflow}”.", messages.ERROR)


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyAdmin):
    heavy = ("definition", "workflow__draft")
    list_display = ("pk", "of", "__str__", "note", "created_by", "created_at", "executions")
    list_filter = (("number", admin.EmptyFieldListFilter), "created_at")
    list_select_related = ("workflow", "created_by")
    search_fields = ("workflow__name", "note", "digest")
    fields = ("of", "number", "note", "created_by", "created_at", "digest", "executions", "steps")
    readonly_fields = fields

    @admin.display(description="workflow", ordering="workflow__name")
    def of(self, version: WorkflowVersion) -> SafeString | str:
        return link_to(version.workflow)

    @admin.display(description="executions")
    def executions(self, version: WorkflowVersion) -> SafeString:
        return link_to_list("executions_workflowexecution", "Executions", version__id__exact=version.pk)

    @admin.display(description="definition")
    def steps(self, version: WorkflowVersion) -> SafeString | str:
        return pretty(version.definition)


@admin.register(WorkflowEdit)
class WorkflowEditAdmin(ReadOnlyAdmin):
    """Who did what to a draft, as far as it can still be undone."""

    heavy = ("splices", "workflow__draft")
    list_display = ("pk", "of", "__str__", "by", "at", "revision")
    list_filter = ("is_undone", "at")
    list_select_related = ("workflow", "by")
    search_fields = ("workflow__name", "words", "by__username")
    fields = ("of", "words", "is_undone", "by", "at", "revision", "changes")
    readonly_fields = fields

    @admin.display(description="workflow", ordering="workflow__name")
    def of(self, edit: WorkflowEdit) -> SafeString | str:
        return link_to(edit.workflow)

    @admin.display(description="what became what")
    def changes(self, edit: WorkflowEdit) -> SafeString | str:
        return pretty(edit.splices)


@admin.register(LoadedExample)
class LoadedExampleAdmin(admin.ModelAdmin):
    """Deleting a row here is how an example comes back at the next start."""

    list_display = ("slug", "loaded_at")
    search_fields = ("slug",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: LoadedExample | None = None) -> bool:
        return False


# It builds on the above, and Django looks for admins in this file alone.
from workflows.secrets import admin as secrets_admin  # noqa: E402, F401
