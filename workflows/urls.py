"""Addresses of workflows. The page that runs one lives with the executions."""

from django.urls import path

from workflows.views import build, home, transfer, versions

app_name = "workflows"

urlpatterns = [
    path("", home.listed, name="list"),
    path("workflows/new/", build.new, name="new"),
    path("workflows/<int:workflow_id>/", build.show, name="show"),
    path("workflows/<int:workflow_id>/definition/", build.save, name="save"),
    path("workflows/<int:workflow_id>/archive/", build.archive, name="archive"),
    path("workflows/<int:workflow_id>/publish/", versions.publish, name="publish"),
    path("workflows/<int:workflow_id>/versions/", versions.versions, name="versions"),
    path("workflows/<int:workflow_id>/versions/<int:number>/", versions.version, name="version"),
    path("workflows/<int:workflow_id>/versions/<int:number>/restore/", versions.restore, name="restore"),
    path("workflows/<int:workflow_id>/versions/<int:number>/edit/", versions.take_over, name="take-over"),
    path("workflows/import/", transfer.import_new, name="import"),
    path("workflows/<int:workflow_id>/import/", transfer.import_into, name="import-into"),
    path("workflows/<int:workflow_id>/export/", transfer.export, name="export"),
]
