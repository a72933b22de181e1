"""Workflows over REST: made, read, changed and archived. A definition that comes this way is published at once.

What somebody may not see is unknown to them (404); what they may see but not do is forbidden (403). Errors are
raised as what they are; workflowsite/api.py gives all of them their one shape.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router, Status

from workflows.errors import InputError
from workflows.models import Workflow
from workflows.permissions import Verb, can, startable, visible_to
from workflows.schemas import (
    Refusal,
    Settings,
    Window,
    WorkflowChange,
    WorkflowDetail,
    WorkflowList,
    WorkflowNew,
)
from workflows.values import require

router = Router(tags=["workflows"])

REFUSALS = {frozenset({401, 403, 404, 422}): Refusal}
Row = TypeVar("Row", bound=Model)


@router.get("/", response={200: WorkflowList, **REFUSALS})
def list_workflows(request: HttpRequest, window: Query[Window]) -> Any:
    """The workflows that you may see, newest first, without their definitions."""
    rows = visible_to(user_of(request)).filter(archived_at=None).select_related("published")
    items, following = part(rows.defer("published__definition"), window)
    return Status(200, {"items": items, "next": following})


@router.post("/", response={201: WorkflowDetail, **REFUSALS})
def create_workflow(request: HttpRequest, body: WorkflowNew, response: HttpResponse) -> Any:
    """Makes a workflow of yours and publishes its definition; `"draft": true` keeps that as a draft."""
    user = user_of(request)
    with transaction.atomic():
        workflow = Workflow.objects.create(
            name=body.name, description=body.description, is_active=body.is_active, owner=user
        )
        change_settings(workflow, body.settings, user)
        take_definition(workflow, body.definition, as_draft=body.draft, by=user)
    response["Location"] = f"{request.path}{workflow.pk}"
    return Status(201, workflow)


@router.get("/{int:workflow_id}", response={200: WorkflowDetail, **REFUSALS})
def get_workflow(request: HttpRequest, workflow_id: int) -> Any:
    """One workflow with its definition."""
    return Status(200, workflow_for(request, workflow_id, "view"))


@router.put("/{int:workflow_id}", response={200: WorkflowDetail, **REFUSALS})
def change_workflow(request: HttpRequest, workflow_id: int, body: WorkflowChange) -> Any:
    """Replaces what the body names. A definition is published, or with `"draft": true` kept as a draft."""
    workflow = workflow_for(request, workflow_id, "edit")
    with transaction.atomic():
        change_row(workflow, body)
        change_settings(workflow, body.settings, user_of(request))
        if "definition" in body.model_fields_set:
            take_definition(workflow, body.definition, as_draft=body.draft, by=user_of(request))
        elif "draft" in body.model_fields_set and not body.draft and workflow.draft is not None:
            workflow.publish(by=user_of(request))
    return Status(200, workflow)


@router.delete("/{int:workflow_id}", response={204: None, **REFUSALS})
def archive_workflow(request: HttpRequest, workflow_id: int) -> Any:
    """Hides the workflow and stops new runs; its executions stay readable."""
    workflow_for(request, workflow_id, "administer").archive()
    return Status(204, None)


def user_of(request: HttpRequest) -> Any:
    """Who asks: the token's or the session's user. The API's authentication has put it there."""
    return request.auth  # type: ignore[attr-defined]


def workflow_for(request: HttpRequest, workflow_id: int, verb: Verb) -> Workflow:
    """The workflow, if this user may `verb` it. Raises Http404 or PermissionDenied."""
    user = user_of(request)
    workflow = visible_to(user).filter(pk=workflow_id, archived_at=None).select_related("published").first()
    if workflow is None:
        raise Http404(f"There is no workflow {workflow_id}.")
    if not can(user, verb, workflow):
        raise PermissionDenied(f"You may see workflow {workflow_id}, but you may not {verb} it.")
    return workflow


def part(rows: QuerySet[Row], window: Window) -> tuple[list[Row], str | None]:
    """One part of a list, newest first, and the cursor of the next: by key, so that the last part is as quick."""
    onwards = rows if window.cursor is None else rows.filter(pk__lt=window.cursor)
    found = list(onwards.order_by("-pk")[: window.limit + 1])
    items = found[: window.limit]
    return items, str(items[-1].pk) if len(found) > window.limit else None


def change_row(workflow: Workflow, body: WorkflowChange) -> None:
    named = body.model_fields_set & {"name", "description", "is_active"}
    for field in named:
        setattr(workflow, field, getattr(body, field))
    if named:
        workflow.save(update_fields=[*named, "updated_at"])


def change_settings(workflow: Workflow, given: Settings, user: Any) -> None:
    """Raises InputError for a workflow that this user may not see, or its owner may not run."""
    chosen = given.model_dump(exclude_unset=True)
    other = chosen.pop("on_failure", None)
    if "on_failure" in given.model_fields_set:
        found = startable(user, workflow).exclude(pk=workflow.pk).filter(pk=other).first() if other else None
        if other and found is None:
            raise InputError(f"There is no other workflow {other} to start on a failure.", "settings.on_failure")
        chosen["on_failure"] = found
    for name, value in chosen.items():
        setattr(workflow, name, value)
    if chosen:
        workflow.save(update_fields=[*chosen, "updated_at"])


def take_definition(workflow: Workflow, definition: dict[str, Any], *, as_draft: bool, by: Any) -> None:
    require(definition, "definition")
    if as_draft:
        workflow.keep_draft(definition, by=by)
    else:
        workflow.publish(definition, by=by)
