"""Addresses of workflows. The page that runs one lives with the executions."""

from django.urls import path

from workflows.views import about, build, draft, expressions, home, stored, transfer, versions

app_name = "workflows"

urlpatterns = [
    path("", home.listed, name="list"),
    path("workflows/new/", about.new, name="new"),
    path("workflows/<int:workflow_id>/", build.show, name="show"),
    path("workflows/<int:workflow_id>/about/", about.about, name="about"),
    path("workflows/<int:workflow_id>/definition/", about.definition, name="definition"),
    path("workflows/<int:workflow_id>/copy/", about.copy, name="copy"),
    path("workflows/<int:workflow_id>/activate/", about.activate, name="activate"),
    path("workflows/<int:workflow_id>/archive/", about.archive, name="archive"),
    path("workflows/<int:workflow_id>/bring-back/", about.bring_back, name="bring_back"),
    path("workflows/<int:workflow_id>/undo/", draft.undo, name="undo"),
    path("workflows/<int:workflow_id>/redo/", draft.redo, name="redo"),
    path("workflows/<int:workflow_id>/discard/", draft.discard, name="discard"),
    path("workflows/<int:workflow_id>/steps/", draft.steps, name="steps"),
    path("workflows/<int:workflow_id>/steps/<str:node_id>/", draft.step, name="step"),
    path("workflows/<int:workflow_id>/steps/<str:node_id>/after/", draft.connect, name="connect"),
    path("workflows/<int:workflow_id>/steps/<str:node_id>/not-after/", draft.disconnect, name="disconnect"),
    path("workflows/<int:workflow_id>/steps/<str:node_id>/move/", draft.move, name="move"),
    path("workflows/<int:workflow_id>/steps/<str:node_id>/duplicate/", draft.duplicate, name="duplicate"),
    path("workflows/<int:workflow_id>/steps/<str:node_id>/delete/", draft.delete, name="delete"),
    path("workflows/<int:workflow_id>/steps/<str:node_id>/names/", expressions.names, name="names"),
    path("workflows/<int:workflow_id>/steps/<str:node_id>/preview/", expressions.preview, name="preview"),
    path("workflows/<int:workflow_id>/publish/", versions.publish, name="publish"),
    path("workflows/<int:workflow_id>/versions/", versions.versions, name="versions"),
    path("workflows/<int:workflow_id>/versions/<int:number>/", versions.version, name="version"),
    path("workflows/<int:workflow_id>/versions/<int:number>/restore/", versions.restore, name="restore"),
    path("workflows/<int:workflow_id>/versions/<int:number>/edit/", versions.take_over, name="take-over"),
    path("workflows/import/", transfer.import_new, name="import"),
    path("workflows/<int:workflow_id>/import/", transfer.import_into, name="import-into"),
    path("workflows/<int:workflow_id>/files/", stored.files, name="files"),
    path("workflows/<int:workflow_id>/files/content/", stored.file, name="file"),
    path("workflows/<int:workflow_id>/files/delete/", stored.delete_file, name="delete-file"),
    path("workflows/<int:workflow_id>/export/", transfer.export, name="export"),
]
