"""The pages of secrets: what there is, a new one, another value, the end of one. A value goes in and is never shown.

A form that a step's form asks for (HX-Request) comes as a part of the page, and ends with the name that was made.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe
from django.views.decorators.vary import vary_on_headers

from workflows.errors import InputError
from workflows.models import Secret, Variable, Workflow
from workflows.permissions import may_change, visible, visible_to
from workflows.secrets.forms import SecretForm
from workflows.secrets.usage import usage, usages
from workflows.views.record import see_other, whole

MOST = 200  # of each kind on the page
NOT_YOURS = "Only its owner {owner} and administrators of this server may change “{name}”."


@never_cache
@require_safe
def listed(request: HttpRequest) -> HttpResponse:
    query = "".join(letter for letter in request.GET.get("q", "") if letter.isprintable()).strip()[:64]
    page = {
        "q": query,
        "most": MOST,
        "secrets": _found(request, Secret, query),
        "variables": _found(request, Variable, query),
    }
    return render(request, "secrets/list.html", page)


def _found(request: HttpRequest, model: Any, query: str) -> list[tuple[Any, Any]]:
    rows = model.objects.filter(visible(request.user)).filter(name__icontains=query)
    rows = list(rows.select_related("owner", "group").order_by("name", "pk")[:MOST])
    used = usages(rows, request.user)
    return [(row, used[row.pk]) for row in rows]


@sensitive_post_parameters("value")
@sensitive_variables("form")
@never_cache
@vary_on_headers("HX-Request")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    workflow = visible_to(request.user).filter(pk=whole(request, "workflow") or 0).first()
    form = SecretForm(request.POST or None, user=request.user, workflow=workflow)
    secret = _made(request, form, workflow) if request.method == "POST" and form.is_valid() else None
    if secret is None:
        part = "secrets/_new.html" if request.headers.get("HX-Request") else "secrets/new.html"
        status = 422 if form.is_bound else 200
        return render(request, part, {"form": form, "workflow": workflow}, status=status)
    if request.headers.get("HX-Request"):
        return render(request, "secrets/_made.html", {"secret": secret})
    messages.success(request, f"The secret “{secret.name}” is kept. Steps can choose it by its name.")
    return see_other("secrets:list")


@sensitive_variables("form", "given")
def _made(request: HttpRequest, form: SecretForm, workflow: Workflow | None) -> Secret | None:
    """An administrator who makes one inside of somebody's workflow makes it for its owner."""
    given: Any = form.cleaned_data
    is_for_owner = request.user.is_superuser and workflow is not None and workflow.owner is not None
    owner = workflow.owner if workflow and is_for_owner else request.user
    facts = {"group": given["group"], "description": given["description"], "by": request.user}
    try:
        return Secret.objects.make(owner, given["name"], given["value"], given["hosts"], **facts)
    except InputError as error:
        form.refuse(error)
    return None


@sensitive_post_parameters("value")
@sensitive_variables("form")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest, secret_id: int) -> HttpResponse:
    """One secret: facts for who may use it, the form for who may change it."""
    secret = _secret(request, secret_id)
    may_edit = may_change(request.user, secret)
    if request.method == "POST":
        require_change(request, secret)
    form = SecretForm(request.POST or None, user=request.user, secret=secret)
    if request.method == "POST" and form.is_valid() and _changed(request, form, secret):
        return see_other("secrets:show", secret.pk)
    page = {"secret": secret, "form": form if may_edit else None, "usage": usage(secret, request.user)}
    return render(request, "secrets/show.html", page, status=422 if form.errors else 200)


@sensitive_variables("form", "given")
def _changed(request: HttpRequest, form: SecretForm, secret: Secret) -> bool:
    given: Any = form.cleaned_data
    try:
        secret.describe(given["hosts"], group=given["group"], description=given["description"], by=request.user)
    except InputError as error:
        form.refuse(error)
        return False
    if given["value"]:
        secret.replace(given["value"], request.user)
    messages.success(request, "Saved. What runs from now on uses the new value." if given["value"] else "Saved.")
    return True


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, secret_id: int) -> HttpResponse:
    secret = _secret(request, secret_id)
    require_change(request, secret)
    if request.method == "POST":
        secret.delete()
        messages.success(request, f"The secret “{secret.name}” is deleted.")
        return see_other("secrets:list")
    return render(
        request, "secrets/delete.html", {"row": secret, "word": "secret", "usage": usage(secret, request.user)}
    )


def require_change(request: HttpRequest, row: Any) -> None:
    if not may_change(request.user, row):
        owner = row.owner.get_username() if row.owner else "(an administrator)"
        raise PermissionDenied(NOT_YOURS.format(owner=owner, name=row.name))


def _secret(request: HttpRequest, secret_id: int) -> Secret:
    rows = Secret.objects.filter(visible(request.user)).select_related("owner", "group", "updated_by")
    return get_object_or_404(rows, pk=secret_id)
