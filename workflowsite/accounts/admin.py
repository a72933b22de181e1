"""Tokens can be looked at and deleted; a new one comes from `manage.py create_token`, which alone can show its text."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from workflowsite.accounts.forms import AdminSignInForm
from workflowsite.accounts.models import ApiToken

admin.site.site_header = admin.site.site_title = "Stepstream"
admin.site.login_form = AdminSignInForm


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    list_display = ["name", "prefix", "user", "created_at", "last_used_at"]
    list_filter = ["created_at", "last_used_at"]
    list_select_related = ["user"]
    search_fields = ["name", "prefix", "user__username"]
    date_hierarchy = "created_at"
    readonly_fields = ["user", "name", "prefix", "created_at", "last_used_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
