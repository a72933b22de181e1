"""Secrets and variables over REST. A secret's value goes in and never comes out.

Rights as on the pages: who may use one sees it (404 otherwise), its owner and administrators change it (403).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field, SecretStr

from workflows.api import REFUSALS, part, user_of
from workflows.errors import InputError, StepstreamError
from workflows.models import Secret, Variable
from workflows.permissions import may_change, visible
from workflows.schemas import Body, Refusal, Text, Window
from workflows.secrets.usage import usage

secrets, variables = Router(tags=["secrets"]), Router(tags=["variables"])
CONFLICT = {409: Refusal}
Described = Annotated[Text, Field(max_length=300)]
NameText = Annotated[str, Field(max_length=64, description="Letters, digits and “_”; it stays.")]
GroupName = Annotated[str | None, Field(description="The name of the group that it is shared with.")]


class NamedInUse(StepstreamError):
    """It is in use."""


class SecretNew(Body):
    name: NameText
    value: SecretStr
    hosts: list[str]
    group: GroupName = None
    description: Described = ""


class SecretChange(Body):
    """Only what is named changes."""

    value: SecretStr | None = None
    hosts: list[str] = []
    group: GroupName = None
    description: Described = ""


class VariableNew(Body):
    """`for_all`: of everybody; administrators alone."""

    name: NameText
    value: Any
    group: GroupName = None
    description: Described = ""
    for_all: bool = False


class VariableChange(Body):
    """Only what is named changes."""

    value: Any = None
    group: GroupName = None
    description: Described = ""


class Deletion(Schema):
    force: Annotated[bool, Field(description="Also where workflows use it.")] = False


class NamedDetail(Schema):
    id: int
    name: str
    owner: str | None
    group: str | None
    description: str
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_owner(row: Secret | Variable) -> str | None:
        return row.owner.get_username() if row.owner else None

    @staticmethod
    def resolve_group(row: Secret | Variable) -> str | None:
        return row.group.name if row.group else None


class SecretDetail(NamedDetail):
    """`has_value` is false where its key was lost."""

    hosts: list[str]
    has_value: bool
    last_used_at: datetime | None

    @staticmethod
    def resolve_has_value(row: Secret) -> bool:
        return not row.is_empty


class VariableDetail(NamedDetail):
    """`owner` null: it is for all workflows."""

    value: Any


class SecretList(Schema):
    items: list[SecretDetail]
    next: str | None


class VariableList(Schema):
    items: list[VariableDetail]
    next: str | None


@secrets.get("/", response={200: SecretList, **REFUSALS})
def list_secrets(request: HttpRequest, window: Query[Window]) -> Any:
    """The secrets that you have or that a group shares with you, without their values."""
    items, following = part(_rows(request, Secret), window)
    return Status(200, {"items": items, "next": following})


@secrets.post("/", response={201: SecretDetail, **REFUSALS})
def create_secret(request: HttpRequest, body: SecretNew, response: HttpResponse) -> Any:
    """Keeps a secret of yours, to be sent to `hosts` alone."""
    user = user_of(request)
    facts: Any = {"group": _group(user, body.group), "description": body.description}
    secret = Secret.objects.make(user, body.name, body.value.get_secret_value(), body.hosts, **facts)
    response["Location"] = f"{request.path}{secret.pk}"
    return Status(201, secret)


@secrets.put("/{int:secret_id}", response={200: SecretDetail, **REFUSALS})
def change_secret(request: HttpRequest, secret_id: int, body: SecretChange) -> Any:
    """Replaces what the body names, the value included."""
    secret, user = _changeable(request, Secret, secret_id), user_of(request)
    facts = {name: getattr(body, name) for name in body.model_fields_set & {"description"}}
    with transaction.atomic():
        secret.describe(
            body.hosts if "hosts" in body.model_fields_set else secret.hosts,
            group=_group(user, body.group, secret.group) if "group" in body.model_fields_set else secret.group,
            description=facts.get("description", secret.description),
            by=user,
        )
        if body.value is not None:
            secret.replace(body.value.get_secret_value(), user)
    return Status(200, secret)


@secrets.delete("/{int:secret_id}", response={204: None, **REFUSALS, **CONFLICT})
def delete_secret(request: HttpRequest, secret_id: int, how: Query[Deletion]) -> Any:
    """Deletes it; 409 where workflows use it, unless `force=true`."""
    return _deleted(request, _changeable(request, Secret, secret_id), how)


@variables.get("/", response={200: VariableList, **REFUSALS})
def list_variables(request: HttpRequest, window: Query[Window]) -> Any:
    """The variables that you may read."""
    items, following = part(_rows(request, Variable), window)
    return Status(200, {"items": items, "next": following})


@variables.post("/", response={201: VariableDetail, **REFUSALS})
def create_variable(request: HttpRequest, body: VariableNew, response: HttpResponse) -> Any:
    """Keeps a variable of yours, or with `for_all` one of everybody's."""
    user = user_of(request)
    if body.for_all and not user.is_superuser:
        raise PermissionDenied("Only an administrator of this server makes a variable for all workflows.")
    if body.for_all and body.group:
        raise InputError("What is for all workflows is not shared with a group as well.", "group")
    facts = {"group": _group(user, body.group), "description": body.description, "by": user}
    variable = Variable.objects.make(None if body.for_all else user, body.name, body.value, **facts)
    response["Location"] = f"{request.path}{variable.pk}"
    return Status(201, variable)


@variables.put("/{int:variable_id}", response={200: VariableDetail, **REFUSALS})
def change_variable(request: HttpRequest, variable_id: int, body: VariableChange) -> Any:
    """Replaces what the body names."""
    variable, user, named = _changeable(request, Variable, variable_id), user_of(request), body.model_fields_set
    if variable.owner is None and body.group:
        raise InputError("What is for all workflows is not shared with a group as well.", "group")
    variable.change(
        body.value if "value" in named else variable.value,
        group=_group(user, body.group, variable.group) if "group" in named else variable.group,
        description=body.description if "description" in named else variable.description,
        by=user,
    )
    return Status(200, variable)


@variables.delete("/{int:variable_id}", response={204: None, **REFUSALS, **CONFLICT})
def delete_variable(request: HttpRequest, variable_id: int, how: Query[Deletion]) -> Any:
    """Deletes it; 409 where workflows use it, unless `force=true`."""
    return _deleted(request, _changeable(request, Variable, variable_id), how)


def _rows(request: HttpRequest, model: Any) -> Any:
    return model.objects.filter(visible(user_of(request))).select_related("owner", "group")


def _changeable(request: HttpRequest, model: Any, pk: int) -> Any:
    """Raises Http404 or PermissionDenied."""
    row, word = _rows(request, model).filter(pk=pk).first(), model.__name__.lower()
    if row is None:
        raise Http404(f"There is no {word} {pk}.")
    if not may_change(user_of(request), row):
        raise PermissionDenied(f"You may use {word} {pk}, but only its owner and administrators may change it.")
    return row


def _deleted(request: HttpRequest, row: Any, how: Deletion) -> Any:
    if not how.force and (count := usage(row, user_of(request)).count):
        raise NamedInUse(f"“{row.name}” is used by {count} workflow{'' if count == 1 else 's'}; force=true deletes it.")
    row.delete()
    return Status(204, None)


def _group(user: Any, name: str | None, now: Group | None = None) -> Group | None:
    """One that this user is in, or that it is shared with already. Raises InputError."""
    if name is None:
        return None
    if now and now.name == name:
        return now
    groups = Group.objects.all() if user.is_superuser else user.groups.all()
    group: Group | None = groups.filter(name=name).first()
    if group is None:
        raise InputError(f"There is no group “{name[:80]}” that you are in.", "group")
    return group
