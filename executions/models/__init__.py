from executions.models.execution import FINAL, ExecutionStatus, WorkflowExecution
from executions.models.log import ExecutionLog, Kind
from executions.models.presence import WorkerPresence
from executions.models.usage import StepUsage
from executions.models.wait import ExecutionWait, WaitKind

__all__ = [
    "FINAL",
    "ExecutionLog",
    "ExecutionStatus",
    "ExecutionWait",
    "Kind",
    "StepUsage",
    "WaitKind",
    "WorkerPresence",
    "WorkflowExecution",
]
