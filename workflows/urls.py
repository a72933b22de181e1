"""Addresses of workflows. The page that runs one lives with the executions."""

from django.urls import path

from workflows.views import about, build, draft, home

app_name = "workflows"

urlpatterns = [
    path("", home.listed, name="list"),
    path("workflows/new/", about.new, name="new"),
    path("workflows/import/", about.new, name="import"),  # STUB
    path("workflows/<int:workflow_id>/publish/", build.show, name="publish"),  # STUB
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
]
