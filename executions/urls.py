"""Addresses of executions, and of the window through which one is watched."""

from django.urls import path

from executions.consumers import ExecutionViewer
from executions.views import find, start, trial, watch

app_name = "executions"

urlpatterns = [
    path("workflows/<int:workflow_id>/run/", start.run, name="run"),
    path("workflows/<int:workflow_id>/start/", start.start, name="start"),
    path("workflows/<int:workflow_id>/try/", trial.attempt, name="try"),
    path("executions/", find.listed, name="list"),
    path("executions/<int:execution_id>/", watch.show, name="show"),
    path("executions/<int:execution_id>/cancel/", watch.cancel, name="cancel"),
    path("executions/<int:execution_id>/run-again/", start.run_again, name="run_again"),
    path("executions/<int:execution_id>/entries/", watch.entries, name="entries"),
    path("executions/<int:execution_id>/result/", watch.result, name="result"),
    path("executions/<int:execution_id>/steps/", watch.steps, name="steps"),
    path("executions/<int:execution_id>/steps/<str:node_id>/", watch.step, name="step"),
]

websocket_urlpatterns = [path("ws/executions/<int:execution_id>/", ExecutionViewer.as_asgi())]
