"""Addresses of executions, and of the window through which one is watched."""

from django.urls import path

from executions import views
from executions.consumers import ExecutionViewer

app_name = "executions"

urlpatterns = [
    path("workflows/<int:workflow_id>/run/", views.run, name="run"),
    path("executions/", views.listed, name="list"),
    path("executions/<int:execution_id>/", views.show, name="show"),
    path("executions/<int:execution_id>/cancel/", views.cancel, name="cancel"),
    path("executions/<int:execution_id>/run-again/", views.run_again, name="run_again"),
    path("executions/<int:execution_id>/entries/", views.entries, name="entries"),
    path("executions/<int:execution_id>/result/", views.result, name="result"),
    path("executions/<int:execution_id>/steps/", views.steps, name="steps"),
    path("executions/<int:execution_id>/steps/<str:node_id>/", views.step, name="step"),
]

websocket_urlpatterns = [path("ws/executions/<int:execution_id>/", ExecutionViewer.as_asgi())]
