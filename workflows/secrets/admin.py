"""Secrets and variables in the admin: found and looked at by who may, changed by who may. A value only goes in.

The admin's history names the fields that were changed, and no values.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from workflows.admin import VisibleAdmin
from workflows.errors import InputError
from workflows.models import Secret, Variable
from workflows.models import secret as secrets
from workflows.models import variable as variables
from workflows.permissions import may_change
from workflows.secrets.forms import Veiled


class SecretForm(forms.ModelForm):
    value = forms.CharField(required=False, strip=False, widget=Veiled(), help_text="Empty: it stays as it is.")

    class Meta:
        model = Secret
        fields = ("description", "hosts")

    def clean_value(self) -> str:
        value: str = self.cleaned_data["value"]
        return _or_refused(secrets.clean_value, value, self.instance.name) if value else ""

    def clean_hosts(self) -> list[str]:
        hosts = self.cleaned_data["hosts"]
        if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
            raise ValidationError('A list of hosts, such as ["api.example.com"].')
        return list(_or_refused(secrets.clean_hosts, hosts))


class VariableForm(forms.ModelForm):
    class Meta:
        model = Variable
        fields = ("description", "value")

    def clean_value(self) -> Any:
        return _or_refused(variables.clean_value, self.cleaned_data["value"])


class NamedAdmin(VisibleAdmin):
    path_to_workflow = ""
    list_filter = ("updated_at",)
    list_select_related = ("owner", "group")
    search_fields = ("name", "description", "owner__username")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # its page asks for all that it needs

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or may_change(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and obj is not None and may_change(request.user, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.updated_by = request.user
        obj.save(
            update_fields=[*(name for name in form.cleaned_data if name in self.stored), "updated_by", "updated_at"]
        )

    stored: tuple[str, ...] = ()


@admin.register(Secret)
class SecretAdmin(NamedAdmin):
    form = SecretForm
    stored = ("description", "hosts")
    heavy = ("ciphertext",)
    list_display = ("name", "owner", "group", "goes_to", "last_used_at", "updated_at")
    fields = ("name", "owner", "group", "description", "hosts", "value", "last_used_at", "updated_by", "updated_at")
    readonly_fields = ("name", "owner", "group", "last_used_at", "updated_by", "updated_at")

    @admin.display(description="may go to")
    def goes_to(self, secret: Secret) -> str:
        return ", ".join(secret.hosts)[:120]

    @method_decorator(sensitive_post_parameters("value"))
    def changeform_view(self, *args: Any, **names: Any) -> Any:
        return super().changeform_view(*args, **names)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cleaned_data.get("value"):
            obj.replace(form.cleaned_data["value"], request.user)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only look gets no field for a value: there is nothing to look at."""
        may_edit = obj is None or self.has_change_permission(request, obj)
        return [name for name in self.fields if may_edit or name != "value"]


@admin.register(Variable)
class VariableAdmin(NamedAdmin):
    form = VariableForm
    stored = ("description", "value")
    heavy = ("value",)
    list_display = ("name", "owner", "group", "updated_at")
    fields = ("name", "owner", "group", "description", "value", "updated_by", "updated_at")
    readonly_fields = ("name", "owner", "group", "updated_by", "updated_at")


def _or_refused(clean: Any, *given: Any) -> Any:
    try:
        return clean(*given)
    except InputError as error:
        raise ValidationError(error.message) from None
