"""Addresses of executions, and of the windows through which they are watched."""

from django.urls import path

from executions.consumers import ExecutionViewer, ListViewer
from executions.views import (
    again,
    callback,
    data,
    find,
    items,
    kept,
    repairing,
    start,
    steer,
    together,
    trial,
    waiting,
    watch,
)

app_name = "executions"

urlpatterns = [
    path("workflows/<int:workflow_id>/run/", start.run, name="run"),
    path("workflows/<int:workflow_id>/start/", start.start, name="start"),
    path("workflows/<int:workflow_id>/try/", trial.attempt, name="try"),
    path("workflows/<int:workflow_id>/kept/", kept.kept, name="kept"),
    path("executions/", find.listed, name="list"),
    path("executions/cancel/", together.cancel_together, name="cancel_together"),
    path("executions/run-again/", together.run_together, name="run_together"),
    path("executions/<int:execution_id>/", watch.show, name="show"),
    path("executions/<int:execution_id>/cancel/", steer.cancel, name="cancel"),
    path("executions/<int:execution_id>/pause/", steer.pause, name="pause"),
    path("executions/<int:execution_id>/resume/", steer.resume, name="resume"),
    path("executions/<int:execution_id>/items/", items.items, name="items"),
    path("executions/<int:execution_id>/run-again/", again.run_again, name="run_again"),
    path("executions/<int:execution_id>/again/", again.on_other_input, name="again"),
    path("executions/<int:execution_id>/again/from/", again.from_step, name="again_from"),
    path("executions/<int:execution_id>/repair/", repairing.repair, name="repair"),
    path("executions/<int:execution_id>/entries/", watch.entries, name="entries"),
    path("executions/<int:execution_id>/result/", watch.result, name="result"),
    path("executions/<int:execution_id>/data/", data.of_execution, name="data"),
    path("executions/<int:execution_id>/waits/<str:node_id>/", waiting.ask, name="wait"),
    path("executions/<int:execution_id>/steps/", watch.steps, name="steps"),
    path("executions/<int:execution_id>/steps/<str:node_id>/", watch.step, name="step"),
    path("executions/<int:execution_id>/steps/<str:node_id>/pause/", steer.pause_before, name="pause_before"),
    path("executions/<int:execution_id>/steps/<str:node_id>/data/", data.of_step, name="step_data"),
    path("waiting/", waiting.listed, name="waiting"),
    path("callbacks/<int:execution_id>/<str:node_id>/<str:token>/", callback.callback, name="callback"),
]

websocket_urlpatterns = [
    path("ws/executions/<int:execution_id>/", ExecutionViewer.as_asgi()),
    path("ws/lists/", ListViewer.as_asgi()),
]
