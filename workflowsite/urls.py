"""The site's addresses: each room brings its own. A refusal's page is templates/<status>.html, Django's convention."""

from django.contrib import admin
from django.urls import include, path

from workflowsite.api import api
from workflowsite.preferences import choose

handler400 = "workflowsite.refusals.unreadable"
handler500 = "workflowsite.refusals.broken"

urlpatterns = [
    path("", include("workflowsite.accounts.urls")),
    path("", include("workflows.urls")),
    path("", include("workflows.secrets.urls")),
    path("", include("executions.urls")),
    path("preferences/", choose, name="preferences"),
    path("api/", api.urls),
    path("admin/", admin.site.urls),
]
