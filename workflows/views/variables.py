"""The pages of variables. What stands in the list of secrets and variables is in secrets.py."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from workflows.errors import InputError
from workflows.models import Variable
from workflows.permissions import may_change, visible
from workflows.secrets.forms import VariableForm
from workflows.secrets.usage import usage
from workflows.views.record import see_other
from workflows.views.secrets import require_change


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    form = VariableForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid() and (variable := _made(request, form)):
        messages.success(request, f"The variable “{variable.name}” is kept.")
        return see_other("secrets:list")
    return render(request, "secrets/variable.html", {"form": form}, status=422 if form.errors else 200)


def _made(request: HttpRequest, form: VariableForm) -> Variable | None:
    given: Any = form.cleaned_data
    owner = None if given.get("for_all") else request.user
    facts = {"group": given["group"], "description": given["description"], "by": request.user}
    try:
        return Variable.objects.make(owner, given["name"], given["value"], **facts)
    except InputError as error:
        form.refuse(error)
    return None


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest, variable_id: int) -> HttpResponse:
    variable = _variable(request, variable_id)
    if request.method == "POST":
        require_change(request, variable)
    form = VariableForm(request.POST or None, user=request.user, variable=variable)
    if request.method == "POST" and form.is_valid() and _changed(request, form, variable):
        return see_other("secrets:variable", variable.pk)
    may_edit = may_change(request.user, variable)
    page = {"variable": variable, "form": form if may_edit else None, "usage": usage(variable, request.user)}
    return render(request, "secrets/variable.html", page, status=422 if form.errors else 200)


def _changed(request: HttpRequest, form: VariableForm, variable: Variable) -> bool:
    given: Any = form.cleaned_data
    facts = {"group": given.get("group"), "description": given["description"], "by": request.user}
    try:
        variable.change(given["value"], **facts)
    except InputError as error:
        form.refuse(error)
        return False
    messages.success(request, "Saved. What runs from now on uses the new value.")
    return True


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, variable_id: int) -> HttpResponse:
    variable = _variable(request, variable_id)
    require_change(request, variable)
    if request.method == "POST":
        variable.delete()
        messages.success(request, f"The variable “{variable.name}” is deleted.")
        return see_other("secrets:list")
    page = {"row": variable, "word": "variable", "usage": usage(variable, request.user)}
    return render(request, "secrets/delete.html", page)


def _variable(request: HttpRequest, variable_id: int) -> Variable:
    rows = Variable.objects.filter(visible(request.user)).select_related("owner", "group", "updated_by")
    return get_object_or_404(rows, pk=variable_id)
