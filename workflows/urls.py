"""Addresses of workflows. The page that runs one lives with the executions."""

from django.urls import path

from workflows.views import build, home

app_name = "workflows"

urlpatterns = [
    path("", home.listed, name="list"),
    path("workflows/new/", build.new, name="new"),
    path("workflows/<int:workflow_id>/", build.show, name="show"),
    path("workflows/<int:workflow_id>/definition/", build.save, name="save"),
    path("workflows/<int:workflow_id>/archive/", build.archive, name="archive"),
]
