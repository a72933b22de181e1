"""What goes over the wire about executions: requests, results, states and journal entries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import Strict, StringConstraints

from executions.models import ExecutionStatus
from workflows.schemas import Body, Moment, RowId, Text, Window

NodeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class WorkflowExecuteRequest(Body):
    input_data: dict[str, Any] = Field(default={}, description="What the run starts with: a JSON object.")
    pause_before: list[NodeId] = Field(default=[], max_length=100, description="Steps before which it pauses.")


class PauseRequest(Body):
    before: list[NodeId] | None = Field(
        None, max_length=100, description="Exactly the steps before which it is to pause; absent: it pauses now."
    )


class RerunRequest(Body):
    """Absent: as it was. Another input and a step to begin at exclude each other."""

    input_data: dict[str, Any] | None = None
    from_node: NodeId | None = Field(None, description="What came before this step is reused.")


class RerunPlan(Schema):
    """Step ids, in an order in which they can run. `outside`: those of `again` that have effects outside."""

    reused: list[str]
    again: list[str]
    outside: list[str]


class RepairRequest(Body):
    """Of the failed step: another input, or an output in its place; neither: it is tried again as it is."""

    node: NodeId | None = Field(None, description="Absent: the step by which it failed.")
    reason: Text = Field("", max_length=500)
    input_data: dict[str, Any] | None = None
    output_data: dict[str, Any] | None = None
    handle: NodeId | None = Field(None, description="By which the step leaves; only with an output.")


class ExecutionResultResponse(Schema):
    execution_id: int
    status: ExecutionStatus
    output_data: dict[str, Any] | None = None
    error_message: str = ""


class ExecutionSummary(Schema):
    """One execution in a list. Times are UTC, `duration_ms` counts from its start to its end, or until now."""

    id: int
    workflow_id: int
    status: ExecutionStatus
    error_message: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    duration_ms: int | None
    steps_done: int
    steps_total: int


class ExecutionStatusResponse(ExecutionSummary):
    """`error` is as in the journal: type, message, node, step_name, attempt, traceback, details."""

    input_data: dict[str, Any]
    output_data: dict[str, Any] | None
    error: dict[str, Any] | None
    paused_at: datetime | None
    why: str | None = Field(description="Why it does not go on, in a sentence; null while it runs and once it ended.")
    version: int | None = Field(description="The number of the version that it runs; null for a draft.")


class ExecutionLogResponse(Schema):
    """One entry of the journal. What does not apply to its `kind` is null; order by `seq`, never by time.

    `data` is as the journal keeps it: of an output only what the step added. `input_data` and `output_data` are whole,
    and given where only the steps that ended are asked for.
    """

    id: int
    seq: int
    kind: str
    node_id: str | None
    step_name: str | None
    step_type: str | None
    attempt: int | None
    timestamp: datetime
    duration_ms: int | None
    input_data: dict[str, Any] | None = None
    output_data: dict[str, Any] | None = None
    error_message: str | None
    level: str | None
    text: str | None
    data: Any


class WaitResponse(Schema):
    """One open wait of a step. Until when it waits: `due_at`, null where only an answer ends it.

    `kind` is time, retry, approval, callback or child. `title`, `message`, `fields` and `asked` (names; empty: all who
    may run the workflow) belong to an approval, `callback_url` to a callback, and only for who may run the workflow.
    """

    execution_id: int
    workflow_id: int
    workflow: str
    node_id: str
    attempt: int
    kind: str
    reason: str
    due_at: datetime | None
    title: str | None = None
    message: str | None = None
    fields: list[dict[str, Any]] | None = None
    asked: list[str] | None = None
    may_answer: bool = False
    callback_url: str | None = None


class WaitList(Schema):
    items: list[WaitResponse]
    next: str | None = Field(None, description="The cursor of the part that follows; null at the end.")


class WaitAnswer(Body):
    """`values`: for the fields that were asked for. Who rejects need not fill in what is required."""

    approved: Annotated[bool, Strict()]
    values: dict[str, Any] = {}
    comment: str = Field("", max_length=2_000)


class ExecutionWindow(Window):
    """Filters of the list; all that are given must hold. `until` itself is not included."""

    status: list[ExecutionStatus] = []
    workflow_id: RowId | None = None
    started_by: Text | None = Field(None, max_length=150, description="A user name.")
    since: Moment | None = None
    until: Moment | None = None


class LogWindow(Schema):
    limit: int = Field(200, ge=1, le=1000)
    after: int = Field(0, ge=0, le=2**31 - 1, description="Entries whose `seq` is greater.")
    steps: bool = Field(False, description="Only the step attempts that ended, with what they saw and made.")


class RerunWindow(Schema):
    from_node: NodeId | None = Field(None, description="Absent: from the beginning.")


class ExecutionList(Schema):
    items: list[ExecutionSummary]
    next: str | None = Field(description="The cursor of the part that follows; null at the end.")


class ExecutionLogList(Schema):
    items: list[ExecutionLogResponse]
    next: str | None = Field(description="What to send as `after` for the entries that follow; null at the end.")
