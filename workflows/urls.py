"""Addresses of workflows. The page that runs one lives with the executions."""

from django.urls import path

from workflows import views

app_name = "workflows"

urlpatterns = [
    path("", views.listed, name="list"),
    path("workflows/new/", views.new, name="new"),
    path("workflows/<int:workflow_id>/", views.show, name="show"),
    path("workflows/<int:workflow_id>/definition/", views.save, name="save"),
    path("workflows/<int:workflow_id>/archive/", views.archive, name="archive"),
]
