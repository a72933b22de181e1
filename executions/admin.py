"""Executions, their entries and waits in the admin: to find and to read, with "Cancel" and "Run again".

All of it is written by the engine alone. A hand edit would make the journal, which is the truth, differ from what
happened; a deleted row would take a live execution from under its owner, so even superusers leave that to retention.
"""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from executions.engine import WorkflowEngine
from executions.models import ExecutionLog, ExecutionWait, WorkflowExecution
from workflows.admin import ReadOnlyAdmin, link_to, link_to_list, pretty
from workflows.errors import StepstreamError
from workflows.permissions import can

AT_ONCE = 100  # a slip of "select all" must not start ten thousand executions


@admin.register(WorkflowExecution)
class WorkflowExecutionAdmin(ReadOnlyAdmin):
    heavy = (
        "input_data",
        "output_data",
        "input_blobs",
        "output_blobs",
        "error",
        "workflow__draft",
        "version__definition",
    )
    list_display = ("__str__", "of", "at_version", "status", "steps", "started_by", "created_at", "duration", "entries")
    list_filter = (
        *("status", "created_at", ("cancel_requested_at", admin.EmptyFieldListFilter)),
        *(("parent", admin.EmptyFieldListFilter), ("paused_at", admin.EmptyFieldListFilter)),
    )
    list_select_related = ("workflow", "version", "started_by")
    search_fields = ("=id", "workflow__name", "started_by__username", "error_message")
    search_help_text = "Number, workflow, who started it, or a part of the error."
    fields = (
        *("of", "at_version", "status", "error_message", "steps", "entries", "waits"),
        *("started_by", "created_at", "started_at", "completed_at", "duration", "origin"),
        *("above", "children", "parent_node", "item_index", "handles"),
        *("cancel_requested_at", "cancel_requested_by", "paused_at", "paused_by", "pause_before"),
        *("idempotency_key", "input", "output", "error_in_full"),
        *("priority", "has_slot", "slot_key", "due_at", "owner", "fence", "nudges"),
    )
    readonly_fields = fields
    actions = ("cancel", "pause", "resume", "run_again")

    def view_on_site(self, execution: WorkflowExecution) -> str:
        return reverse("executions:show", args=[execution.pk])

    @admin.display(description="workflow", ordering="workflow__name")
    def of(self, execution: WorkflowExecution) -> SafeString | str:
        return link_to(execution.workflow)

    @admin.display(description="version")
    def at_version(self, execution: WorkflowExecution) -> SafeString | str:
        return link_to(execution.version)

    @admin.display(description="again from")
    def origin(self, execution: WorkflowExecution) -> SafeString | str:
        return link_to(execution.retry_of)

    @admin.display(description="part of")
    def above(self, execution: WorkflowExecution) -> SafeString | str:
        return link_to(execution.parent)

    @admin.display(description="children")
    def children(self, execution: WorkflowExecution) -> SafeString:
        return link_to_list("executions_workflowexecution", "Children", parent__id__exact=execution.pk)

    @admin.display(description="started by the failure of")
    def handles(self, execution: WorkflowExecution) -> SafeString | str:
        return link_to(execution.failure_of)

    @admin.display(description="steps")
    def steps(self, execution: WorkflowExecution) -> str:
        return f"{execution.steps_done} of {execution.steps_total}"

    @admin.display(description="duration")
    def duration(self, execution: WorkflowExecution) -> str:
        return "–" if execution.duration_ms is None else f"{execution.duration_ms / 1000:,.2f} s"

    @admin.display(description="entries")
    def entries(self, execution: WorkflowExecution) -> SafeString:
        return link_to_list("executions_executionlog", "Entries", execution__id__exact=execution.pk)

    @admin.display(description="waits")
    def waits(self, execution: WorkflowExecution) -> SafeString:
        return link_to_list("executions_executionwait", "Waits", execution__id__exact=execution.pk)

    @admin.display(description="input")
    def input(self, execution: WorkflowExecution) -> SafeString | str:
        return pretty({**execution.input_data, **(execution.input_blobs or {})})

    @admin.display(description="output")
    def output(self, execution: WorkflowExecution) -> SafeString | str:
        return pretty(execution.output_data and {**execution.output_data, **(execution.output_blobs or {})})

    @admin.display(description="error")
    def error_in_full(self, execution: WorkflowExecution) -> SafeString | str:
        return pretty(execution.error)

    @admin.action(description="Cancel")
    def cancel(self, request: HttpRequest, executions: QuerySet[WorkflowExecution]) -> None:
        chosen = self._allowed(request, executions)
        asked = sum(WorkflowEngine().cancel(execution.pk, by=request.user) for execution in chosen)
        if asked:
            self.message_user(request, f"Asked to stop: {asked}.", messages.SUCCESS)
        if asked < len(chosen):
            text = f"Already ended, or asked to stop before: {len(chosen) - asked}."
            self.message_user(request, text, messages.WARNING)

    @admin.action(description="Pause")
    def pause(self, request: HttpRequest, executions: QuerySet[WorkflowExecution]) -> None:
        chosen = self._allowed(request, executions)
        changed = sum(WorkflowEngine().pause(execution.pk, by=request.user) for execution in chosen)
        self.message_user(request, f"Paused: {changed}. Ended or paused before: {len(chosen) - changed}.")

    @admin.action(description="Go on with what is paused")
    def resume(self, request: HttpRequest, executions: QuerySet[WorkflowExecution]) -> None:
        chosen = self._allowed(request, executions)
        changed = sum(WorkflowEngine().resume(execution.pk, by=request.user) for execution in chosen)
        self.message_user(request, f"Going on: {changed}. Not paused: {len(chosen) - changed}.")

    @admin.action(description="Run again with the same version and input")
    def run_again(self, request: HttpRequest, executions: QuerySet[WorkflowExecution]) -> None:
        for execution in self._allowed(request, executions, again=True):
            try:
                new = WorkflowEngine().run_again(execution.pk, by=request.user)
            except StepstreamError as error:
                self.message_user(request, f"{execution} was not run again: {error.message}", messages.ERROR)
            else:
                text = format_html("{} runs again as {}.", execution, link_to(WorkflowExecution(pk=new)))
                self.message_user(request, text, messages.SUCCESS)

    def _allowed(
        self, request: HttpRequest, executions: QuerySet[WorkflowExecution], again: bool = False
    ) -> list[WorkflowExecution]:
        """Those of the chosen that this user may run, oldest first; says what is left out."""
        chosen = list(executions.select_related("workflow", "version").order_by("pk")[: AT_ONCE + 1])
        if len(chosen) > AT_ONCE:
            self.message_user(request, f"Only the first {AT_ONCE} were taken.", messages.WARNING)
        allowed = [
            execution
            for execution in chosen[:AT_ONCE]
            if can(request.user, "edit" if again and execution.version.is_draft else "run", execution.workflow)
        ]
        if refused := len(chosen[:AT_ONCE]) - len(allowed):
            self.message_user(request, f"You may not do this to {refused} of them.", messages.ERROR)
        return allowed


class OfAnExecutionAdmin(ReadOnlyAdmin):
    """Entries and waits: reached from their execution, so no row is joined to name it."""

    path_to_workflow = "execution__workflow__"

    @admin.display(description="execution", ordering="execution_id")
    def of(self, row: ExecutionLog | ExecutionWait) -> SafeString | str:
        return link_to(WorkflowExecution(pk=row.execution_id))


@admin.register(ExecutionLog)
class ExecutionLogAdmin(OfAnExecutionAdmin):
    heavy = ("data",)
    list_display = ("pk", "of", "seq", "kind", "node", "attempt", "at", "took_ms")
    list_filter = ("kind",)
    search_fields = ("=execution__id", "=node")
    search_help_text = "The number of an execution, or the id of a step."
    fields = ("of", "seq", "kind", "node", "attempt", "at", "took_ms", "told")
    readonly_fields = fields

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """One execution reads like a story, from its beginning; all of them like news."""
        return ("seq",) if "execution__id__exact" in request.GET else ("-pk",)

    @admin.display(description="data")
    def told(self, entry: ExecutionLog) -> SafeString | str:
        return pretty(entry.data)


@admin.register(ExecutionWait)
class ExecutionWaitAdmin(OfAnExecutionAdmin):
    heavy = ("answer", "asks")
    list_display = ("pk", "of", "node", "attempt", "kind", "reason", "due_at", "answered_at", "closed_at")
    list_filter = (
        "kind",
        ("closed_at", admin.EmptyFieldListFilter),
        ("answered_at", admin.EmptyFieldListFilter),
        "due_at",
    )
    search_fields = ("=execution__id", "=node", "reason")
    fields = (
        *("of", "node", "attempt", "kind", "reason", "audience", "due_at", "lapsed_at"),
        *("answered_at", "answered_by", "given", "closed_at"),
    )
    readonly_fields = fields

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-pk",)

    @admin.display(description="answer")
    def given(self, wait: ExecutionWait) -> SafeString | str:
        return pretty(wait.answer)
