from executions.models.execution import FINAL, ExecutionStatus, WorkflowExecution
from executions.models.log import ExecutionLog, Kind
from executions.models.wait import ExecutionWait

__all__ = ["FINAL", "ExecutionLog", "ExecutionStatus", "ExecutionWait", "Kind", "WorkflowExecution"]
